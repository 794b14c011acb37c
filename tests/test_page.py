"""The report page in a browser: what it shows, and what follows what the user does."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from handmade import TRIMER_AND_DUMBBELL, discs, result_of, small_result
from samcolloid_edge.engine.exclusions import Exclusions, exclude
from samcolloid_edge.engine.page_html import write_page
from samcolloid_edge.engine.sample import Sample
from samcolloid_edge.engine.settings import Settings
from samcolloid_edge.engine.statistics import describe
from samcolloid_edge.engine.types import Lobe, Result
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys
from test_page_data import PIXELS, written

ALONE = (100, 20, 7, -1)
"""A lobe of no set."""
STATISTICS = ("n", "mean", "sd", "cv", "d10", "d50", "d90")
CUT = (0, 90, 8, 2)
"""A sphere that the border cuts."""


@dataclass(frozen=True)
class Pages:
    """Pages of results made by hand, each made once."""

    folder: Path

    def of(self, **results: Result) -> Path:
        path = self.folder / "_".join(results) / "report.html"
        if not path.exists():
            folders = [written(result, path.parent / name, PIXELS) for name, result in results.items()]
            assert write_page(folders, path) == (path, [])
        return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


def mixed(pixel_size: float | None = 2.0) -> Result:
    """A trimer, a dumbbell, a sphere at the border, and a lobe of no set."""
    return result_of(*discs((120, 110), [*TRIMER_AND_DUMBBELL, CUT, ALONE]), pixel_size=pixel_size)


@pytest.fixture
def one(browser: Browser, pages: Pages) -> Result:
    """The page of ``mixed`` is open."""
    browser.open(pages.of(mixed=mixed()))
    return mixed()


def test_the_picture_is_the_micrograph_with_outlines(browser: Browser, one: Result) -> None:
    assert browser.complaints() == []
    view = browser.run("return report.picture.view")
    script = """const {scale, left, top} = report.picture.view;
        const [x, y] = [(arguments[1] + .5) * scale + left, (arguments[0] + .5) * scale + top].map(Math.round);
        return [...document.querySelector("#base").getContext("2d").getImageData(x, y, 1, 1).data]"""
    assert view["scale"] > 3
    inside = browser.run(script, 60, 20)
    assert abs(inside[0] - int(PIXELS[60, 20])) < 16
    assert inside[0] == inside[1] == inside[2]
    red, green, blue, _ = browser.run(script, 80, 45.5)  # on the left edge of the dumbbell
    assert max(red, green, blue) - min(red, green, blue) > 60


def test_the_picture_is_zoomed_panned_and_its_parts_are_switched(browser: Browser, one: Result) -> None:
    def view() -> dict[str, float]:
        return dict(browser.run("return report.picture.view"))

    def colours() -> int:
        script = """const {base} = report.picture, found = new Set();
            const {data} = base.getContext("2d").getImageData(0, 0, base.width, base.height);
            for (let i = 0; i < data.length; i += 4) {
              const pixel = data.subarray(i, i + 3);
              if (Math.max(...pixel) - Math.min(...pixel) > 60) found.add(i);
            }
            return found.size"""
        browser.driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
        return int(browser.run(script))

    stage, fitted = browser.find("#stage"), view()
    chain = ActionChains(browser.driver, duration=0).move_to_element(stage)
    chain.scroll_from_origin(ScrollOrigin.from_element(stage), 0, -300).perform()
    browser.until(lambda: view()["scale"] > 1.3 * fitted["scale"])
    zoomed = view()
    middle = [browser.run(f"return report.picture.stage.client{side} / 2") for side in ("Width", "Height")]
    for side, at in zip(("left", "top"), middle, strict=True):  # the middle stays where it is
        assert (at - zoomed[side]) / zoomed["scale"] == pytest.approx((at - fitted[side]) / fitted["scale"], abs=0.5)
    chain = ActionChains(browser.driver, duration=0).move_to_element(stage).click_and_hold()
    chain.move_by_offset(60, -30).release().perform()
    assert [view()["left"] - zoomed["left"], view()["top"] - zoomed["top"]] == pytest.approx([60, -30])
    assert not browser.run("return report.images[0].user.some(Boolean)")
    browser.click("#zoom-fit")
    assert view() == fitted
    both = colours()
    browser.click("#show-lobes")
    sets = colours()
    browser.click("#show-sets")
    assert both > sets > colours() == 0


def test_hovering_shows_the_measures_of_the_lobe_and_its_set(browser: Browser, one: Result) -> None:
    browser.at(80, 55)
    tip = browser.text("#tip")
    assert browser.find("#tip").is_displayed()
    assert "Dumbbell, set 2" in tip
    assert "Lobe 4 (large)" in tip
    for table, row, column in ((one.lobes, 3, "equivalent_diameter_area_nm"), (one.sets, 1, "distance_nm")):
        assert f"{table[column][row]:.4g} nm" in tip
    browser.at(60, 20)
    assert not browser.find("#tip").is_displayed()


def test_a_click_excludes_a_particle_all_figures_follow_and_another_restores_it(browser: Browser, one: Result) -> None:
    before = browser.statistics()
    assert before["all"]["n"] == 6
    browser.at(80, 55, click=True)
    after = browser.statistics()
    left = one.lobes["equivalent_diameter_area_nm"][[0, 1, 2, 6]]
    assert after["all"]["n"] == 4
    assert after["all"]["mean"] == pytest.approx(np.average(left, weights=one.lobes["edge_weight"][[0, 1, 2, 6]]))
    assert after["dumbbell large"]["n"] == 0
    assert "1 excluded by you" in browser.text("#totals")
    assert "2 excluded by you, 1 at the edge" in browser.text("#statistics-note")
    assert [line.text for line in browser.all("#rows .state")] == ["counts"] * 3 + ["user"] * 2 + ["edge", "counts"]
    browser.at(80, 55, click=True)
    assert browser.statistics() == before
    assert "0 excluded by you" in browser.text("#totals")


def test_figures_are_those_of_the_statistics_that_the_engine_writes(browser: Browser, pages: Pages) -> None:
    cut = result_of(*discs((120, 110), [*TRIMER_AND_DUMBBELL, CUT, (100, 20, 7, 3), (60, 0, 5, 4), (60, 9, 6, 4)]))
    clean = small_result(pixel_size=3.0, settings=Settings(roi=(0, 0, 70, 110)))
    browser.open(pages.of(cut=cut, clean=clean))
    browser.choose("#scope", "scaled")
    browser.at(100, 20, click=True)
    excluded = exclude(cut, ((Lobe(100.0, 20.0, float(cut.lobes["area"][6])),),))
    table = describe([Sample.of(replace(excluded, micrograph=replace(cut.micrograph, sha256="1"))), Sample.of(clean)])
    for of, weighting, quantity in (
        ("lobes", "number", "equivalent_diameter_area"), ("lobes", "volume", "equivalent_diameter_area"),
        ("lobes", "number", "feret_diameter_max"), ("sets", "number", "distance"), ("sets", "number", "area"),
    ):  # fmt: skip
        browser.choose("#population", of)
        browser.choose("#quantity", quantity)
        if weighting != "number":
            browser.choose("#weighting", weighting)
        expected = {
            str(table["group"][row]): {name: float(table[name][row]) for name in STATISTICS}
            for row in range(table.n_rows)
            if (table["table"][row], table["weighting"][row], table["quantity"][row]) == (of, weighting, quantity)
        }  # fmt: skip
        found = {group: values for group, values in browser.statistics().items() if values["n"]}
        if len(found) == 1:
            expected.pop("all")
        assert found.keys() == expected.keys()
        for group, values in expected.items():
            assert {k: np.nan if v is None else v for k, v in found[group].items() if k != "density"} == pytest.approx(
                values, rel=1e-7, nan_ok=True
            )
    densities = {
        str(table["group"][row]): table["mean"][row] for row in range(table.n_rows)
        if (table["table"][row], table["quantity"][row]) == ("sets", "number_density")
    }  # fmt: skip
    shown = {group: values["density"] for group, values in browser.statistics().items() if values["density"]}
    assert shown == pytest.approx(densities, rel=1e-7)


def test_the_histogram_counts_every_value_once_in_as_many_bins_as_asked_for(browser: Browser, one: Result) -> None:
    for bins in (3, 17, 80):
        browser.run("""const bins = document.querySelector("#bins"); bins.value = arguments[0];
            bins.dispatchEvent(new Event("input"))""", bins)
        edges = browser.run("return [...report.histogram.edges]")
        counts = browser.run("return report.histogram.counts.map((of) => [...of])")
        assert len(edges) == bins + 1
        values = [float(f"{value:.10g}") for value in one.lobes["equivalent_diameter_area_nm"][[0, 1, 2, 3, 4, 6]]]
        assert np.array_equal(np.sum(counts, axis=0), np.histogram(values, edges)[0])
    assert browser.text("#bins-number").startswith("80 × ")
    browser.choose("#population", "sets")
    browser.choose("#quantity", "distance")
    assert list(browser.statistics()) == ["dumbbell"]
    assert browser.statistics()["dumbbell"]["n"] == 1
    assert browser.statistics()["dumbbell"]["mean"] == pytest.approx(one.sets["distance_nm"][1])
    assert browser.run("return report.histogram.title") == "distance [nm]"


def test_a_click_on_a_bin_shows_its_rows_and_its_particles(browser: Browser, one: Result) -> None:
    browser.run("""const bins = document.querySelector("#bins"); bins.value = 4;
        bins.dispatchEvent(new Event("input"))""")
    edges, counts = browser.run("return [[...report.histogram.edges], report.histogram.counts.map((of) => [...of])]")
    over = browser.find("#chart .u-over")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", over)
    x = browser.run("return report.histogram.chart.valToPos(arguments[0], 'x')", edges[1] - 0.1 * (edges[1] - edges[0]))
    at = round(x - over.size["width"] / 2)
    ActionChains(browser.driver, duration=0).move_to_element_with_offset(over, at, 0).perform()
    browser.until(lambda: f"{edges[0]:.4g} – {edges[1]:.4g}" in browser.text("#chart .u-legend"))
    ActionChains(browser.driver, duration=0).move_to_element_with_offset(over, at, 0).click().perform()
    diameters = one.lobes["equivalent_diameter_area_nm"]
    inside = [row for row in (0, 1, 2, 3, 4, 6) if diameters[row] < edges[1]]
    assert np.sum(counts, axis=0)[0] == len(inside)
    assert [int(row.get_attribute("data-row") or -1) for row in browser.all("#rows .row")] == inside
    particles = {int(one.lobes["set"][row]) - 1 if one.lobes["set"][row] else one.sets.n_rows for row in inside}
    assert set(browser.run("return [...report.picture.only]")) == particles
    ActionChains(browser.driver, duration=0).click().perform()
    assert len(browser.all("#rows .row")) == 7
    assert browser.run("return report.picture.only") is None


def test_the_table_is_sorted_filtered_and_linked_with_the_picture(browser: Browser, one: Result) -> None:
    def first_column() -> list[str]:
        return [line.find_elements("css selector", "span")[1].text for line in browser.all("#rows .row")]

    browser.click('#rows [data-name="equivalent_diameter_area_nm"]')
    ascending = (np.argsort(one.lobes["area"], kind="stable") + 1).astype(str).tolist()
    assert first_column() == ascending
    browser.click('#rows [data-name="equivalent_diameter_area_nm"]')
    assert first_column() == ascending[::-1]
    browser.choose("#filter-role", "trimer b")
    assert first_column() == ["2"]
    browser.click("#filter-clear")
    browser.choose("#filter-column", "equivalent_diameter_area_nm")
    browser.type("#filter-low", "40")
    large = np.flatnonzero(one.lobes["equivalent_diameter_area_nm"] >= 40) + 1
    assert first_column() == [label for label in ascending[::-1] if int(label) in large]
    assert "of 7 rows" in browser.text("#table-count")
    browser.click("#rows .row:last-child")
    assert browser.run("return report.picture.chosen") == 0
    browser.at(80, 55)
    marked = 'return [...document.querySelectorAll("#rows .row.at")].map((row) => Number(row.dataset.row))'
    assert browser.run(marked) == [3]


def test_everything_works_from_the_keyboard(browser: Browser, one: Result) -> None:
    browser.keys("#stage", Keys.ARROW_RIGHT)
    chosen = browser.run("return report.picture.chosen")
    assert chosen >= 0
    browser.keys("#stage", Keys.ENTER)
    assert browser.run("return [...report.images[0].user]")[chosen] == 1
    assert "excluded" in browser.text("#said")
    browser.keys("#stage", "x", Keys.ARROW_DOWN)
    assert browser.run("return [...report.images[0].user].some(Boolean)") is False
    assert browser.run("return report.picture.chosen") != chosen
    browser.keys("#rows", Keys.HOME, Keys.ARROW_DOWN, Keys.ENTER)
    assert browser.run("return [...report.images[0].user]") == [0, 1, 0, 0]


def test_what_was_excluded_can_be_undone_and_done_again(browser: Browser, one: Result) -> None:
    def user() -> list[int]:
        return list(browser.run("return [...report.images[0].user]"))

    browser.at(30, 20, click=True)
    browser.at(80, 55, click=True)
    browser.choose("#filter-role", "no set")
    browser.click("#exclude-rows")
    assert user() == [1, 1, 0, 1]
    browser.keys("#stage", "z", holding=Keys.CONTROL)
    assert user() == [1, 1, 0, 0]
    assert "Lobe 7 of no set restored" in browser.text("#said")
    browser.click("#undo")
    assert user() == [1, 0, 0, 0]
    browser.keys("#stage", "y", holding=Keys.CONTROL)
    assert user() == [1, 1, 0, 0]
    browser.click("#restore")
    assert user() == [0, 0, 0, 0]
    browser.click("#undo")
    assert user() == [1, 1, 0, 0]
    assert browser.statistics()["all"]["n"] == 1


def test_shift_and_click_chooses_a_particle_and_shows_its_rows(browser: Browser, one: Result) -> None:
    browser.run("document.querySelector('#rows').style.height = '60px'")
    browser.at(80, 84, click=True, holding=Keys.SHIFT)
    assert browser.run("return report.picture.chosen") == 1
    assert not browser.run("return report.images[0].user[1]")
    assert [row.get_attribute("data-row") for row in browser.all("#rows .row.chosen")] == ["3", "4"]
    top, height = browser.run("return [document.querySelector('#rows').scrollTop, 60]")
    assert top <= (3 + 1) * 28 <= top + height
    assert "Dumbbell, set 2" in browser.text("#said")


def test_a_picture_of_another_size_is_never_empty(browser: Browser, one: Result) -> None:
    shown = browser.driver.execute_async_script("""
        const [done] = arguments, stage = report.picture.stage, before = stage.clientHeight;
        new ResizeObserver(() => {
          if (stage.clientHeight === before) return;
          const { width, height } = report.picture.base;
          done(report.picture.base.getContext("2d").getImageData(width / 2, height / 2, 1, 1).data[3]);
        }).observe(stage);
        stage.style.maxHeight = "300px";""")
    assert shown == 255


def test_two_fingers_zoom(browser: Browser, one: Result) -> None:
    before = browser.run("return report.picture.view.scale")
    box = browser.run("const {left, top} = report.picture.stage.getBoundingClientRect(); return [left, top]")
    for kind, spread in (("touchStart", 40), ("touchMove", 80), ("touchEnd", None)):
        points = [] if spread is None else [{"x": box[0] + 200 + side * spread, "y": box[1] + 150, "id": i}
                                            for i, side in enumerate((-1, 1))]  # fmt: skip
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.until(lambda: browser.run("return report.picture.view.scale") == pytest.approx(2 * before))
    assert not browser.run("return report.images[0].user.some(Boolean)")


def test_exports_are_the_curated_table_and_the_exclusions_that_analyze_takes(
    browser: Browser, one: Result, tmp_path: Path
) -> None:
    browser.at(30, 20, click=True)
    browser.at(100, 20, click=True)
    rows = list(csv.DictReader(browser.download("#export-lobes", "lobes-curated.csv").splitlines()))
    assert [row["excluded_by"] for row in rows] == ["user"] * 3 + [""] * 3 + ["user"]
    np.testing.assert_allclose([float(row["area_nm2"]) for row in rows], one.lobes["area_nm2"], rtol=1e-9)
    assert rows[0]["file"].endswith("mixed.tif")
    exported = browser.download("#export-exclusions", "exclusions.json")
    found = json.loads(exported)
    (image,) = found["images"]
    assert image["sha256"] == browser.run("return report.images[0].record.input.sha256")
    assert [len(particle["lobes"]) for particle in image["particles"]] == [3, 1]
    assert image["particles"][1]["lobes"][0]["centroid"] == pytest.approx([100, 20], abs=1e-6)
    browser.click("#restore")
    (tmp_path / "exclusions.json").write_text(exported, "utf-8")
    browser.find("#exclusions-file").send_keys(str(tmp_path / "exclusions.json"))
    browser.until(lambda: "2 particles excluded" in browser.text("#said"))
    assert browser.run("return [...report.images[0].user]") == [1, 0, 0, 1]
    (tmp_path / "other.json").write_text(exported.replace(image["sha256"], "0" * 64), "utf-8")
    browser.find("#exclusions-file").send_keys(str(tmp_path / "other.json"))
    browser.until(lambda: "0 particles excluded, 2 not found" in browser.text("#said"))
    (tmp_path / "none.json").write_text("[]", "utf-8")
    browser.find("#exclusions-file").send_keys(str(tmp_path / "none.json"))
    browser.until(lambda: "none.json cannot be used" in browser.text("#said"))
    again = exclude(one, Exclusions.read(tmp_path / "exclusions.json").of(image["sha256"]))
    assert again.lobes["excluded_by"].tolist() == ["user"] * 3 + [""] * 3 + ["user"]
    assert again.warnings == ()


def test_exclusions_of_a_micrograph_analysed_twice_are_those_of_both(
    browser: Browser, pages: Pages, tmp_path: Path
) -> None:
    browser.open(pages.of(a=small_result(), twice=small_result(pixel_size=3.0)))
    browser.at(30, 20, click=True)
    browser.click("#next")
    browser.at(80, 55, click=True)
    (image,) = json.loads(browser.download("#export-exclusions", "exclusions.json"))["images"]
    assert [len(particle["lobes"]) for particle in image["particles"]] == [3, 2]
    browser.click("#undo")
    browser.click("#undo")
    (tmp_path / "both.json").write_text(json.dumps(
        {"format": "samcolloid-edge exclusions", "version": 1, "images": [image]}), "utf-8")  # fmt: skip
    browser.find("#exclusions-file").send_keys(str(tmp_path / "both.json"))
    browser.until(lambda: "4 particles excluded." in browser.text("#said"))
    assert browser.run("return report.images.map((image) => [...image.user])") == [[1, 1], [1, 1]]


def test_micrographs_are_chosen_in_a_list_and_pooled_by_scale(browser: Browser, pages: Pages) -> None:
    results = {"a": small_result(), "b": small_result(pixel_size=3.0), "c": small_result(pixel_size=None)}
    browser.open(pages.of(**results))
    browser.choose("#scope", "scaled")
    pooled, weight = (np.concatenate([results[name].lobes[column] for name in "ab"])
                      for column in ("equivalent_diameter_area_nm", "edge_weight"))  # fmt: skip
    assert browser.statistics()["all"]["mean"] == pytest.approx(np.average(pooled, weights=weight))
    assert browser.statistics()["all"]["n"] == 10
    browser.choose("#scope", "unscaled")
    assert browser.statistics()["all"]["n"] == 5
    assert browser.run("return report.histogram.title") == "equivalent_diameter_area [px]"
    browser.choose("#image", "2")
    assert browser.run("return report.picture.drawing.image.name") == "c.tif"
    browser.choose("#scope", "this")
    assert browser.run("return report.histogram.title") == "equivalent_diameter_area [px]"
    assert "unknown" in browser.text("#method")
    browser.at(80, 55, click=True)
    browser.choose("#image", "0")
    assert browser.statistics()["all"]["n"] == 5
    assert browser.run("return report.images.map((image) => image.user.reduce((n, is) => n + is))") == [0, 0, 1]


def test_nothing_found_is_a_page_as_well(browser: Browser, pages: Pages) -> None:
    nothing = result_of(np.zeros((120, 110), np.int32), np.zeros(0, np.int32))
    browser.open(pages.of(nothing=replace(nothing, warnings=("No particle was found.",))))
    browser.complaints()
    assert [row["n"] for row in browser.statistics().values()] == [0]
    assert "0 lobes, 0 sets" in browser.text("#totals")
    assert "No particle was found." in browser.text("#method")
    browser.at(60, 55, click=True)
    assert browser.complaints() == []


def test_text_from_files_stays_text(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=\"document.title='owned'\"><!--\u2028.tif"
    result = small_result(sha256="0" * 64)
    result = replace(result, warnings=(evil,), micrograph=replace(result.micrograph, pixel_size_source=evil))
    folder = written(result, tmp_path / "a", PIXELS)
    record = json.loads((folder / "result.json").read_text("utf-8"))
    record["input"]["path"] = evil
    (folder / "result.json").write_text(json.dumps(record), "utf-8")
    write_page([folder], tmp_path / "report.html", failed=[evil])
    browser.open(tmp_path / "report.html")
    assert browser.run("return document.querySelectorAll('img, b').length") == 0
    assert browser.driver.title != "owned"
    assert evil in browser.text("#method")
    assert evil in browser.text("#missing")


def test_dark_and_light_follow_the_system(browser: Browser, one: Result) -> None:
    def ground(scheme: str) -> str:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    assert ground("light") == "rgb(246, 247, 248)"
    assert ground("dark") == "rgb(21, 24, 27)"
    ground("")
