"""A search without training: a surrogate answers, and the search must draw, learn, replicate and be taken up."""

import json
import math
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from search_spaces.domains import SpaceError
from search_spaces.errors import RefusedError
from sweeps.plan import make_plan
from sweeps.records import EpochRow, RecordWriter, read_records
from sweeps.search import Search
from sweeps.source import FINISHED
from sweeps.study import Objective, Study, StudyError
from trainables.guard import Guard

METRIC, OTHER = "valid/comparable_loss", "valid/met_r2"
STUDY = Study(
    name="surrogate",
    family="globals_autoencoder",
    question="Which weight?",
    search={"globals_beta": (1e-3, 1e3), "lr": (1e-5, 1e-1)},
    seeds=3,
    epochs=2,
    objective=Objective(METRIC),
    max_trials=26,
    finalists=3,
    guards=(),
)


def surrogate(trial):
    """Return a loss with one narrow valley, at beta 0.3 and lr 2e-3, and a second metric that wants a large beta."""
    beta, rate = math.log10(trial.params["globals_beta"]), math.log10(trial.params["lr"])
    loss = 0.1 + (beta - math.log10(0.3)) ** 2 + 4 * (rate - math.log10(2e-3)) ** 2
    return {METRIC: loss + 0.01 * trial.seed, OTHER: beta}


class Driver:
    """Runs a search as the real driver does, records too, with a surrogate in place of training."""

    def __init__(self, study, out, answer=surrogate, time_budget_s=None):
        self.plan = make_plan(study, out)
        axes = {name: {"searched": True} for name in (*study.grid_axes, *study.search)}
        self.records = RecordWriter(self.plan.folder, {"study": {"name": study.name}, "axes": axes})
        self.search = Search(self.plan, read_records(self.plan.folder), time_budget_s)
        self.answer, self.trials = answer, []
        self.guard = lambda trial: None

    def run(self, n_trials=10_000, state=lambda trial: "complete"):
        """Run up to ``n_trials`` trials one after the other; return those that were run."""
        while len(self.trials) < n_trials and (trial := self.search.next()) != FINISHED:
            self.trials.append(trial)
            self.records.record_trial(trial.row)
            metrics = self.answer(trial)
            self.records.record_epoch(EpochRow(trial.trial_id, 1, metrics, self.records.now_ms()))
            self.search.observe(trial.trial_id, 1, metrics)
            guard = self.guard(trial)
            row = replace(self.records.trials[trial.trial_id], state=state(trial), guard=guard)
            self.records.record_trial(row)
            self.search.tell(row)
        self.records.compact()
        return self.trials


def drawn(trials):
    return [tuple(trial.swept.values()) for trial in trials]


def test_the_budget_is_spent_on_points_of_the_first_seed_and_on_finalists(tmp_path):
    trials = Driver(STUDY, tmp_path).run()
    assert Counter(trial.seed for trial in trials) == {1: 20, 2: 3, 3: 3}
    assert len(set(drawn(trials))) == 20
    best = sorted((t for t in trials if t.seed == 1), key=lambda t: surrogate(t)[METRIC])[:3]
    assert {t.cell for t in trials if t.seed == 3} == {t.cell for t in best}
    assert all(t.point is not None for t in trials)


@pytest.mark.slow
def test_every_grid_point_gets_the_same_budget_and_a_search_of_its_own(tmp_path):
    study = replace(STUDY, grid={"latent_space": ("none", "vq")}, max_trials=40, seeds=2, finalists=2)
    trials = Driver(study, tmp_path).run()
    spent = Counter((trial.swept["latent_space"], trial.seed) for trial in trials)
    assert spent == {("none", 1): 18, ("vq", 1): 18, ("none", 2): 2, ("vq", 2): 2}
    first = [trial.swept["latent_space"] for trial in trials[:4]]
    assert first == ["none", "vq", "none", "vq"]
    assert {trial.group for trial in trials if trial.seed == 1} == {"latent_space=none", "latent_space=vq"}
    assert {trial.group for trial in trials if trial.seed == 2} == {None}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsga2"])
