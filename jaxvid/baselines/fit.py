"""Fits the baselines on training clips, and predicts the clips that a network was evaluated on."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from jaxvid.baselines.features import Features, VideoRows, file_features, pixel_features, videos_of
from jaxvid.data.dataset import ClipSplit
from jaxvid.metrics.predictions import Predictions


class Baseline(NamedTuple):
    """A classifier that needs no network.

    Attributes:
      label: name for people.
      features: returns the features of videos that a logistic regression is fitted on; None for the class that is the
        most frequent one in training.
    """

    label: str
    features: Callable[[VideoRows], Features] | None


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "commonest_class": Baseline("commonest class", None),
        "file": Baseline("file alone", file_features),
        "pixel_change": Baseline("pixel change", pixel_features),
    }
)


class FittedBaseline(NamedTuple):
    """A baseline's predictions of evaluated videos.

    Attributes:
      predictions: of the videos.
      features: names of the features that it was fitted on.
      unknown_in_training: names of the features that are known of no training video, which it does without.
      unknown: names of those it was fitted on that are known of no evaluated video.
    """

    predictions: Predictions
    features: list[str]
    unknown_in_training: list[str]
    unknown: list[str]


def fit_baselines(training: ClipSplit, rows: pa.Table, network: Predictions) -> dict[str, FittedBaseline]:
    """Fits every baseline on a training split; returns its predictions of evaluated videos, by its name.

    Args:
      training: the split that the network was trained on.
      rows: of a clip index, for the evaluated clips.
      network: its predictions of the same videos, in the order of their first rows. Its classes are those of the
        training split, in the same order, whatever their names are.
    """
    trained, evaluated = videos_of(training.rows()), videos_of(rows)
    assert evaluated.names == network.clips
    labels = training.metadata.labels[trained.first]
    return {
        name: _by_frequency(labels, network)
        if baseline.features is None
        else _by_features(baseline.features(trained), labels, baseline.features(evaluated), network)
        for name, baseline in BASELINES.items()
    }


def _by_frequency(labels: Int[np.ndarray, "video"], network: Predictions) -> FittedBaseline:
    shares = np.bincount(labels, minlength=len(network.class_names)) / len(labels)
    probabilities = np.tile(shares, (len(network.clips), 1))
    return FittedBaseline(network.with_probabilities(probabilities), [], [], [])


def _by_features(
    trained: Features, labels: Int[np.ndarray, "video"], evaluated: Features, network: Predictions
) -> FittedBaseline:
    known, known_here = (np.isfinite(features.values).any(axis=0) for features in (trained, evaluated))
    names = np.asarray(trained.names)
    probabilities = fit_and_predict(
        trained.values[:, known], labels, evaluated.values[:, known], len(network.class_names)
    )
    return FittedBaseline(
        network.with_probabilities(probabilities),
        features=names[known].tolist(),
        unknown_in_training=names[~known].tolist(),
        unknown=names[known & ~known_here].tolist(),
    )


def fit_and_predict(
    features: Float[np.ndarray, "video features"],
    labels: Int[np.ndarray, "video"],
    others: Float[np.ndarray, "other features"],
    num_classes: int,
) -> Float[np.ndarray, "other classes"]:
    """Returns the class probabilities of other videos by a logistic regression on standardized features.

    Features that are not known (NaN) take their mean over the training videos. A class without training videos has
    probability 0.

    Args:
      features: of the training videos; each is known of at least one of them.
      labels: of the training videos.
      others: features of the other videos.
      num_classes: number of classes.
    """
    # Not at the top: they take over a second to import.
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probabilities = np.zeros((len(others), num_classes))
    if len(np.unique(labels)) == 1:
        probabilities[:, labels[0]] = 1
        return probabilities
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, labels)
    probabilities[:, model.classes_] = model.predict_proba(others)
    return probabilities
