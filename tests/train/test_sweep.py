import os
import signal
import subprocess
import sys
import time

import pytest

from jaxvid.config import base_config
from jaxvid.train.sweep import SweepRun, parse_sweep, plan_sweep, run_sweep

ARGUMENTS = ["--config=configs/shdn.py:arch=C4R1D2", "--workdir", "runs/s", "--sweep=x", "--config.seed=3", "-v", "1"]


@pytest.fixture
def config():
    return base_config()


def test_a_key_of_the_config_becomes_a_flag(config):
    runs = plan_sweep(config, ARGUMENTS, "optimizer.learning_rate=1e-3,1e-4")
    assert [str(run.workdir) for run in runs] == [
        "runs/s/optimizer.learning_rate=1e-3",
        "runs/s/optimizer.learning_rate=1e-4",
    ]
    assert runs[0].arguments == [
        "--config=configs/shdn.py:arch=C4R1D2",
        "--workdir=runs/s/optimizer.learning_rate=1e-3",
        "--config.seed=3",
        "-v",
        "1",
        "--config.optimizer.learning_rate=1e-3",
    ]


def test_an_argument_of_the_config_joins_its_string_and_is_checked_first(config, pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)
    runs = plan_sweep(config, ARGUMENTS, "normalize=true,false")
    assert [run.arguments[0] for run in runs] == [
        "--config=configs/shdn.py:arch=C4R1D2,normalize=true",
        "--config=configs/shdn.py:arch=C4R1D2,normalize=false",
    ]
    with pytest.raises(ValueError, match="normalize='no'; allowed: true, false"):
        plan_sweep(config, ARGUMENTS, "normalize=true,no")
    with pytest.raises(ValueError, match="unknown config argument 'model.archh'"):
        plan_sweep(config, ARGUMENTS, "model.archh=C4R1D2,C6R1D2")


def test_folds_share_out_all_sources(config):
    config.dataset.update(train_split="train@!0/10", val_split="train@0/10", test_split="test")
    first, last = plan_sweep(config, ARGUMENTS, "fold=0/3,2/3")
    assert first.workdir.name == "fold=0-3"
    assert first.arguments[-3:] == [
        "--config.dataset.train_split=train+test@!0+1/3",
        "--config.dataset.val_split=train+test@1/3",
        "--config.dataset.test_split=train+test@0/3",
    ]
    assert last.arguments[-3] == "--config.dataset.train_split=train+test@!2+0/3"


def test_joined_datasets_have_folds_of_their_own(config):
    config.dataset.update(
        name="hockey_fight/64x64+violent_flows/64x64",
        train_split="train,fold2+fold3",
        val_split="train,fold4",
        test_split="test,fold1",
    )
    (run,) = plan_sweep(config, ARGUMENTS, "fold=1/4")
    assert run.arguments[-3:] == [
        "--config.dataset.train_split=train+test@!1+2/4,fold2+fold3+fold4+fold1@!1+2/4",
        "--config.dataset.val_split=train+test@2/4,fold2+fold3+fold4+fold1@2/4",
        "--config.dataset.test_split=train+test@1/4,fold2+fold3+fold4+fold1@1/4",
    ]


def test_folds_leave_the_split_of_another_dataset_alone(config):
    config.dataset.update(train_split="train@!0/10", val_split="train@0/10", test_name="hockey_fight/64x64")
    (run,) = plan_sweep(config, ARGUMENTS, "fold=1/4")
    assert run.arguments[-2:] == [
        "--config.dataset.train_split=train@!1+2/4",
        "--config.dataset.val_split=train@2/4",
    ]


@pytest.mark.parametrize("value", ["3/3", "1", "0/2", "a/b"])
def test_a_bad_fold_is_named(config, value):
    with pytest.raises(ValueError, match=f"fold='{value}'; allowed: i/k"):
        plan_sweep(config, ARGUMENTS, f"fold={value}")


@pytest.mark.parametrize("sweep", ["seed", "seed=", "=1,2", "seed=1,1", "seed=1,,2"])
def test_a_sweep_that_cannot_be_read_is_refused(sweep):
    with pytest.raises(ValueError, match=r"is not of the form KEY=v1,v2,... with different values"):
        parse_sweep(sweep)


def test_the_first_run_that_fails_ends_the_sweep(tmp_path, monkeypatch):
    done = tmp_path / "done"
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$3" >> {done}\ntest "$3" != bad || exit 5\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert run_sweep([SweepRun(tmp_path, ["good"]), SweepRun(tmp_path, ["bad"]), SweepRun(tmp_path, ["never"])]) == 5
    assert done.read_text().split() == ["good", "bad"]


def test_a_run_that_the_kernel_kills_is_told_as_such(tmp_path, monkeypatch, caplog):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with caplog.at_level("ERROR", logger="absl"):
        assert run_sweep([SweepRun(tmp_path, [])] * 2) == 137
    assert caplog.messages == [
        f"{tmp_path} failed: killed by SIGKILL, as by the kernel where memory runs out; "
        "run the same command again to resume"
    ]


def test_a_sigterm_reaches_the_run_which_ends_by_itself(tmp_path):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\ntrap "exit 143" TERM\ntouch "$3"\nwhile :; do sleep 0.1; done\n')
    program.chmod(0o755)
    started = tmp_path / "started"
    script = (
        "import sys; from jaxvid.train.sweep import *; "
        f"sys.executable = {str(program)!r}; sys.exit(run_sweep([SweepRun(Path('.'), [{str(started)!r}])] * 2))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 143