def test_a_search_that_is_left_and_taken_up_draws_the_same_points(tmp_path, sampler):
    study = replace(STUDY, sampler=sampler)
    whole = drawn(Driver(study, tmp_path / "whole").run())
    parts = []
    for n_trials in (3, 9, 10_000):
        parts += drawn(Driver(study, tmp_path / "parts").run(n_trials))
    assert parts == whole
    assert len(whole) == 26


def test_a_trial_that_was_under_way_is_trained_again_and_no_other_is(tmp_path):
    first = Driver(STUDY, tmp_path)
    first.run(5)
    asked = first.search.next()  # and killed before anything was recorded
    second = Driver(STUDY, tmp_path)
    trials = second.run()
    assert trials[0].trial_id == asked.trial_id
    assert not {t.trial_id for t in trials} & {t.trial_id for t in first.trials}
    assert len(first.trials) + len(trials) == 26


def test_a_failed_point_stays_open_and_is_trained_at_the_next_start(tmp_path):
    def answer(trial):  # the failed point is no finalist when it is trained at last
        return {METRIC: 100.0} if trial.point == 2 else surrogate(trial)

    study = replace(STUDY, max_trials=12, finalists=1)
    first = Driver(study, tmp_path, answer).run(state=lambda t: "failed" if t.point == 2 else "complete")
    failed = next(trial for trial in first if trial.point == 2)
    again = Driver(study, tmp_path, answer).run()
    assert [trial.trial_id for trial in again] == [failed.trial_id]


def test_random_draws_do_not_change_with_the_code_of_a_family(tmp_path, monkeypatch):
    before = Driver(STUDY, tmp_path / "before")
    monkeypatch.setattr("sweeps.plan.code_version", lambda name: "edited")
    after = Driver(STUDY, tmp_path / "after")
    assert before.plan.sweep_id != after.plan.sweep_id
    assert drawn(before.run(8)) == drawn(after.run(8))


@pytest.mark.slow
def test_points_that_collapse_are_avoided_and_never_finalists(tmp_path):
    study = replace(STUDY, max_trials=46, guards=(Guard("valid/latent_rankme", below=1.0),))
    trials = Driver(study, tmp_path, answer=lambda trial: {METRIC: trial.params["lr"]}).run(
        state=lambda trial: "collapsed" if trial.params["globals_beta"] < 1 else "complete"
    )
    late = [trial for trial in trials if trial.seed == 1][20:]
    assert sum(t.params["globals_beta"] < 1 for t in late) / len(late) < 0.4  # of random points it is half
    assert all(t.params["globals_beta"] >= 1 for t in trials if t.seed > 1)


@pytest.mark.slow
def test_several_objectives_send_the_pareto_set_to_the_finals(tmp_path):
    study = replace(STUDY, objectives=(Objective(METRIC), Objective(OTHER, "max")), sampler="nsga2")
    driver = Driver(study, tmp_path)
    trials = driver.run()
    points = {t.trial_id: surrogate(t) for t in trials if t.seed == 1}
    finalists = {t.cell for t in trials if t.seed == 2}
    for trial in (t for t in trials if t.seed == 1 and t.cell in finalists):
        own = points[trial.trial_id]
        assert not any(
            other[METRIC] <= own[METRIC] and other[OTHER] >= own[OTHER] and other != own
            for other in points.values()
        )
    best = [min(points.values(), key=lambda p: p[METRIC]), max(points.values(), key=lambda p: p[OTHER])]
    kept = [points[t.trial_id] for t in trials if t.seed == 1 and t.cell in finalists]
    assert all(one in kept for one in best)


@pytest.mark.slow
def test_a_space_with_fewer_points_than_the_budget_is_exhausted_and_not_repeated(tmp_path):
    study = replace(STUDY, search={"latent_space": ("none", "linear", "vq")}, max_trials=20, finalists=1)
    driver = Driver(study, tmp_path, answer=lambda trial: {METRIC: len(trial.params["latent_space"])})
    trials = driver.run()
    assert Counter(trial.params["latent_space"] for trial in trials) == {"none": 1, "linear": 1, "vq": 3}
    assert driver.search.missing == 0


