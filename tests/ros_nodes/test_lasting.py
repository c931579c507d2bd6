"""Nodes that are asked much: a short soak, and Ctrl-C again and again."""

import os
from functools import partial

import pytest
from ros_processes import TIMEOUT_S, interrupt, node_parameters, wait_until

LONG = pytest.mark.skipif("M2IV_LONG_TESTS" not in os.environ, reason="takes minutes; set M2IV_LONG_TESTS to run it")
RUNS = 25
SAID = {"recorder_node": "recording to", "augmenter_node": "no models are loaded yet"}


@LONG
def test_a_short_soak_loses_no_request_and_ends_cleanly(ros):
    """Rates and memory are judged by `make soak`: a test shares its cores with others."""
    import soak

    figures = soak.run(1, "cut_and_paste")
    assert figures["lost"] == []
    assert figures["requests"]
    assert figures["exit_status"] == 0


@LONG
@pytest.mark.parametrize("node", SAID)
def test_ctrl_c_ends_a_node_cleanly_every_time(node, processes, tmp_path):
    places = {"root": str(tmp_path / "data")}
    if node == "augmenter_node":
        places = {"data_root": str(tmp_path), "output_root": str(tmp_path)}
    module = f"ros_nodes.{node}"
    said = partial(processes.said, module)
    for number in range(RUNS):
        started = processes.start(module, *node_parameters(**places))
        wait_until(partial(has_said, said, SAID[node], number + 1), TIMEOUT_S, SAID[node])
        assert interrupt(started) == 0
    assert "Traceback" not in said()


def has_said(said, text, times):
    return said().count(text) == times
