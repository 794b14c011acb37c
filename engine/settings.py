"""Every threshold of the engine, with its unit and where its default comes from."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from ..models.errors import SettingsError
from .lengths import length, with_uncertainty

Particle = Literal["auto", "sphere", "dumbbell", "trimer", "chain"]
Grouping = Literal["evidence", "published"]
Schedule = Literal["adaptive", "exact"]
EdgeWeighting = Literal["miles-lantuejoul", "none"]
Columns = Literal["standard", "skimage", "imagej", "all"]
Method = Literal["sam", "watershed"]
Brightness = Literal["auto", "bright", "dark"]

PARTICLES: Final = ("auto", "sphere", "dumbbell", "trimer", "chain")
GROUPINGS: Final = ("evidence", "published")
SCHEDULES: Final = ("adaptive", "exact")
EDGE_WEIGHTINGS: Final = ("miles-lantuejoul", "none")
COLUMNS: Final = ("standard", "skimage", "imagej", "all")
METHODS: Final = ("sam", "watershed")
BRIGHTNESSES: Final = ("auto", "bright", "dark")
LOBES_OF: Final = {"auto": 0, "sphere": 1, "dumbbell": 2, "trimer": 3, "chain": 0}
"""Lobes in one particle of a kind; 0 where any number is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a micrograph is analysed. SAM = the names and defaults of SAM's automatic mask generator."""

    method: Method = "sam"
    """What finds lobes: the model, or the traditional method without one (see watershed)."""
    schedule: Schedule = "adaptive"
    """Which points of the grid are asked: all (exact: as SAM), or those that can still tell something (adaptive)."""
    points_per_side: int | None = None
    """Prompts along each side of a tile (SAM: 32). None: as fine as ``min_radius`` needs."""
    zoom: float | None = None
    """Model px per px of the file. None: found by a first look at what the micrograph holds."""
    min_radius: float | None = None
    """Smallest lobe radius sought, px of the file. None: what the model's card says it resolves."""
    pred_iou_thresh: float = 0.62
    """Lowest predicted IoU of a mask that is kept, 0–1 (SAM: 0.88; the paper: 0.80)."""
    stability_score_thresh: float = 0.81
    """Lowest stability score of a mask that is kept, 0–1 (SAM: 0.95; the paper: 0.80)."""
    inside_iou_thresh: float = 0.4
    """Lowest predicted IoU of a lobe in a part of a particle mask that no other lobe holds, 0–1; 1: none is sought."""
    inside_stability_thresh: float = 0.7
    """Lowest stability score of such a lobe, 0–1."""
    redraw_solidity: float = 0.98
    """Masks whose solidity is below this, less 1 px ÷ radius, are drawn again at half the zoom, and taken from there
    where they get more solid, 0–1; 0: none, nor of models without windows, as SAM's are."""
    fill_particles: bool = True
    """What a particle's mask holds and none of its lobes does goes to the likeliest lobe nearby."""
    join_pieces: bool = True
    """Neighbours with neither neck nor crease between them are pieces of one lobe, as of a rod, and become one; not of
    models whose masks have no roles, as SAM's."""
    edge_profile: bool = True
    """All outlines move in or out together, to where the mean grey profile across them has the edge of spheres."""
    stability_score_offset: float = 1.0
    """Shift of the logit threshold for the stability score, logits (SAM: 1.0)."""
    box_nms_thresh: float = 0.7
    """Of two masks of one tile whose boxes have a higher IoU, the better one is kept (SAM: 0.7)."""
    crop_n_layers: int = 0
    """Layers of crops run again at higher magnification; layer i has 2^i × 2^i crops (SAM: 0)."""
    crop_nms_thresh: float = 0.7
    """The same between crops (SAM: 0.7)."""
    crop_overlap_ratio: float = 512 / 1500
    """Overlap of neighbouring crops as a share of the image side, first layer (SAM: 512/1500)."""
    crop_n_points_downscale_factor: int = 1
    """Points per side are divided by this to the power of the layer (SAM: 1; the paper: 2)."""
    min_mask_region_area: int = 0
    """Holes and islands smaller than this are removed, px² of the file (SAM: 0; the paper: 350)."""
    max_overlap: float = 0.5
    """A mask more than this share of which better masks already hold is dropped, 0–1."""
    particle: Particle = "auto"
    """What a set is: any number of lobes (auto, as found in the micrograph), one, two, three, or more (chain)."""
    grouping: Grouping = "evidence"
    """How lobes become sets: by what speaks for it in the micrograph, or by the paper's neighbour rules."""
    watershed_particles: Brightness = "auto"
    """Traditional method: particles are brighter or darker than their surroundings; auto: as lobes come out rounder."""
    watershed_median_radius: int = 2
    """Traditional method: radius of the median filter, px; its window is a square (ImageJ's Median: 2, a disc)."""
    watershed_background_radius: float = 50.0
    """Traditional method: radius of the rolling ball, px; 0: no background is subtracted (ImageJ: 50)."""
    watershed_tolerance: float = 0.5
    """Traditional method: least depth of the neck between two lobes, px (ImageJ's Adjustable Watershed: 0.5)."""
    watershed_set_tolerance: float = 3.0
    """Traditional method: the same between two particles, px: what is less deep joins lobes to a set."""
    watershed_min_area: int = 100
    """Traditional method: smaller lobes, specks and holes are noise, px²."""
    min_circularity: float | None = None
    """Filter: least ``circularity`` of a lobe that counts."""
    min_contour_circularity: float | None = None
    """Filter: the same with 4π area / (number of contour points)², as the paper has it (there: 0.35)."""
    trim_area_first: float | None = None
    """Filter: share of the lobes left out at each end of their areas, before ``border`` (the paper: 0.05)."""
    border: int | None = None
    """Filter: least distance of a lobe's bounding box from the edge of the analysed area, px (the paper: 40)."""
    min_area: int | None = None
    """Filter: least area of a lobe that counts, px² (the paper: above 300)."""
    max_area: int | None = None
    """Filter: greatest area of a lobe that counts, px² (the paper: below 10,000)."""
    min_diameter: float | None = None
    """Filter: least ``equivalent_diameter_area`` of a lobe that counts, nm."""
    max_diameter: float | None = None
    """Filter: greatest ``equivalent_diameter_area`` of a lobe that counts, nm."""
    trim_area_last: float | None = None
    """Filter: as ``trim_area_first``, after all other filters of lobes (the paper: 0.05)."""
    roi: tuple[int, int, int, int] | None = None
    """Filter: lobes and sets count where their centroid lies in row0, col0, row1, col1, px of the file, half-open."""
    edge_weighting: EdgeWeighting = "miles-lantuejoul"
    """How statistics make up for particles that the edge of the analysed area hides (the paper: none)."""
    pixel_size: float | None = None
    """nm per px, overriding what the file says. None: the file's own."""
    pixel_size_uncertainty: float | None = None
    """Standard uncertainty of that, or of the file's own, nm per px. None: unknown."""
    scale_bar: float | None = None
    """What is written at the burnt-in scale bar, nm: its length in px checks the pixel size, or gives it."""

    columns: Columns = "standard"
    """Which columns lobes get: the standard ones, and those of scikit-image, of ImageJ or of both besides."""

    def __post_init__(self) -> None:
        for name in ("pred_iou_thresh", "stability_score_thresh", "inside_iou_thresh", "inside_stability_thresh",
                     "redraw_solidity", "box_nms_thresh", "crop_nms_thresh", "max_overlap"):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SettingsError(f"{name} must lie between 0 and 1, not {value}.")
        if not 0 <= self.crop_overlap_ratio < 1:
            raise SettingsError(f"crop_overlap_ratio must be at least 0 and below 1, not {self.crop_overlap_ratio}.")
        for name, least in (("points_per_side", 1), ("crop_n_layers", 0), ("crop_n_points_downscale_factor", 1),
                            ("min_mask_region_area", 0), ("watershed_median_radius", 0),
                            ("watershed_background_radius", 0), ("watershed_tolerance", 0),
                            ("watershed_set_tolerance", 0), ("watershed_min_area", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SettingsError(f"{name} must be at least {least}, not {value}.")
        for name, unit in (("zoom", "model px per px"), ("min_radius", "px"), ("pixel_size", "nm per px"),
                           ("scale_bar", "nm"), ("stability_score_offset", "logits"), ("min_circularity", "no unit"),
                           ("min_contour_circularity", "no unit"), ("border", "px"), ("min_area", "px²"),
                           ("max_area", "px²"), ("min_diameter", "nm"), ("max_diameter", "nm")):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a number above 0 ({unit}), not {value}.")
        uncertainty = self.pixel_size_uncertainty
        if uncertainty is not None and not 0 <= uncertainty < (self.pixel_size or math.inf):
            raise SettingsError(
                f"pixel_size_uncertainty must be at least 0 and below pixel_size (nm per px), not {uncertainty}."
            )
        for low, high in (("min_area", "max_area"), ("min_diameter", "max_diameter")):
            least, greatest = getattr(self, low), getattr(self, high)
            if least is not None and greatest is not None and least > greatest:
                raise SettingsError(f"{low}, {least:g}, must not be above {high}, {greatest:g}.")
        for name in ("trim_area_first", "trim_area_last"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 0.5:
                raise SettingsError(f"{name} must lie between 0 and 0.5 (a share of the lobes), not {share}.")
        for name in ("fill_particles", "join_pieces", "edge_profile"):
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"{name} must be true or false, not {getattr(self, name)!r}.")
        if self.roi is not None:
            object.__setattr__(self, "roi", _region(self.roi))
        if self.particle not in PARTICLES:
            raise SettingsError(f"particle must be one of {', '.join(PARTICLES)}, not {self.particle!r}.")
        if self.method not in METHODS:
            raise SettingsError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}.")
        if self.watershed_particles not in BRIGHTNESSES:
            raise SettingsError(
                f"watershed_particles must be one of {', '.join(BRIGHTNESSES)}, not {self.watershed_particles!r}."
            )
        if self.schedule not in SCHEDULES:
            raise SettingsError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}.")
        if self.edge_weighting not in EDGE_WEIGHTINGS:
            raise SettingsError(f"edge_weighting must be {' or '.join(EDGE_WEIGHTINGS)}, not {self.edge_weighting!r}.")
        if self.columns not in COLUMNS:
            raise SettingsError(f"columns must be one of {', '.join(COLUMNS)}, not {self.columns!r}.")
        if self.grouping not in GROUPINGS:
            raise SettingsError(f"grouping must be one of {', '.join(GROUPINGS)}, not {self.grouping!r}.")

    @classmethod
    def preset(cls, name: str) -> Self:
        """The settings of a named preset; ``published`` is Monteiro et al., Sci. Rep. 15, 2341 (2025)."""
        try:
            return cls(**PRESETS[name])
        except KeyError:
            raise SettingsError(f"There is no preset {name!r}; there are {', '.join(PRESETS)}.") from None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings from names and values; an unknown name is an error. Lengths may be text: "4.466±0.05", "300nm"."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SettingsError(f"Unknown setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
        try:
            return cls(**plain_lengths(values))
        except TypeError as error:
            raise SettingsError(f"A setting has the wrong type: {error}.") from None

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Settings from a TOML file, as ``to_toml`` writes it."""
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: cannot be read as settings in TOML ({error}).") from None

    def to_dict(self) -> dict[str, Any]:
        """Name → value, None where a value follows from the model or the file."""
        return dataclasses.asdict(self)

    def to_toml(self) -> str:
        """The settings that have a value, as TOML."""
        values = ((k, v) for k, v in self.to_dict().items() if v is not None)
        return "".join(f"{k} = {_toml(v)}\n" for k, v in values)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)


def _region(given: Any) -> tuple[int, int, int, int]:
    """The four whole numbers of a region of interest, from a list too."""
    match given:
        case [int(row0), int(col0), int(row1), int(col1)] if 0 <= row0 < row1 and 0 <= col0 < col1:
            return row0, col0, row1, col1
    raise SettingsError(f"roi must be row0, col0, row1, col1 in whole px, row0 < row1 and col0 < col1, not {given}.")


def plain_lengths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, where lengths written as text have become numbers: the pixel size and its uncertainty
    (``"4.466±0.05"``), the label of the scale bar (``"300nm"``)."""
    if isinstance(values.get("scale_bar"), str):
        values = {**values, "scale_bar": length(values["scale_bar"])}
    if not isinstance(values.get("pixel_size"), str):
        return dict(values)
    size, uncertainty = with_uncertainty(values["pixel_size"])
    stated = values.get("pixel_size_uncertainty", uncertainty)
    if uncertainty not in (None, stated):
        raise SettingsError(f"The uncertainty of pixel_size is given twice, as {uncertainty:g} and as {stated}.")
    return {**values, "pixel_size": size, "pixel_size_uncertainty": stated}


PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    # Section "Methods" of the paper: 36 points, 0.80, 0.80, one crop layer with the grid halved, 350 px.
    "published": {
        "schedule": "exact",
        "points_per_side": 36,
        "pred_iou_thresh": 0.80,
        "inside_iou_thresh": 1.0,
        "redraw_solidity": 0.0,
        "fill_particles": False,
        "join_pieces": False,
        "edge_profile": False,
        "stability_score_thresh": 0.80,
        "crop_n_layers": 1,
        "crop_n_points_downscale_factor": 2,
        "min_mask_region_area": 350,
        # Circularity by contour points, both quantile trims, the border, and areas strictly between 300 and 10,000 px.
        "min_contour_circularity": 0.35,
        "trim_area_first": 0.05,
        "border": 40,
        "min_area": 301,
        "max_area": 9_999,
        "trim_area_last": 0.05,
        "edge_weighting": "none",
    },
}
