"""What deploy/ and cluster.yaml describe is what Ray, Kubernetes and Slurm take, and it belongs to this project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from sweeps.records import read_records
from sweeps.study_files import study_names
from tests.servers import free_port
from tests.sweeps.conftest import ROOT, only_sweep

LAUNCHED = {
    name: yaml.safe_load((ROOT / name).read_text()) for name in ("cluster.yaml", "deploy/on_premise.yaml")
}
RAYJOB = yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text())
RAYCLUSTER = RAYJOB["spec"]["rayClusterSpec"]
RAY = next(
    line.strip().partition("==")[2] for line in (ROOT / "constraints.txt").open() if line.startswith("ray==")
)
BIN = Path(sys.executable).parent
NOT_FOR_A_CLUSTER = ("overfit_check",)  # minutes on one core


def closed(required, **properties):
    """Return a schema of an object that has these properties, the first of them for sure, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


# What KubeRay 1.5 takes of a RayJob, as far as it is used here; no package that can be had ships its CRD.
COUNT, TEXT, FLAG = {"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "boolean"}
START = {"type": "object", "additionalProperties": TEXT}
POD = {"type": "object"}  # held against Kubernetes' own schema below
HEAD = closed("rayStartParams template", rayStartParams=START, template=POD)
WORKERS = closed(
    "groupName minReplicas maxReplicas rayStartParams template",
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=START,
    template=POD,
)
CLUSTER = closed(
    "headGroupSpec rayVersion",
    rayVersion=TEXT,
    authOptions=closed("mode", mode={"enum": ["token", "disabled"]}),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=closed("version", version={"enum": ["v1", "v2"]}, idleTimeoutSeconds=COUNT),
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
SPEC = closed(
    "entrypoint rayClusterSpec shutdownAfterJobFinishes",
    entrypoint=TEXT,
    suspend=FLAG,
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"const": True},  # the operator refuses suspend and a time to live without it
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)
JOB = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed(
        "name", name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47}
    ),
    spec=SPEC,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_up_takes_the_cluster_file(name):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(LAUNCHED[name])
    validate_config(prepared)
    assert prepared["max_workers"] == sum(
        kind["max_workers"] for kind in prepared["available_node_types"].values()
    )
    with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
        validate_config({**prepared, "max_wrokers": 1})


@pytest.mark.parametrize("name", LAUNCHED)
def test_nodes_have_the_pinned_versions_and_a_token_and_the_head_no_work(name):
    config = LAUNCHED[name]
    setup = "\n".join(config["setup_commands"])
    assert "-c constraints.txt -e '.[cluster]'" in setup
    assert "RAY_AUTH_MODE=token" in setup
    assert "~/.ray/auth_token" in config["file_mounts"].values()
    assert any("--head --num-cpus=0" in command for command in config["head_start_ray_commands"])
    assert "PASSWORD" not in (ROOT / name).read_text()


@pytest.mark.parametrize("name", LAUNCHED)
def test_nodes_have_the_users_variables_as_they_are(name, tmp_path):
    (tmp_path / ".bashrc").touch()
    (tmp_path / ".counterpoise.env").write_text("# mine\n\nMLFLOW_TRACKING_PASSWORD=a $b 'c'\n")
    for _ in range(2):  # as a second `ray up` does
        subprocess.run(
            ["bash", "-c", LAUNCHED[name]["setup_commands"][-1]], env={"HOME": str(tmp_path)}, check=True
        )
    show = ". ~/.bashrc; echo $RAY_AUTH_MODE; printenv MLFLOW_TRACKING_PASSWORD; wc -l < ~/.bashrc"
    shown = subprocess.check_output(
        ["bash", "-c", show], env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    )
    assert shown.decode().splitlines() == ["token", "a $b 'c'", "1"]


