import json
import os
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

from jaxvid import commands
from jaxvid.commands import user_message

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

COMMANDS = (
    "main",
    "evaluate",
    "predict",
    "compare",
    "export",
    "baselines",
    "benchmark",
    "models",
    "data.check",
    "data.prepare",
    "data.show",
)

# Runs a command as `python -m` does, and prints which slow libraries it has imported.
_WATCHED = """
import atexit, runpy, sys
slow = {"decord", "grain", "jax", "matplotlib", "orbax", "sklearn", "tensorflow", "tensorflow_datasets"}
atexit.register(lambda: print("imported:", sorted(slow & set(sys.modules))))
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run(*command, python=("-m",)):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, *python, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


FULL = "RuntimeError('write() failed: No space left on device;\\nwriting /disk/clips; at byte 7')"


def test_a_full_disk_is_one_line_whatever_library_says_so():
    """ArrayRecord, for example, raises no OSError."""
    code = "import sys; sys.argv = ['x']; from jaxvid import commands\ndef main(_): raise {}\ncommands.run(main)"
    full = run(code.format(FULL), python=("-c",))
    assert (full.returncode, full.stderr) == (
        1,
        "error: write() failed: No space left on device; writing /disk/clips; at byte 7\n",
    )
    other = run(code.format("RuntimeError('something else')"), python=("-c",))
    assert "Traceback" in other.stderr


# Files may have at most 4 KiB, as if the disk were full behind that.
SMALL_FILES = """
import contextlib, dataclasses, resource, sys
from pathlib import Path
import numpy as np
from jaxvid import checkpoint, commands

@dataclasses.dataclass
class State:
    step: int
    params: np.ndarray

def main(_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    with contextlib.closing(checkpoint.open_checkpoints(Path(sys.argv.pop()), "val_accuracy")) as checkpoints:
        state = State(1, np.random.default_rng(0).random(10_000))
        checkpoint.save(checkpoints, state, loop={}, metrics={"val_accuracy": 0.5})

commands.run(main)
"""


def test_a_full_disk_is_one_line_where_checkpoints_are_written_in_the_background(tmp_path):
    """Orbax's threads log the same error with a traceback before."""
    full = run(str(tmp_path), python=("-c", SMALL_FILES))
    [line] = full.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"{tmp_path}/checkpoints/1" in line
    assert "File too large" in line


# What Orbax does when one of several arrays cannot be written: it ends its loop, and TensorStore writes the others.
ENDED_LOOP = """
import asyncio, sys
import tensorstore
from jaxvid import commands

class Broken:
    def __del__(self):
        raise RuntimeError("something else")

async def write(future):
    await future

async def fail():
    raise ValueError("the disk is full")

async def save(future):
    await asyncio.gather(write(future), fail())

def main(arguments):
    promise, future = tensorstore.Promise.new()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(save(future))
    finally:
        loop.close()
        promise.set_result(None)
        if "broken" in arguments:
            Broken()

commands.run(main)
"""


def test_arrays_that_are_written_after_one_that_failed_print_no_traceback():
    assert run(python=("-c", ENDED_LOOP)).stderr == "error: the disk is full\n"
    assert "RuntimeError: something else" in run("broken", python=("-c", ENDED_LOOP)).stderr


def test_a_full_disk_is_not_taken_for_memory_however_long_its_path_is():
    """TensorStore says RESOURCE_EXHAUSTED of both."""
    path = "/".join(["", *["a" * 60] * 8])
    full = ValueError(f'RESOURCE_EXHAUSTED: Failed writing: "{path}": No space left on device')
    message = str(user_message(full))
    assert message.startswith('No space left on device: RESOURCE_EXHAUSTED: Failed writing: "/aaa')
    assert "memory" not in message


def test_memory_that_runs_out_is_one_line_whatever_library_says_so():
    assert user_message(MemoryError()) == "out of memory"
    with pytest.raises(MemoryError) as raised:
        np.empty(1 << 60, np.uint8)
    assert user_message(raised.value).startswith("out of memory: Unable to allocate 1.00 EiB for an array")
    exhausted = RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\nBufferAssignment:\n  ...")
    assert user_message(exhausted) == (
        "out of memory: RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes. BufferAssignment: ..."
    )
    assert user_message(OSError(12, "Cannot allocate memory")) == "out of memory: [Errno 12] Cannot allocate memory"
    assert user_message(RuntimeError("can't start new thread")) == "out of memory: can't start new thread"
    assert user_message(RuntimeError("something else")) is None


@pytest.mark.parametrize("command", COMMANDS)
def test_help_waits_for_no_slow_library_and_is_no_error(command):
    done = run(f"jaxvid.{command}", "--help", python=("-c", _WATCHED))
    assert done.returncode == 0
    *shown, imported = done.stdout.splitlines()
    assert f"python -m jaxvid.{command}" in "\n".join(shown)
    assert imported == "imported: []"


def test_a_config_that_ends_the_program_keeps_its_message_and_status(tmp_path):
    (tmp_path / "config.py").write_text("import sys\nsys.exit('no config today')\n")
    done = run("jaxvid.main", f"--config={tmp_path / 'config.py'}")
    assert (done.returncode, done.stderr) == (1, "no config today\n")


def test_a_user_error_is_one_line_and_an_exit_code(tmp_path):
    done = run("jaxvid.evaluate", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == f"error: {tmp_path} is no workdir of a training run: it has no config.json"


@pytest.mark.parametrize("command", ["main", "benchmark"])
def test_unexpected_arguments_are_refused(command, tmp_path):
    options = [f"--workdir={tmp_path}"] if command == "main" else []
    done = run(f"jaxvid.{command}", "--config=configs/quickstart.py", *options, "steps=3")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: unexpected argument 'steps=3'; options begin with --"


def test_the_main_command_refuses_bad_values_and_unknown_arguments(tmp_path):
    config = "--config=configs/quickstart.py"
    done = run("jaxvid.main", config, f"--workdir={tmp_path}", "--config.optimizer.name=adma")
    assert done.returncode == 1
    assert "error: config.optimizer.name is 'adma'; allowed: adam, adamw, sgd" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = run("jaxvid.main", config + ":size=3", f"--workdir={tmp_path}")
    assert done.returncode != 0
    assert "unknown config argument 'size'" in done.stderr


REFUSING_CONFIG = """
import ml_collections

def get_config(arg=None):
    if arg == "wrong":
        raise ValueError("config argument 'wrong'; allowed: none")
    if arg == "mistake":
        return ml_collections.ConfigDict().nothing
    return ml_collections.ConfigDict({"train": {"num_epochs": int(arg or 3)}})
"""


# Of ml_collections, which imports config files.
loads_config = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@loads_config
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--config=config.py", "--config.train.num_epoch=4"],
            'there is no config key config.train.num_epoch. Did you mean "num_epochs" instead of "num_epoch"?',
        ),
        (
            ["--config=config.py", "--config.model.name=x"],
            "there is no config key config.model.name. jaxvid/config.py lists all keys.",
        ),
        (["--config=config.py:wrong"], "config argument 'wrong'; allowed: none"),
        (["--config=cofnig.py", "--config.train.num_epochs=4"], "[Errno 2] No such file or directory: 'cofnig.py'"),
        (
            ["--config=config.py", "--config.train.num_epochs=four"],
            "flag --config.train.num_epochs=four: invalid literal for int() with base 10: 'four' "
            "(--help lists the flags)",
        ),
        (["--confgi=config.py"], "Unknown command line flag 'confgi'. Did you mean: config ? (--help lists the flags)"),
    ],
)
def test_a_misspelled_config_is_one_line(arguments, message, config_flag, capsys):
    with pytest.raises(SystemExit) as ended:
        config_flag(arguments)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {message}\n"


