"""Twelve languages with processes, with a Ray cluster that loses a node, and with SLURM jobs that reach their time limit.

The result equals that of one process, bit for bit. Only `make torture` runs these; Ray and SLURM only if installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from attrition.engine.run import run_study
from attrition.languages import LANGUAGES
from attrition.results.at_work import read_status
from attrition.store.stages import Store
from attrition.study.plan import Job
from attrition.study.spec import Study, build_study
from attrition.study.watcher import Watcher

STUDY: dict[str, Any] = {
    "name": "torture-executors",
    "languages": list(LANGUAGES)[:12],
    "methods": ["VANILLA"],
    "orders": [f"random:{number}" for number in range(4)],
    "corpus": {"name": "phrasebook", "sizes": {"train": 12, "dev": 0, "test": 4}},
    "model": {"name": "tiny:bert", "precision": "float32"},
    "machine": {"threads": 1, "device": "cpu", "checkpoint_seconds": 2},
    "training": {"epochs": 1, "keep": "last", "batch_size": 2, "learning_rate": 1e-2, "head_learning_rate": 3e-2},
}
STAGES, STEPS = 48, 48 * 6

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.environ.get("ATTRITION_TORTURE") != "1", reason="only run by `make torture`"),
]


def study(**machine: Any) -> Study:
    """Return the study with other settings of the machine."""
    return build_study({**STUDY, "machine": {**STUDY["machine"], **machine}}, where="torture")


def weights(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every stored weight, and of every R."""
    store = Store(folder)
    found = {f"{key}.{name}": a.tobytes() for key in store.keys("stages") for name, a in store.load_tensors(key).items()}
    return found | {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/matrix.csv")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the result of one process for the study."""
    folder = tmp_path_factory.mktemp("alone")
    run_study(study(), folder)
    found = weights(folder)
    assert len({name.partition(".")[0] for name in found}) == STAGES + 4
    return found


needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")


class Told(Watcher):
    """Records the stored stages; acts once, at a given number of them."""

    def __init__(self, act: Callable[[], object] = lambda: None, at: int = 8) -> None:
        self.finished_stages: list[str] = []
        self.act, self.at = act, at

    def finished(self, job: Job, unused: int) -> None:
        self.finished_stages.append(job.key)
        if len(self.finished_stages) == self.at:
            self.act()


@dataclass(frozen=True)
class Trial:
    """A run of the study into `out`, and what is known of it: the result of one process, and the notes of its workers."""

    out: Path
    alone: dict[str, bytes]
    notes: Path
    noted: Callable[[Path], Any]
    kill_table: Callable[..., None]

    def check(self, finished: list[str], lost: int, executor: str, kills: str) -> Any:
        """Check that the bits equal those of one process, every stage was stored once, and at most `lost` steps were repeated.

        Write a row of the table of kills, and return the notes.
        """
        found = self.noted(self.notes)
        assert sorted(finished) == sorted(Store(self.out).keys("stages"))
        assert weights(self.out) == self.alone
        assert len(found.steps) == STEPS
        assert not found.after_stored
        assert found.repeated <= lost
        self.kill_table(executor, kills, [found])
        return found


@pytest.fixture
def trial(
    tmp_path: Path, alone: dict[str, bytes], notes: Path, noted: Callable[[Path], Any], kill_table: Callable[..., None]
) -> Trial:
    """Return a run that has not begun."""
    return Trial(tmp_path / "out", alone, notes, noted, kill_table)


DRIVER = """
import json, sys
from pathlib import Path
from attrition.engine.run import run_study
from attrition.study.spec import build_study
if sys.argv[3:]:
    import attrition.engine.executors.slurm as slurm
    slurm.QUEUE_SECONDS, slurm.LOOK_SECONDS = 2.0, 1.0
run_study(build_study(json.loads(sys.argv[1]), where="torture"), Path(sys.argv[2]))
"""


def kill_a_driver(out: Path, stages: int = 8, **machine: Any) -> list[str]:
    """Run the study in another process, kill it by SIGKILL after this number of stored stages, and return their keys."""
    raw = json.dumps({**STUDY, "machine": {**STUDY["machine"], **machine}})
    slurm = ["slurm"] if machine["executor"] == "slurm" else []
    # In a separate session: processes that the driver started must end, or continue, without help.
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, raw, str(out), *slurm], start_new_session=True)
    end = time.monotonic() + 600
    while len(Store(out).keys("stages")) < stages:
        assert driver.poll() is None, "the driver ended by itself"
        assert time.monotonic() < end, "no stage was stored"
        time.sleep(0.2)
    driver.kill()
    driver.wait()
    return Store(out).keys("stages")


