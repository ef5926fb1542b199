"""A disk that fills up in mid-sweep: one line says so, and with room again everything is there once."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from sweeps.records import read_records
from tests.sweeps.conftest import numbers, only_sweep, sweeps, trained_in_process

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """Return the folder of a file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, check=False
    )
    if mount.returncode:
        assert "CI" not in os.environ, mount.stderr
        pytest.skip(f"may not mount a file system here: {mount.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_ends_the_sweep_with_one_line_and_room_lets_it_go_on(small_disk, tmp_path, toy_study):
    study, out = toy_study(epochs=6, nap_ms=700), small_disk / "out"
    options = ["--out", out, "--tracking-uri", f"sqlite:///{tmp_path}/m.db", "--address", "local"]
    command = [sys.executable, "-m", "sweeps", "run", *map(str, [study, *options])]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while not any('"epoch"' in path.read_text() for path in out.glob("*/*/journal.jsonl")):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    fill(small_disk / "filler")
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 1
    (line,) = [line for line in said.splitlines() if line.startswith("sweeps:")]
    assert "cannot be written: No space left on device" in line
    assert "make room, then run it again to resume" in line
    assert "Traceback" not in said
    (small_disk / "filler").unlink()
    sweeps("run", study, *options, cwd=tmp_path)
    records = read_records(only_sweep(out))
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert numbers(records) == trained_in_process(study, tmp_path / "reference")


def fill(path):
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))
