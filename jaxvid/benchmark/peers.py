"""A peer, another program that measures the same network, turn by turn with ours: both meet the same other load.

A peer prints a JSON object a line, for `mode` "train", "inference" or both, with `clips_per_s`, and of its own setting
`batch`, `frames` and `size` as far as they have a meaning for it.
"""

import json
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxvid.benchmark.timing import Row, ratios
from jaxvid.types import ConfigDict

_PART_OF_MODE = {"train": "step", "inference": "inference"}


def peer_command(text: str) -> list[str]:
    """Returns the words of a peer's command; a script without a program before it is one for this Python."""
    words = shlex.split(text)
    return [sys.executable, *words] if words and words[0].endswith(".py") else words


def compare_with_peer(
    rate: Callable[[str], float], config: ConfigDict, command: Sequence[str], rounds: int
) -> Iterator[Row]:
    """Yields a row for every mode of the peer: the ratio of our rate to the peer's, above 1 if ours is faster.

    Args:
      rate: measures our clips per second in "step" or "inference".
      config: of our run.
      command: of the peer.
      rounds: in each of which the peer runs once, and then ours.

    Raises:
      ValueError: if the peer fails, prints no rate, or measures another batch than ours.
    """
    ours, theirs = defaultdict(list), defaultdict(list)
    for _ in range(rounds):
        for row in run_peer(command):
            require_same_setting(row, config)
            ours[row["mode"]].append(rate(_PART_OF_MODE[row["mode"]]))
            theirs[row["mode"]].append(row["clips_per_s"])
    for mode, rates in theirs.items():
        yield {
            "what": f"{mode}_to_peer",
            "peer": shlex.join(command),
            **ratios(ours[mode], rates),
            "clips_per_second": float(np.median(ours[mode])),
            "peer_clips_per_second": float(np.median(rates)),
            "rounds": rounds,
        }


def run_peer(command: Sequence[str]) -> list[Row]:
    """Runs a peer once and returns what it prints of modes that there are here too.

    Raises:
      ValueError: if it fails, or prints no such thing.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise ValueError(f"--peer={shlex.join(command)}: {error}") from error
    printed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    rows = [row for row in printed if row.get("mode") in _PART_OF_MODE and "clips_per_s" in row]
    if done.returncode or not rows:
        said = "\n".join(done.stderr.splitlines()[-5:])
        raise ValueError(
            f"--peer={shlex.join(command)} ended with status {done.returncode} and printed {len(rows)} lines with "
            f"mode (train or inference) and clips_per_s; allowed: 0 and one or more. Its last lines:\n{said}"
        )
    return rows


def require_same_setting(row: Row, config: ConfigDict) -> None:
    """Checks that a peer's batch is ours.

    Raises:
      ValueError: if the number of clips, of frames or the height differs, naming both values.
    """
    ours = {
        "batch": ("train.batch_size", config.train.batch_size),
        "frames": ("clip.num_frames", config.clip.num_frames),
        "size": ("clip.height", config.clip.height),
    }
    for key, (name, value) in ours.items():
        if row.get(key, value) != value:
            raise ValueError(f"the peer has {key} {row[key]}, but config.{name} is {value}; allowed: the same")