def test_on_aws_workers_come_on_spot_and_from_none_and_the_head_does_not():
    head, workers = LAUNCHED["cluster.yaml"]["available_node_types"].values()
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert workers["min_workers"] == 0
    assert workers["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_all_images_have_the_ray_that_was_tested():
    docker = LAUNCHED["cluster.yaml"]["docker"]
    base = (ROOT / "deploy" / "Dockerfile").read_text().split("FROM ")[1].split()[0]
    images = [docker["image"], docker["worker_image"], base]
    assert all(image.startswith(f"rayproject/ray:{RAY}-py311") for image in images)
    assert RAYCLUSTER["rayVersion"] == RAY


def test_the_ray_job_has_fields_that_kuberay_knows():
    jsonschema.validate(RAYJOB, JOB)
    with pytest.raises(jsonschema.ValidationError, match="'backofLimit' was unexpected"):
        jsonschema.validate({**RAYJOB, "spec": {**RAYJOB["spec"], "backofLimit": 1}}, JOB)
    assert RAYCLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert RAYCLUSTER["workerGroupSpecs"][0]["minReplicas"] == 0


@pytest.mark.parametrize("group", [RAYCLUSTER["headGroupSpec"], *RAYCLUSTER["workerGroupSpecs"]])
def test_its_pods_are_what_kubernetes_takes_with_their_secrets_elsewhere(group):
    import kubernetes_validate

    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, **group["template"]}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    (container,) = pod["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "counterpoise"}}]
    assert "env" not in container
    wrong = {**pod, "spec": {**pod["spec"], "containers": [{**container, "imag": "x"}]}}
    with pytest.raises(kubernetes_validate.ValidationError, match="'imag' was unexpected"):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_sweep_of_the_ray_job_is_one_that_the_command_line_takes():
    from sweeps.commands import run as command

    program, *words = RAYJOB["spec"]["entrypoint"].split()
    assert (program, words[:3]) == ("python", ["-m", "sweeps", "run"])
    options = words[3:]
    options[options.index("--out") + 1] = "results"  # the place itself would be opened
    asked = command.make_context("run", options)
    assert asked.params["study"] == "compare_globals_heads"


@pytest.mark.parametrize("name", study_names())
def test_the_cluster_line_of_a_study_is_one_that_its_file_takes(name):
    from sweeps.commands import run as command

    lines = (ROOT / "sweeps" / "studies" / f"{name}.py").read_text().replace("\\\n", " ").splitlines()
    line = next((line for line in lines if line.startswith("Cluster: ")), None)
    if line is None:
        assert name in NOT_FOR_A_CLUSTER
        return
    words = line.split()
    assert words[1:6] == ["ray", "submit", "cluster.yaml", f"sweeps/studies/{name}.py", "--"]
    out = words.index("--out") + 1
    assert words[out] in ("s3://bucket/results", "/shared/results")
    command.make_context("run", [*words[6:out], "results", *words[out + 1 :]])


def test_the_slurm_script_has_no_flaw_that_bash_and_shellcheck_see():
    script = ROOT / "deploy" / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    subprocess.run([BIN / "shellcheck", "--severity=style", script], check=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Run deploy/slurm.sh with a study of a user's own as on the one node of an allocation; return folder and output.

    In a process namespace of its own: `ray symmetric-run` starts and ends with every Ray on the machine.
    """
    from tests.conftest import TOY_STUDY, write_toy_family

    user = tmp_path_factory.mktemp("slurm")
    write_toy_family(user)
    (user / "toy.py").write_text(TOY_STUDY.format(epochs=1, nap_ms=0))
    (user / "srun").write_text('#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n')
    (user / "srun").chmod(0o755)
    job = str(free_port())  # which decides the port
    environment = {
        "PATH": os.pathsep.join([str(user), str(BIN), os.environ["PATH"]]),
        "SLURM_JOB_ID": job,
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_ON_NODE": "2",
        "SLURM_JOB_END_TIME": "4102444800",
    }
    alone = ["unshare", "--pid", "--fork", "--mount-proc", *(["--map-root-user"] if os.getuid() else [])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode and not os.environ.get(
        "CI"
    ):
        pytest.skip("no process namespaces here, and Ray's end would end every Ray on this machine")
    command = [*alone, "bash", ROOT / "deploy" / "slurm.sh", "toy.py", "--out", "out"]
    ran = subprocess.run(
        [*command, "--set", "pull=0,1", "--seeds", "1"],
        cwd=user,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(f"/tmp/ray-{job}", ignore_errors=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return user, ran.stdout


@pytest.mark.slow
def test_in_an_allocation_ray_starts_a_sweep_runs_and_ray_ends(slurm):
    user, said = slurm
    assert "On head node. Starting Ray cluster head" in said
    assert "'--time-budget', '" in said, "the sweep ends before its allocation does"
    assert "Stopped all" in said
    rows = read_records(only_sweep(user / "out")).trials.values()
    assert [row.state for row in rows] == ["complete", "complete"]


@pytest.mark.slow
def test_the_arguments_of_ray_submit_reach_a_study_file(slurm, monkeypatch):
    from ray.scripts import scripts

    user, _ = slurm
    sent, ran = [], []
    monkeypatch.setattr(scripts, "rsync", lambda cluster, source, target, *rest, **more: sent.append(target))
    monkeypatch.setattr(scripts, "exec_cluster", lambda cluster, *, cmd, **more: ran.append(cmd))
    line = ["submit", "cluster.yaml", "toy.py", "--", "--out", "~/out", "--set", "pull=0,1", "--seeds", "1"]
    result = CliRunner().invoke(scripts.cli, line)
    assert result.exit_code == 0, result.output
    assert sent == ["~/toy.py"]
    assert ran == ["python ~/toy.py --out ~/out --set pull=0,1 --seeds 1"]
    home = {"HOME": str(user), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    on_head = subprocess.run(
        ["bash", "-c", ran[0]], env=os.environ | home, capture_output=True, text=True, check=False
    )
    assert on_head.returncode == 0, on_head.stderr
    assert "0 of 2 trials to train" in on_head.stdout, "they ask for the sweep that is there"
