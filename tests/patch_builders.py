"""Logits and patches that several tests build or look at."""

from __future__ import annotations

import cv2
import numpy as np


def smooth(rng, n, h, w):
    """(n, h, w) float32 logits, a few blobs each."""
    noise = rng.normal(size=(n, h, w)).astype(np.float32)
    blurred = [cv2.GaussianBlur(layer, (0, 0), 1.5) for layer in noise]
    return (8 * np.array(blurred, np.float32).reshape(n, h, w) - 1).astype(np.float32)


def whole(found, i, shape):
    """(H, W) logits of one patch in the image, -inf outside its box."""
    x0, y0, x1, y1 = found.boxes[i]
    full = np.full(shape, -np.inf, np.float32)
    full[y0:y1, x0:x1] = found.patch(i)
    return full
