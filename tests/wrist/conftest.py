"""The drawn lab, and episodes of it."""

import pytest

from m2iv_robot.wrist import ToolFootage

from .drawn import DrawnLab, drawn_lab, film, way


@pytest.fixture(scope="session")
def drawn() -> DrawnLab:
    return drawn_lab()


@pytest.fixture(scope="session")
def footage(drawn) -> list[ToolFootage]:
    return [film(drawn, way(start)) for start in ((0.22, -0.1), (0.27, -0.05), (0.18, -0.13), (0.25, -0.02))]
