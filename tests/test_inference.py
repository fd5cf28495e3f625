import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid import inference, parallel
from jaxvid.calibration import Calibration, Threshold
from jaxvid.data.dataset import open_split
from jaxvid.inference import predict_split, predict_views, with_views
from tests.tiny import make_predictions


def probabilities_of_brightness(variables, inputs):
    """A model of two classes: the brighter the clip, the more probable is the second."""
    bright = inputs["frames"].mean(axis=(1, 2, 3, 4), dtype=np.float32) / 255
    return jnp.asarray(np.stack([1 - bright, bright], axis=1))


@pytest.fixture(scope="module")
def split(data_dir):
    """The split `test` of the tiny dataset: 8 clips."""
    return open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "test")


def test_no_batches_give_empty_arrays():
    clip_index, outputs = predict_views(probabilities_of_brightness, {}, iter(()), 3)
    assert (clip_index.shape, clip_index.dtype) == ((0,), int)
    assert (outputs.shape, outputs.dtype) == ((0, 3), np.float32)


def test_more_processes_than_clips_predict_as_one(config, split, monkeypatch):
    """Ten processes for 8 clips, one after the other: the last two have none."""
    alone = predict_split(probabilities_of_brightness, {}, split, config)
    rows = []
    monkeypatch.setattr(inference, "of_videos", lambda split, index, outputs, _: rows.append((index, outputs)) or alone)
    for process in range(10):
        monkeypatch.setattr(parallel, "process_shard", lambda process=process: (process, 10))
        predict_split(probabilities_of_brightness, {}, split, config)
    assert [len(clip_index) for clip_index, _ in rows] == [1] * 8 + [0] * 2
    clip_index, outputs = (np.concatenate(arrays) for arrays in zip(*rows, strict=True))
    np.testing.assert_array_equal(clip_index, np.arange(8))
    np.testing.assert_allclose(outputs, alone.clips.probabilities, rtol=1e-6)


def test_views_are_calibrated_before_their_means_and_the_threshold_decides_on_those():
    # A temperature of a half squares probabilities: of 0.8 and 0.2 it makes 16/17 and 1/17.
    views = np.array([[0.8, 0.2], [0.4, 0.6], [0.4, 0.6], [0.8, 0.2], [0.5, 0.5]])
    clip_of_view = np.array([0, 0, 0, 1, 1])
    clips = make_predictions([1, 0], [[1.6 / 3, 1.4 / 3], [0.65, 0.35]], class_names=["calm", "fight"])
    predicted = with_views(clips, clip_of_view, views, Calibration(0.5, Threshold("fight", 0.28)))
    fight = np.array([1 / 17, 9 / 13, 9 / 13, 1 / 17, 1 / 2])
    assert predicted.views is not None
    assert predicted.votes is not None
    np.testing.assert_allclose(predicted.views.probabilities, np.stack([1 - fight, fight], axis=1))
    np.testing.assert_allclose(predicted.clips.probabilities[:, 1], [fight[:3].mean(), fight[3:].mean()])
    # The second clip has 0.2794, just below the threshold, and a view above it: by votes, which tie, it is calm too.
    assert predicted.clips.predicted.tolist() == [1, 0]
    assert predicted.views.predicted.tolist() == [0, 1, 1, 0, 1]
    assert predicted.votes.predicted.tolist() == [1, 0]
    assert predicted.uncalibrated is clips


def test_a_threshold_decides_between_equal_votes():
    views = np.array([[0.9, 0.1], [0.6, 0.4]])
    clips = make_predictions([1], [[0.75, 0.25]], class_names=["calm", "fight"])
    for probability, label in ((0.2, 1), (0.3, 0)):
        predicted = with_views(clips, np.array([0, 0]), views, Calibration(threshold=Threshold("fight", probability)))
        assert predicted.votes is not None
        assert predicted.clips.predicted.tolist() == predicted.votes.predicted.tolist() == [label]
        assert predicted.uncalibrated is None
