import collections
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.data.dataset import open_split
from jaxvid.data.pipeline import clip_views, evaluation_batches, evaluation_views, training_batches
from jaxvid.data.records import decode_frames


@pytest.fixture(scope="module")
def split(data_dir):
    return open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "train")


def batches(split, clip, shard=(0, 1), batch_size=4, seed=0, **options):
    options = {"num_threads": 2, **options}
    return training_batches(split, clip, batch_size=batch_size, seed=seed, shard=shard, **options)


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def fingerprints(batch):
    """What tells clips apart: the frames themselves, as sampling is deterministic for `uniform`."""
    return [frames.tobytes() for frames in batch["frames"]]


def test_shapes_and_types(split, config):
    batch = next(batches(split, config.clip))
    assert batch["frames"].shape == (4, 4, 64, 64, 3)
    assert batch["frames"].dtype == np.uint8
    assert batch["label"].dtype == np.int32


def test_an_epoch_shows_every_clip_once_and_the_next_in_another_order(split, config):
    iterator = batches(split, config.clip)
    epochs = [[clip for batch in take(iterator, 4) for clip in fingerprints(batch)] for _ in range(2)]
    assert len(set(epochs[0])) == 16
    assert set(epochs[0]) == set(epochs[1])
    assert epochs[0] != epochs[1]


def test_an_epoch_of_sliding_windows_shows_every_window_of_every_clip_once(split, config):
    config.clip.update(sampling="sliding_window", window_stride=3)
    expected = collections.Counter()
    for i in range(len(split)):
        frames = decode_frames(split[i].frames, np.arange(len(split[i].frames)))
        # Every third frame begins a window, and one ends on the last frame.
        starts = {*range(0, len(frames) - 4, 3), len(frames) - 4}
        expected.update((frames[start : start + 4].tobytes(), split[i].label) for start in starts)
    iterator = batches(split, config.clip, batch_size=1)
    shown = take(iterator, expected.total())
    assert expected.total() > 2 * len(split)
    assert collections.Counter((b["frames"][0].tobytes(), int(b["label"][0])) for b in shown) == expected


def test_labels_belong_to_their_frames(split, config):
    of_frames = {clip_views(split[i], config.clip)[0].tobytes(): split[i].label for i in range(len(split))}
    batch = next(batches(split, config.clip, batch_size=16))
    assert [of_frames[clip] for clip in fingerprints(batch)] == batch["label"].tolist()


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_restored_iterator_goes_on_with_the_same_batches(split, config, workers):
    config.clip.sampling = "random_segment"
    iterator = batches(split, config.clip, num_workers=workers)
    take(iterator, 3)
    state = json.loads(json.dumps(iterator.get_state()))
    expected = take(iterator, 5)
    restored = batches(split, config.clip, num_workers=workers)
    restored.set_state(state)
    for batch, wanted in zip(take(restored, 5), expected, strict=True):
        np.testing.assert_array_equal(batch["frames"], wanted["frames"])
        np.testing.assert_array_equal(batch["label"], wanted["label"])


def test_two_processes_read_the_halves_of_the_batches_of_one(split, config):
    config.clip.sampling = "random_segment"
    whole = take(batches(split, config.clip), 6)
    halves = [take(batches(split, config.clip, shard=(i, 2)), 6) for i in range(2)]
    for batch, *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(batch["frames"], np.concatenate([part["frames"] for part in parts]))
        np.testing.assert_array_equal(batch["label"], np.concatenate([part["label"] for part in parts]))


def test_evaluation_shows_every_clip_once_padded_and_masked(split, config):
    views = evaluation_views(split, config.clip, num_threads=2)
    padded = list(evaluation_batches(views, 5))
    assert [batch.inputs["frames"].shape for batch in padded] == [(5, 4, 64, 64, 3)] * 4
    assert [batch.mask.sum() for batch in padded] == [5, 5, 5, 1]
    assert not padded[-1].inputs["frames"][1:].any()
    shown = np.concatenate([batch.clip_index[batch.mask] for batch in padded])
    np.testing.assert_array_equal(np.sort(shown), np.arange(16))


def test_evaluation_of_windows_shows_all_of_every_clip(split, config):
    config.clip.update(sampling="consecutive", num_frames=4, window_stride=1)
    views = {i: inputs["frames"] for i, inputs in evaluation_views(split, config.clip, num_threads=2)}
    assert {len(views[i]) for i in range(16)} == {split.metadata.num_frames[i] - 3 for i in range(16)}
    # The second window is the first, a frame later.
    np.testing.assert_array_equal(views[0][1][:-1], views[0][0][1:])


def test_shards_share_the_clips_of_an_evaluation(split, config):
    shown = [{i for i, _ in evaluation_views(split, config.clip, num_threads=1, shard=(s, 3))} for s in range(3)]
    assert set.union(*shown) == set(range(16))
    assert sum(map(len, shown)) == 16
