"""What the benchmark promises: same work or no figure, medians, and nothing old passed off as new."""

import json
import sqlite3
from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmarks import run
from benchmarks.race import DifferentWorkError, Timed, race, refuse_different_work
from benchmarks.results import FIGURES, merged, result_of, table, write_results
from benchmarks.tracked import refuse_untracked
from benchmarks.workload import METRIC, SHORT, Done, Workload, make_job, read_job, write_job

VS_STOCK, VS_PURE, DEMO = FIGURES
TWO = Workload(n_trials=2, epochs=1, n_events=600)  # the smallest that still trains


def timed(name: str, wall_s: float, loss: float = 1.5) -> Timed:
    done = Done({"a": loss, "b": 2.0}, {"a": 1, "b": 1}, {} if name == "stock" else {"a": 3.0, "b": 1.0})
    return Timed(name, wall_s, done)


def rounds(*seconds: tuple[float, float, float]) -> list[dict[str, Timed]]:
    names = ("ours", "stock", "pure")
    return [{name: timed(name, wall_s) for name, wall_s in zip(names, one, strict=True)} for one in seconds]


def test_a_ratio_is_that_of_the_medians():
    three = rounds((10, 40, 8), (12, 90, 8), (20, 36, 9))
    assert result_of(VS_STOCK, three, TWO, {})["ratio"] == pytest.approx(40 / 12, abs=1e-3)
    vs_pure = result_of(VS_PURE, three, TWO, {})
    assert (vs_pure["ours_s"], vs_pure["other_s"], vs_pure["ratio"]) == (12, 8, 1.5)
    assert vs_pure["runs"][2] == {"ours_s": 20, "other_s": 9}


def test_seconds_of_training_that_are_not_known_stay_unknown():
    result = result_of(VS_STOCK, rounds((10, 40, 8)), TWO, {})
    assert result["training_s_per_trial"] == {"ours": 2.0, "stock": None}
    assert result["training_only_s"]["stock"] is None


def test_targets_look_in_the_direction_of_the_figure():
    assert VS_STOCK.met(3.0)
    assert not VS_STOCK.met(2.9)
    assert VS_PURE.met(1.4)
    assert not VS_PURE.met(1.41)
    assert DEMO.promise == "<= 1.15"


def test_the_table_says_what_was_missed():
    results = [result_of(figure, rounds((10, 40, 7)), TWO, {}) for figure in (VS_STOCK, VS_PURE)]
    _, stock, pure = table(results).splitlines()
    assert stock.split()[:5] == ["short_trials_vs_stock", "4.00", ">=", "3", "ok"]
    assert pure.split()[:5] == ["short_trials_vs_pure", "1.43", "<=", "1.4", "missed"]


def test_a_figure_that_was_not_run_keeps_its_own_machine_and_time(tmp_path):
    path = tmp_path / "results" / "latest.json"
    old = result_of(DEMO, rounds((10, 40, 8)), TWO, {"cpu": "old"}) | {"measured_at": "2020-01-01"}
    write_results(path, {"cpu": "old"}, [old])
    write_results(path, {"cpu": "new"}, [result_of(VS_PURE, rounds((9, 40, 8)), TWO, {"cpu": "new"})])
    content = json.loads(path.read_text())
    by_name = {result["name"]: result for result in content["results"]}
    assert content["machine"] == {"cpu": "new"}
    assert by_name["demo_vs_pure"] == old
    assert by_name["short_trials_vs_pure"]["machine"] == {"cpu": "new"}


def test_a_figure_measured_again_replaces_the_earlier_one():
    results = merged([{"name": "demo_vs_pure", "ratio": 2}], [{"name": "demo_vs_pure", "ratio": 1}])
    assert results == [{"name": "demo_vs_pure", "ratio": 1}]


def test_contenders_that_differ_in_the_last_bit_are_refused():
    ours, pure = timed("ours", 1), timed("pure", 1, loss=1.5000000000000002)
    refuse_different_work([ours, timed("pure", 1)], TWO)
    with pytest.raises(DifferentWorkError, match=r"losses of a: ours has 1.5, pure 1.5000000000000002"):
        refuse_different_work([ours, pure], TWO)


def test_a_contender_that_left_a_trial_out_is_refused():
    with pytest.raises(DifferentWorkError, match="ours trained 2 trials, the workload has 3"):
        refuse_different_work([timed("ours", 1)], replace(TWO, n_trials=3))


def test_different_work_ends_with_status_1(monkeypatch):
    def different(*_: object) -> None:
        raise DifferentWorkError("losses of a differ.")

    monkeypatch.setattr(run, "race", different)
    result = CliRunner().invoke(run.main, ["--trials", "2"])
    assert result.exit_code == 1
    assert "losses of a differ." in result.output


def test_a_cut_down_run_writes_nothing_and_missed_targets_end_with_status_0(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "race", lambda *_: rounds((10, 11, 1)))
    path = tmp_path / "latest.json"
    cut = CliRunner().invoke(run.main, ["--trials", "2", "--out", str(path)])
    assert (cut.exit_code, path.exists()) == (0, False)
    whole = CliRunner().invoke(run.main, ["--out", str(path)])
    assert (whole.exit_code, path.exists()) == (0, True)
    assert whole.output.count("missed") == 2


def test_a_job_survives_its_file_and_is_the_whole_study(tmp_path):
    job = make_job(SHORT, tmp_path)
    write_job(job)
    assert read_job(tmp_path) == job
    assert len({trial.label for trial in job.trials}) == 27


def test_a_contender_that_tracked_less_than_it_trained_is_refused(tmp_path):
    job = make_job(TWO, tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("CREATE TABLE metrics (run_uuid TEXT, step INT, key TEXT)")
        store.executemany("INSERT INTO metrics VALUES (?, 1, ?)", [("a", METRIC), ("a", METRIC), ("b", "lr")])
    with pytest.raises(RuntimeError, match="of 1 epochs, 2 were trained"):
        refuse_untracked(tmp_path / "mlflow.db", job)


@pytest.mark.slow
def test_all_contenders_do_the_same_work():
    (one,) = race(("ours", "stock", "pure"), TWO, 1, print)
    assert [len(run.done.losses) for run in one.values()] == [2, 2, 2]
    assert one["ours"].done.losses == one["stock"].done.losses == one["pure"].done.losses
    assert one["ours"].trial_s
    assert all(run.wall_s > 0 for run in one.values())
