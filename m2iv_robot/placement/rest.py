"""The whole outline of the object where it rests."""

from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.errors import PlanError
from m2iv_robot.masks import area


def resting_mask(masks: Bool[Tensor, "t h w"], span: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The object's mask in the frames [first, last) where it is least hidden: the middle one by size of the largest.

    Raises:
        PlanError: the object is not seen there.
    """
    first, last = span
    sizes = area(masks[first:last])
    if not len(sizes) or int(sizes.max()) == 0:
        raise PlanError(f"the object is not seen in frames {first} to {last - 1}; correct the masks or give a prompt")
    clear = (sizes >= 0.9 * sizes.double().quantile(0.9)).nonzero()[:, 0]
    middle = clear[sizes[clear].argsort()[len(clear) // 2]]
    return masks[first + int(middle)]
