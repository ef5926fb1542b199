"""Sweeps under random faults, on a schedule that a seed decides; afterwards nothing may show that anything happened.

    python -m tests.chaos --sweeps 20

Every sweep has 24 trials and meets `N_FAULTS` faults, drawn from `FAULTS`. What must hold is in `held`.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from sweeps.records import Records, read_records, read_trial_rows
from tests.chaos.machines import Driver, Nodes, TrackingServer
from tests.conftest import TOY_STUDY, write_toy_family
from tests.sweeps.conftest import assert_once_in_mlflow, numbers, only_sweep, sweeps, trained_in_process

N_FAULTS = 5
PULLS = "0,0.1,1,10"
Values = dict[tuple[str, int, int, str], float]
N_TRIALS, EPOCHS, NAP_MS = 24, 8, 500
PATIENCE_S = 400.0
RETRIES = 8  # of a trial whose process dies: faults are more frequent here than anywhere


@dataclass
class Chaos:
    """What may be broken during one sweep.

    Args:
        nodes: The Ray nodes.
        server: The tracking server.
        driver: The sweep.
        draws: Decides what is broken.
        out: Folder of results.
    """

    nodes: Nodes
    server: TrackingServer
    driver: Driver
    draws: random.Random
    out: Path
    happened: list[str] = field(default_factory=list)

    def worker(self) -> str:
        """Kill a process that trains."""
        while not (workers := self.nodes.workers()) and self.driver.runs:
            time.sleep(0.1)  # between two starts of the driver nobody trains
        if workers:
            self.draws.choice(workers).kill()
        return "worker killed"

    def raylet(self) -> str:
        """Kill a node."""
        self.nodes.kill(index := self.draws.randrange(len(self.nodes.nodes)))
        return f"node {index} killed"

    def spot(self) -> str:
        """Announce the end of a node, then kill it."""
        self.nodes.notice_and_kill(index := self.draws.randrange(len(self.nodes.nodes)), deadline_s=2)
        return f"node {index} preempted"

    def tracking(self) -> str:
        """Kill the tracking server and start it again some seconds later."""
        self.server.kill()
        time.sleep(away := self.draws.uniform(1, 3))
        self.server.start(wait=False)
        return f"tracking away for {away:.0f} s and a start"

    def slow(self) -> str:
        """Let the tracking server hang for longer than a request waits."""
        self.server.hang(seconds := self.draws.uniform(5, 15))
        return f"tracking hung for {seconds:.0f} s"

    def restart(self) -> str:
        """Kill the driver and start it again."""
        self.driver.kill()
        return "driver killed"

    def run(self) -> None:
        """Do `N_FAULTS` things, each when a random share of the epochs is recorded, and wait for the sweep's end."""
        faults: list[Callable[[], str]] = [
            self.worker, self.raylet, self.restart, self.tracking, self.slow, self.spot
        ]  # fmt: skip
        plan = sorted(
            (self.draws.uniform(0, 0.9), self.draws.choice(range(len(faults)))) for _ in range(N_FAULTS)
        )
        for share, number in plan:
            while recorded_share(self.out) < share and self.driver.runs:
                time.sleep(0.1)
            time.sleep(self.draws.uniform(0, 1))
            if self.driver.runs:
                self.happened.append(f"at {share:.0%} {faults[number]()}")
        deadline = time.monotonic() + PATIENCE_S
        while self.driver.runs and time.monotonic() < deadline:
            time.sleep(0.1)


def recorded_share(out: Path) -> float:
    """Return how much of a sweep is recorded, from 0 to 1."""
    folders = [path.parent for path in out.glob("*/*/sweep.json")]
    return (
        sum(row.n_epochs for folder in folders for row in read_trial_rows(folder).values())
        / N_TRIALS
        / EPOCHS
    )


@dataclass(frozen=True)
class Outcome:
    """What became of one sweep."""

    seed: int
    faults: list[str]
    starts: int
    syncs: int
    wall_s: float
    states: dict[str, int]
    broken: list[str]


def reference(folder: Path) -> Values:
    """Return the values of the sweep as they are without any fault."""
    study = write_study(folder, nap_ms=0)
    return trained_in_process(
        study, folder / "reference", {"pull": [float(p) for p in PULLS.split(",")]}, seeds=6
    )


def write_study(folder: Path, nap_ms: int) -> Path:
    """Write the study with its family; return the file."""
    write_toy_family(folder)
    study = folder / f"toy_{nap_ms}.py"
    study.write_text(TOY_STUDY.format(epochs=EPOCHS, nap_ms=nap_ms))
    return study