@pytest.mark.slow
def test_a_larger_budget_extends_the_search(tmp_path):
    first = Driver(STUDY, tmp_path).run()
    more = Driver(replace(STUDY, max_trials=36), tmp_path).run()
    points = [t for t in more if t.seed == 1]
    assert len(points) == 10
    assert not set(drawn(points)) & set(drawn(first))


@pytest.mark.slow
def test_a_time_budget_keeps_the_finalists_their_share(tmp_path):
    driver = Driver(STUDY, tmp_path, time_budget_s=10_000)
    driver.run(8)
    driver.search.started -= 9_000  # past the share of the searches, not of the finalists
    trials = driver.run()
    assert Counter(trial.seed for trial in trials) == {1: 8, 2: 3, 3: 3}
    assert driver.search.missing == 12, "the points that time did not allow"


@pytest.mark.slow
def test_more_seeds_and_more_finalists_extend_a_search_that_was_at_its_end(tmp_path):
    study = replace(STUDY, max_trials=None)
    Driver(study, tmp_path).run()
    more_seeds = Driver(replace(study, seeds=4), tmp_path)
    assert more_seeds.plan.n_open == 3
    assert {(t.seed, t.group) for t in more_seeds.run()} == {(4, None)}
    more_finalists = Driver(replace(study, seeds=4, finalists=4), tmp_path)
    assert Counter(t.seed for t in more_finalists.run()) == {2: 1, 3: 1, 4: 1}


@pytest.mark.slow
def test_a_kill_between_a_draw_and_its_end_loses_and_doubles_nothing(tmp_path):
    first = Driver(STUDY, tmp_path)
    first.run(4)
    sampling = first.search.groups[0].sampling
    repeated = dict(first.trials[0].swept)
    sampling.add(repeated)  # a draw that was asked for before, and a kill before it was given up
    trials = Driver(STUDY, tmp_path).run()
    assert not {t.trial_id for t in trials} & {t.trial_id for t in first.trials}
    assert len(first.trials) + len(trials) == 26


@pytest.mark.slow
def test_an_audited_collapse_is_no_finalist_however_good_it_looks(tmp_path):
    rule = Guard("valid/latent_rankme", below=1.0)
    driver = Driver(replace(STUDY, guards=(rule,), guard_audit=1.0), tmp_path)
    driver.guard = lambda trial: rule.text if trial.params["globals_beta"] < 1 else None
    trials = driver.run()
    assert any(t.params["globals_beta"] < 1 for t in trials if t.seed == 1)
    assert all(t.params["globals_beta"] >= 1 for t in trials if t.seed > 1)


@pytest.mark.slow
def test_every_point_of_a_discrete_space_is_found(tmp_path):
    options = {"mixing_heads": (1, 2, 4, 8), "latent_space": ("none", "linear", "vq")}
    study = replace(STUDY, search=options, seeds=1, max_trials=20)
    trials = Driver(study, tmp_path, answer=lambda trial: {METRIC: float(trial.params["mixing_heads"])}).run()
    assert len(set(drawn(trials))) == len(trials) == 12


def test_a_guard_on_a_metric_that_the_family_has_not_is_refused(tmp_path):
    with pytest.raises(
        StudyError, match=r"Guard's monitor 'valid/latent_rank' is not reported\. Did you mean"
    ):
        make_plan(replace(STUDY, guards=(Guard("valid/latent_rank", below=1.0),)), tmp_path)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("train/loss", "It takes train/rec_tokens, train/rec_globals"),
        ("grad_share/rec_tokns", "is not reported"),
        ("output_diversity", "is not reported"),
        ("test/met_r2", "is known only when a trial has ended. Guard valid/met_r2"),
    ],
)
def test_a_guard_on_what_the_loop_never_reports_is_refused_by_the_plan(metric, said, tmp_path):
    with pytest.raises(StudyError, match=re.escape(said)):
        make_plan(replace(STUDY, guards=(Guard(metric, below=1.0),)), tmp_path)


