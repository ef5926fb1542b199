"""A trial is named by its content: the same work has the same name, other work another."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces.domains import SpaceError
from search_spaces.errors import RefusedError
from search_spaces.globals_autoencoder import SPACE
from sweeps.plan import axes_of, cell_label, folder_name, make_plan
from sweeps.plan_view import plan_facts, plan_text
from sweeps.price import Price, recorded_price, rehearsed_price
from sweeps.records import RecordWriter
from sweeps.study import Objective, Study, StudyError
from sweeps.study_files import load_study, study_names
from trainables.families import load_family
from trainables.guard import Guard

STUDY = load_study("compare_globals_heads")


def ids(study, out, **options):
    return [trial.trial_id for trial in make_plan(study, out, **options).trials]


def test_every_study_that_comes_with_the_project_can_be_planned(tmp_path):
    assert len(study_names()) >= 6
    for name in study_names():
        plan = make_plan(load_study(name), tmp_path)
        assert len({trial.trial_id for trial in plan.trials}) == len(plan.trials)
        assert plan.study.name == name


def test_the_grid_is_nine_cells_with_three_seeds_each(tmp_path):
    plan = make_plan(STUDY, tmp_path)
    assert len(plan.trials) == 27
    assert {trial.seed for trial in plan.trials} == {1, 2, 3}
    assert len({trial.cell for trial in plan.trials[:9]}) == 9, "every cell has a number before any has two"


def test_more_seeds_extend_a_sweep_and_keep_its_trials(tmp_path):
    three, five = make_plan(STUDY, tmp_path), make_plan(replace(STUDY, seeds=5), tmp_path)
    assert three.sweep_id == five.sweep_id
    assert {t.trial_id for t in three.trials} < {t.trial_id for t in five.trials}


@pytest.mark.parametrize(
    "changed",
    [
        replace(STUDY, epochs=21),
        replace(STUDY, fixed={"lr": 2e-3}),
        replace(STUDY, fixed={"split_seed": 1}),
        replace(STUDY, objective=Objective("valid/rec_tokens")),
    ],
)
def test_whatever_changes_the_work_changes_every_name(tmp_path, changed):
    assert not set(ids(STUDY, tmp_path)) & set(ids(changed, tmp_path))


def test_what_changes_no_number_changes_no_trial(tmp_path):
    renamed = replace(STUDY, name="other", question="Another?", analysis="grid")
    assert ids(renamed, tmp_path) == ids(STUDY, tmp_path)


def test_a_finished_trial_is_not_planned_again_and_a_failed_one_is(tmp_path):
    plan = make_plan(STUDY, tmp_path)
    writer = RecordWriter(
        plan.folder, {"sweep_id": plan.sweep_id, "study": {"name": STUDY.name}, "axes": dict(STUDY.grid)}
    )
    for trial, state in zip(plan.trials, ["complete", "diverged", "failed", "running"], strict=False):
        writer.record_trial(replace(trial.row, state=state))
    again = make_plan(STUDY, tmp_path)
    assert set(again.recorded) == {trial.trial_id for trial in plan.trials[:2]}
    assert len(again.open_trials) == 25
    facts = plan_facts(again, recorded_price(again))
    assert (facts["n_trials"], facts["n_finished"], facts["n_open"]) == (27, 2, 25)
    assert "finished 2, to train 25" in plan_text(again, recorded_price(again))


def test_a_trial_that_another_sweep_has_finished_is_found_there(tmp_path):
    plan = make_plan(STUDY, tmp_path)
    writer = RecordWriter(
        plan.folder, {"sweep_id": plan.sweep_id, "study": {"name": STUDY.name}, "axes": dict(STUDY.grid)}
    )
    writer.record_trial(replace(plan.trials[0].row, state="complete"))
    narrower = replace(STUDY, grid={"latent_space": ("none",), "globals_beta": (0.0,)})
    other = make_plan(narrower, tmp_path)
    assert other.folder != plan.folder
    assert other.recorded[plan.trials[0].trial_id][1] == plan.folder


def test_settings_fix_with_one_value_and_sweep_with_several():
    changed = STUDY.with_parameters({"globals_beta": [5.0], "latent_dim": [2, 8]})
    assert dict(changed.grid) == {"latent_space": ("none", "linear", "vq"), "latent_dim": [2, 8]}
    assert dict(changed.fixed) == {"globals_beta": 5.0}


@pytest.mark.parametrize(
    ("study", "error", "message"),
    [
        (
            replace(STUDY, grid={"globals_bta": (1.0,)}),
            SpaceError,
            "Unknown parameter 'globals_bta'. Did you mean",
        ),
        (replace(STUDY, grid={"globals_beta": (-1.0,)}), SpaceError, "globals_beta=-1 is below 0"),
        (replace(STUDY, grid={"globals_beta": (1, 1.0)}), SpaceError, "holds a value twice"),
        (replace(STUDY, grid={"globals_beta": 1.0}), SpaceError, "is not a list of values"),
        (replace(STUDY, fixed={"globals_beta": 1.0}), StudyError, "globals_beta is swept and fixed at once"),
        (replace(STUDY, seeds=0), StudyError, "seeds=0 gives no usable seeds"),
        (replace(STUDY, seeds=(1, 1)), StudyError, "gives no usable seeds"),
        (replace(STUDY, grid={}), StudyError, "Nothing is swept. A sweep compares cells"),
        (
            replace(STUDY, objective=Objective("valid/los")),
            StudyError,
            "Objective 'valid/los' is not a validation metric",
        ),
        (replace(STUDY, objective=Objective("test/rec_tokens")), StudyError, "is not a validation metric"),
        (
            replace(STUDY, objective=Objective("valid/rec_tokens", "minimum")),
            StudyError,
            "mode 'minimum' is neither",
        ),
        (replace(STUDY, epochs=0), StudyError, "epochs=0 is below 1"),
        (replace(STUDY, name="../up"), StudyError, r"Study name '../up' is not usable as a folder"),
        (replace(STUDY, name="a/b"), StudyError, r"Study name 'a/b' is not usable as a folder"),
        (replace(STUDY, name="größe"), StudyError, r"Study name 'größe' is not usable as a folder"),
        (replace(STUDY, name="x" * 300), StudyError, r"is not usable as a folder.* at most 100"),
        (
            replace(STUDY, objective=Objective("train_eval/rec_tokens")),
            StudyError,
            r"Objective 'train_eval/rec_tokens' needs training samples.*train_rows=0. Set train_rows",
        ),
    ],
)
def test_a_study_that_cannot_run_is_refused_before_anything_starts(tmp_path, study, error, message):
    with pytest.raises(error, match=message):
        make_plan(study, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_study_file_of_the_users_own_is_read(toy_study):
    study = load_study(str(toy_study()))
    assert isinstance(study, Study)
    assert load_family(study.family).name == "toyfamily"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("STUDY = 1 / 0", r"bad.py:1: ZeroDivisionError: division by zero. Mend the study file."),
        ("x = 1\nSTUDY = (", r"bad.py:2: SyntaxError"),
        ("x = 1", r"defines no STUDY. End the file with STUDY = Study"),
    ],
)
def test_an_error_in_a_study_file_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(str(path))


def test_a_study_that_does_not_exist_is_refused_with_the_closest_name():
    with pytest.raises(
        StudyError, match=r"Unknown study 'compare_globals_head'. Did you mean 'compare_globals_heads'\?"
    ):
        load_study("compare_globals_head")
    with pytest.raises(StudyError, match=r"Study file nowhere.py does not exist"):
        load_study("nowhere.py")


@pytest.mark.parametrize(
    ("value", "text"), [(10.0, "10"), (0.1, "0.1"), (1e-5, "1e-05"), (1.0000001, "1.0000001"), (32, "32")]
)
def test_a_cell_is_written_so_that_it_reads_back(value, text):
    assert cell_label({"w": value}) == f"w={text}"
    assert type(value)(text) == value


@pytest.mark.parametrize("label", ["../../etc", "a/b", "x" * 300, "..", "naïve=1", "\x00"])
def test_no_label_leaves_its_folder(label):
    name = folder_name(label)
    assert Path(name).name == name
    assert 0 < len(name) <= 130
    assert name not in (".", "..")


ARMS = replace(
    STUDY,
    grid={"globals_beta": (0.1, 1.0)},
    arms={"plain": {"latent_space": "none"}, "coded": {"latent_space": "vq", "codebook_size": 64}},
)


def test_arms_are_an_axis_of_named_settings(tmp_path):
    plan = make_plan(ARMS, tmp_path)
    assert [point.label for point in plan.points] == [
        "arm=plain,globals_beta=0.1",
        "arm=plain,globals_beta=1",
        "arm=coded,globals_beta=0.1",
        "arm=coded,globals_beta=1",
    ]
    coded = next(trial for trial in plan.trials if trial.swept["arm"] == "coded")
    assert (coded.params["latent_space"], coded.params["codebook_size"]) == ("vq", 64)
    assert plan.n_trials == 4 * 3
    axis = axes_of(plan.study, SPACE)["arm"]
    assert axis["values"] == ["plain", "coded"]
    assert axis["scale"] == "category"


def test_an_arm_that_says_what_another_cell_says_is_the_same_trial(tmp_path):
    named = make_plan(ARMS, tmp_path)
    plain = make_plan(replace(STUDY, grid={"globals_beta": (0.1, 1.0)}), tmp_path)
    assert {t.trial_id for t in plain.trials} < {t.trial_id for t in named.trials}


def test_arms_are_chosen_by_name_and_what_they_decide_cannot_be_set():
    assert list(ARMS.with_parameters({"arm": ["coded"]}).arms) == ["coded"]
    with pytest.raises(StudyError, match=r"Unknown arm 'codd'. Did you mean 'coded'\? There is plain, coded"):
        ARMS.with_parameters({"arm": ["codd"]})
    with pytest.raises(
        StudyError, match=r"latent_space is set by the arms\. Choose among them with --set arm="
    ):
        ARMS.with_parameters({"latent_space": ["linear"]})


def test_a_parameter_is_searched_in_place_of_its_grid(tmp_path):
    searched = STUDY.with_ranges({"globals_beta": (0.01, 100.0)})
    plan = make_plan(searched, tmp_path)
    assert list(plan.study.grid) == ["latent_space"]
    assert plan.trials == ()
    assert plan.n_trials == plan.study.budget.n_trials == 3 * (20 + 3 * 2)
    assert "3 searches x (20 points by tpe + 3 finalists on 2 further seeds) = 78 trials" in plan_text(
        plan, recorded_price(plan)
    )
    assert axes_of(plan.study, SPACE)["globals_beta"]["searched"]


def test_guards_and_audits_are_part_of_a_trial_s_name(tmp_path):
    rule = Guard("valid/latent_rankme", below=1.1)
    plain, guarded, audited = (
        make_plan(replace(STUDY, guards=guards, guard_audit=share), tmp_path)
        for guards, share in (((), 0.1), ((rule,), 0.0), ((rule,), 1.0))
    )
    ids = [{trial.trial_id for trial in plan.trials} for plan in (plain, guarded, audited)]
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]
    assert not any(trial.audited for trial in guarded.trials)
    assert all(trial.audited for trial in audited.trials)


def test_a_search_takes_the_guards_of_its_family_and_a_grid_takes_none(tmp_path):
    grid = make_plan(STUDY, tmp_path)
    search = make_plan(STUDY.with_ranges({"globals_beta": (0.01, 100.0)}), tmp_path)
    assert grid.guards == ()
    assert [guard.metric for guard in search.guards] == ["valid/latent_rankme"]


def test_the_plan_says_what_a_time_budget_buys(tmp_path):
    plan = make_plan(STUDY, tmp_path)
    assert "2 h 00 min buy: unknown, no trial of this study is recorded" in plan_text(
        plan, recorded_price(plan), 7200.0
    )
    writer = RecordWriter(
        plan.folder, {"sweep_id": plan.sweep_id, "study": {"name": STUDY.name}, "axes": dict(STUDY.grid)}
    )
    writer.record_trial(replace(plan.trials[0].row, state="complete", n_epochs=20, wall_s=40.0))
    writer.compact()
    again = make_plan(STUDY, tmp_path)
    cores = os.cpu_count()
    assert plan_facts(again, recorded_price(again), 80.0)["affordable"] == min(26, 2 * cores)
    assert f"about {min(26, 2 * cores)} of 26 open trials on {cores} cores" in plan_text(
        again, recorded_price(again), 80.0
    )


def test_each_cell_costs_what_its_own_trials_took_and_the_usual_where_none_was_trained(tmp_path):
    plan = make_plan(STUDY, tmp_path)
    cheap, dear = plan.points[0].label, plan.points[1].label
    price = Price({cheap: 1.0, dear: 5.0}, 100.0)
    n_others = len(plan.points) - 2
    assert price.cpu_s(plan) == (1.0 + 5.0 + n_others * 3.0) * STUDY.epochs * STUDY.seeds


def test_a_node_that_cannot_hold_as_many_trials_as_it_has_cores_is_warned_of():
    assert "WARNING: give --memory-per-trial" in Price({}, 1e9).memory_text()
    assert "WARNING" not in Price({}, 1.0).memory_text()


@pytest.mark.slow
def test_a_rehearsal_trains_an_epoch_of_each_kind_of_model_and_writes_nothing(toy_study, tmp_path):
    study = replace(
        load_study(str(toy_study())), grid={"pull": (0.1, 1.0, 10.0), "nap_ms": (0, 400)}, fixed={}
    )
    plan = make_plan(study, tmp_path / "out")
    price = rehearsed_price(plan)
    assert set(price.epoch_s) == {point.label for point in plan.points}
    assert len(set(price.epoch_s.values())) == 2, "a pull is a weight, and costs nothing"
    assert price.epoch_s["pull=1,nap_ms=400"] > 0.15 > price.epoch_s["pull=1,nap_ms=0"]
    assert 100 < price.memory_mb < 2000
    assert "an epoch of each kind of model" in plan_text(plan, price)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_model_that_cannot_be_trained_is_told_by_a_rehearsal(toy_study, tmp_path):
    study = replace(load_study(str(toy_study())), grid={"break_at": (1,)})
    with pytest.raises(RefusedError, match="break_at=1 cannot be trained: "):
        rehearsed_price(make_plan(study, tmp_path))
