import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn import metrics as sklearn_metrics

from jaxvid.data.dataset import decode_frames, open_split
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.evaluate.folder import label_videos
from jaxvid.metrics.predictions import read_csv
from jaxvid.train.loop import train
from jaxvid.video.files import write_video
from tests.tiny import tiny_config


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """The workdir of a short run, trained once for this module."""
    workdir = tmp_path_factory.mktemp("run")
    train(tiny_config(data_dir), workdir)
    return workdir


def test_an_evaluation_writes_figures_predictions_and_a_report(run, tmp_path):
    figures = evaluate(run, output=tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["accuracy"] == figures["accuracy"]
    assert written["evaluated"]["Data"] == "synthetic_fight/tiny, split test"

    predictions = read_csv(tmp_path / "predictions.csv")
    assert len(predictions.clips) == 8
    accuracy = sklearn_metrics.accuracy_score(predictions.labels, predictions.predicted)
    assert written["accuracy"]["value"] == pytest.approx(accuracy)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "synthetic_fight/tiny" in page
    assert {"confusion_matrix.png", "training_curves.png"} <= {path.name for path in (tmp_path / "report").iterdir()}


def test_another_split_and_checkpoint(run, tmp_path):
    assert evaluate(run, split="train", which="last", output=tmp_path)["num_clips"] == 16
    facts = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]
    assert facts["Checkpoint"].startswith("step 4 (last)")
    assert facts["Caution"].startswith("8 source videos have clips in the training split too")


def test_windows_of_a_clip_are_averaged(run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    config["config"]["clip"].update(sampling="consecutive", window_stride=3)
    windows = tmp_path / "windows"
    windows.mkdir()
    (windows / "checkpoints").symlink_to(run / "checkpoints")
    (windows / "config.json").write_text(json.dumps(config))
    figures = evaluate(windows)
    assert figures["num_clips"] == 8
    clips, views = (read_csv(windows / name) for name in ("predictions.csv", "view_predictions.csv"))
    # Windows of 4 frames, 3 apart, of clips of 8 to 12 frames.
    assert figures["views"]["num_clips"] == len(views.clips) >= 3 * 8
    accuracy = sklearn_metrics.accuracy_score(views.labels, views.predicted)
    assert figures["views"]["accuracy"]["value"] == pytest.approx(accuracy)
    of_clip = [name.startswith(f"{clips.clips[0]}#") for name in views.clips]
    np.testing.assert_allclose(views.probabilities[of_clip].mean(axis=0), clips.probabilities[0], rtol=1e-6)
    assert "Single windows" in (windows / "report" / "index.html").read_text()


@pytest.mark.slow
def test_views_over_time_and_space_are_averaged(run, tmp_path):
    figures = evaluate(run, clips=3, output=tmp_path)
    assert figures["views"]["num_clips"] == 3 * 8
    facts = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]
    assert facts["Views of a clip"] == "3 over time, 1 over space"
    with pytest.raises(ValueError, match="eval.crops is 3; allowed with clip.crop 'resize': 1 to 1"):
        evaluate(run, crops=3, output=tmp_path)
    with pytest.raises(ValueError, match="eval.clips is -1; allowed: 0"):
        evaluate(run, clips=-1, output=tmp_path)


def write_tree(root, data_dir, folders):
    """The test clips of the tiny set as video files, one folder a class."""
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "test")
    for position in range(len(split)):
        clip = split[position]
        path = root / folders[clip.label] / f"{position}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, decode_frames(clip.frames, np.arange(len(clip.frames))), clip.fps)
    return split


@pytest.mark.slow
def test_a_folder_of_videos_needs_no_data_set_and_gives_the_same_figures(run, data_dir, tmp_path):
    split = write_tree(tmp_path / "videos", data_dir, ["No_Fight", "FIGHT"])
    (tmp_path / "videos" / "FIGHT" / "broken.mp4").write_text("no video")
    evaluate(run, output=tmp_path / "of_data_set")
    evaluate(run, videos=tmp_path / "videos", output=tmp_path / "of_videos")
    of_data_set = read_csv(tmp_path / "of_data_set" / "predictions.csv")
    of_videos = read_csv(tmp_path / "of_videos" / "predictions.csv")
    positions = [int(name.split("/")[1].removesuffix(".avi")) for name in of_videos.clips]
    np.testing.assert_array_equal(of_videos.labels, of_data_set.labels[positions])
    # The clips went through JPEG and Motion JPEG once more.
    np.testing.assert_allclose(of_videos.probabilities, of_data_set.probabilities[positions], atol=0.02)
    facts = json.loads((tmp_path / "of_videos" / "metrics.json").read_text())["evaluated"]
    assert "broken.mp4" in facts["Left out"]
    assert len(of_videos.clips) == len(split) == 8


def test_folders_that_are_no_classes_are_named(tmp_path):
    (tmp_path / "brawl").mkdir()
    (tmp_path / "brawl" / "a.mp4").touch()
    with pytest.raises(ValueError, match="'brawl' is no class of the model; allowed folders: no_fight, fight"):
        label_videos(tmp_path, ["no_fight", "fight"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no videos; expected are folders no_fight, fight"):
        label_videos(tmp_path / "empty", ["no_fight", "fight"])


def test_what_is_missing_is_named(run, tmp_path):
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        evaluate(tmp_path)
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(ValueError, match="holds no checkpoint yet"):
        evaluate(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint '3'; allowed: best, last"):
        evaluate(run, which="3")
    with pytest.raises(ValueError, match="has no split 'validation'"):
        evaluate(run, split="validation")
