import math

import pytest

from m2iv_robot.errors import ConfigError
from policies_demo.statistics import SURE, Rate, difference, wilson, worth


@pytest.mark.parametrize(("successes", "attempts"), [(0, 5), (3, 25), (17, 25), (50, 50)])
def test_at_the_ends_of_the_interval_the_observed_share_is_just_not_significant(successes, attempts):
    share = successes / attempts
    for end in wilson(Rate(successes, attempts)):
        assert abs(share - end) == pytest.approx(SURE * math.sqrt(end * (1 - end) / attempts), abs=1e-9)


def test_the_interval_of_no_success_has_a_closed_form():
    assert wilson(Rate(0, 25)) == pytest.approx((0.0, SURE**2 / (25 + SURE**2)))


def test_differences_change_sign_with_their_order():
    low, high = difference(Rate(20, 25), Rate(9, 25))
    assert low > 0
    assert difference(Rate(9, 25), Rate(20, 25)) == pytest.approx((-high, -low))
    low, high = difference(Rate(12, 25), Rate(12, 25))
    assert low < 0 < high


def test_a_difference_as_in_the_paper():
    # Newcombe 1998, table II, contrast (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339.
    assert difference(Rate(56, 70), Rate(48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_half_of_the_gain_is_worth_half_of_the_episodes():
    told = worth(few=Rate(20, 100), many=Rate(80, 100), generated=Rate(50, 100), more_episodes=20)
    assert told["episodes"] == pytest.approx(10)
    assert told["low"] < 10 < told["high"]


def test_more_than_the_most_that_was_tried_cannot_be_told():
    assert worth(Rate(5, 50), Rate(20, 50), Rate(40, 50), 20)["episodes"] == 20
    assert worth(Rate(20, 50), Rate(20, 50), Rate(40, 50), 20)["episodes"] is None


def test_more_successes_than_attempts_are_refused():
    with pytest.raises(ConfigError, match="no rate"):
        Rate(3, 2)
