"""What guards saved, and whether they were right: numbers worked out by hand."""

from __future__ import annotations

import json

import pytest
from planted import Planted
from planted_search import RULE, RULE_TEXT, PlantedSearch

from analysis import guards
from analysis.answer import answer
from analysis.load import load_table
from analysis.report import write_report
from sweeps.records import EpochRow, RecordWriter, TrialRow, read_records

OTHER = {"metric": "grad_share/recon", "below": None, "above": 0.99, "patience": 1, "grace": 0}
OTHER_TEXT = "grad_share/recon > 0.99 for 1 epoch"


def trial(state, n_epochs, last=1.0, rule=None, nll=2.0, monitor="valid/K_eff"):
    """Return the description of one trial: its end, its monitor at the last epoch, the rule it broke."""
    return {"state": state, "n_epochs": n_epochs, "last": last, "rule": rule, "nll": nll, "monitor": monitor}


def table_of(tmp_path, trials, rules=(RULE, OTHER), epochs=10):
    study = {
        "name": "guarded",
        "grid": {"w": [float(i) for i in range(len(trials))]},
        "epochs": epochs,
        "seeds": [1],
        "objective": {"metric": "valid/nll", "mode": "min"},
        "guards": list(rules),
    }
    axes = {"w": {"values": [float(i) for i in range(len(trials))]}}
    writer = RecordWriter(tmp_path, {"sweep_id": "s", "study": study, "axes": axes})
    for i, one in enumerate(trials):
        row = TrialRow(f"t{i}", f"w={i}", {"w": float(i)}, 1, wall_s=3.0 * one["n_epochs"])
        row.guard, row.guard_epoch = one["rule"], 3 if one["rule"] else None
        writer.record_trial(row)
        for epoch in range(1, one["n_epochs"] + 1):
            value = one["last"] if epoch == one["n_epochs"] else 1.0
            metrics = {"valid/nll": one["nll"], one["monitor"]: value}
            writer.record_epoch(EpochRow(row.trial_id, epoch, metrics, epoch))
        row.state = one["state"]
        writer.record_trial(row)
    writer.compact()
    return load_table(read_records(tmp_path))


def test_saved_epochs_and_seconds_by_rule_and_by_the_scheduler(tmp_path):
    table = table_of(
        tmp_path,
        [
            trial("collapsed", 4, rule=RULE_TEXT),  # 6 epochs left
            trial("collapsed", 7, rule=RULE_TEXT),  # 3
            trial("collapsed", 2, rule=OTHER_TEXT),  # 8
            trial("pruned", 5),  # 5
            trial("complete", 10),
        ],
    )
    by_rule = {saving.rule: saving for saving in guards.savings(table)}
    assert list(by_rule) == [RULE_TEXT, OTHER_TEXT, guards.SCHEDULER]
    assert [s.ended for s in by_rule.values()] == [2, 1, 1]
    assert [s.epochs for s in by_rule.values()] == [9, 8, 5]
    assert [s.share for s in by_rule.values()] == pytest.approx([9 / 50, 8 / 50, 5 / 50])
    assert [s.seconds for s in by_rule.values()] == pytest.approx([27.0, 24.0, 15.0])


def test_an_audit_counts_rules_that_were_wrong_at_the_last_epoch(tmp_path):
    table = table_of(
        tmp_path,
        [
            trial("complete", 10, last=1.2, rule=RULE_TEXT),  # still below 1.5: right
            trial("complete", 10, last=6.0, rule=RULE_TEXT),  # recovered: wrong
            trial("diverged", 6, last=6.0, rule=RULE_TEXT),  # never recovered: right
            trial("complete", 10, last=1.0, rule=OTHER_TEXT, monitor="grad_share/recon"),  # above 0.99: right
            trial("collapsed", 4, rule=RULE_TEXT),
            trial("complete", 10),
        ],
    )
    overall, *by_rule = guards.audits(table)
    assert (overall.rule, overall.n, overall.wrong) == ("all", 4, 1)
    assert {audit.rule: (audit.n, audit.wrong) for audit in by_rule} == {
        RULE_TEXT: (3, 1),
        OTHER_TEXT: (1, 0),
    }
    assert (overall.low, overall.high) == pytest.approx(
        (0.00631, 0.80588), abs=1e-4
    )  # tables of Clopper-Pearson


