"""What scikit-image's regionprops_table says besides the standard columns, whatever the label image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import DTypeLike, NDArray
from samcolloid_edge.engine.columns import lobe_columns
from samcolloid_edge.engine.measure import measure
from skimage.measure import regionprops_table
from test_measure import adversarial, compact, micrograph

Array = NDArray[Any]
PROPERTIES = ("num_pixels", "area_bbox", "area_filled", "extent", "euler_number", "perimeter_crofton", "centroid_local",
              "centroid_weighted", "centroid_weighted_local", "intensity_median", "intensity_std", "intensity_min",
              "intensity_max", "inertia_tensor", "inertia_tensor_eigvals", "moments", "moments_central",
              "moments_normalized", "moments_hu")


def assert_as_regionprops(labels: Array, pixels: Array) -> None:
    scores = np.ones(labels.max(), np.float32)
    ours = measure(labels, micrograph(pixels), scores, scores, columns="skimage")
    theirs = regionprops_table(labels, pixels, properties=PROPERTIES)
    for name, column in theirs.items():
        # What a sum of signed terms leaves is compared with the size of its terms.
        size = np.ones(len(column))
        if name.startswith("moments_central"):
            p, q = (int(part) for part in name.split("-")[1:])
            reach = np.maximum(ours["bbox-2"] - ours["bbox-0"], ours["bbox-3"] - ours["bbox-1"])
            size = ours["area"] * np.maximum(reach, 1.0) ** (p + q)
        elif name.startswith("inertia"):
            size = ours["inertia_tensor_eigvals-0"] + 1
        np.testing.assert_allclose(ours[name] / size, column / size, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
@pytest.mark.parametrize("labels", adversarial().values(), ids=adversarial())
def test_awkward_lobes_measure_as_in_scikit_image(labels: Array, dtype: DTypeLike) -> None:
    most = 65536 if dtype == np.uint16 else 256
    assert_as_regionprops(labels, np.random.default_rng(1).integers(1, most, labels.shape).astype(dtype))


@settings(max_examples=40, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 14), st.integers(1, 17)), elements=st.integers(0, 3)))
def test_any_label_image_measures_as_in_scikit_image(labels: Array) -> None:
    labels = compact(labels)
    if labels.any():
        assert_as_regionprops(labels, np.arange(1, labels.size + 1, dtype=np.float64).reshape(labels.shape) ** 2)


def test_every_property_of_scikit_image_is_a_column_or_left_out_for_a_reason() -> None:
    from skimage.measure._regionprops import COL_DTYPES

    left_out = {
        "coords", "coords_scaled", "image", "image_convex", "image_filled", "image_intensity", "slice",  # no numbers
        "moments_weighted", "moments_weighted_central", "moments_weighted_hu", "moments_weighted_normalized",
    }  # fmt: skip
    ours = {column.name.split("-")[0] for column in lobe_columns("skimage")}
    assert set(COL_DTYPES) - left_out <= ours
