"""From the surface of a rendered micrograph to its grey values: detector, optics, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .synthetic_artefacts import charged, counted, optics
from .synthetic_detectors import backscattered, dark_field, in_lens, lateral
from .synthetic_look import Surface, blurred, secondary_electrons, texture, transmission

if TYPE_CHECKING:
    from .synthetic import Scene

LOOKS: Final = {
    "sem": secondary_electrons,
    "in_lens": in_lens,
    "se": lateral,
    "bse": backscattered,
    "tem": transmission,
    "dark_field": dark_field,
}
DETECTORS: Final = tuple(LOOKS)


def expose(scene: Scene, s: Surface, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """(H, W) uint8 image of a surface, and its contrast-to-noise ratio.

    Contrast is the difference of the mean of particles and the mean of the substrate within two radii of them,
    noise the SD of what the microscope adds.
    """
    image = LOOKS[scene.style](scene, s, rng)
    solid = s.lobe > 0
    image = charged(optics(blurred(image, scene.blur), scene), solid, scene)
    near = (~solid) & (blurred(solid.astype(np.float32), scene.radius_px) > 0.02)
    contrast = abs(float(image[solid].mean() - image[near].mean())) if solid.any() and near.any() else 0.3
    drift = texture(scene.shape, rng, max(scene.shape) / 1.5) * np.float32(rng.uniform(0, 0.05))
    image = image + drift
    gain = np.float32(scene.contrast)
    image = (image - np.float32(0.5)) * gain + np.float32(0.5 + rng.uniform(-0.15, 0.1))
    if scene.brightness:
        image = image + np.float32(scene.brightness)
    contrast *= scene.contrast
    noise_sd = contrast / scene.contrast_to_noise if scene.contrast_to_noise else 0.0
    if noise_sd > 0:
        shot = rng.uniform(0, 1)
        noise = rng.standard_normal(scene.shape, np.float32)
        noise *= np.sqrt(1 - shot + shot * np.clip(image, 0.02, 1) / max(float(image.mean()), 0.05))
        if rng.random() < 0.35:
            noise = blurred(noise, rng.uniform(0.4, 0.9))
        noise /= noise.std()
        if rng.random() < 0.15:
            lines = rng.standard_normal((scene.shape[0], 1), np.float32)
            noise += np.float32(rng.uniform(0.05, 0.4)) * lines
        image = image + np.float32(noise_sd) * noise
    image = counted(image, scene)
    gamma = float(np.exp(rng.normal(0, 0.15)))
    grey = np.clip(image, 0, 1) ** np.float32(gamma) * 255
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), contrast / noise_sd if noise_sd else float("inf")
