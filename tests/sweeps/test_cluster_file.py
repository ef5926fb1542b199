"""The cluster launcher accepts cluster.yaml as it stands."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.sweeps.conftest import ROOT

CLUSTER = yaml.safe_load((ROOT / "cluster.yaml").read_text())


def ray_schema():
    import ray

    return json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())


@pytest.mark.slow
def test_the_cluster_file_follows_the_schema_that_ray_ships():
    jsonschema.validate(CLUSTER, ray_schema())
    with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
        jsonschema.validate({**CLUSTER, "max_wrokers": 1}, ray_schema())


def test_workers_install_the_pinned_versions_and_start_from_none():
    assert any("-c constraints.txt" in command for command in CLUSTER["setup_commands"])
    assert CLUSTER["available_node_types"]["gpu_worker"]["min_workers"] == 0
    assert CLUSTER["head_node_type"] in CLUSTER["available_node_types"]
