"""`sweeps compare`: what it takes, what it writes, and what it refuses."""

import json

import pytest

from sweeps.commands import run_cli
from tests.analysis.planted import Planted


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return a folder of results with two sweeps of a study."""
    out = tmp_path_factory.mktemp("results")
    for name, latents in (("aaaa11", ("none", "linear")), ("bbbb22", ("none", "vq"))):
        truths = {
            "tokens_by_latent": dict.fromkeys(latents, 1.0),
            "globals_by_latent": dict.fromkeys(latents, 1.0),
        }
        states = {("none", 0.0, 1): "failed"}
        Planted(overrides={"sweep_id": name}, states=states, **truths).write(
            out / "compare_globals_heads" / name
        )
    return out


def test_two_sweeps_by_id_and_by_study(results, tmp_path, capsys):
    arguments = [
        "compare",
        "aaaa11",
        "compare_globals_heads",
        "--results",
        str(results),
        "--out",
        str(tmp_path),
    ]
    assert run_cli(arguments) == 0
    said = capsys.readouterr().out
    assert "bbbb22 against aaaa11: 3 cells in both" in said
    assert "In aaaa11 only: linear, globals_beta 0; linear, globals_beta 1; linear, globals_beta 10." in said
    assert "9 trials have the same id" in " ".join(said.split())
    assert (tmp_path / "comparison.html").exists()


def test_json_is_the_file(results, tmp_path, capsys):
    folders = [str(results / "compare_globals_heads" / name) for name in ("aaaa11", "bbbb22")]
    assert run_cli(["compare", *folders, "--out", str(tmp_path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((tmp_path / "comparison.json").read_text())
    assert [sweep["name"] for sweep in data["sweeps"]] == ["aaaa11", "bbbb22"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("aaaa11", "aaaa"), "'aaaa' and 'aaaa11' are both the sweep in"),
        (("aaaa11",), "One sweep cannot be compared with itself. Name at least two"),
        (("aaaa11", "cccc33"), "No sweep 'cccc33' under"),
    ],
)
def test_nonsense_is_refused_in_one_line(results, tmp_path, capsys, names, message):
    assert run_cli(["compare", *names, "--results", str(results), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
