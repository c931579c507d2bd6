from xml.etree import ElementTree

import pytest

from policies_demo.plot import across, draw_rows


def test_a_bar_is_as_long_as_the_share():
    half = {"successes": 10, "attempts": 25, "low": 0.2, "high": 0.6}
    picture = ElementTree.fromstring(draw_rows({"a": {"seen": half, "unseen": half}}))
    bars = [part for part in picture if part.get("height") == "16"]
    assert len(bars) == 2
    for bar in bars:
        end = float(bar.get("x")) + float(bar.get("width"))
        assert end == pytest.approx(across(0.4), abs=0.06)
        assert (end - across(0)) / (across(1) - across(0)) == pytest.approx(0.4, abs=1e-3)