@loads_config
def test_a_mistake_in_a_config_file_keeps_its_traceback(config_flag, capsys):
    with pytest.raises(AttributeError, match="nothing"):
        config_flag(["--config=config.py:mistake"])
    with pytest.raises(SystemExit):
        config_flag(["--config=config.py:4.5"])
    assert 'config.py", line 9, in get_config' in capsys.readouterr().err


@pytest.fixture
def config_flag(tmp_path, monkeypatch):
    """Parses arguments as a command with the flag --config does, in a directory with config.py."""

    def parse(arguments):
        values = flags.FlagValues()
        argv = ["command", *arguments]
        config_flags.DEFINE_config_file("config", None, "", values, sys_argv=argv)
        monkeypatch.setattr(commands.flags, "FLAGS", values)
        return commands._parsed(argv)

    (tmp_path / "config.py").write_text(REFUSING_CONFIG)
    monkeypatch.chdir(tmp_path)
    return parse


def small(data_dir):
    """The quickstart config on a few clips of few pixels."""
    return [
        "--config=configs/quickstart.py:",
        "--config.dataset.name=synthetic_fight/tiny",
        f"--config.dataset.data_dir={data_dir}",
        "--config.clip.num_frames=4",
        "--config.clip.height=32",
        "--config.clip.width=32",
        "--config.model.arch=C4R1D2",
        "--config.train.batch_size=8",
        "--config.train.num_epochs=1",
        "--config.eval.num_resamples=50",
    ]


@pytest.mark.slow
def test_the_main_command_trains_and_evaluates(data_dir, tmp_path):
    done = run("jaxvid.main", *small(data_dir), f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "accuracy" in done.stdout
    assert json.loads((tmp_path / "metrics.json").read_text())["num_clips"] == 8
    assert (tmp_path / "report" / "index.html").exists()


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_part(data_dir):
    done = run("jaxvid.benchmark", *small(data_dir), "--steps=1")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["what"] for row in rows] == ["setting", "pipeline", "step", "both", "inference"]
    assert rows[0]["batch_size"] == 8
