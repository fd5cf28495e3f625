"""Measures what a config costs, part by part; prints one JSON object per line.

    python -m jaxvid.benchmark --config=configs/NAME.py[:key=value,...] [--config.SECTION.KEY=VALUE ...]
        [--parts=pipeline,step,both,inference,prediction,start,build] [--peer="SCRIPT ARGUMENTS..."]

--parts names what is measured (jaxvid/benchmark/README.md says what each row holds):

pipeline    batches of the input pipeline alone
step        training steps on a batch in memory
both        training steps on the pipeline's batches
inference   probabilities of a batch in memory
prediction  a long video, many short ones, and the latency of a camera
start       from the training command to its first step, compiled before and not
build       a dataset from video files

--peer runs another program that measures the same network, turn by turn with ours, and prints the ratio of the rates.

A dataset that is not prepared yet is prepared first.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jaxvid import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_PARTS = flags.DEFINE_list("parts", ["pipeline", "step", "both", "inference"], "what is measured")
_STEPS = flags.DEFINE_integer("steps", 20, "training steps to measure", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "rounds of things that are measured in turn", lower_bound=1)
_PEER = flags.DEFINE_string("peer", "", "command of a peer: a Python script, or a program, with its arguments")
_VIDEOS = flags.DEFINE_string(
    "videos", None, "folder of short videos for prediction and build (default: clips of the validation split)"
)
_VIDEO = flags.DEFINE_string("video", None, "long video for prediction (default: those clips in a row)")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    commands.keep_compiled_programs()
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.benchmark.benchmark import Plan, benchmark
    from jaxvid.benchmark.peers import peer_command
    from jaxvid.benchmark.start import config_arguments

    plan = Plan(
        parts=_PARTS.value,
        num_steps=_STEPS.value,
        rounds=_ROUNDS.value,
        peer=peer_command(_PEER.value),
        videos=Path(_VIDEOS.value) if _VIDEOS.value else None,
        video=Path(_VIDEO.value) if _VIDEO.value else None,
        arguments=config_arguments(sys.argv[1:]),
    )
    for row in benchmark(_CONFIG.value, plan):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    commands.run(main)
