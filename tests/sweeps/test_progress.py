"""What a sweep shows: every part on its own line, plain text when nobody watches, nothing taken for markup."""

import io

from rich.console import Console

from sweeps.progress import LiveProgress, Progress, duration
from sweeps.records import TrialRow
from sweeps.study import Objective

OBJECTIVE = Objective("valid/loss")


def row(seed, state="running", error=None):
    return TrialRow(f"t{seed}", "kl_weight=1", {"kl_weight": 1.0}, seed, state, wall_s=2.0, error=error)


def test_the_live_table_keeps_progress_and_trials_on_lines_of_their_own():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    progress = LiveProgress(OBJECTIVE, n_trials=3, epochs=4, console=console)
    progress.trial_started(row(1))
    progress.epoch_ended(row(1), 2, {"valid/loss": 0.5})
    console.print(progress.render())
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert "0/3 trials" in lines[0]
    assert "best cell so far: kl_weight=1: 0.5 (mean of 1)" in lines[0]
    assert set(lines[1]) <= set("━╸╺ ")
    assert lines[2].startswith("cell")
    assert lines[3].startswith("kl_weight=1")
    assert "2/4" in lines[3]


def test_a_plain_line_says_what_ended_and_what_is_left():
    console = Console(file=io.StringIO(), width=120)
    progress = Progress(OBJECTIVE, n_trials=2, epochs=2, console=console)
    progress.trial_started(row(1))
    progress.epoch_ended(row(1), 2, {"valid/loss": 0.25})
    progress.trial_ended(row(1, "complete"))
    assert console.file.getvalue().startswith(
        "[1/2] kl_weight=1 seed 1: complete in 2.0 s, valid/loss=0.25; about "
    )


def test_brackets_in_an_error_are_shown_and_not_obeyed():
    console = Console(file=io.StringIO(), width=120)
    progress = Progress(OBJECTIVE, n_trials=1, epochs=2, console=console)
    progress.trial_ended(row(1, "failed", "ValueError: x [/tmp/a] [bold]"))
    assert "failed in 2.0 s, ValueError: x [/tmp/a] [bold]" in console.file.getvalue()


def test_durations_read_as_people_say_them():
    assert [duration(s) for s in (4.2, 60, 200, 3660)] == ["4 s", "1 min 00 s", "3 min 20 s", "1 h 01 min"]
