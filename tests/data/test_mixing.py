import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxvid.data.mixing import cutmix, mixed, mixup
from jaxvid.ops.random import row_keys


def keys_of(count):
    return row_keys(jax.random.key(0), count, None)


def test_mixup_blends_neighbors_and_their_targets_alike():
    clips = jnp.arange(4.0).reshape(4, 1)
    targets = jnp.eye(4)
    mixed_clips, mixed_targets = mixup(clips, targets, keys_of(4), 1.0)
    np.testing.assert_allclose(mixed_targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed_clips[:, 0], mixed_targets @ np.arange(4.0), rtol=1e-5)
    np.testing.assert_allclose(mixed_targets[:2, 2:], 0)
    # The two of a pair add up to what they were.
    np.testing.assert_allclose(mixed_clips[0] + mixed_clips[1], 1.0, rtol=1e-6)
    assert 0.001 < mixed_clips[0, 0] < 0.999


def test_mixup_blends_several_arrays_of_features_alike():
    features = {"one": jnp.arange(4.0).reshape(4, 1, 1), "other": 10 * jnp.arange(4.0).reshape(4, 1)}
    blended, targets = mixup(features, jnp.eye(4), keys_of(4), 1.0)
    np.testing.assert_allclose(blended["one"][:, 0, 0], targets @ np.arange(4.0), rtol=1e-5)
    np.testing.assert_allclose(blended["other"][:, 0], 10 * targets @ np.arange(4.0), rtol=1e-5)


def numbered_clips(count):
    """Clips of three frames of 10x12, all of whose pixels are the number of the clip."""
    return jnp.broadcast_to(jnp.arange(float(count)).reshape(-1, 1, 1, 1, 1), (count, 3, 10, 12, 3))


def test_cutmix_exchanges_one_box_of_all_frames_and_weighs_labels_by_area():
    clips = numbered_clips(40)
    result, targets = map(np.asarray, cutmix(clips, jnp.eye(40), keys_of(40), 1.0))
    kept = []
    for row in range(40):
        partner = row + 1 - 2 * (row % 2)
        changed = result[row] == partner
        assert (changed | (result[row] == row)).all()
        # The same in all frames and channels: a rectangle.
        assert (changed == changed[:1, :, :, :1]).all()
        box = changed[0, :, :, 0]
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        if box.any():
            assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        expected = np.eye(40)[row] * (120 - box.sum()) / 120 + np.eye(40)[partner] * box.sum() / 120
        np.testing.assert_allclose(targets[row], expected, atol=1e-6)
        kept.append(1 - box.mean())
    # Both of a pair exchange the same box; pairs differ.
    assert kept[::2] == kept[1::2]
    assert len(set(kept)) > 10
    # With alpha 1 a side is the root of an even share u, and is cut off to 1 - side / 4 of itself on average:
    # 1 - E[u - u^1.5 / 2 + u^2 / 16] is kept.
    assert abs(np.mean(kept) - (1 - 1 / 2 + 1 / 5 - 1 / 48)) < 0.1


def test_of_mixup_and_cutmix_each_pair_gets_one():
    clips, config = numbered_clips(80), ml_collections.ConfigDict({"mixup": 1.0, "cutmix": 1.0})
    result, targets = map(np.asarray, mixed(clips, jnp.eye(80), keys_of(80), config))
    is_blend = np.asarray([len(np.unique(clip)) == 1 and clip.flat[0] % 1 != 0 for clip in result])
    is_cut = np.asarray([set(np.unique(clip)) <= {row - row % 2, row - row % 2 + 1} for row, clip in enumerate(result)])
    assert (is_blend ^ is_cut).all()
    assert (is_blend[::2] == is_blend[1::2]).all()
    assert 10 < is_blend[::2].sum() < 30
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3, 4)), targets @ np.arange(80.0), rtol=1e-4)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_an_odd_batch_is_refused(mix):
    with pytest.raises(ValueError, match="must be even, not 3"):
        mix(jnp.zeros((3, 1, 2, 2, 1)), jnp.zeros((3, 2)), keys_of(3), 1.0)