def test_guards_on_gradient_accounting_are_known_by_their_terms(tmp_path):
    for metric in (
        "grad_share/rec_tokens",
        "grad_cos/encoder/rec_tokens.rec_globals",
        "grad_ratio/encoder",
        "grad_norm",
    ):
        assert (
            make_plan(replace(STUDY, guards=(Guard(metric, below=0.0),)), tmp_path).guards[0].metric == metric
        )


@pytest.mark.slow
def test_a_damaged_storage_is_refused_with_the_way_out(tmp_path):
    driver = Driver(STUDY, tmp_path)
    driver.run(2)
    (driver.plan.folder / "optuna.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(RefusedError, match=r"optuna.db cannot be used: .* Remove it; the points come back"):
        Driver(STUDY, tmp_path)


@pytest.mark.slow
def test_the_search_beats_random_more_often_than_not_at_equal_budget(tmp_path):
    def best(sampler, repetition):
        study = replace(STUDY, name=f"{sampler}{repetition}", sampler=sampler, seeds=1, max_trials=40)
        return min(surrogate(trial)[METRIC] for trial in Driver(study, tmp_path).run())

    wins = [best("tpe", repetition) < best("random", repetition) for repetition in range(10)]
    assert sum(wins) >= 8


@pytest.mark.slow
def test_optuna_s_dashboard_opens_the_search(tmp_path):
    driver = Driver(replace(STUDY, seeds=1, max_trials=6), tmp_path)
    driver.run()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = f"sqlite:///{driver.plan.folder / 'optuna.db'}"
    command = [Path(sys.executable).parent / "optuna-dashboard", storage, "--port", str(port)]
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (study,) = ask_dashboard(port, "studies")["study_summaries"]
        assert study["study_name"] == f"surrogate {driver.plan.sweep_id} only"
        detail = ask_dashboard(port, f"studies/{study['study_id']}")
        assert len(detail["trials"]) == 6
        assert detail["objective_names"] == [METRIC]
    finally:
        dashboard.terminate()
        dashboard.wait(timeout=20)


def ask_dashboard(port, path):
    """Return what the dashboard's interface answers, once it listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return json.load(urlopen(f"http://127.0.0.1:{port}/api/{path}"))
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"max_trials": 8},
            "max_trials=8 is too few: 1 searches of at least 3 points, each with 3 finalists",
        ),
        ({"sampler": "grid"}, "sampler='grid' is unknown. It takes tpe, random, qmc, nsga2"),
        ({"scheduler": "pbt"}, "scheduler='pbt' is unknown. It takes asha, median, or None"),
        ({"finalists": 0}, "finalists=0 is below 1"),
        ({"guard_audit": 1.5}, "guard_audit=1.5 is not a share"),
        ({"objectives": (Objective(OTHER, "max"),)}, "objectives does not begin with valid/comparable_loss"),
        ({"fixed": {"lr": 1e-3}}, "lr is fixed and searched at once"),
        (
            {"search": {}, "grid": {"lr": (1e-3, 1e-2)}},
            "max_trials belongs to a search, and this study has none",
        ),
        ({"search": {"n_events": (100, 24000)}}, "one of them decides the data, which a search cannot"),
    ],
)
def test_a_search_that_cannot_run_as_written_is_refused_before_anything_starts(tmp_path, changes, message):
    with pytest.raises(StudyError, match=message):
        make_plan(replace(STUDY, **changes), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0.0, 1.0), "log-scaled from 0. A search needs a lower bound above 0"),
        ((1.0, 0.1), r"is not a range. Write globals_beta=\(low, high\) with low below high"),
        ((1.0,), "is not a range"),
        ((-1.0, 1.0), "is below 0. A weight on a loss term cannot be negative"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(tmp_path, bounds, message):
    with pytest.raises(SpaceError, match=message):
        make_plan(replace(STUDY, search={"globals_beta": bounds}), tmp_path)
