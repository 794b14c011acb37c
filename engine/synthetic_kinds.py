"""Every kind of micrograph that can be rendered, by name, and the mixture of all of them that the model is trained on.

What is a lobe: the part of a particle that one would draw one outline around. A sphere, a rod, a cube, a crystal or a
plate is one lobe, whatever it carries or holds: the grains of a raspberry, the two halves of a janus particle, core and
shell are parts of one lobe, whose outline is the outermost. A dumbbell has two, a trimer three, a chain four to six.
Salt, dirt, scratches and the holes and threads of a support are none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from ..models.errors import SettingsError
from .synthetic import LOBED, Scene
from .synthetic_shapes import SOLIDS
from .synthetic_support import SUPPORTS

_EMPTY: Final[dict[str, Any]] = {"packing": 0.0, "max_particles": 0, "brightness": 0.25}
_LOOSE: Final[dict[str, Any]] = {"packing": 0.2}
KINDS: Final[dict[str, dict[str, Any]]] = {
    **{name: {"particle": name} for name in (*LOBED, *SOLIDS)},
    "core-shell": {"surface": "core_shell", "style": "tem", "packing": 0.4},
    "raspberry": {"surface": "raspberry"},
    "porous": {"surface": "porous"},
    "rough": {"surface": "rough", "particle": "mixture"},
    "janus": {"surface": "janus"},
    "raspberry-dumbbell": {"surface": "raspberry", "particle": "dumbbell"},
    "broad": {"sizes": "lognormal", "spread": 0.45},
    "bimodal": {"sizes": "bimodal"},
    "monolayer": {"crystalline": True, "packing": 0.85},
    "multilayer": {"layers": 3, "packing": 0.7},
    "dumbbell-multilayer": {"layers": 2, "packing": 0.7, "particle": "dumbbell"},
    "isolated": {"packing": 0.05},
    "in-lens": {"style": "in_lens", "particle": "dumbbell"},
    "se": {"style": "se", "particle": "trimer"},
    "bse": {"style": "bse", "particle": "mixture"},
    "tem": {"style": "tem", "particle": "mixture", "packing": 0.4},
    "dark-field": {"style": "dark_field", "particle": "mixture", "packing": 0.4},
    "rod-tem": {"style": "tem", "particle": "rod", "packing": 0.4},
    "polyhedron-tem": {"style": "tem", "particle": "polyhedron", "packing": 0.4},
    "cube-dark-field": {"style": "dark_field", "particle": "cube", "packing": 0.4},
    "lacey": {"support": "lacey", "style": "tem", **_LOOSE},
    "lacey-dark-field": {"support": "lacey", "style": "dark_field", "particle": "dumbbell", **_LOOSE},
    "holes": {"support": "holes", **_LOOSE},
    "scratches": {"support": "scratches", **_LOOSE},
    "salt": {"support": "salt", **_LOOSE},
    "grains": {"support": "grains", **_LOOSE},
    "dirt": {"support": "dirt", **_LOOSE},
    "charging": {"charging": 0.25, "particle": "dumbbell", "packing": 0.4},
    "drift": {"drift": 4.0, "particle": "dumbbell"},
    "astigmatism": {"astigmatism": 2.5},
    "vignetting": {"vignetting": 0.8},
    "low-dose": {"dose": 12.0, "contrast_to_noise": 2.0},
    "small": {"radius_px": 3.0, "contrast": 1.3},
    "large": {"radius_px": 120.0, "particle": "trimer", "packing": 0.4},
    "empty": _EMPTY,
    **{f"empty-{name}": {**_EMPTY, "support": name} for name in SUPPORTS[1:]},
    "noise": {**_EMPTY, "contrast": 0.05, "dose": 15.0},
}
"""Kind → what its scenes are; all else is the default of ``Scene``."""


def kind(name: str, **fields: Any) -> Scene:
    """A scene of a kind; ``fields`` of it that are given go over the kind's."""
    if name not in KINDS:
        raise SettingsError(f"There is no kind of particle {name!r}; choose one of {', '.join(KINDS)}.")
    return Scene(**{**KINDS[name], **fields})


