"""How threads wait for each other: decided before torch's OpenMP runtime is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from attrition.cli import wait_quietly

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.mark.parametrize("own", [None, *VARIABLES])
def test_a_users_own_setting_wins(own: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is removed again afterwards
        monkeypatch.delenv(name)
    if own:
        monkeypatch.setenv(own, "17")
    wait_quietly()
    there = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    assert there == ({own: "17"} if own else {"OMP_WAIT_POLICY": "passive"})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other OpenMP runtimes")
def test_the_runtime_that_torch_loads_takes_it() -> None:
    """As the runtime itself reports it, after the command line was entered."""
    program = (
        "import sys\n"
        "from attrition.cli import main\n"
        "try:\n    main(['--version'])\n"
        "except SystemExit:\n    assert 'torch' not in sys.modules\n    import torch\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
