"""Which images become frames, and which samples they take."""

import itertools
import random

import pytest

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.alignment import NANOSECONDS, Aligner, AlignmentConfig

MS = 1_000_000
PERIOD = NANOSECONDS // 30


def aligner(max_age_ms=100, slack_ms=0, wait_ms=500, streams=("arm",)):
    ages = {"camera": 0} | {name: max_age_ms * MS for name in streams}
    return Aligner(AlignmentConfig("camera", PERIOD, slack_ms * MS, wait_ms * MS, ages))


def frames_of(made, samples):
    """Feed (stream, stamp in ms) in this order; the frames as (stamp in ms, sample of the arm)."""
    found = []
    for stream, stamp_ms in samples:
        made.add(stream, round(stamp_ms * MS), stamp_ms)
        found += made.frames()
    found += made.flush()
    return [(frame.samples["camera"], frame.samples.get("arm")) for frame in found]


def kept(rate_hz, seconds=20, jitter_ms=0.0, seed=0):
    """Stamps (ms) of a camera at this rate, those of them that become frames, and the aligner."""
    draw = random.Random(seed)
    stamps = [1000 * n / rate_hz + draw.uniform(-jitter_ms, jitter_ms) for n in range(int(rate_hz * seconds))]
    made = aligner(streams=())
    return stamps, [stamp for stamp, _ in frames_of(made, [("camera", stamp) for stamp in stamps])], made


@pytest.mark.parametrize("rate_hz", [29.97, 30.0, 30.03])
def test_a_camera_near_the_rate_loses_no_image(rate_hz):
    stamps, frames, made = kept(rate_hz, jitter_ms=4.0)
    assert frames == stamps
    assert made.surplus == 0


@pytest.mark.parametrize(("rate_hz", "factor"), [(60, 2), (90, 3)])
def test_a_faster_camera_gives_every_second_or_third_image(rate_hz, factor):
    stamps, frames, made = kept(rate_hz, jitter_ms=1.0)
    assert frames == stamps[::factor]
    assert made.surplus == len(stamps) - len(frames)


def test_a_frame_takes_the_latest_sample_up_to_its_time_and_the_slack():
    samples = [("arm", 0), ("arm", 10), ("camera", 12), ("arm", 14), ("arm", 20), ("arm", 30)]
    assert frames_of(aligner(), samples) == [(12, 10)]
    assert frames_of(aligner(slack_ms=3), samples) == [(12, 14)]


def test_an_old_sample_makes_no_frame_and_is_counted():
    made = aligner(max_age_ms=20)
    samples = [("arm", 0), ("camera", 10), ("camera", 44), ("arm", 60), ("camera", 77)]
    assert frames_of(made, samples) == [(10, 0), (77, 60)]
    assert (made.reports["arm"].missing, made.reports["arm"].used) == (1, 2)
    assert made.reports["arm"].age_max_s == pytest.approx(0.017)


def test_a_repeated_sample_is_counted():
    made = aligner()
    assert frames_of(made, [("arm", 0), ("camera", 10), ("camera", 44)]) == [(10, 0), (44, 0)]
    assert made.reports["arm"].repeated == 1


def test_any_order_of_arrival_gives_the_same_frames():
    camera = [("camera", 33 * n + 5) for n in range(4)]
    arm = [("arm", 20 * n) for n in range(8)]
    wanted = frames_of(aligner(), sorted(camera + arm, key=lambda sample: sample[1]))
    for late_by in itertools.product((0, 40, 90), repeat=2):
        arrivals = sorted(camera + arm, key=lambda sample: sample[1] + late_by[sample[0] == "arm"])
        assert frames_of(aligner(), arrivals) == wanted


def test_a_stream_that_lags_beyond_the_wait_is_not_waited_for():
    made = aligner(wait_ms=50)
    made.add("arm", 0, "first")
    for n in range(4):
        made.add("camera", 33 * n * MS, n)
    assert [frame.samples for frame in made.frames()] == [{"camera": n, "arm": "first"} for n in range(2)]


def test_messages_that_overtake_each_other_are_left_out_and_a_clock_that_jumps_back_is_an_error():
    made = aligner()
    assert frames_of(made, [("arm", 10), ("arm", 5), ("camera", 11)]) == [(11, 10)]
    assert made.reports["arm"].out_of_order == 1
    with pytest.raises(RecordingError, match=r"arm: its clock jumped back by 0\.9"):
        made.add("arm", -900 * MS, "again")