def everything(
    seed: int, shape: tuple[int, int] = (512, 512), largest: float = 170.0, *, rods: float = 0.16, empty: float = 0.08,
    noise: float = 0.01, porous: float = 0.07, webs: float = 0.0, rough_ground: float = 0.0,
) -> Scene:  # fmt: skip
    """A scene drawn from all kinds: ``Scene.random``, changed by these shares.

    Radius: 72 % as there (4–60 px), 10 % 2.5–5 px, 18 % 45 px to ``largest``, log-uniform. Particles: the share
    ``rods``, 9 % cubes, 12 % polyhedra, 7 % plates, the others as there. Surface: the share ``porous``, 8 % rough, 7 %
    each raspberry, janus and core-shell, the others smooth. Sizes: 72 % normal, 16 % log-normal, 12 % two. Detector:
    44 % as there (of which 13 % TEM), 14 % in-lens, 12 % at the side, 9 % backscattered, 12 % TEM, 9 % dark field. 10 %
    in two or three layers. Support: 60 % plain, the others share the rest. 12 % with drift, 10 % each charging,
    astigmatism, vignetting and counted electrons. The share ``webs`` of the others lies loosely on lacey carbon, in
    transmission. The share ``empty`` holds nothing: on a support as above, but the share ``rough_ground`` of it on one
    that is not plain, and, ``noise`` of all, on none that one could see.
    """
    rng = np.random.default_rng([seed, 12])
    size = rng.random()
    radius = (4.0, 60.0) if size < 0.72 else (2.5, 5.0) if size < 0.82 else (45.0, largest)
    scene = Scene.random(seed, shape, radius)
    particle = rng.choice(["", *SOLIDS], p=[0.72 - rods, rods, 0.09, 0.12, 0.07])
    sizes = str(rng.choice(["normal", "lognormal", "bimodal"], p=[0.72, 0.16, 0.12]))
    style = rng.choice(["", "in_lens", "se", "bse", "tem", "dark_field"], p=[0.44, 0.14, 0.12, 0.09, 0.12, 0.09])
    surface = rng.choice(["smooth", "rough", "porous", "raspberry", "janus", "core_shell"],
                         p=[0.71 - porous, 0.08, porous, 0.07, 0.07, 0.07])  # fmt: skip
    changes: dict[str, Any] = {
        "particle": str(particle or scene.particle),
        "sizes": sizes,
        "spread": float(rng.uniform(0.2, 0.5)) if sizes == "lognormal" else scene.spread,
        "style": str(style or scene.style),
        "surface": str(surface),
        "support": str(rng.choice(SUPPORTS)) if rng.random() < 0.467 else "plain",
        "layers": int(rng.integers(2, 4)) if rng.random() < 0.1 else 1,
        "drift": float(np.exp(rng.uniform(np.log(0.5), np.log(6)))) if rng.random() < 0.12 else 0.0,
        "charging": float(rng.uniform(0.03, 0.35)) if rng.random() < 0.1 else 0.0,
        "astigmatism": float(rng.uniform(0.3, 0.15 * scene.radius_px + 0.5)) if rng.random() < 0.1 else 0.0,
        "vignetting": float(rng.uniform(0.2, 0.85)) if rng.random() < 0.1 else 0.0,
        "brightness": float(rng.uniform(-0.1, 0.2)) if rng.random() < 0.3 else 0.0,
        "dose": float(np.exp(rng.uniform(np.log(8), np.log(200)))) if rng.random() < 0.1 else 0.0,
    }
    changes["astigmatism"] = min(changes["astigmatism"], 4.0)
    if rng.random() < empty:
        changes |= {**_EMPTY, "on_top_share": 0.0, "contrast": float(rng.uniform(0.5, 3.0))}
        changes["brightness"] = float(rng.uniform(0.0, 0.45))
        if rng.random() < noise / empty:
            changes |= {"support": "plain", "contrast": 0.05, "dose": float(rng.uniform(5, 60))}
        elif rng.random() < rough_ground:
            changes["support"] = str(rng.choice(SUPPORTS[1:]))
    elif rng.random() < webs:
        changes |= {"support": "lacey", "style": str(rng.choice(["tem", "dark_field"], p=[0.8, 0.2]))}
        changes["packing"] = float(rng.uniform(0.05, 0.5))
    return replace(scene, **changes)
