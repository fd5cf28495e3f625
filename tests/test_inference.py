import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid import inference, parallel
from jaxvid.data.dataset import open_split
from jaxvid.inference import predict_split, predict_views


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
    monkeypatch.setattr(inference, "of_videos", lambda split, *own_rows: rows.append(own_rows) or alone)
    for process in range(10):
        monkeypatch.setattr(parallel, "process_shard", lambda process=process: (process, 10))
        predict_split(probabilities_of_brightness, {}, split, config)
    assert [len(clip_index) for clip_index, _ in rows] == [1] * 8 + [0] * 2
    clip_index, outputs = (np.concatenate(arrays) for arrays in zip(*rows, strict=True))
    np.testing.assert_array_equal(clip_index, np.arange(8))
    np.testing.assert_allclose(outputs, alone.clips.probabilities, rtol=1e-6)
