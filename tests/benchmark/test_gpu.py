"""The script that measures all comparisons on a GPU: each of its commands is one that the benchmark takes."""

import os
import runpy
import shlex
import subprocess
from pathlib import Path

from jaxvid.benchmark.benchmark import PARTS
from jaxvid.config import dotted

ROOT = Path(__file__).parent.parent.parent
COMMAND = ["bash", "jaxvid/benchmark/gpu.sh"]


def run(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_commands_of_a_dry_run_are_valid_and_name_every_comparison():
    done = run("peers", "--config.dataset.data_dir=/data", DRY="1", BATCH="8", STEPS="3", PYTHON="py", PEER_PYTHON="tp")
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    peers = []
    for program, _, module, *arguments in commands:
        assert (program, module) == ("py", "jaxvid.benchmark")
        given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
        path, _, argument = given.pop("config").partition(":")
        config = runpy.run_path(str(ROOT / path))["get_config"](argument)
        known = set(dotted(config))
        assert {name.removeprefix("config.") for name in given if name.startswith("config.")} <= known
        assert given["config.dataset.data_dir"] == "/data"
        assert given["steps"] == "3"
        assert set(given["parts"].split(",")) <= set(PARTS)
        if "peer" in given:
            peers.append(given["peer"])
    torch = "tp peers/torch_video_resnet.py --batch {} --frames 16 --amp --channels_last --compile"
    keras = "tp peers/keras_recurrent.py --model {}"
    assert peers == [torch.format(8), torch.format(32), keras.format("lrcn"), keras.format("convlstm")]
    assert len(commands) == 12


def test_a_command_that_fails_leaves_the_others():
    done = run("peers", PYTHON="false")
    assert done.stdout.count('"what": "failed"') == 12


def test_without_the_directory_of_the_peers_nothing_runs():
    assert "directory of the peers" in run().stderr
