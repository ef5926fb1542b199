"""`sweeps run --decide` and `sweeps next`: a sweep goes on by itself, and says what it did and what could follow."""

import json
from collections import Counter

import pytest

from tests.conftest import TOY_STUDY, write_toy_family
from tests.sweeps.conftest import assert_once_in_mlflow, only_sweep, read_records, sweeps

pytestmark = pytest.mark.slow


DECIDE = ("run", "toy.py", "--decide", "--max-seeds", "4", "--out", "out", "--address", "local")


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Run the toy study on its two seeds, then until decided with at most four; return its folder and what was said."""
    folder = tmp_path_factory.mktemp("decided")
    write_toy_family(folder)
    (folder / "toy.py").write_text(TOY_STUDY.format(epochs=3, nap_ms=0))
    sweeps("run", "toy.py", "--out", "out", "--address", "local", cwd=folder)
    return folder, sweeps(*DECIDE, cwd=folder).stdout


def test_open_findings_get_seeds_up_to_the_last_look_and_each_look_is_told(decided):
    folder, told = decided
    records = read_records(only_sweep(folder / "out"))
    seeds = Counter(row.seed for row in records.trials.values())
    assert seeds[1] == seeds[2] == 3
    assert set(seeds) <= {1, 2, 3, 4}
    assert "toy" in told
    assert "6 of 6 trials" not in told, "what was trained is not trained again"
    assert "Look at 2 seeds (6 trials, level 96.9%): " in told
    report = json.loads((only_sweep(folder / "out") / "report" / "report.json").read_text())
    assert [seen["n_seeds"] for seen in report["path"]] == [2, 3, 4][: len(report["path"])]
    assert report["path"][-1]["n_trials"] == len(records.trials) > 6
    assert_once_in_mlflow(f"sqlite:///{folder}/out/mlflow.db", records)


def test_running_it_again_trains_nothing(decided):
    folder, _ = decided
    assert json.loads(sweeps(*DECIDE, "--json", cwd=folder).stdout)["trained"] == 0


def test_other_looks_than_those_it_was_begun_with_are_refused(decided):
    folder, _ = decided
    refused = sweeps("run", "toy.py", "--decide", "--max-seeds", "8", "--out", "out", cwd=folder, check=False)
    assert refused.returncode == 2
    assert "was begun with looks at 2, 3, 4 seeds" in refused.stderr
    assert "--seeds 2 --decide --max-seeds 4" in refused.stderr


def test_next_says_why_what_it_costs_and_what_it_could_change_and_runs_it(decided):
    folder, _ = decided
    told = sweeps("next", "toy", "--out", "out", cwd=folder).stdout
    for part in ("why       ", "changes   ", "cost: about ", "run it    "):
        assert part in told
    listed = json.loads(sweeps("next", "toy", "--out", "out", "--json", cwd=folder).stdout)
    names = [proposal["name"] for proposal in listed["proposals"]]
    assert listed["chosen"] == names[0]
    assert listed["plan"]["follows"]["sweep"] == only_sweep(folder / "out").name
    ran = sweeps("next", "toy", "--out", "out", "--run", "--json", "--address", "local", cwd=folder)
    facts = json.loads(ran.stdout)
    assert facts["states"] == {"complete": listed["plan"]["n_trials"]}
    assert_lineage_in_mlflow(folder, facts["sweep_id"], listed["plan"]["follows"])


def assert_lineage_in_mlflow(folder, sweep_id, follows):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/out/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (parent,) = client.search_runs(experiments, f"tags.sweep_id = '{sweep_id}' and tags.kind = 'sweep'")
    assert {name: parent.data.tags[f"parent_{name}"] for name in follows} == follows


def test_a_proposal_that_does_not_exist_is_refused(decided):
    folder, _ = decided
    refused = sweeps("next", "toy", "--out", "out", "--choose", "toy_more_sheep", cwd=folder, check=False)
    assert refused.returncode == 2
    assert "No proposal 'toy_more_sheep'." in refused.stderr
