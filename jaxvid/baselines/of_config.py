"""The baselines of a config's dataset, before any network is trained."""

import numpy as np

from jaxvid.baselines.fit import fit_baselines
from jaxvid.baselines.metrics import ComparedBaselines, compare_with_baselines
from jaxvid.classes import find_positive_class
from jaxvid.data.dataset import ClipSplit, with_classes
from jaxvid.data.joined import class_map_for, prepare_data, section_of
from jaxvid.metrics.predictions import Predictions
from jaxvid.types import ConfigDict


def baselines_of_config(config: ConfigDict, split: str | None = None) -> ComparedBaselines:
    """Fits the baselines on a config's training split; returns their metrics of a split, by default of the test split.

    A dataset that is not prepared yet is prepared first.

    Raises:
      ValueError: if the dataset or a split does not exist.
    """
    dataset = config.dataset
    training = prepare_data(dataset, config.pipeline.decoder).open_split(dataset.train_split)
    # The dataset to test on has the test split alone.
    section = section_of(dataset, dataset.name if split else dataset.test_name or dataset.name)
    opened = prepare_data(section, config.pipeline.decoder).open_split(split or section.test_split)
    evaluated = with_classes(opened, training.class_names, class_map_for(dataset, opened.class_names))
    return compare_with_baselines(
        None,
        fit_baselines(training, evaluated.rows(), _unpredicted(evaluated)),
        f"{dataset.name}, split {training.name}",
        positive_class=find_positive_class(training.class_names, dataset.positive_class),
        num_resamples=config.eval.num_resamples,
    )


def _unpredicted(split: ClipSplit) -> Predictions:
    """Returns the videos of a split with the same probability of every class."""
    metadata, num_classes = split.metadata, len(split.class_names)
    first = metadata.first_clips()
    return Predictions(
        list(first),
        [metadata.sources[clip] for clip in first.values()],
        metadata.labels[list(first.values())],
        np.full((len(first), num_classes), 1 / num_classes),
        split.class_names,
    )
