"""What a node's process asks of the middleware."""

import pytest


@pytest.fixture
def running(ros):
    from ros_nodes import running

    return running


def test_buffers_that_hold_raw_images_are_asked_for(running):
    environment = {}
    running.make_room(environment)
    assert environment == {running.TRANSPORTS: running.ROOMY}


@pytest.mark.parametrize("name", ["FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_DEFAULT_PROFILES_FILE"])
def test_what_the_user_has_asked_for_stays(running, name):
    environment = {name: "mine"}
    running.make_room(environment)
    assert environment == {name: "mine"}
