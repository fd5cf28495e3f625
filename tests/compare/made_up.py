"""Made-up evaluated runs."""

import dataclasses
import json

import numpy as np

from jaxvid.baselines.fit import FittedBaseline
from jaxvid.baselines.metrics import compare_with_baselines
from jaxvid.baselines.text import write_baseline_predictions
from jaxvid.classes import find_positive_class
from jaxvid.config import base_config, save_config
from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.predictions import Predictions, write_csv

CLIPS = "abcdefghijkl"
# Every other clip is of the positive class.
POSITIVE = np.asarray([0, 1] * 6)


def write_run(
    workdir,
    correct,
    *,
    data="movies/64x64, split test",
    clips=CLIPS,
    class_names=("no_fight", "fight"),
    positive=1,
    cautions="",
    sources=None,
    pixel_change=None,
    **changes,
):
    """Writes a workdir whose model classifies the clips in `correct` correctly, and the others wrongly.

    Args:
      workdir: to create.
      correct: letters of CLIPS.
      data: what was evaluated.
      clips: names of the clips in the files.
      class_names: in their order.
      positive: index of the class that every other clip is of.
      cautions: of the evaluation, one a line.
      sources: of the clips; by default each is its own.
      pixel_change: letters of the clips that the baseline of pixel change classifies correctly; by default the run was
        evaluated without baselines.
      **changes: of the config, `section__key=value` or `key=value`.
    """
    workdir.mkdir()
    config = base_config()
    config.model = {"name": "cnn_lstm", "arch": "C4R1D2"}
    config.dataset.name = data.split(",")[0]
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        else:
            config[section] = value
    save_config(config, workdir)
    labels = np.where(POSITIVE == 1, positive, 1 - positive)
    predicted = np.where([name in correct for name in CLIPS], labels, 1 - labels)
    predictions = Predictions(list(clips), list(sources or clips), labels, np.eye(2)[predicted], list(class_names))
    write_csv(predictions, workdir / "predictions.csv")
    evaluated = {"Data": data} | ({"Caution": cautions} if cautions else {})
    settings = {"positive_class": find_positive_class(class_names), "num_resamples": 20}
    metrics = classification_metrics(predictions, **settings)
    if pixel_change is not None:
        classes = {"commonest_class": np.ones(12, int), "file": 1 - labels}
        classes["pixel_change"] = np.where([name in pixel_change for name in CLIPS], labels, 1 - labels)
        fitted = {
            name: FittedBaseline(dataclasses.replace(predictions, probabilities=np.eye(2)[of_baseline]), [], [], [])
            for name, of_baseline in classes.items()
        }
        trained_on = f"{config.dataset.name}, split {config.dataset.train_split}"
        metrics["baselines"] = compare_with_baselines(predictions, fitted, trained_on, **settings)
        write_baseline_predictions(fitted, workdir / "baseline_predictions.csv")
    (workdir / "metrics.json").write_text(json.dumps(metrics | {"evaluated": evaluated}))
    return workdir
