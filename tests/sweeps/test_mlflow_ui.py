"""MLflow's own UI shows a sweep as its reader needs it, seen in a real browser: one sweep, one server for all tests."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.conftest import TOY_STUDY, write_toy_family
from tests.servers import free_port
from tests.sweeps.conftest import only_sweep, sweeps

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MS = 20_000  # for what a page shows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: install the package chromium"
    ),
]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Run a study of nine trials and serve MLflow's UI over it."""
    from mlflow.tracking import MlflowClient

    folder, port = tmp_path_factory.mktemp("ui"), free_port()
    write_toy_family(folder)
    (folder / "toy.py").write_text(TOY_STUDY.format(epochs=2, nap_ms=0))
    sweeps("run", "toy.py", "--seeds", 3, "--out", "out", "--address", "local", cwd=folder)
    client = MlflowClient(f"sqlite:///{folder}/out/mlflow.db")
    experiment = client.get_experiment_by_name("toy").experiment_id
    sweep = json.loads((only_sweep(folder / "out") / "sweep.json").read_text())
    assert sweep["tracking"] == {"uri": f"sqlite:///{folder}/out/mlflow.db", "experiment_id": experiment}
    (parent,) = client.search_runs([experiment], "tags.kind = 'sweep'")
    trials = [run.info.run_id for run in client.search_runs([experiment], "tags.kind = 'trial'")]
    command = [sys.executable, "-m", "sweeps", "ui", "--out", "out", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield SimpleNamespace(
            folder=folder,
            url=f"http://127.0.0.1:{port}/#",
            experiment=experiment,
            parent=parent.info.run_id,
            trials=trials,
        )
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """Return a page of a browser that has seen nothing yet; an uncaught error of its scripts fails the test."""
    context, errors = browser.new_context(viewport={"width": 2400, "height": 1600}), []
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors


def wait_for(url):
    deadline = time.monotonic() + 90
    while True:
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, OSError):
            assert time.monotonic() < deadline, f"{url} never answered"
            time.sleep(0.3)


def test_the_experiment_page_lists_the_sweep_and_below_it_its_trials(swept, page):
    page.goto(f"{swept.url}/experiments/{swept.experiment}/runs")
    page.locator(".ag-row", has_text="sweep ").locator("button").first.click()
    for cell in ("pull=0 seed 1", "pull=10 seed 3"):
        page.get_by_role("link", name=cell).wait_for()
    assert page.get_by_role("link", name="seed").count() == 9
    page.get_by_text("Show more columns").click()
    page.get_by_placeholder("Search columns").fill("pull")
    page.locator("[class*=tree-treenode]", has_text="pull").locator("[class*=tree-checkbox]").last.click()
    page.locator(".ag-header-cell", has_text="pull").first.wait_for()


def test_the_experiment_says_what_is_asked_and_how_to_look(swept, page):
    page.goto(f"{swept.url}/experiments/{swept.experiment}/runs")
    page.get_by_text("Which pull?").first.click()
    page.get_by_text("Select trials and choose Compare").wait_for()


def test_a_compare_of_nine_trials_shows_what_varies_and_nothing_else(swept, page):
    compared = f"runs={quote(json.dumps(swept.trials))}&experiments={quote(json.dumps([swept.experiment]))}"
    page.goto(f"{swept.url}/compare-runs?{compared}")
    page.get_by_text("Comparing 9 Runs from 1 Experiment").wait_for()
    page.get_by_text("pull=10 seed 2").first.wait_for()
    shown = page.content()
    for text in ("pull", "seed", "valid/near"):
        assert text in shown
    for noise in (">pid<", "config/", "trial_id/"):
        assert noise not in shown


def test_parallel_coordinates_are_drawn_over_the_swept_parameters(swept, page):
    compared = f"runs={quote(json.dumps(swept.trials))}&experiments={quote(json.dumps([swept.experiment]))}"
    page.goto(f"{swept.url}/compare-runs?{compared}")
    plot = page.locator(".js-plotly-plot", has=page.locator(".parcoords"))
    for axis in ("pull", "seed"):
        plot.locator(".axis-title", has_text=axis).wait_for()
    ranges = plot.locator(".axis-extent-top-text, .axis-extent-bottom-text").all_text_contents()
    assert {float(text) for text in ranges if text} >= {0.0, 10.0, 1.0, 3.0}
    assert plot.locator("canvas.gl-canvas-context").count() == 1


def test_the_description_of_a_sweep_is_its_verdicts_as_tables(swept, page):
    page.goto(f"{swept.url}/experiments/{swept.experiment}/runs/{swept.parent}")
    page.get_by_text("Show more").first.click()
    verdicts = page.locator("table", has_text="what was found")
    verdicts.locator("td", has_text="effect_of_pull").wait_for()
    assert verdicts.locator("tr").count() >= 3
    assert verdicts.locator("strong").first.inner_text() in ("supported", "rejected", "undecided")
    heat = page.locator("table", has=page.locator("th", has_text="pull"))
    assert heat.locator("th").all_inner_texts() == ["pull", "0", "1", "10"]
    assert page.get_by_role("heading", name="Recommendation").count() == 1


def test_the_report_is_read_among_the_artifacts_of_the_sweep(swept, page):
    page.goto(f"{swept.url}/experiments/{swept.experiment}/runs/{swept.parent}/artifacts")
    page.get_by_text("report", exact=True).click()
    page.get_by_text("report.xlsx", exact=True).wait_for()
    page.get_by_text("report.html", exact=True).click()
    page.frame_locator("iframe").get_by_role("heading", name="Which pull?").wait_for()


def test_the_report_opens_without_a_network_and_without_errors(swept, browser):
    (report,) = swept.folder.glob("out/*/*/report/report.html")
    context = browser.new_context(offline=True)
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.goto(report.as_uri())
    assert opened.get_by_role("heading", name="Which pull?").count() == 1
    assert opened.locator("svg").count() > 2
    context.close()
    assert not said
