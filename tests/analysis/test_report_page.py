"""The page of a report in a real browser: what it shows, how it is worked, and that nobody is left out."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from planted import Planted
from planted_search import PlantedSearch
from playwright.sync_api import sync_playwright

from analysis.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STATES = {("vq", 10.0, 2): "diverged", ("vq", 0.0, 1): "diverged"}
TRACKING = {"uri": "http://user:secret@head:5000/", "experiment_id": "3"}
PHONE = {"width": 360, "height": 740}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: install the package chromium"
    ),
]


def tracked(records):
    """Return records whose trials have runs on a tracking server."""
    rows = {
        name: replace(row, mlflow_run_id=f"{n:032x}") for n, (name, row) in enumerate(records.trials.items())
    }
    return replace(records, sweep=records.sweep | {"tracking": TRACKING}, trials=rows)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return write_report(
        tracked(Planted(states=STATES, epochs=12).write(folder / "records")), folder / "report"
    )


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    return write_report(PlantedSearch(n_points=20).write(folder / "records"), folder / "report")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a report; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def go(report, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
        page.goto(report.html.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def cells_of(report):
    return {cell["label"]: cell for cell in json.loads((report.folder / "report.json").read_text())["cells"]}


def tip(page):
    return page.locator("#tip > *").all_inner_texts()


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def column(page, table, place):
    rows = page.locator(f"{table} tbody tr:not(.baseline)")
    return [row.locator("th, td").nth(place).inner_text() for row in rows.all() if row.is_visible()]


def test_what_a_cell_of_the_heatmap_tells_is_what_the_json_says(grid, opened):
    page, known = opened(grid), cells_of(grid)
    places = page.locator("#heatmap td")
    assert places.count() == len(known)
    for place in places.all():
        place.hover()
        label, value, count, *ended = tip(page)
        metric, told = value.split(": ")
        expected = known[label]["metrics"][metric]
        assert numbers(told) == pytest.approx(
            [expected[name] for name in ("mean", "ci_low", "ci_high")], rel=1e-3
        )
        assert count.startswith(f"n = {expected['n']},")
        assert ended == ([f"{known[label]['n_diverged']} diverged"] if known[label]["n_diverged"] else [])
        assert place.get_attribute("aria-label") == ". ".join(tip(page))
    assert page.locator("#heatmap td.ended").count() == len(STATES)


def test_the_heatmap_switches_its_metric_and_is_walked_through_with_arrows(grid, opened):
    page, known = opened(grid), cells_of(grid)
    page.locator("#heatmap select").select_option(label="valid/met_r2")
    page.locator("#heatmap td").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    label, value, *_ = tip(page)
    assert label == "linear, globals_beta 1"
    assert numbers(value.split(": ")[1])[0] == pytest.approx(
        known[label]["metrics"]["valid/met_r2"]["mean"], rel=1e-3
    )
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_the_page_says_that_a_cell_has_an_interval_of_its_own_and_a_verdict_a_wider_one(grid, opened):
    said = opened(grid).locator("#heatmap ~ figcaption").inner_text()
    assert "the cell's own" in said
    assert "hold all at once and are wider" in said


def test_trials_are_sorted_by_number_and_filtered_by_words(grid, opened):
    page = opened(grid)
    heading = page.locator("#trial-table th", has_text="valid/comparable_loss")
    for order, sign in (("ascending", 1), ("descending", -1)):
        heading.get_by_role("button").press("Enter")
        assert heading.get_attribute("aria-sort") == order
        values = [sign * float(text) for text in column(page, "#trial-table", 5)]
        assert len(values) == len(grid.answer.table.trials)
        assert values == sorted(values)
    page.get_by_label("Filter trials").fill("VQ diverged")
    assert column(page, "#trial-table", 4) == ["diverged"] * len(STATES)


def test_the_cell_table_is_sorted_and_filtered_and_keeps_baselines_last(grid, opened):
    page = opened(grid)
    page.locator("#cell-table th", has_text="valid/comparable_loss").get_by_role("button").click()
    values = [float(text.split()[0]) for text in column(page, "#cell-table", 3)]
    assert values == sorted(values)
    assert "(baseline)" in page.locator("#cell-table tbody tr").last.inner_text()
    page.get_by_label("Filter cells").fill("linear")
    assert len(column(page, "#cell-table", 0)) == 3


def test_every_trial_leads_to_its_run_without_a_login_in_the_address(grid, opened):
    page = opened(grid)
    links = [link.get_attribute("href") for link in page.locator("#trial-table a").all()]
    runs = grid.answer.table.trials["mlflow_run_id"]
    assert links == [f"http://head:5000/#/experiments/3/runs/{run}" for run in runs]
    assert "secret" not in page.content()


def test_curves_are_zoomed_with_keys_and_buttons_and_read_epoch_by_epoch(grid, opened):
    page = opened(grid)
    plot = page.locator("#curves > svg")
    ticks = lambda: page.locator("#curves .frame text").all_inner_texts()  # noqa: E731
    whole = page.locator("#curves .frame").inner_html()
    plot.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#curves .reading").inner_text().startswith("epoch 11, valid/comparable_loss; ")
    page.keyboard.press("+")
    assert page.locator("#curves .frame").inner_html() != whole
    assert "1" not in ticks()
    page.get_by_role("button", name="All epochs").click()
    assert page.locator("#curves .frame").inner_html() == whole
    page.get_by_label("log scale").uncheck()
    assert page.locator("#curves .frame").inner_html() != whole


def test_a_curve_is_drawn_for_every_cell_that_is_chosen_and_lifted_out_by_its_name(grid, opened):
    page = opened(grid)
    drawn = page.locator("#curves path[data-cell]")
    before = drawn.count()
    page.locator("#curves .entry input:not(:checked)").first.check()
    assert drawn.count() == before + 1
    assert page.locator("#curves path[stroke-width='3.2']").count() == 1


def test_a_search_tells_parameters_and_objective_of_every_strand(search, opened):
    page, known = opened(search), cells_of(search)
    strands = page.locator("#parallel .strand")
    values = [
        cell["metrics"]["valid/nll"]["mean"] for cell in known.values() if "valid/nll" in cell["metrics"]
    ]
    assert strands.count() == len(values)
    strands.first.focus()
    page.keyboard.press("End")
    objective, *parameters, _ = tip(page)
    assert numbers(objective.split(": ")[1])[0] == pytest.approx(min(values), rel=1e-3)
    assert {line.split(": ")[0] for line in parameters} == {axis.name for axis in search.answer.table.axes}


def test_dark_is_dark_by_the_system_and_by_the_reader(grid, opened):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = opened(grid, color_scheme="light"), opened(grid, color_scheme="dark")
    assert sum(numbers(paper(light))) > 700
    assert sum(numbers(paper(dark))) < 120
    light.get_by_role("button", name="Dark page").click()
    assert paper(light) == paper(dark)


def test_a_phone_scrolls_down_and_never_sideways(grid, search, opened):
    for report in (grid, search):
        page = opened(report, viewport=PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_nothing_on_the_page_shuts_a_reader_out(grid, search, opened):
    for report, scheme in ((grid, "light"), (grid, "dark"), (search, "light")):
        page = opened(report, color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        grave = [
            (one["id"], one["nodes"][0]["html"][:200])
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]
        assert grave == []


def test_the_tab_key_reaches_every_interactive_part(grid, opened):
    page = opened(grid)
    wanted = {"heatmap", "curves", "shares", "front", "cell-table", "trial-table"}
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached |= set(
            page.evaluate(
                "(ids) => ids.filter((id) => document.getElementById(id).contains(document.activeElement))",
                sorted(wanted),
            )
        )
        if reached == wanted:
            break
    assert reached == wanted


def test_without_scripts_the_figures_stand_open_and_what_needs_scripts_is_away(grid, opened):
    page = opened(grid, java_script_enabled=False)
    assert page.locator(".static figure svg").first.is_visible()
    assert page.locator("#explore-heading").is_hidden()
    assert page.locator("#trials").is_hidden()


def test_a_page_opens_in_time(grid, opened):
    page = opened(grid)
    took_ms = page.evaluate("performance.getEntriesByType('navigation')[0].duration")
    assert took_ms < 3000
    assert Path(grid.html).stat().st_size < 5_000_000
