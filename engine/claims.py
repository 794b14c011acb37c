"""A particle is the sum of its lobes: what its mask holds and none of them does goes to the likeliest one nearby.

Where two fused lobes meet a network is sure of neither, so that their masks end short of each other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from . import kernels_claims
from .crop import Found

LEAST: Final = -5.0
"""Lowest logit of a lobe at a pixel that it may take; of the bundled model's that is a probability of 0.14."""


def claimed(found: Found, shape: tuple[int, int]) -> Found:
    """The lobes with their logits raised where their particle's mask goes on and they are likelier than others.

    ``shape`` is (H, W) of the image; a lobe takes nothing beyond its box, that is beyond ``upsample.REACH``. At its new
    border its particle's logit is 0 or another lobe's is as high as its own, so outlines follow from the logits as they
    do of all masks. Lobes without a particle mask stay as they are, but keep others out.
    """
    lobes, particles = found.lobes, found.particles
    if len(particles) == 0:
        return found
    whole_of = np.full(len(lobes), -1, np.int64)
    whole_of[found.lobe_of_particle] = np.arange(len(particles))
    raised = kernels_claims.claim(*lobes.plain, *particles.plain, whole_of, *shape, LEAST)
    return replace(found, lobes=replace(lobes, logits=raised))
