"""Statistics: known distributions, what the numbers must follow, and how far their intervals can be trusted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from handmade import TRIMER_AND_DUMBBELL, discs, result_of, small_result
from samcolloid_edge import Settings
from samcolloid_edge.engine import report
from samcolloid_edge.engine.quantities import COLUMNS, QUANTITIES
from samcolloid_edge.engine.sample import Sample
from samcolloid_edge.engine.statistics import describe, records
from samcolloid_edge.engine.table import Table
from samcolloid_edge.engine.types import Area

ROW = [(30, 20 + 30 * i, 4 + i, i) for i in range(8)]


def spheres(diameter: Sequence[float], size: float | None = 1.0, key: str = "", uncertainty: float | None = None,
            weight: Sequence[float] | None = None) -> Sample:  # fmt: skip
    """Spheres of these diameters, px, each a set of its own, in 1000 × 2000 px."""
    px = np.asarray(diameter, np.float64)
    n = len(px)
    columns = {"area": (np.pi / 4 * px**2, "px²"), "equivalent_diameter_area": (px, "px")}
    if size is not None:
        columns |= {"area_nm2": (np.pi / 4 * (px * size) ** 2, "nm²"), "equivalent_diameter_area_nm": (px * size, "nm")}
    columns |= {"excluded_by": (np.full(n, ""), ""), "edge_weight": (np.ones(n) if weight is None else weight, ""),
                "circularity": (np.full(n, 0.9), ""), "set": (np.arange(1, n + 1), "")}  # fmt: skip
    more = {"lobes": ("lobe", "sphere"), "sets": ("kind", "sphere")}
    tables = [Table({k: np.asarray(v) for k, (v, _) in columns.items()} | {name: np.full(n, text)},
                    {k: unit for k, (_, unit) in columns.items()} | {name: ""}) for name, text in more.values()]
    return Sample(key, *tables, Area(0, 0, 1000, 2000), size, uncertainty)


def pick(table: Table, group: str = "all", quantity: str = "equivalent_diameter_area", *, of: str = "lobes",
         weighting: str = "number") -> dict[str, float]:  # fmt: skip
    """The one row of a quantity, NaN included."""
    wanted = {"table": of, "group": group, "quantity": quantity, "weighting": weighting}
    here = np.all([table[name] == value for name, value in wanted.items()], axis=0)
    assert here.sum() == 1
    return {name: column[here].item() for name, column in table.items()}


def test_a_lognormal_distribution_has_the_moments_that_iso_9276_gives_it() -> None:
    # ISO 9276-5: of a lognormal number distribution those by area and volume are lognormal too, with the same spread
    # and the median moved by exp(r σ²).
    sigma, median = 0.2, 50.0
    z = np.linspace(0, 1, 40_001)[1:-1]
    normal = np.sqrt(2) * np.array([_erfinv(2 * p - 1) for p in z[::40]])
    table = describe([spheres(median * np.exp(sigma * normal))], replicates=10)
    for weighting, r in (("number", 0), ("area", 2), ("volume", 3)):
        row = pick(table, weighting=weighting)
        assert row["geometric_mean"] == pytest.approx(median * math.exp(r * sigma**2), rel=4e-3)
        assert row["geometric_sd"] == pytest.approx(math.exp(sigma), rel=0.02)
        assert row["d50"] == pytest.approx(median * math.exp(r * sigma**2), rel=4e-3)
        assert row["d90"] == pytest.approx(median * math.exp(r * sigma**2 + 1.2816 * sigma), rel=5e-3)
        assert row["mean"] == pytest.approx(median * math.exp((r + 0.5) * sigma**2), rel=3e-3)  # D[r + 1, r]


def _erfinv(y: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


def test_sauters_and_de_brouckeres_diameters_are_ratios_of_sums() -> None:
    d = np.array([10.0, 20.0, 40.0])
    table = describe([spheres(d, weight=[1.0, 1.0, 1.5])], replicates=10)
    w = np.array([1.0, 1.0, 1.5])
    assert pick(table, weighting="area")["mean"] == pytest.approx((w * d**3).sum() / (w * d**2).sum())
    assert pick(table, weighting="volume")["mean"] == pytest.approx((w * d**4).sum() / (w * d**3).sum())


def test_numbers_are_told_per_area_and_the_covered_share_without_weights() -> None:
    table = describe([spheres([20.0] * 50, size=4.0, weight=[1.1] * 49 + [0.0])], replicates=300)
    density = pick(table, quantity="number_density")
    assert (density["unit"], density["n"]) == ("µm⁻²", 49)  # the one that touches the edge leaves …
    assert density["mean"] == pytest.approx(49 * 1.1 / (4 * 8))
    half = 1.96 * math.sqrt(49) * 1.1 / 32  # as Poisson's
    assert density["mean_high"] - density["mean"] == pytest.approx(half, rel=0.2)
    assert pick(table, quantity="number_density", of="sets")["mean"] == density["mean"]
    fraction = pick(table, quantity="area_fraction")
    assert (fraction["n"], fraction["mean"]) == (50, pytest.approx(50 * np.pi * 100 / 2e6))  # … but covers its pixels


def test_lengths_areas_and_densities_follow_the_pixel_size_and_shapes_do_not() -> None:
    one, two = (describe([Sample.of(result_of(*discs((60, 260), ROW), pixel_size=size))]) for size in (1.5, 3.0))
    power = np.array([{"nm": 1, "nm²": 2, "µm⁻²": -2, "": 0}[unit] for unit in one["unit"]])
    for name, dtype in COLUMNS.items():
        if dtype is not np.float64:
            assert one[name].tolist() == two[name].tolist()
        else:
            factor = 1 if name.startswith(("cv", "geometric_sd", "scale")) else 2.0**power
            np.testing.assert_allclose(two[name], one[name] * factor, rtol=1e-5)


def test_the_order_of_micrographs_is_of_no_matter() -> None:
    rng = np.random.default_rng(0)
    samples = [spheres(rng.normal(30, 3, n), key=str(n)) for n in (5, 9, 14)]
    one, other = describe(samples), describe(samples[::-1])
    for name in COLUMNS:
        np.testing.assert_array_equal(one[name], other[name])


def test_of_several_micrographs_all_particles_count_alike() -> None:
    table = describe([spheres([10.0] * 3, key="a"), spheres([20.0], key="b"), spheres([], key="c")])
    row = pick(table)
    assert (row["images"], row["n"], row["mean"], row["d50"]) == (3, 4, 12.5, 10.0)
    assert pick(table, quantity="number_density")["mean"] == pytest.approx(4 / 6)


def test_images_without_a_scale_are_told_in_px_beside_the_others() -> None:
    table = describe([spheres([10.0] * 3, size=2.0, key="a"), spheres([30.0] * 2, size=None, key="b")])
    here = (table["table"] == "lobes") & (table["group"] == "all") & (table["quantity"] == "equivalent_diameter_area")
    rows = [tuple(table[name][i] for name in ("unit", "images", "n", "mean"))
            for i in np.flatnonzero(here & (table["weighting"] == "number"))]  # fmt: skip
    assert rows == [("nm", 1, 3, 20.0), ("px", 1, 2, 30.0)]
    assert pick(table, quantity="circularity")["n"] == 5


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_particles_tell_what_they_can(n: int) -> None:
    for samples in ([spheres([12.0, 14.0][:n])], [spheres([], key="a"), spheres([12.0, 14.0][:n], key="b")]):
        table = describe(samples)
        assert {name: column.dtype.kind for name, column in table.items()} == {
            name: {np.str_: "U", np.int64: "i", np.float64: "f"}[dtype] for name, dtype in COLUMNS.items()
        }
        row = pick(table)
        assert row["n"] == n
        assert row["mean"] == pytest.approx([math.nan, 12, 13][n], nan_ok=True)
        assert row["sd"] == pytest.approx([math.nan, math.nan, math.sqrt(2)][n], nan_ok=True)
        assert math.isnan(row["mean_low"]) == math.isnan(row["d90_high"]) == (n < 2)
        assert pick(table, quantity="number_density")["mean"] == n / (2 * len(samples))
        assert all(value == value for record in records(table) for value in record.values())


def test_no_micrograph_gives_an_empty_table() -> None:
    assert (list(describe([])), describe([]).n_rows) == (list(COLUMNS), 0)


def test_roles_are_told_apart_and_weigh_as_their_sets() -> None:
    result = small_result()
    table = describe([Sample.of(result)])
    for role, group in zip(("a", "b", "c"), ("trimer a", "trimer b", "trimer c"), strict=True):
        row = pick(table, group)
        of_trimer = result.sets[f"diameter_{role}_nm"][result.sets["kind"] == "trimer"].item()
        assert (row["n"], row["mean"]) == (1, of_trimer)
    assert pick(table, "dumbbell", "distance", of="sets")["mean"] == 48
    assert pick(table, "dumbbell", "distance", of="sets")["unit"] == "nm"
    assert pick(table, "trimer", "angle_max", of="sets")["unit"] == "°"
    # One lobe of the trimer touches: the trimer leaves with all its lobes, of which two still count as lobes.
    moved = [(row - 18, col, radius, s) for row, col, radius, s in TRIMER_AND_DUMBBELL]
    result = result_of(*discs((120, 110), moved))
    assert result.lobes["touches_edge"].tolist() == [True, False, False, False, False]
    groups = set(describe([Sample.of(result)])["group"].tolist())
    assert groups == {"all", "dumbbell", "dumbbell large", "dumbbell small"}
    assert pick(describe([Sample.of(result)]))["n"] == 4


def test_what_a_filter_leaves_out_is_in_no_statistic() -> None:
    settings = Settings(min_diameter=25.0)
    table = describe([Sample.of(result_of(*discs((60, 260), ROW), settings=settings))])
    kept = Sample.of(result_of(*discs((60, 260), ROW[3:]), settings=settings))
    for name, column in describe([kept]).items():
        if not name.endswith(("_low", "_high")):  # other sets are drawn again
            np.testing.assert_array_equal(table[name], column)


def test_without_edge_weighting_every_whole_particle_counts_once() -> None:
    settings = Settings(edge_weighting="none")
    result = result_of(*discs((60, 260), [*ROW, (0, 10, 6, 8)]), settings=settings)
    assert result.lobes["edge_weight"].tolist() == [1.0] * 8 + [0.0]
    row = pick(describe([Sample.of(result)]))
    assert (row["n"], row["mean"]) == (8, pytest.approx(result.lobes["equivalent_diameter_area_nm"][:8].mean()))


def test_the_scales_uncertainty_is_told_apart_and_added_in_quadrature() -> None:
    rng = np.random.default_rng(1)
    plain, known = ([spheres(rng.normal(30, 3, 40), size=4.0, key=str(k), uncertainty=u) for k in range(3)]
                    for rng, u in ((np.random.default_rng(1), None), (rng, 0.04)))  # fmt: skip
    without, with_it = describe(plain), describe(known)
    for quantity, power in (("equivalent_diameter_area", 1), ("area", 2), ("number_density", 2), ("circularity", 0)):
        row = pick(with_it, quantity=quantity)
        assert row["scale_relative"] == pytest.approx(1.96 * power * 0.01)
        assert row["mean_low"] == pick(without, quantity=quantity)["mean_low"]
        scale = row["scale_relative"] * row["mean"]
        low, high = row["mean"] - row["mean_low"], row["mean_high"] - row["mean"]
        assert row["mean_combined_low"] == pytest.approx(row["mean"] - math.hypot(low, scale))
        assert row["mean_combined_high"] == pytest.approx(row["mean"] + math.hypot(high, scale))
    assert math.isnan(pick(without)["scale_relative"])
    assert math.isnan(pick(without)["mean_combined_low"])
    mixed = describe([known[0], plain[1]])
    assert math.isnan(pick(mixed)["scale_relative"])  # what one image does not know, all together do not


@pytest.mark.parametrize(("between", "count"), [(0.0, 1), (2.0, 12)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(between: float, count: int) -> None:
    """Sizes vary within micrographs and, with ``between``, from one to the next."""
    rng = np.random.default_rng(5)
    held = dict.fromkeys(("mean", "d50", "sd"), 0)
    truth = {"mean": 40.0, "d50": 40.0, "sd": math.hypot(3, between)}
    for _ in range(200):
        samples = [spheres(rng.normal(40 + between * rng.normal(), 3, rng.poisson(30)), key=str(k))
                   for k in range(count)]  # fmt: skip
        row = pick(describe(samples, replicates=200))
        for name, value in truth.items():
            held[name] += row[f"{name}_low"] <= value <= row[f"{name}_high"]
    for name, times in held.items():
        if between and name == "sd":  # a dozen micrographs tell too little of how micrographs differ
            continue
        assert 0.87 <= times / 200 <= 0.995, name


def test_a_result_and_its_files_tell_the_same(tmp_path: Path) -> None:
    for folder, result in (("two", small_result(pixel_size=4.466)), ("unscaled", small_result(pixel_size=None)),
                           ("none", result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32)))):  # fmt: skip
        report.save(result, tmp_path / folder)
        again = Sample.from_files(tmp_path / folder, report.read_record(tmp_path / folder))
        one, other = describe([Sample.of(result)]), describe([again])
        for name, column in one.items():
            if column.dtype.kind == "f":
                np.testing.assert_allclose(other[name], column, rtol=1e-4, atol=1e-8)
            else:
                assert other[name].tolist() == column.tolist()


def test_every_quantity_is_a_column_of_its_table() -> None:
    result = small_result()
    assert set(QUANTITIES["sets"]) <= set(result.sets)
    assert "equivalent_diameter_area" in QUANTITIES["sets"]
    sample = dataclasses.replace(Sample.of(result), key="x")
    assert set(describe([sample])["quantity"]) >= {"area", "perimeter", "circularity", "distance_ab", "area_fraction"}
