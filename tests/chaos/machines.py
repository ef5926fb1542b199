"""Real parts to break: Ray nodes on this machine, an MLflow server, and a driver; each may be killed at any time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import ray
from ray.cluster_utils import Cluster

from tests.servers import free_port, wait_for

NODE = {"num_cpus": 2, "num_gpus": 4, "object_store_memory": 100_000_000}  # GPUs by declaration: nobody looks


class Nodes:
    """A head that runs no trial, and nodes that do; in a folder of their own, so that nobody else meets them.

    Args:
        kinds: What each node has, in the words of ``ray start``.
    """

    def __init__(self, kinds: Sequence[Mapping[str, Any]] = (NODE, NODE, NODE)) -> None:
        self.kinds = kinds
        self._folder = tempfile.mkdtemp(prefix="rc", dir="/tmp")  # a short name: it holds sockets
        self._environment = mock.patch.dict(os.environ, RAY_TMPDIR=self._folder)
        self._environment.start()
        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.nodes = [self.cluster.add_node(**kind) for kind in kinds]

    @property
    def address(self) -> str:
        """Where drivers connect."""
        return str(self.cluster.address)

    def kill(self, index: int) -> None:
        """Kill a node as a cut cable would, and start another in its place."""
        self.cluster.remove_node(self.nodes[index], allow_graceful=False)
        self.nodes[index] = self.cluster.add_node(wait=False, **self.kinds[index])

    def notice_and_kill(self, index: int, deadline_s: int) -> None:
        """Announce the end of a node, as a cloud does for spot instances, and kill it when its time is up."""
        drain = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", self.address]
        drain += ["--node-id", self.nodes[index].node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
        drain += ["--reason-message", "spot notice", "--deadline-remaining-seconds", str(deadline_s)]
        subprocess.run(drain, check=False, capture_output=True)
        time.sleep(deadline_s)
        self.kill(index)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that train."""
        return [process for process in psutil.Process().children(recursive=True) if is_worker(process)]

    def promise(self, num_cpus: int, num_gpus: int) -> None:
        """Tell the cluster, as an autoscaler does, that it may start a node with so much."""
        from ray._raylet import GcsClient
        from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

        resources = {"CPU": num_cpus, "GPU": num_gpus}
        group = NodeGroupConfig(name="gpu", resources=resources, min_count=0, max_count=1)
        config = ClusterConfig(node_group_configs=[group])
        GcsClient(address=self.address).report_cluster_config(config.SerializeToString())

    def kill_head(self) -> None:
        """Kill the head as a power cut would."""
        for process in (self.cluster.head_node.kill_gcs_server, self.cluster.head_node.kill_raylet):
            process(check_alive=False)

    def stop(self) -> None:
        """Stop all nodes."""
        self.cluster.shutdown()
        ray.shutdown()
        self._environment.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process trains, or has trained and waits for more."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        title = " ".join(process.cmdline())
        return title.startswith("ray::") and "Trainable" in title
    return False


class TrackingServer:
    """A real MLflow server over SQLite, which may be killed, started again, and made to hang."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        """Start the server, and wait until it answers unless told otherwise."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "served")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when the server answers."""
        assert self.process is not None
        wait_for(f"{self.uri}/health", self.process, self.folder / "server.log")

    def kill(self) -> None:
        """Kill the server with all its workers."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def hang(self, seconds: float) -> None:
        """Let the server keep connections open and answer nothing for a while, which goes by meanwhile."""
        assert self.process is not None
        self.signal(signal.SIGSTOP)
        threading.Timer(seconds, wake, [self.process.pid]).start()

    def signal(self, number: int) -> None:
        """Send a signal to the server and its workers."""
        assert self.process is not None
        os.killpg(self.process.pid, number)


def wake(group: int) -> None:
    """Let a process group go on, if it is still there."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGCONT)


class Driver:
    """`sweeps run`, started again whenever it was killed."""

    def __init__(self, arguments: list[Any], cwd: Path, log: Path) -> None:
        self.command = [sys.executable, "-m", "sweeps", "run", *map(str, arguments)]
        self.cwd, self.log, self.n_starts = cwd, log, 0
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start the driver."""
        self.n_starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill the driver where it stands, and start it again."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.start()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None
