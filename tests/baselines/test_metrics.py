"""How far a network is above the baselines, and what the notes say of it."""

import json

import numpy as np
import pytest

from jaxvid.baselines.fit import FittedBaseline
from jaxvid.baselines.metrics import (
    accuracy_difference,
    compare_with_baselines,
    is_clearly_above,
    without_training_clips,
)
from jaxvid.baselines.text import format_baselines, read_baseline_predictions, write_baseline_predictions
from tests.tiny import make_predictions

LABELS = np.arange(40) % 2


def right_on(num_right, *, sources=None, confidence=0.9):
    """Predictions of 40 clips of two classes, the first `num_right` of which are right."""
    predicted = np.where(np.arange(40) < num_right, LABELS, 1 - LABELS)
    probabilities = np.eye(2)[predicted] * (2 * confidence - 1) + 1 - confidence
    return make_predictions(LABELS, probabilities, sources=sources, class_names=["calm", "fight"])


def fitted(*, file=20, pixel_change=20, unknown_in_training=(), unknown=(), sources=None):
    guess = make_predictions(LABELS, np.full((40, 2), 0.5), sources=sources, class_names=["calm", "fight"])
    return {
        "commonest_class": FittedBaseline(guess, [], [], []),
        "file": FittedBaseline(
            right_on(file, sources=sources), ["length", "sound or not"], list(unknown_in_training), list(unknown)
        ),
        "pixel_change": FittedBaseline(right_on(pixel_change, sources=sources), ["mean"], [], []),
    }


def compared(network, baselines, **settings):
    return compare_with_baselines(network, baselines, "movies, split train", num_resamples=200, **settings)


def test_a_difference_is_of_the_same_clips():
    # Right on the first 30 and the first 20: 10 of 40.
    difference = accuracy_difference(right_on(30), right_on(20), 500)
    assert difference["value"] == 0.25
    # Two systems that are right on the same clips differ in no resample, however few the sources.
    same = accuracy_difference(right_on(30), right_on(30, confidence=0.6), 500)
    assert same == {"value": 0, "low": 0, "high": 0}
    # Sources are drawn, not clips: here a source has the same share of gains as every other.
    even = [f"source{clip % 10}" for clip in range(40)]
    difference = accuracy_difference(right_on(30, sources=even), right_on(20, sources=even), 500)
    assert difference == pytest.approx({"value": 0.25, "low": 0.25, "high": 0.25})


def test_the_interval_of_a_difference_is_that_of_a_bootstrap_of_the_clips():
    difference = accuracy_difference(right_on(30), right_on(20), 4000)
    # Each clip is a source: 10 gains of 40, so a binomial share; the normal approximation is 0.25 +- 0.134.
    assert (difference["low"], difference["high"]) == pytest.approx((0.25 - 0.134, 0.25 + 0.134), abs=0.02)


def test_one_source_has_no_interval_and_nothing_is_clear():
    one = ["film"] * 40
    difference = accuracy_difference(right_on(40, sources=one), right_on(10, sources=one), 100)
    assert difference == {"value": 0.75, "low": None, "high": None}
    assert not is_clearly_above(difference)


def test_metrics_are_beside_those_of_the_network_and_ready_for_json():
    result = compared(right_on(36), fitted(pixel_change=30), positive_class="fight")
    assert json.loads(json.dumps(result)) == result
    systems = result["systems"]
    assert list(systems) == ["commonest_class", "file", "pixel_change"]
    assert systems["pixel_change"]["accuracy"]["value"] == 0.75
    assert systems["pixel_change"]["difference"]["value"] == pytest.approx(0.15)
    # Of equal probabilities the first class is predicted, which half of the clips are of.
    assert systems["commonest_class"]["accuracy"]["value"] == 0.5
    assert systems["commonest_class"]["roc_auc"]["value"] == 0.5


def test_a_network_that_is_not_clearly_above_the_change_of_pixels_may_have_learned_scenes():
    sentence = "it may have learned scenes, not motion."
    (note,) = compared(right_on(31), fitted(pixel_change=30))["notes"]
    assert note.startswith(
        "The network is not clearly above the baseline of pixel change (difference in accuracy: +2.5 "
    )
    assert note.endswith(sentence)
    assert any(sentence in note for note in compared(right_on(20), fitted(pixel_change=30))["notes"])
    assert compared(right_on(40), fitted(pixel_change=22))["notes"] == []


def test_what_the_files_tell_is_a_leak():
    (note,) = compared(right_on(40), fitted(file=34))["notes"]
    assert note.startswith(
        "What is known of the files alone (length, sound or not) tells the classes apart: accuracy 85.0 % ["
    )
    assert "What that is above chance is a leak" in note
    # Of 40 clips, 24 may be right by chance.
    assert compared(right_on(40), fitted(file=24))["notes"] == []


def test_what_is_not_known_of_the_files_is_said():
    notes = compared(right_on(40), fitted(unknown_in_training=["frame height"], unknown=["length"]))["notes"]
    assert [note.split(".")[0] for note in notes] == [
        "Not known of the training files: frame height",
        "Not known of the evaluated files: length",
    ]


def test_the_terminal_has_a_short_table():
    lines = format_baselines(compared(right_on(31), fitted(pixel_change=30))).splitlines()
    assert lines[0] == "Baselines, fitted on movies, split train:"
    assert lines[1].split() == ["accuracy", "ROC", "AUC", "network", "less", "baseline"]
    assert [line.strip().split("  ")[0] for line in lines[2:5]] == ["commonest class", "file alone", "pixel change"]
    assert "75.0 % [" in lines[4]
    assert "+2.5 points [" in lines[4]
    assert lines[5].endswith("scenes, not motion.")
    assert len(lines) == 6


def test_without_a_network_there_is_no_difference():
    result = compared(None, fitted())
    assert [system["difference"] for system in result["systems"].values()] == [None] * 3
    assert result["notes"] == []
    assert format_baselines(result).splitlines()[1].split() == ["accuracy", "ROC", "AUC"]


def test_without_training_clips_there_are_no_baselines():
    text = format_baselines(without_training_clips("movies/64x64"))
    assert text == "There are no baselines: the training clips, of movies/64x64, are not prepared on this machine."


def test_predictions_are_written_by_clip(tmp_path):
    path = tmp_path / "baseline_predictions.csv"
    write_baseline_predictions(fitted(file=2), path)
    predicted = read_baseline_predictions(path)
    assert list(predicted) == ["commonest_class", "file", "pixel_change"]
    # Right on the first two clips only.
    assert [predicted["file"][f"clip{clip}.avi"] for clip in range(4)] == ["calm", "fight", "fight", "calm"]
    assert set(predicted["commonest_class"].values()) == {"calm"}
    write_baseline_predictions({}, path)
    assert not path.exists()