def test_processes(trial: Trial) -> None:
    told = Told()
    run_study(study(executor="processes", workers=3), trial.out, told)
    trial.check(told.finished_stages, 0, "`processes`, 12 languages, 3 workers", "0")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, notes: Path) -> Iterator[Any]:
    """Start three nodes of Ray on this machine, two of which train. Their workers write notes."""
    assert notes.exists()
    # Beside other work a worker of niceness 15 hardly runs, and Ray treats a slow node as lost.
    for name, value in {
        "worker_niceness": 0,
        "health_check_timeout_ms": 120_000,
        "worker_register_timeout_seconds": 600,
        "raylet_start_wait_time_s": 600,
    }.items():
        monkeypatch.setenv(f"RAY_{name}", str(value))
    monkeypatch.setenv("ATTRITION_SLOW", "0.1")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_loses_a_node(trial: Trial, cluster: Any) -> None:
    """One of two training nodes is lost during a stage, and a new one joins."""
    node = next(iter(cluster.worker_nodes))
    told = Told(lambda: (cluster.remove_node(node, allow_graceful=False), cluster.add_node(num_cpus=1)))
    run_study(study(executor="ray", workers=4, ray={"address": cluster.address}), trial.out, told)
    trial.check(told.finished_stages, 3, "`ray`, 12 languages, 2 nodes of 1 CPU", "1 of a node")


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_killed_driver_of_a_ray_cluster(trial: Trial, cluster: Any) -> None:
    """Ray ends the tasks of a dead driver. The next driver resumes from the stored stages."""
    out, machine = trial.out, {"executor": "ray", "workers": 4, "ray": {"address": cluster.address}}
    kill_a_driver(out, **machine)
    told, before = Told(), Store(out).keys("stages")
    run_study(study(**machine), out, told)
    # After the death of its driver a worker may still store a stage.
    late = set(Store(out).keys("stages")) - {*before, *told.finished_stages}
    assert len(late) <= 4
    trial.check([*before, *late, *told.finished_stages], 2 * 3, "`ray`, 12 languages, 2 nodes of 1 CPU", "1 of a driver")


CONF = """
ClusterName=one
SlurmctldHost={host}
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/linuxproc
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdParameters=config_overrides
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
NodeName={host} CPUs=4 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
WALLTIME = 30
"""Minutes."""
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "squeue")


def say(*command: str) -> str:
    """Return the output of a command."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def one_node(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Start SLURM with one node of four CPUs and its own munge, from Debian's slurmctld, slurmd and munge."""
    if not all(map(shutil.which, PROGRAMS)) or os.geteuid() != 0 or importlib.util.find_spec("submitit") is None:
        pytest.skip("needs munged, slurmctld, slurmd, root and the extra slurm")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("spool", "state", "munge"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(CONF.format(host=socket.gethostname(), folder=folder))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{name}={folder / 'munge' / file}" for name, file in munge.items()]
    subprocess.run(["mungekey", "--create", f"--keyfile={folder / 'munge/key'}"], check=True)
    with ExitStack() as daemons:
        # --force: the folders of pytest are open to their owner only.
        for command in (["munged", "--foreground", "--force", *options], ["slurmctld", "-D"], ["slurmd", "-D"]):
            daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            daemons.callback(daemon.wait)
            daemons.callback(daemon.terminate)
            end = time.monotonic() + 60
            while command[0] == "munged" and not (folder / "munge/socket").exists():
                assert time.monotonic() < end, "munged does not start"
                time.sleep(0.1)
        while "idle" not in say("sinfo"):
            assert time.monotonic() < end, (folder / "slurmd.log").read_text()
            time.sleep(1)
        yield folder
        say("scancel", "--me")
        while say("squeue", "--noheader"):
            time.sleep(1)


@pytest.mark.usefixtures("one_node")
def test_slurm_jobs_go_on_after_their_walltime(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of four, each task a chain of 12 stages; one is cancelled, and the others reach their time limit early."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import attrition.engine.executors.remote"], check=True)
    limit = 20 + 4 * (time.monotonic() - began)  # four import torch at a time, on a machine that may be busy
    monkeypatch.setattr("attrition.engine.executors.slurm.MARGIN_SECONDS", 60 * WALLTIME - limit)
    monkeypatch.setattr("attrition.engine.executors.slurm.QUEUE_SECONDS", 2.0)
    monkeypatch.setattr("attrition.engine.executors.slurm.LOOK_SECONDS", 1.0)
    monkeypatch.setenv("ATTRITION_SLOW", str(limit / 60))  # a chain has 72 steps
    out = trial.out

    def cancel() -> None:
        assert 0 < len(read_status(out).workers) <= 4
        running = re.findall(r"^(\S+) R$", say("squeue", "--noheader", "--array", "--format=%i %t"), re.MULTILINE)
        subprocess.run(["scancel", running[0]], check=True)

    told = Told(cancel)
    run_study(study(executor="slurm", workers=4, slurm={"walltime": WALLTIME, "partition": "debug"}), out, told)
    arrays = {path.name.partition("_")[0] for path in out.glob("slurm/*_*")}
    row = f"`slurm`, 12 languages, array of 4, {len(arrays)} arrays in all"
    found = trial.check(told.finished_stages, 3, row, "1 job cancelled, others at walltime")
    assert any((out / "slurm" / f"{number}_3").is_dir() for number in arrays), "an array of four"
    assert any(len(each) > 1 for each in found.processes.values()), "no stage went on in another job"


@pytest.mark.usefixtures("one_node")
def test_a_killed_driver_of_slurm_jobs(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a killed driver continue. The next driver waits for them and trains no stage twice."""
    monkeypatch.setattr("attrition.engine.executors.slurm.QUEUE_SECONDS", 2.0)
    monkeypatch.setattr("attrition.engine.executors.slurm.LOOK_SECONDS", 1.0)
    monkeypatch.setenv("ATTRITION_SLOW", "0.3")
    out, machine = trial.out, {"executor": "slurm", "workers": 4, "slurm": {"walltime": WALLTIME, "partition": "debug"}}
    kill_a_driver(out, **machine)
    assert say("squeue", "--noheader"), "no job outlived its driver"
    told, before = Told(), Store(out).keys("stages")
    run_study(study(**machine), out, told)
    late = set(Store(out).keys("stages")) - {*before, *told.finished_stages}
    trial.check([*before, *late, *told.finished_stages], 0, "`slurm`, 12 languages, array of 4 on 1 node", "1 of a driver")
