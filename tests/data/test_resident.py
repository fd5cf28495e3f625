import numpy as np
import pytest

from jaxvid.data.dataset import open_split, prepare
from jaxvid.data.pipeline import ROWS, training_batches
from jaxvid.data.records import decode_frames
from jaxvid.data.resident import FrameRows
from jaxvid.data.sampling import create_sampling


@pytest.fixture
def split(config):
    return open_split(prepare(config.dataset), "train")


def test_of_a_fixed_sampling_only_the_frames_that_it_takes_are_kept(config, split):
    rows = FrameRows(split, create_sampling(config.clip))
    # Four frames of every clip; the clips have 8 to 12.
    assert rows.num_rows == 4 * len(split)
    taken = create_sampling(config.clip).train(int(split.metadata.num_frames[1]), 10.0, np.random.default_rng(0))
    assert rows.of(1, taken).tolist() == [4, 5, 6, 7]


def test_of_other_samplings_all_frames_are_kept(config, split):
    config.clip.sampling = "random_segment"
    rows = FrameRows(split, create_sampling(config.clip))
    assert rows.num_rows == split.metadata.num_frames.sum()
    first = int(split.metadata.num_frames[0])
    assert rows.of(1, np.asarray([3, 0, 3])).tolist() == [first + 3, first, first + 3]
    array = rows.decode(split, num_threads=2)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array[first : first + 2], decode_frames(split[1].frames, np.arange(2)))


@pytest.mark.parametrize("sampling", ["uniform", "random_segment", "consecutive", "fps", "sliding_window"])
def test_batches_of_rows_are_the_batches_of_frames(config, split, sampling):
    config.clip.update(sampling=sampling, fps=7.0, window_stride=2, speed_jitter=0.3 if sampling == "fps" else 0.0)
    options = {"batch_size": 4, "seed": 3, "num_threads": 1}
    streamed = training_batches(split, config.clip, **options)
    rows = FrameRows(split, create_sampling(config.clip))
    named, array = training_batches(split, config.clip, **options, rows=rows), rows.decode(split, 1)
    # More than an epoch of 16 clips.
    for _ in range(5):
        one, other = next(streamed), next(named)
        frames = array[other.pop(ROWS)]
        np.testing.assert_array_equal(one.pop("frames"), frames)
        assert {key: (values.dtype, values.tolist()) for key, values in one.items()} == {
            key: (values.dtype, values.tolist()) for key, values in other.items()
        }
    assert streamed.get_state() == named.get_state()
