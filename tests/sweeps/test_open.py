"""`sweeps report --open` opens the page that it wrote, and says where it lies when there is no browser."""

import json

import pytest

from sweeps.terminal import open_page
from tests.analysis.planted import Planted
from tests.sweeps.conftest import sweeps


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    Planted(seeds=(1, 2)).write(folder)
    return folder


@pytest.fixture
def browser(tmp_path):
    """Return what makes a script the user's browser, and the file in which it notes what it is given."""
    script, noted = tmp_path / "browser", tmp_path / "noted"
    script.write_text(f'#!/bin/sh\necho "$1" >> {noted}\n')
    script.chmod(0o755)
    return {"BROWSER": f"{script} %s"}, noted


def report(records, out, *options, **environment):
    return sweeps("report", "--records", records, "--out", out, *options, cwd=out.parent, **environment)


@pytest.mark.slow
def test_the_page_is_opened_once(records, browser, tmp_path):
    environment, noted = browser
    report(records, tmp_path / "report", "--open", **environment)
    assert noted.read_text().split() == [(tmp_path / "report" / "report.html").as_uri()]


def test_without_a_browser_it_is_told_where_the_page_lies(monkeypatch, capsys, tmp_path):
    for name, value in {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "PATH": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("webbrowser._tryorder", None)  # browsers are looked for once per process
    open_page(tmp_path / "report.html")
    assert f"No browser was found. Open {tmp_path / 'report.html'} in one." in capsys.readouterr().err


@pytest.mark.slow
def test_a_program_that_reads_json_gets_no_browser(records, browser, tmp_path):
    environment, noted = browser
    result = report(records, tmp_path / "report", "--open", "--json", **environment)
    assert json.loads(result.stdout)["schema_version"] == 1
    assert not noted.exists()