def run_one(
    seed: int, folder: Path, nodes: Nodes, expected: dict[tuple[str, int, int, str], float]
) -> Outcome:
    """Run one sweep under the faults of ``seed``, and look at what it left."""
    folder.mkdir()
    server, study, out = TrackingServer(folder), write_study(folder, NAP_MS), folder / "out"
    server.start()
    arguments = [study, "--set", f"pull={PULLS}", "--seeds", 6, "--out", out, "--tracking-uri", server.uri]
    arguments += [
        "--address",
        nodes.address,
        "--gpus-per-trial",
        1,
        "--device",
        "cpu",
        "--max-failures",
        RETRIES,
    ]
    began = time.monotonic()
    chaos = Chaos(nodes, server, Driver(arguments, folder, folder / "driver.log"), random.Random(seed), out)
    chaos.run()
    broken = [f"the driver has not ended after {PATIENCE_S:.0f} s"] if chaos.driver.runs else []
    if chaos.driver.process.poll() == 1:  # a trial is left, and the driver has said so
        chaos.driver.start()
        chaos.driver.process.wait(PATIENCE_S)
    server.wait()
    n_syncs = 0
    while "sweeps sync" in chaos.driver.log.read_text() and n_syncs < 3:  # MLflow was away at the end
        n_syncs += 1
        if not sweeps("sync", "--out", out, "--tracking-uri", server.uri, cwd=folder, check=False).returncode:
            break
    wall_s = time.monotonic() - began
    records = read_records(only_sweep(out))
    broken += held(chaos, records, expected, server.uri)
    server.kill()
    states = dict(Counter(row.state for row in records.trials.values()))
    return Outcome(seed, chaos.happened, chaos.driver.n_starts, n_syncs, round(wall_s, 1), states, broken)


def held(chaos: Chaos, records: Records, expected: Values, uri: str) -> list[str]:
    """Return which promise is broken: all trials once, bit for bit, once in MLflow, no orphan, no process left."""
    broken = []
    if chaos.driver.process.poll() != 0:
        broken.append(f"exit status {chaos.driver.process.poll()}: {chaos.driver.log.read_text()[-1500:]}")
    if len(records.trials) != N_TRIALS or {row.state for row in records.trials.values()} != {"complete"}:
        broken.append(f"states {Counter(row.state for row in records.trials.values())}")
    found = numbers(records)
    if found != expected:
        keys = [key for key in {*found, *expected} if found.get(key) != expected.get(key)]
        broken.append(f"{len(keys)} values differ, the first {keys[0]}: {found.get(keys[0])}")
    if len(found) != records.history.num_rows:
        broken.append("a value is recorded twice")
    try:
        assert_once_in_mlflow(uri, records)
    except AssertionError as error:
        broken.append(f"MLflow: {error}")
    if left := [process.pid for process in chaos.nodes.workers()]:
        time.sleep(3)
        if left := [process.pid for process in chaos.nodes.workers() if process.pid in left]:
            broken.append(f"processes {left} still train")
    return broken


def storm(n_sweeps: int, first_seed: int, folder: Path, say: Callable[[str], None] = print) -> list[Outcome]:
    """Run ``n_sweeps`` sweeps, each under the faults of its seed; stop everything that was started."""
    expected = reference(folder)
    nodes = Nodes()
    outcomes = []
    try:
        for seed in range(first_seed, first_seed + n_sweeps):
            outcome = run_one(seed, folder / f"sweep_{seed}", nodes, expected)
            effort = f"{outcome.wall_s:.0f} s, {outcome.starts} starts, {outcome.syncs} syncs"
            say(f"seed {seed}: {effort}, {'; '.join(outcome.faults)}")
            say(
                f"    {outcome.states} {'BROKEN: ' + '; '.join(outcome.broken) if outcome.broken else 'held'}"
            )
            outcomes.append(outcome)
    finally:
        nodes.stop()
    deadline = time.monotonic() + 10
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        say(f"processes left: {[' '.join(process.cmdline())[:100] for process in left]}")
    return outcomes


def main(n_sweeps: int, first_seed: int, results: Path | None) -> int:
    """Run a storm from the command line; return 1 when any promise was broken."""
    with tempfile.TemporaryDirectory(prefix="chaos_") as folder:
        outcomes = storm(n_sweeps, first_seed, Path(folder))
    n_broken = sum(bool(outcome.broken) for outcome in outcomes)
    n_faults = sum(len(outcome.faults) for outcome in outcomes)
    print(f"{len(outcomes)} sweeps of {N_TRIALS} trials, {n_faults} faults: {n_broken} broke a promise")
    if results is not None:
        results.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    return 1 if n_broken else 0
