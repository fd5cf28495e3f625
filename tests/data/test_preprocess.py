import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxvid.data.preprocess import check_preprocessing, preprocess


def clip_config(height, width, crop="resize", normalization="unit"):
    return ml_collections.ConfigDict({"height": height, "width": width, "crop": crop, "normalization": normalization})


def random_frames(batch=2, time=3, height=8, width=8):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (batch, time, height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("normalization", "pixel", "expected"),
    [
        ("unit", (0, 255, 51), (0.0, 1.0, 0.2)),
        ("raw", (0, 255, 51), (0.0, 255.0, 51.0)),
        ("symmetric", (0, 255, 51), (-1.0, 1.0, -0.6)),
        ("kinetics", (0, 255, 51), (-1.895189, 2.733502, -0.813175)),
    ],
)
def test_normalization_by_hand(normalization, pixel, expected):
    frames = jnp.broadcast_to(jnp.asarray(pixel, jnp.uint8), (1, 1, 2, 2, 3))
    images = preprocess(frames, clip_config(2, 2, normalization=normalization))
    np.testing.assert_allclose(images[0, 0, 1, 1], expected, atol=1e-4)


def test_center_crop_cuts_the_middle_out():
    frames = random_frames(height=6, width=9)
    images = preprocess(frames, clip_config(4, 5, crop="center"))
    np.testing.assert_allclose(images, frames[:, :, 1:5, 2:7] / np.float32(255), rtol=1e-6)


def test_a_center_crop_larger_than_the_images_is_refused():
    with pytest.raises(ValueError, match="center crop of 9x4 of frames of 8x8"):
        preprocess(random_frames(), clip_config(9, 4, crop="center"))


def test_resizing_to_half_averages_with_the_triangle_kernel():
    frames = jnp.zeros((1, 1, 4, 4, 3), jnp.uint8).at[..., :2, :].set(255)
    images = preprocess(frames, clip_config(2, 2))
    # Antialiased triangle of width two: weights 3/7, 3/7, 1/7 at the border.
    np.testing.assert_allclose(images[0, 0, 0, :, 0], [6 / 7, 1 / 7], atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "corners"),
    [
        # 4x4 crops at the positions 0, 0.5 and 1: (top, left) of each.
        (10, 6, [(0, 1), (3, 1), (6, 1)]),
        (6, 10, [(1, 0), (1, 3), (1, 6)]),
        # Square frames: along the width, not the diagonal.
        (8, 8, [(2, 0), (2, 2), (2, 4)]),
    ],
)
def test_center_crops_lie_along_one_side(height, width, corners):
    frames = random_frames(height=height, width=width)
    for position, (top, left) in zip((0.0, 0.5, 1.0), corners, strict=True):
        images = preprocess(frames, clip_config(4, 4, crop="center"), position)
        expected = frames[:, :, top : top + 4, left : left + 4] / np.float32(255)
        np.testing.assert_allclose(images, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("normalization", "unti", "'unti'; allowed: unit, raw"),
        ("crop", "middle", "'middle'; allowed: resize, center"),
        ("height", 0, "height is 0"),
    ],
)
def test_bad_values_are_named(key, value, message):
    config = clip_config(8, 8)
    config[key] = value
    with pytest.raises(ValueError, match=message):
        check_preprocessing(config)