def test_an_audited_trial_that_beats_all_others_is_told(tmp_path):
    broken = trial("complete", 10, last=1.0, rule=RULE_TEXT, nll=1.0)
    table = table_of(
        tmp_path, [broken, trial("complete", 10, nll=2.0), trial("collapsed", 4, rule=RULE_TEXT, nll=0.5)]
    )
    assert guards.audits(table)[0].would_be_best == 1
    found = guards.guards_are_right(table)
    assert "1 of them would have been the best trial of the sweep." in found.statement
    assert found.advice.startswith("Loosen the bound")


def test_few_audits_decide_nothing_and_say_how_many_would(tmp_path):
    audited = [trial("complete", 10, last=1.0, rule=RULE_TEXT) for _ in range(3)]
    found = guards.guards_are_right(table_of(tmp_path, [*audited, trial("complete", 10)]))
    assert found.verdict == "undecided"
    assert "0 of 3 audited trials recovered" in found.statement
    assert "from 0% to 71%" in found.statement
    assert "about 72 audits would decide it" in found.statement


@pytest.mark.parametrize(
    ("wrong", "n", "verdict"),
    [(0, 71, "undecided"), (0, 72, "supported"), (1, 3, "undecided"), (5, 10, "rejected")],
)
def test_the_verdict_follows_the_exact_interval(tmp_path, wrong, n, verdict):
    audited = [trial("complete", 1, last=6.0 if i < wrong else 1.0, rule=RULE_TEXT) for i in range(n)]
    table = table_of(tmp_path, [*audited, trial("complete", 1)], epochs=1)
    assert guards.guards_are_right(table).verdict == verdict


def test_without_an_audit_nothing_is_claimed(tmp_path):
    found = guards.guards_are_right(
        table_of(tmp_path, [trial("collapsed", 4, rule=RULE_TEXT), trial("complete", 10)])
    )
    assert found.verdict == "undecided"
    assert "Raise guard_audit" in found.advice


def test_rules_that_nothing_broke_are_not_judged(tmp_path):
    assert (
        guards.guards_are_right(table_of(tmp_path, [trial("complete", 10)] * 2)).verdict == "not_applicable"
    )


def test_a_sweep_without_rules_says_nothing_of_them(tmp_path):
    table = load_table(Planted().write(tmp_path))
    assert guards.findings(table) == guards.exhibits(table) == []
    assert guards.as_json(table) is None


@pytest.mark.slow
def test_the_report_has_a_section_on_guards(tmp_path):
    planted = PlantedSearch(collapse_above=-2.0, audited=3, recovers=True, pruned=5, n_points=20)
    report = write_report(planted.write(tmp_path / "records"), tmp_path / "report")
    data = json.loads((report.folder / "report.json").read_text())["guards"]
    assert data["rules"] == [RULE_TEXT]
    assert [saving["rule"] for saving in data["savings"]] == [RULE_TEXT, "scheduler"]
    assert data["audits"][0]["wrong"] == data["audits"][0]["n"] > 0
    assert (report.folder / "guards.csv").read_text().startswith("rule,trials ended,epochs saved")


def test_cells_count_what_ended_their_trials_apart(tmp_path):
    states = {("vq", 10.0, 1): "collapsed", ("vq", 10.0, 2): "diverged", ("none", 0.0, 1): "pruned"}
    said = answer(load_table(Planted(states=states).write(tmp_path)))
    counts = {cell.label: cell.counts for cell in said.cells}
    assert counts["vq, globals_beta 10"] == {
        "n": 1,
        "n_diverged": 1,
        "n_collapsed": 1,
        "n_pruned": 0,
        "n_other": 0,
    }
    assert counts["none, globals_beta 0"]["n_pruned"] == 1
    assert "vq, globals_beta 10: 1 of 3 seeds completed." in said.problems
