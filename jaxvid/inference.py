"""Class probabilities of every clip of a split."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flax import linen as nn
from jaxtyping import Float, Int, PyTree
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.data.clips import ClipSplit
from jaxvid.data.pipeline import EvaluationBatch, evaluation_batches, evaluation_views
from jaxvid.predictions import Predictions, average_views
from jaxvid.steps import eval_step
from jaxvid.types import ConfigDict

Probabilities = Callable[[PyTree, Any], Any]


def compile_probabilities(model: nn.Module, clip: ConfigDict) -> Probabilities:
    """`(variables, frames)` -> probabilities on the devices of this process; compiles at the first call."""

    # A function, as pmap compiles anew for every new partial.
    def step(variables, frames):
        return eval_step(variables, frames, model=model, clip=clip)

    return parallel.over_local_devices(step)


def predict_views(
    probabilities: Probabilities, variables: PyTree, batches: Iterator[EvaluationBatch]
) -> tuple[Int[np.ndarray, "view"], Float[np.ndarray, "view classes"]]:
    """The clip of every view in `batches`, and its class probabilities."""
    clips, outputs = [], []
    for batch in batches:
        output = np.asarray(probabilities(variables, parallel.split_over_devices(batch.frames)))
        clips.append(batch.clip_index[batch.mask])
        outputs.append(output.reshape(len(batch.mask), -1)[batch.mask])
    return np.concatenate(clips), np.concatenate(outputs)


def predict_split(probabilities: Probabilities, variables: PyTree, split: ClipSplit, config: ConfigDict) -> Predictions:
    """Probabilities of every clip of `split`, the mean over its views, with the clips shared out over all processes."""
    first, count = parallel.process_shard()
    views = evaluation_views(split, config.clip, num_threads=config.pipeline.num_threads, shard=(first, count))
    total = len(range(first, len(split), count))
    progress = tqdm(views, f"Evaluating {split.name}", total, unit="clip", leave=False)
    batches = evaluation_batches(iter(progress), parallel.local_multiple(config.eval.batch_size))
    clip_index, outputs = map(parallel.gather_rows, predict_views(probabilities, variables, batches))
    return split_predictions(split, average_views(clip_index, outputs, len(split)))


def split_predictions(split: ClipSplit, probabilities: Float[np.ndarray, "clip classes"]) -> Predictions:
    """What was predicted for the clips of `split`, in its order."""
    catalogue = split.catalogue
    return Predictions(catalogue.filenames, catalogue.sources, catalogue.labels, probabilities, split.class_names)
