"""What is imported when: the command line answers at once, and two threads never import the same package."""

import json
import subprocess
import sys

import pytest

BEFORE = "import json, logging, sys, sweeps.driver\nbefore = set(sys.modules)\n"
AFTER = "\nprint(json.dumps(sorted(set(sys.modules) - before)))"
START_RAY = (
    "import ray\nray.init(address='local', include_dashboard=False, log_to_driver=False, logging_level=40)"
)
IMPORT_MLFLOW = "from sweeps.tracking import import_mlflow\nimport_mlflow('sqlite:///x.db')"


def new_modules(before, code):
    """Return what ``code`` imports in a fresh process, after ``before``."""
    command = [sys.executable, "-c", before + code + AFTER]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.strip().splitlines()[-1]))


@pytest.mark.slow
def test_starting_ray_and_importing_mlflow_have_no_import_in_common():
    ray, mlflow = new_modules(BEFORE, START_RAY), new_modules(BEFORE, IMPORT_MLFLOW)
    assert len(mlflow) > 100
    assert not ray & mlflow


def test_the_command_line_imports_nothing_heavy():
    loaded = new_modules("import json, sys\nbefore = set(sys.modules)\n", "import sweeps.commands")
    heavy = {"torch", "ray", "mlflow", "pandas", "numpy", "pyarrow", "matplotlib", "scipy", "optuna"}
    assert "sweeps.commands" in loaded
    assert not loaded & heavy


@pytest.mark.parametrize(
    "study", ["compare_globals_heads", "kl_weight_ssvae", "kl_weight"]
)  # one of each family
def test_planning_imports_neither_torch_nor_ray_nor_mlflow(study):
    plan = f"from sweeps.commands import run_cli\nassert run_cli(['plan', '{study}']) == 0"
    loaded = new_modules("import json, sys\nbefore = set(sys.modules)\n", plan)
    assert "pyarrow" in loaded
    assert not loaded & {"torch", "ray", "mlflow"}
