"""Fixtures of the tests that run nodes."""

import os

import pytest
from ros_processes import Client, Processes


@pytest.fixture(scope="session")
def ros():
    """Skips where ROS is not installed."""
    pytest.importorskip("rclpy", reason="rclpy is not installed; `make test` brings it (extra ros)")


@pytest.fixture
def domain(ros) -> int:
    """A domain that no other test process of this machine is likely to use."""
    return 1 + os.getpid() % 100


@pytest.fixture
def processes(tmp_path, domain):
    made = Processes(tmp_path, domain)
    yield made
    made.close()


@pytest.fixture
def client(domain):
    made = Client(domain)
    yield made
    made.close()
