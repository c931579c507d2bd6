"""Where the whole object's centre is in the image when fingers hide a part of it."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

SCALES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)  # of the outline: it comes nearer to the camera and goes away
SEARCH_SHARE = 0.6  # of the outline's size
TIE_PX = 1.5  # places that differ by fewer pixels are as good as each other


def outline_of(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """The object's silhouette where nothing hides it, cut out with a margin."""
    y, x = np.nonzero(mask)
    return np.pad(mask[y.min() : y.max() + 1, x.min() : x.max() + 1], 2).astype(np.float32)


def whole_centre(
    visible: Bool[np.ndarray, "h w"], actor: Bool[np.ndarray, "h w"], outline: Float[np.ndarray, "a b"]
) -> tuple[Float[np.ndarray, "2"], float]:
    """Centre (x, y) of the silhouette laid over what is visible, and the share of it that does not fit.

    It fits best where it covers what is visible and hides its other parts behind the actor: the number of visible
    pixels outside plus background pixels inside is least. The mean of the places that tie is returned.
    """
    y, x = np.nonzero(visible)
    centre = np.array([x.mean(), y.mean()])
    # cost = visible - visible inside + background inside = visible + correlation of the outline with `score`
    score = (~(visible | actor)).astype(np.float32) - visible.astype(np.float32)
    best_cost, best_centre = np.inf, centre
    for scale in SCALES:
        scaled = cv2.resize(outline, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        costs, corner = correlate(score, scaled, centre)
        cost = float(costs.min()) + len(x)
        if cost < best_cost:
            ties = np.argwhere(costs <= costs.min() + TIE_PX)
            best_cost, best_centre = cost, corner + ties.mean(0)[::-1] + middle_of(scaled)
    return best_centre, float(best_cost / max(outline.sum(), 1.0))


def middle_of(outline: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "2"]:
    """Centroid (x, y) of a silhouette in its own cut-out."""
    y, x = np.mgrid[: outline.shape[0], : outline.shape[1]]
    return np.array([(outline * x).sum(), (outline * y).sum()]) / outline.sum()


def correlate(
    score: Float[np.ndarray, "h w"], outline: Float[np.ndarray, "a b"], centre: Float[np.ndarray, "2"]
) -> tuple[Float[np.ndarray, "p q"], Float[np.ndarray, "2"]]:
    """Correlation for the outline's places around `centre`, and its cut-out's corner (x, y) in the first of them."""
    height, width = outline.shape
    reach = max(3, round(SEARCH_SHARE * max(height, width)))
    margin = reach + max(height, width) + 1
    padded = cv2.copyMakeBorder(score, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    left, top = np.round(centre - middle_of(outline)).astype(int) - reach
    window = padded[top + margin : top + margin + height + 2 * reach, left + margin : left + margin + width + 2 * reach]
    return cv2.matchTemplate(window, outline, cv2.TM_CCORR), np.array([left, top], dtype=float)
