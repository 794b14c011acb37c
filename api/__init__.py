"""Find, group and measure nanoparticles and their lobes in electron micrographs.

``analyze(path)`` analyses one micrograph; a ``Segmenter`` keeps its model for many.
"""

from samcolloid_edge.engine.pipeline import Segmenter, analyze
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.types import Masks, Micrograph, Result, Table
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
]
