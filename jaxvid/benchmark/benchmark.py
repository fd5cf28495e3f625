"""What is measured of a config, part by part."""

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from jaxvid import parallel
from jaxvid.benchmark.building import build_rate
from jaxvid.benchmark.peers import compare_with_peer
from jaxvid.benchmark.prediction import prediction_rates
from jaxvid.benchmark.rates import Programs, rates
from jaxvid.benchmark.start import start_times
from jaxvid.benchmark.timing import Row
from jaxvid.benchmark.videos import Videos, choose_videos
from jaxvid.data.dataset import ClipSplit
from jaxvid.train.resident import with_resident_frames
from jaxvid.train.setup import set_up
from jaxvid.types import ConfigDict

# Those of the first group are measured by default.
_OF_BATCHES = ("pipeline", "step", "both", "inference")
PARTS = (*_OF_BATCHES, "prediction", "start", "build")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
      parts: names from PARTS.
      num_steps: batches over which the parts of training are measured.
      rounds: of two things that are measured in turn.
      peer: words of the command of a peer; () for none.
      videos: folder of short videos, one folder a class; None for the clips of the validation split.
      video: long video; None for these clips, one after another.
      arguments: those of the training command that set the config.
    """

    parts: Sequence[str] = _OF_BATCHES
    num_steps: int = 20
    rounds: int = 5
    peer: Sequence[str] = ()
    videos: Path | None = None
    video: Path | None = None
    arguments: Sequence[str] = ()


def benchmark(config: ConfigDict, plan: Plan) -> Iterator[Row]:
    """Yields a row for the setting, and then one or more for every part.

    Raises:
      ValueError: if there is no such part, the peer fails or measures something else, or the config does not fit.
    """
    if unknown := set(plan.parts) - set(PARTS):
        raise ValueError(f"--parts has {', '.join(sorted(unknown))}; allowed: {', '.join(PARTS)}")
    with _without_output():
        streamed = set_up(config)
        run = with_resident_frames(streamed)
    config = run.config
    device = f"{parallel.count_sharing(config.train.batch_size)} x {jax.devices()[0].device_kind}"
    size, steps_per_call = config.train.batch_size, run.steps_per_call
    yield {"what": "setting", "device": device, "batch_size": size, "steps_per_call": steps_per_call}
    programs = Programs(run, streamed.batches, plan.num_steps)
    yield from rates(programs, [part for part in _OF_BATCHES if part in plan.parts])
    if plan.peer:
        yield from compare_with_peer(programs.clips_per_second, config, plan.peer, plan.rounds)
    with _videos(plan, run.splits.val) as videos:
        if "prediction" in plan.parts:
            yield from prediction_rates(run, videos, plan.rounds)
        if "build" in plan.parts:
            with _without_output():
                row = build_rate(videos.folder, config.dataset.frame_size)
            yield row
    if "start" in plan.parts:
        yield start_times(plan.arguments)


def _without_output() -> contextlib.AbstractContextManager[object]:
    """Sends what TFDS prints while it builds a dataset to standard error: standard output has the rows alone."""
    return contextlib.redirect_stdout(sys.stderr)


@contextlib.contextmanager
def _videos(plan: Plan, split: ClipSplit) -> Iterator[Videos]:
    with tempfile.TemporaryDirectory() as directory:
        needed = not {"prediction", "build"}.isdisjoint(plan.parts)
        yield choose_videos(plan.video, plan.videos, split, Path(directory)) if needed else Videos(Path(), Path())
