"""Evaluation of a split of a dataset."""

from typing import Any

import ml_collections
import numpy as np
from absl import logging

from jaxvid.data.dataset import open_split, prepare, shared_sources
from jaxvid.data.pipeline import clip_views, require_fitting_clips
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.inference import predict_split
from jaxvid.trained import Probabilities
from jaxvid.types import ConfigDict


def evaluate_split(
    probabilities: Probabilities,
    variables: Any,
    dataset: str | None,
    split: str | None,
    config: ConfigDict,
) -> Evaluated:
    """Evaluates a split of a TFDS dataset: of training's own, or of another with the same classes."""
    own = prepare(config.dataset) if dataset in (None, config.dataset.name) else None
    if own is not None:
        evaluated = open_split(own, split or config.dataset.test_split)
        overlap = shared_sources(evaluated, open_split(own, config.dataset.train_split))
    else:
        other = ml_collections.ConfigDict({**config.dataset.to_dict(), "name": dataset})
        evaluated = open_split(prepare(other), split or config.dataset.test_split)
        overlap = []
    if len(evaluated.class_names) != len(config.dataset.class_names):
        raise ValueError(
            f"{dataset} has the classes {', '.join(evaluated.class_names)}; the model has learned "
            f"{', '.join(config.dataset.class_names)}"
        )
    facts = {"Data": f"{dataset or config.dataset.name}, split {evaluated.name}"}
    if overlap:
        logging.warning("%d source videos, such as %s, are in the training split too", len(overlap), overlap[0])
        facts["Caution"] = f"{len(overlap)} source videos have clips in the training split too: the figures flatter"
    require_fitting_clips(evaluated, config.clip)
    predicted = predict_split(probabilities, variables, evaluated, config)
    # Of a video in sequences the first.
    positions = evaluated.metadata.first_clips()

    def frames_of(index: int) -> np.ndarray:
        return clip_views(evaluated[positions[predicted.clips.clips[index]]], config.clip)[0]

    return Evaluated(predicted, frames_of, facts)
