"""Evaluation of a split of a dataset."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from jaxvid import processes
from jaxvid.data.dataset import with_classes
from jaxvid.data.differences import dataset_differences, describe_differences
from jaxvid.data.joined import class_map_for, prepare_data, section_of
from jaxvid.data.pipeline import clip_views, require_fitting_clips
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.evaluate.overlap import overlap_of_split
from jaxvid.inference import predict_split
from jaxvid.report.page import CAUTION
from jaxvid.trained import Trained
from jaxvid.types import ConfigDict


def evaluate_split(
    run: Trained,
    trained_on: ConfigDict,
    *,
    dataset: str | None = None,
    split: str | None = None,
    class_map: Mapping[str, str] | None = None,
) -> Evaluated:
    """Runs a checkpoint over a split of a TFDS dataset.

    Args:
      run: the checkpoint.
      trained_on: section `dataset` of the config as saved in the workdir.
      dataset: name; by default the one of the config, and for its test split `dataset.test_name`.
      split: name; by default the config's test split.
      class_map: names of the dataset's classes to names of the model's; by default the config's. See `with_classes`.

    Raises:
      ValueError: if the dataset or the split does not exist, a class of it is none of the model's, or its clips are too
        short or too long for the sampling scheme.
    """
    config = run.config
    # The dataset to test on has the test split alone.
    default = config.dataset.name if split else config.dataset.test_name or config.dataset.name
    section = section_of(config.dataset, dataset or default)
    with processes.first_process_first("dataset"):
        data = prepare_data(section, config.pipeline.decoder)
    opened = data.open_split(split or section.test_split)
    class_map = class_map or class_map_for(config.dataset, opened.class_names)
    evaluated = with_classes(opened, config.dataset.class_names, class_map)
    require_fitting_clips(evaluated, config.clip)
    overlap = overlap_of_split(evaluated, section, trained_on)
    differences = [describe_differences(dataset_differences(path)) for path in data.data_paths]
    cautions = [caution for caution in (overlap.get(CAUTION), *differences) if caution]
    details = {"Data": f"{section.name}, split {evaluated.name}", **overlap}
    if cautions:
        details[CAUTION] = "\n".join(cautions)
    predicted = predict_split(run.uncalibrated, run.variables, evaluated, config, run.calibration)
    positions = evaluated.metadata.first_clips()

    def frames_of(index: int) -> UInt8[np.ndarray, "time height width 3"]:
        return clip_views(evaluated[positions[predicted.clips.clips[index]]], config.clip)[0]

    return Evaluated(predicted, frames_of, evaluated.rows(), details)
