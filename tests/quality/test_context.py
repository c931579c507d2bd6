from dataclasses import replace

import numpy as np
import pytest
from drawn_candidate import source
from drawn_scene import HELD

from m2iv_robot.masks import dilate
from m2iv_robot.quality.context import reference_frame
from m2iv_robot.quality.looks import MOST_LIGHT, colour_distance


def test_the_object_is_looked_at_where_it_rests_not_where_its_mask_spilled_over():
    context = source()
    spilled = context.masks.object.clone()
    middle = (HELD.grasp + HELD.release) // 2
    spilled[middle] = dilate(spilled[middle : middle + 1], 21)[0] & ~context.masks.actor[middle]
    frame = reference_frame(replace(context, masks=replace(context.masks, object=spilled)))
    assert not HELD.grasp <= frame < HELD.release


def test_less_light_is_no_other_colour_but_another_hue_is():
    red, black = np.array([50.0, 60.0, 30.0]), np.array([16.0, 0.0, 0.0])
    shaded = (red + black) / MOST_LIGHT - black
    assert colour_distance(shaded, red) == pytest.approx(0.0, abs=1e-9)
    assert colour_distance(np.array([50.0, -60.0, -30.0]), red) > 100
    assert colour_distance(np.array([5.0, 0.0, 0.0]), np.array([95.0, 0.0, 0.0])) > 50


def test_without_phases_the_object_is_looked_at_early_or_late():
    context = replace(source(), phases=())
    large = context.masks.object.clone()
    middle = len(large) // 2
    large[middle - 6 : middle + 6] = (
        dilate(large[middle - 6 : middle + 6], 5) & ~context.masks.actor[middle - 6 : middle + 6]
    )
    frame = reference_frame(replace(context, masks=replace(context.masks, object=large)))
    assert frame < len(large) // 4 or frame >= len(large) - len(large) // 4
