import os
import sys
from types import SimpleNamespace

import pytest

from jaxvid.train import sweep
from jaxvid.train.sessions import COMMAND_VARIABLE
from tests.commands import command_module


@pytest.fixture
def main():
    """The module of the training command."""
    with command_module("jaxvid.main") as module:
        yield module


@pytest.mark.parametrize("given", ["num_processes", "process_id"])
def test_a_number_of_processes_without_their_coordinator_is_refused(main, monkeypatch, given):
    for name in ("distributed", "coordinator", "num_processes", "process_id"):
        flag = SimpleNamespace(name=name, value=1 if name == given else None)
        monkeypatch.setattr(main, f"_{name.upper()}", flag)
    with pytest.raises(ValueError, match=f"^--{given}=1 needs --coordinator=HOST:PORT, or --distributed$"):
        main._start_processes()


def test_the_runs_of_a_sweep_keep_the_command_of_the_sweep(main, tmp_path, monkeypatch):
    commands = []

    def run_sweep(_):
        commands.append(os.environ[COMMAND_VARIABLE])
        return 1

    monkeypatch.setenv(COMMAND_VARIABLE, "")
    monkeypatch.setattr(sys, "argv", ["main.py", "--config=configs/lrcn.py", "--sweep=seed=0,1", "--config.x=a b"])
    monkeypatch.setattr(main, "_CONFIG", SimpleNamespace(value=None))
    monkeypatch.setattr(sweep, "plan_sweep", lambda *_: [])
    monkeypatch.setattr(sweep, "run_sweep", run_sweep)
    assert main._sweep("seed=0,1", tmp_path) == 1
    assert commands == ["python -m jaxvid.main --config=configs/lrcn.py --sweep=seed=0,1 '--config.x=a b'"]
