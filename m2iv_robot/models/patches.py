"""Pixels <-> the cells a network works on: a lossless fold of p x p pixels into channels, in place of an autoencoder.

An 8x autoencoder leaves a 20-pixel object two cells; folding by 4 loses nothing and needs no weights.
"""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def fold(video: Float[Tensor, "b t c h w"], patch: int) -> Float[Tensor, "b t folded rows columns"]:
    """Move each `patch` x `patch` block of pixels into channels; height and width must be multiples of `patch`."""
    return rearrange(video, "b t c (h p) (w q) -> b t (c p q) h w", p=patch, q=patch)


def unfold(cells: Float[Tensor, "b t folded rows columns"], patch: int) -> Float[Tensor, "b t c h w"]:
    """The inverse of `fold`."""
    return rearrange(cells, "b t (c p q) h w -> b t c (h p) (w q)", p=patch, q=patch)
