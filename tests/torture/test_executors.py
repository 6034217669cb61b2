"""Workers elsewhere, killed again and again: processes, a Ray cluster that loses a node, SLURM jobs that reach their walltime.

The end is that of one process, to the last bit. Only `make torture` runs these; Ray and SLURM where they are installed.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from attrition.engine.run import run_study
from attrition.results.at_work import pulses, read_status
from attrition.store.stages import Store
from attrition.study.plan import Job
from attrition.study.spec import Study, build_study
from attrition.study.watcher import Watcher

EN, DE, ZH, TH = "en-US", "de-DE", "zh-CN", "th-TH"
STUDY: dict[str, Any] = {
    "name": "torture-executors",
    "languages": [EN, DE, ZH, TH],
    "methods": ["VANILLA", {"method": "SHARED LoRA", "rank": 4}],
    "orders": [[EN, DE, ZH, TH], [DE, EN, TH, ZH], [ZH, TH, EN, DE], [TH, ZH, DE, EN]],
    "corpus": {"name": "phrasebook", "sizes": {"train": 24, "dev": 6, "test": 10}},
    "model": {"name": "tiny:bert", "precision": "float32"},
    "machine": {"threads": 1, "device": "cpu", "checkpoint_seconds": 0.5},
    "training": {"epochs": 10, "batch_size": 4, "learning_rate": 1e-2, "head_learning_rate": 3e-2},
}
STAGES = 32
KILLS = 12
LIMIT_SECONDS = 1200

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.environ.get("ATTRITION_TORTURE") != "1", reason="only run by `make torture`"),
]


def study(**machine: Any) -> Study:
    """The study with other settings of the machine."""
    return build_study({**STUDY, "machine": {**STUDY["machine"], **machine}}, where="torture")


def weights(folder: Path) -> dict[str, bytes]:
    """The bytes of every stored weight, and of every R."""
    store = Store(folder)
    found = {f"{key}.{name}": a.tobytes() for key in store.keys("stages") for name, a in store.load_tensors(key).items()}
    return found | {path.parent.name: path.read_bytes() for path in folder.glob("runs/*/matrix.csv")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the study."""
    folder = tmp_path_factory.mktemp("alone")
    run_study(study(), folder)
    found = weights(folder)
    assert len({name.partition(".")[0] for name in found}) == STAGES + 8
    return found


class Told(Watcher):
    """Remembers which stages were stored, and what was warned of; acts at some of the stages."""

    def __init__(self, act: Any = None, at: int = 6) -> None:
        self.finished_stages: list[str] = []
        self.warnings: list[str] = []
        self.act, self.at = act, at

    def finished(self, job: Job, unused: int) -> None:
        self.finished_stages.append(job.key)
        if self.act and len(self.finished_stages) == self.at:
            self.act()

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def test_workers_and_drivers_are_killed(tmp_path: Path, alone: dict[str, bytes]) -> None:
    """No stage is stored twice, and none is lost: a stored one keeps the time at which it was written."""
    path, out = tmp_path / "study.toml", tmp_path / "out"
    machine = {**STUDY["machine"], "executor": "processes", "workers": 2}
    path.write_text(tomli_w.dumps({**STUDY, "machine": machine}))
    chance, written, killed = random.Random(0), dict[str, int](), Counter[str]()
    command = [sys.executable, "-m", "attrition", "run", str(path), "--out", str(out), "--no-report"]
    end = time.monotonic() + LIMIT_SECONDS
    code = None
    while code is None and time.monotonic() < end:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as driver:
            while (code := driver.poll()) is None:
                for stage in out.glob("stages/[!.]*"):
                    assert written.setdefault(stage.name, stage.stat().st_mtime_ns) == stage.stat().st_mtime_ns
                at_work = pulses(out)
                if at_work and killed.total() < KILLS and chance.random() < 0.2:
                    if chance.random() < 0.7:
                        with suppress(ProcessLookupError):
                            os.kill(chance.choice(at_work)["pid"], signal.SIGKILL)
                            killed["worker"] += 1
                    else:
                        driver.kill()
                        killed["driver"] += 1
                time.sleep(0.5)
            said = driver.stderr.read() if driver.stderr else ""
        if code == -signal.SIGKILL or "times with the same stages" in said:
            code = None
        assert code in (None, 0), said[-3000:]
    assert min(killed["worker"], killed["driver"]) > 0
    assert weights(out) == alone
    assert not list(out.glob("checkpoints*")) + list(out.glob("working*")) + list(out.glob("stages/.*"))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")
@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_loses_a_node(tmp_path: Path, alone: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: beside other work they would hardly run
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        told = Told(lambda: (cluster.remove_node(nodes[0], allow_graceful=False), cluster.add_node(num_cpus=1)))
        run_study(study(executor="ray", workers=4, ray={"address": cluster.address}), tmp_path, told)
    finally:
        cluster.shutdown()
    assert sorted(told.finished_stages) == sorted(Store(tmp_path).keys("stages"))
    assert weights(tmp_path) == alone


CONF = """
ClusterName=one
SlurmctldHost={host}
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


@pytest.fixture
def one_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """SLURM of one node with four CPUs, as Debian's slurmctld, slurmd and munge make it."""
    programs = [shutil.which(name) for name in ("slurmctld", "slurmd", "munge", "squeue")]
    if not all(programs) or os.geteuid() != 0 or importlib.util.find_spec("submitit") is None:
        pytest.skip("needs slurmctld, slurmd, munge, root and the extra slurm")
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
        pytest.skip("munged does not run")
    folder = tmp_path / "slurm"
    for name in ("spool", "state"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(CONF.format(host=socket.gethostname(), folder=folder))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    daemons = [subprocess.Popen([name, "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for name in programs[:2]]
    try:
        end = time.monotonic() + 60
        while "idle" not in subprocess.run(["sinfo"], capture_output=True, text=True, check=False).stdout:
            assert time.monotonic() < end, (folder / "slurmd.log").read_text()
            time.sleep(1)
        yield folder
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()


@pytest.mark.usefixtures("one_node")
def test_slurm_jobs_go_on_after_their_walltime(
    tmp_path: Path, alone: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array of four, each job a chain; their time is over after half a minute, and one is cancelled by somebody else."""
    monkeypatch.setattr("attrition.engine.executors.slurm.MARGIN_SECONDS", 5 * 60 - 30.0)
    monkeypatch.setattr("attrition.engine.executors.slurm.QUEUE_SECONDS", 2.0)
    out = tmp_path / "out"

    def cancel() -> None:
        assert 0 < len(read_status(out).workers) <= 4
        queue = subprocess.run(
            ["squeue", "--noheader", "--array", "--format=%i %t"], capture_output=True, text=True, check=True
        )
        running = [line.split()[0] for line in queue.stdout.splitlines() if line.endswith(" R")]
        subprocess.run(["scancel", running[0]], check=True)

    told = Told(cancel)
    run_study(study(executor="slurm", workers=4, slurm={"walltime": 5, "partition": "debug"}), out, told)
    assert sorted(told.finished_stages) == sorted(Store(out).keys("stages"))
    assert weights(out) == alone
    arrays = {path.name.partition("_")[0] for path in out.glob("slurm/*_*")}
    assert any((out / "slurm" / f"{number}_3").is_dir() for number in arrays), "an array of four"
    assert len(arrays) > 1, "nothing reached its walltime: were the stages too short?"
