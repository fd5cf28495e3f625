import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.metrics import confusion_matrix

from jaxvid import trained
from jaxvid.calibration import NOT_CALIBRATED
from jaxvid.data.dataset import open_split, with_classes
from jaxvid.evaluate import split as split_lib
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.evaluate.split import evaluate_split
from jaxvid.metrics.predictions import read_csv
from jaxvid.models.create import module_from_config


@pytest.fixture(scope="module")
def split(data_dir):
    """The split `test` of the tiny dataset: 4 clips of no_fight, label 0, and 4 of fight, label 1."""
    return open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "test")


def true_classes(split):
    """The classes by the folders in the file names."""
    return [filename.split("/")[1] for filename in split.metadata.filenames]


@pytest.mark.parametrize(
    ("class_names", "label_of"),
    [
        (["no_fight", "fight"], {"no_fight": 0, "fight": 1}),
        (["Fight", "noFight"], {"no_fight": 1, "fight": 0}),
        (["fight", "kiss", "no_fight"], {"no_fight": 2, "fight": 0}),
    ],
    ids=["same order", "other order", "more classes"],
)
def test_classes_of_a_split_are_matched_by_name(split, class_names, label_of):
    matched = with_classes(split, class_names)
    assert matched.class_names == class_names
    assert matched.metadata.labels.tolist() == [label_of[name] for name in true_classes(split)]


def test_a_dataset_that_is_built_for_evaluation_has_the_decoder_of_the_config(config, monkeypatch):
    config.pipeline.decoder, config.model.num_classes = "av", 2
    model = module_from_config(config.model)
    run = trained.Trained(config, 0, {}, model, min, min, NOT_CALIBRATED)
    asked = []

    def prepared(section, decoder):
        asked.append((section.name, decoder))
        raise ValueError("enough")

    monkeypatch.setattr(split_lib, "prepare_data", prepared)
    with pytest.raises(ValueError, match="enough"):
        evaluate_split(run, config.dataset)
    assert asked == [("synthetic_fight/tiny", "av")]


def test_a_class_map_names_the_counterparts(split):
    matched = with_classes(split, ["brawl", "calm"], {"fight": "brawl", "no_fight": "calm"})
    assert matched.metadata.labels.tolist() == [{"fight": 0, "no_fight": 1}[name] for name in true_classes(split)]


def test_other_classes_are_refused_with_both_lists_and_the_flag(split):
    with pytest.raises(
        ValueError, match=r"has the classes no_fight, fight; the model has cats, dogs: .*--class_map=theirs:ours,\.\.\."
    ):
        with_classes(split, ["cats", "dogs"])


def test_a_model_with_its_classes_in_another_order_is_evaluated_by_name(run, changed_run, tmp_path):
    """The same network with its outputs called fight, no_fight is right where the original is wrong."""
    original = evaluate(run, output=tmp_path / "original")
    swapped = evaluate(changed_run(dataset={"class_names": ["fight", "no_fight"]}), output=tmp_path / "swapped")
    assert swapped["class_names"] == ["fight", "no_fight"]
    assert swapped["accuracy"]["value"] == pytest.approx(1 - original["accuracy"]["value"])
    predictions = read_csv(tmp_path / "swapped" / "predictions.csv")
    assert predictions.labels.tolist() == [int(name.split("/")[1] == "no_fight") for name in predictions.clips]
    before = read_csv(tmp_path / "original" / "predictions.csv")
    np.testing.assert_allclose(predictions.probabilities, before.probabilities, rtol=1e-5)


def test_a_model_of_cats_and_dogs_is_not_evaluated_on_fights(changed_run):
    workdir = changed_run(dataset={"class_names": ["cats", "dogs"]})
    with pytest.raises(ValueError, match="the model has cats, dogs: no_fight, fight is not among them"):
        evaluate(workdir)
    class_map = {"no_fight": "cats", "fight": "dogs"}
    assert evaluate(workdir, class_map=class_map)["class_names"] == ["cats", "dogs"]


def test_differences_between_classes_are_a_caution_of_the_report(run, data_dir, monkeypatch, tmp_path):
    asked = []
    found = ["median length: 2 s of fight, 1 s of no_fight"]
    monkeypatch.setattr(split_lib, "dataset_differences", lambda path: asked.append(path) or found)
    evaluate(run, split="train", output=tmp_path)
    assert asked == [str(data_dir / "synthetic_fight" / "tiny" / "1.0.0")]
    caution = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]["Caution"].splitlines()
    # One caution a line: the training split shares its own sources.
    assert caution[0].startswith("8 source videos have clips in the training split too")
    assert caution[1].endswith("a network can learn that instead: median length: 2 s of fight, 1 s of no_fight.")


def test_windows_of_a_clip_are_averaged(changed_run):
    workdir = changed_run(clip={"sampling": "consecutive", "window_stride": 3})
    metrics = evaluate(workdir)
    assert metrics["num_clips"] == 8
    clips, views = (read_csv(workdir / name) for name in ("predictions.csv", "view_predictions.csv"))
    # Windows of 4 frames, 3 apart, of clips of 8 to 12 frames.
    assert metrics["views"]["num_clips"] == len(views.clips) >= 3 * 8
    accuracy = np.mean(views.labels == views.predicted)
    assert metrics["views"]["accuracy"]["value"] == pytest.approx(accuracy)
    of_clip = [name.startswith(f"{clips.clips[0]}#") for name in views.clips]
    np.testing.assert_allclose(views.probabilities[of_clip].mean(axis=0), clips.probabilities[0], rtol=1e-6)
    assert "Single windows" in (workdir / "report" / "index.html").read_text()


def test_the_counts_of_two_splits_together_are_the_sums_of_theirs(run):
    """As Table 4 of the Video ResNet paper counts its clips."""
    loaded = trained.load(run)
    evaluated = {
        split: evaluate_split(loaded, loaded.config.dataset, split=split) for split in ("train", "val", "train+val")
    }
    counts = {
        split: confusion_matrix(of_split.predicted.clips.labels, of_split.predicted.clips.predicted, labels=[0, 1])
        for split, of_split in evaluated.items()
    }
    # Clips of the tiny dataset.
    assert [matrix.sum() for matrix in counts.values()] == [16, 8, 24]
    np.testing.assert_array_equal(counts["train+val"], counts["train"] + counts["val"])
    details = evaluated["train+val"].details
    assert details["Data"] == "synthetic_fight/tiny, split train+val"
    assert "have clips in the training split too" in details["Caution"]


@pytest.mark.slow
def test_views_over_time_and_space_are_averaged(run, tmp_path):
    metrics = evaluate(run, clips=3, output=tmp_path)
    assert metrics["views"]["num_clips"] == 3 * 8
    details = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]
    assert details["Views of a clip"] == "3 over time, 1 over space"
