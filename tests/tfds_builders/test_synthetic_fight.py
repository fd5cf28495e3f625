"""The synthetic clips: motion alone distinguishes the classes, and the same clips are drawn every time."""

from collections import Counter

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import tfds_builders  # noqa: F401 - registers the builders
from jaxvid.video.clips import encode_clip
from tests.video.test_clips import decoded_frames
from tfds_builders.synthetic_fight.drawing import draw_scene, playing_order
from tfds_builders.video_files import VideoFile


@pytest.mark.parametrize("num_frames", [8, 9, 10, 11, 12, 30, 32, 60])
def test_both_classes_play_the_same_frames_at_different_paces(num_frames):
    calm, fight = (playing_order(num_frames, fight=fight) for fight in (False, True))
    assert sorted(calm) == sorted(fight) == list(range(num_frames))
    assert calm.tolist() == list(range(num_frames))
    paces = np.diff(fight) % num_frames
    assert np.all(paces == paces[0])
    assert 3 <= paces[0] <= num_frames // 2 + 1


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="at least 8 frames, got 7"):
        playing_order(7, fight=True)


def test_scenes_differ_and_are_drawn_the_same_every_time():
    first, again, other = (draw_scene(np.random.default_rng(seed), 8) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, list[tuple[VideoFile, np.ndarray]]]:
    """The clips of 60 scenes as they are decoded from their files, small, by split."""
    builder = tfds.builder("synthetic_fight/64x64", data_dir=tmp_path_factory.mktemp("data"))
    builder._drawn = tmp_path_factory.mktemp("drawn")
    scenes = [("train", scene) for scene in range(40)] + [("test", scene) for scene in range(200, 220)]
    clips = [clip for split, scene in scenes for clip in builder._write_scene(scene, split, (32, 32))]
    decoded = [(clip, decoded_frames(encode_clip(clip.path, (16, 16)))) for clip in clips]
    return {split: [(clip, frames) for clip, frames in decoded if clip.split == split] for split in ("train", "test")}


def features_and_labels(clips, feature):
    features = np.concatenate([feature(frames / 255) for _, frames in clips])
    labels = np.repeat([clip.label == "fight" for clip, _ in clips], len(features) // len(clips))
    return features, labels


@pytest.mark.parametrize(
    "feature",
    [
        lambda frames: frames[::8].reshape(4, -1),
        lambda frames: frames[:1].reshape(1, -1),
        lambda frames: frames.mean(0).reshape(1, -1),
        lambda frames: np.concatenate([frames.mean(0), frames.std(0), frames.min(0), frames.max(0)]).reshape(1, -1),
    ],
    ids=["single frames", "first frame", "mean frame", "statistics of the shuffled frames"],
)
def test_appearance_does_not_distinguish_the_classes(drawn, feature):
    model = LogisticRegression(C=0.01, max_iter=1000).fit(*features_and_labels(drawn["train"], feature))
    features, labels = features_and_labels(drawn["test"], feature)
    # 40 clips: chance is within 0.5 +- 0.16 in 19 of 20 cases, but pairs of one scene look alike, so it is closer.
    assert model.score(features, labels) == pytest.approx(0.5, abs=0.13)


def test_motion_distinguishes_the_classes(drawn):
    clips = drawn["train"] + drawn["test"]
    motion = [np.abs(np.diff(frames.astype(int), axis=0)).mean() for _, frames in clips]
    assert roc_auc_score([clip.label == "fight" for clip, _ in clips], motion) > 0.97


def test_compression_treats_both_classes_alike(drawn):
    # Quick motion is harder to compress: if it cost quality, single frames would reveal the class.
    sharpness = {label: [] for label in ("fight", "no_fight")}
    for clip, frames in drawn["train"] + drawn["test"]:
        sharpness[clip.label].append(np.abs(np.diff(frames.astype(int), axis=2)).mean())
    assert np.mean(sharpness["fight"]) == pytest.approx(np.mean(sharpness["no_fight"]), rel=0.005)


def test_the_tiny_dataset_is_balanced_in_both_containers(tmp_path):
    builder = tfds.builder("synthetic_fight/tiny", data_dir=tmp_path)
    builder.download_and_prepare()
    for split, num_clips in (("train", 16), ("val", 8), ("test", 8)):
        examples = list(builder.as_data_source(split))
        assert len(examples) == num_clips
        assert all(8 <= len(example["video"]) <= 12 for example in examples)
        kinds = Counter((example["label"], example["filename"].decode()[-4:]) for example in examples)
        assert set(kinds.values()) == {num_clips // 4}
        assert len({example["source"] for example in examples}) == num_clips // 2
