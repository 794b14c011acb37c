"""Find, group and measure nanoparticles and their lobes in electron micrographs.

``analyze(path)`` analyses one micrograph; a ``Segmenter`` keeps its model for many.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samcolloid_edge.engine.pipeline import Segmenter, analyze
    from samcolloid_edge.engine.report import save
    from samcolloid_edge.engine.settings import Settings
    from samcolloid_edge.engine.table import Table
    from samcolloid_edge.engine.types import Masks, Micrograph, Result
    from samcolloid_edge.models.errors import ImageError, ModelError, OutputError, SamColloidError, SettingsError

__all__ = [
    "ImageError",
    "Masks",
    "Micrograph",
    "ModelError",
    "OutputError",
    "Result",
    "SamColloidError",
    "Segmenter",
    "Settings",
    "SettingsError",
    "Table",
    "analyze",
    "save",
]


def __getattr__(name: str) -> Any:
    """Load what a name needs at its first use: ``samcolloid-edge --help`` waits for neither onnxruntime nor numba."""
    if name in __all__:
        for module in ("models.errors", "engine.settings", "engine.table", "engine.types", "engine.pipeline",
                       "engine.report"):
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
