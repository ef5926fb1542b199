"""MLflow's own UI compares the trials of a sweep, seen in a real browser."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.servers import free_port
from tests.sweeps.conftest import only_sweep, sweeps

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium: install the package chromium"
    ),
]


def page(url, profile):
    """Return the page at ``url`` as Chromium has rendered it."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--window-size=1600,2400", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_compare_view_shows_every_trial_with_its_parameters(tmp_path, toy_study):
    from mlflow.tracking import MlflowClient

    out, port = tmp_path / "out", free_port()
    sweeps("run", toy_study(epochs=2), "--out", out, "--address", "local", cwd=tmp_path)
    client = MlflowClient(f"sqlite:///{out}/mlflow.db")
    experiment = client.get_experiment_by_name("toy").experiment_id
    sweep = json.loads((only_sweep(out) / "sweep.json").read_text())
    assert sweep["tracking"] == {"uri": f"sqlite:///{out}/mlflow.db", "experiment_id": experiment}
    runs = client.search_runs([experiment], "tags.kind = 'trial'")
    command = [sys.executable, "-m", "sweeps", "ui", "--out", str(out), "--port", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        listed = quote(json.dumps([run.info.run_id for run in runs]))
        url = f"http://127.0.0.1:{port}/#/compare-runs?runs={listed}&experiments={quote(json.dumps([experiment]))}"
        shown = page(url, tmp_path / "profile")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
    assert "Comparing 6 Runs from 1 Experiment" in shown
    for text in ("pull", "seed", "pull=10 seed 2", "valid/near"):
        assert text in shown
    for noise in (">pid<", "config/", "trial_id/"):
        assert noise not in shown


def test_the_report_opens_without_a_network_and_without_errors(tmp_path, toy_study):
    out = tmp_path / "out"
    sweeps("run", toy_study(epochs=2), "--out", out, "--address", "local", cwd=tmp_path)
    (report,) = out.glob("*/*/report/report.html")
    shown = page(report.as_uri(), tmp_path / "profile")
    assert "Which pull?" in shown
    assert "<svg" in shown


def wait_for(url):
    deadline = time.monotonic() + 90
    while True:
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, OSError):
            assert time.monotonic() < deadline, f"{url} never answered"
            time.sleep(0.3)
