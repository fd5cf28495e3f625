import re

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxvid.data import augment as augment_lib
from jaxvid.data.augment import check_augmentation
from jaxvid.data.preprocess import preprocess
from jaxvid.ops.random import row_keys

OFF = {"flip": False, "min_scale": 1.0, "brightness": 0.0, "contrast": 0.0, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
OFF |= {"rand_augment_layers": 0, "rand_augment_magnitude": 9.0}


def clip_config(height, width, crop="resize", normalization="unit"):
    return ml_collections.ConfigDict({"height": height, "width": width, "crop": crop, "normalization": normalization})


def augment_config(**values):
    return ml_collections.ConfigDict({**OFF, **values})


def random_frames(batch=2, time=3, height=8, width=8):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (batch, time, height, width, 3), np.uint8))


def test_without_augmentation_training_sees_what_evaluation_sees():
    frames, clip = random_frames(), clip_config(8, 8, normalization="imagenet")
    keys = row_keys(jax.random.key(0), 2, None)
    augmented = augment_lib.augmented(frames, keys, clip, augment_config())
    np.testing.assert_allclose(augmented, preprocess(frames, clip), rtol=1e-6)


def test_flip_mirrors_whole_clips_about_half_the_time():
    frames = jnp.repeat(random_frames(batch=1), 64, axis=0)
    keys = row_keys(jax.random.key(0), 64, None)
    images = np.asarray(augment_lib.augmented(frames, keys, clip_config(8, 8), augment_config(flip=True)))
    plain = frames[0] / np.float32(255)
    is_plain = [np.allclose(clip, plain) for clip in images]
    is_mirrored = [np.allclose(clip, plain[:, :, ::-1]) for clip in images]
    assert all(np.logical_xor(is_plain, is_mirrored))
    assert 16 < sum(is_mirrored) < 48


@pytest.mark.parametrize("crop", ["center", "resize"])
def test_random_crops_differ_between_clips_and_not_between_frames(crop):
    still = jnp.repeat(random_frames(batch=1, time=1, height=12, width=12), 3, axis=1)
    frames = jnp.repeat(still, 8, axis=0)
    keys = row_keys(jax.random.key(1), 8, None)
    min_scale = 1.0 if crop == "center" else 0.5
    images = np.asarray(
        augment_lib.augmented(frames, keys, clip_config(6, 6, crop), augment_config(min_scale=min_scale))
    )
    assert images.shape == (8, 3, 6, 6, 3)
    np.testing.assert_allclose(images, images[:, :1].repeat(3, axis=1), atol=1e-6)
    assert len({clip.tobytes() for clip in images}) > 4
    assert images.min() >= 0
    assert images.max() <= 1 + 1e-6


def test_a_random_center_crop_is_a_window_of_the_frame():
    frames = jnp.repeat(random_frames(batch=1, time=1, height=5, width=6), 30, axis=0)
    keys = row_keys(jax.random.key(2), 30, None)
    images = np.asarray(augment_lib.augmented(frames, keys, clip_config(4, 4, "center"), augment_config()))
    windows = {
        np.asarray(frames[0, 0, top : top + 4, left : left + 4]).tobytes(): (top, left)
        for top in range(2)
        for left in range(3)
    }
    found = {windows[np.round(frame[0] * 255).astype(np.uint8).tobytes()] for frame in images}
    assert found == set(windows.values())


def test_light_changes_stay_within_their_share():
    frames = jnp.full((50, 2, 4, 4, 3), 128, jnp.uint8)
    keys = row_keys(jax.random.key(0), 50, None)
    images = np.asarray(augment_lib.augmented(frames, keys, clip_config(4, 4), augment_config(brightness=0.1)))
    change = images - np.float32(128 / 255)
    assert np.abs(change).max() <= 0.1 + 1e-6
    assert change.min() < -0.05
    assert change.max() > 0.05
    np.testing.assert_allclose(np.ptp(change, axis=(1, 2, 3, 4)), 0, atol=1e-6)


def test_erasing_blanks_one_rectangle_in_all_frames():
    frames = random_frames(batch=20, time=2, height=20, width=20)
    keys = row_keys(jax.random.key(0), 20, None)
    images = np.asarray(augment_lib.augmented(frames, keys, clip_config(20, 20), augment_config(erasing=1.0)))
    erased = (np.abs(images - frames / np.float32(255)) > 1e-5).any(-1)
    for clip in erased.any(axis=1):
        rows, columns = np.flatnonzero(clip.any(1)), np.flatnonzero(clip.any(0))
        assert 0.15 * 20 <= len(rows) <= 0.55 * 20
        assert clip[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.95


def test_rand_augment_changes_each_clip_by_its_own_key_and_all_its_frames_alike():
    still = jnp.repeat(random_frames(batch=1, time=1), 3, axis=1)
    frames = jnp.repeat(still, 12, axis=0)
    keys = row_keys(jax.random.key(0), 12, None)
    config = augment_config(rand_augment_layers=1, rand_augment_magnitude=20.0)
    augmented = jax.jit(lambda frames, keys: augment_lib.augmented(frames, keys, clip_config(8, 8), config))
    images = np.asarray(augmented(frames, keys))
    np.testing.assert_allclose(images, images[:, :1].repeat(3, axis=1), atol=1e-6)
    assert len({clip.tobytes() for clip in images}) > 4
    # A clip's change does not depend on its place.
    np.testing.assert_allclose(augmented(frames, keys[::-1])[::-1], images, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("erasing", 2.0, "erasing is 2.0; allowed: 0 to 1"),
        ("min_scale", 0.0, "min_scale is 0.0"),
        ("mixup", -1.0, "mixup is -1.0"),
        ("cutmix", float("nan"), "cutmix is nan; allowed: 0 (off) or"),
        ("rand_augment_layers", -1, "rand_augment_layers is -1"),
        ("rand_augment_magnitude", 31.0, "rand_augment_magnitude is 31.0; allowed: 0 to 30"),
    ],
)
def test_bad_values_are_named(key, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_augmentation(augment_config(**{key: value}))
