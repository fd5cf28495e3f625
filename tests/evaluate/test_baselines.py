"""The baselines of an evaluation, from the records to the predictions."""

import itertools

import cv2
import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from sklearn.linear_model import LogisticRegression

from jaxvid.data.dataset import open_split, prepare
from jaxvid.evaluate.baselines import evaluate_baselines
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.inference import Predicted
from tests.tiny import make_predictions


def evaluated_split(config):
    """The test split, of which a network says nothing."""
    split = open_split(prepare(config.dataset), "test")
    network = make_predictions(split.metadata.labels, np.full((len(split), 2), 0.5), class_names=split.class_names)
    network.clips[:] = split.metadata.filenames
    return Evaluated(Predicted(network, None, None), lambda _: np.zeros((1, 2, 2, 3), np.uint8), split.rows(), {})


def changes_of_pixels(examples):
    """The five numbers of each clip, from the decoded frames."""
    rows = []
    for example in examples:
        frames = example["video"]
        chosen = sorted({round(k * (len(frames) - 1) / 15) for k in range(16)})
        gray = [cv2.cvtColor(cv2.resize(frames[k], (160, 120)), cv2.COLOR_RGB2GRAY).astype(int) for k in chosen]
        differences = np.stack([np.abs(b - a) for a, b in itertools.pairwise(gray)])
        means = [difference.mean() for difference in differences]
        rows.append([differences.mean(), differences.std(), differences.max(), np.std(means), max(means)])
    return np.asarray(rows)


def test_the_change_of_pixels_is_fitted_on_the_training_split(config):
    config.dataset.version = "1.0.0"
    evaluated = evaluated_split(config)
    fitted, compared = evaluate_baselines(evaluated, config.dataset, "", "fight", 20)

    builder = tfds.builder("synthetic_fight/tiny", data_dir=config.dataset.data_dir)
    train, test = (list(builder.as_data_source(split)) for split in ("train", "test"))
    features = changes_of_pixels(train)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    model = LogisticRegression().fit((features - mean) / deviation, [example["label"] for example in train])
    expected = model.predict_proba((changes_of_pixels(test) - mean) / deviation)
    # Resizing and the change to gray are in another order.
    np.testing.assert_allclose(fitted["pixel_change"].predictions.probabilities, expected, atol=0.05)

    accuracy = np.mean(expected.argmax(axis=1) == [example["label"] for example in test])
    assert compared["systems"]["pixel_change"]["accuracy"]["value"] == accuracy
    assert compared["trained_on"] == "synthetic_fight/tiny, split train"


def test_without_the_training_clips_there_are_none(config, tmp_path):
    evaluated = evaluated_split(config)
    elsewhere = ml_collections.ConfigDict({**config.dataset, "data_dir": str(tmp_path)})
    fitted, compared = evaluate_baselines(evaluated, elsewhere, "", "fight", 20)
    assert fitted == compared["systems"] == {}
    assert "not prepared on this machine" in compared["notes"][0]
