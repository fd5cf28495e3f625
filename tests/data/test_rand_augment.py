import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jaxvid.data import rand_augment as rand_augment_lib
from jaxvid.data.rand_augment import OPERATIONS, moved, rand_augment, rotation

RNG = np.random.default_rng(0)
COMPILED = {name: jax.jit(operation) for name, operation in OPERATIONS.items()}
# Not the whole range, so that there is contrast to gain.
IMAGE = RNG.integers(40, 200, (12, 16, 3), np.uint8)


def apply(name, image, strength):
    """An operation on a clip of one frame of 8 bits, in 8 bits."""
    return np.asarray(COMPILED[name](jnp.asarray(image)[None] / np.float32(255), jnp.float32(strength)))[0] * 255


# A strength is a share of torchvision's largest; factors are 1 + 0.9 of it.
@pytest.mark.parametrize(
    ("name", "strength", "pillow"),
    [
        ("identity", 0.5, lambda image: image),
        ("brightness", 0.5, lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
        ("brightness", -0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55)),
        ("color", 1.0, lambda image: ImageEnhance.Color(image).enhance(1.9)),
        ("contrast", -1.0, lambda image: ImageEnhance.Contrast(image).enhance(0.1)),
        ("sharpness", 1.0, lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
        ("sharpness", -1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1)),
        ("posterize", -0.5, lambda image: ImageOps.posterize(image, 6)),
        ("posterize", 1.0, lambda image: ImageOps.posterize(image, 4)),
        ("solarize", 0.5, lambda image: ImageOps.solarize(image, 128)),
        ("autocontrast", 0.3, ImageOps.autocontrast),
    ],
)
def test_a_frame_changes_as_in_pillow(name, strength, pillow):
    # Pillow rounds, and rounds gray before.
    np.testing.assert_allclose(apply(name, IMAGE, strength), np.asarray(pillow(Image.fromarray(IMAGE))), atol=2.01)


def test_equalize_is_that_of_pillow():
    image = (RNG.random((40, 50, 3)) ** 2 * 200).astype(np.uint8)
    expected = np.asarray(ImageOps.equalize(Image.fromarray(image)))
    np.testing.assert_allclose(apply("equalize", image, 0.0), expected, atol=1e-3)
    # Of one color there is nothing to equalize.
    plain = np.full((20, 20, 3), 77, np.uint8)
    np.testing.assert_allclose(apply("equalize", plain, 0.0), plain, atol=1e-3)
    np.testing.assert_allclose(apply("autocontrast", plain, 0.0), plain, atol=1e-3)


def test_moves_by_hand():
    image = np.arange(6.0).reshape(1, 2, 3, 1).repeat(3, axis=-1)
    mean = 2.5

    def result(matrix):
        return np.asarray(moved(jnp.asarray(image, jnp.float32), jnp.asarray(matrix, jnp.float32)))[0, :, :, 0]

    np.testing.assert_allclose(result([[1, 0, 0], [0, 1, 0]]), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_allclose(result([[1, 0, 1], [0, 1, 0]]), [[1, 2, mean], [4, 5, mean]])
    np.testing.assert_allclose(result([[1, 0, 0], [0, 1, -1]]), [[mean] * 3, [0, 1, 2]])
    # Half a pixel: the mean of two neighbors, or of one and what is outside.
    np.testing.assert_allclose(result([[1, 0, 0.5], [0, 1, 0]]), [[0.5, 1.5, 2.25], [3.5, 4.5, 3.75]])
    # A shear of one: the middles of the rows are 0.5 and 1.5 below the top.
    np.testing.assert_allclose(result([[1, 1, -0.5], [0, 1, 0]]), [[0, 1, 2], [4, 5, mean]])


def test_rotation_by_a_right_angle_turns_clockwise():
    square = RNG.random((2, 5, 5, 3)).astype(np.float32)
    turned = moved(jnp.asarray(square), rotation(jnp.float32(np.pi / 2), 5, 5))
    np.testing.assert_allclose(turned, np.rot90(square, -1, axes=(1, 2)), atol=1e-5)


def test_largest_moves_are_those_of_torchvision():
    # 331 wide: 150 pixels. Of a corner pixel, 0.3 of the height of 20 at the bottom, less half a pixel.
    wide = jnp.zeros((1, 2, 331, 3)).at[:, :, 150:].set(1)
    assert (COMPILED["translate_x"](wide, jnp.float32(1))[0, :, 1:180, 0] > 0.9).all()
    assert COMPILED["translate_x"](wide, jnp.float32(-1))[0, 0, 299, 0] == 0
    column = jnp.zeros((1, 20, 20, 3)).at[:, :, 10].set(1)
    sheared = np.asarray(COMPILED["shear_x"](column, jnp.float32(-1)))[0, :, :, 0]
    np.testing.assert_allclose(np.abs(sheared[19] - column.mean()).argmax() - 10, round(0.3 * 19.5))
    diagonal = np.asarray(COMPILED["rotate"](column, jnp.float32(1)))[0, :, :, 0]
    # tan(30 degrees) of 9 pixels is 5.2.
    assert diagonal[1, 4:17].argmax() + 4 in (15, 16)


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_frames_of_a_clip_change_alike(name):
    dark, light = IMAGE // 2, IMAGE
    clip = jnp.asarray(np.stack([light, dark, light])) / np.float32(255)
    changed = np.asarray(COMPILED[name](clip, jnp.float32(0.7)))
    assert changed.shape == clip.shape
    assert changed.dtype == np.float32
    np.testing.assert_allclose(changed[0], changed[2], atol=1e-6)
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6
    # What is darker stays darker: the frames have one mean, one range and one histogram.
    assert name == "solarize" or changed[1].mean() < changed[0].mean()


def test_each_layer_draws_an_operation_and_a_sign():
    clip = jnp.asarray(IMAGE)[None] / np.float32(255)
    keys = jax.random.split(jax.random.key(0), 150)
    results = np.asarray(jax.jit(lambda keys: jax.lax.map(lambda key: rand_augment(clip, key, 1, 15.0), keys))(keys))
    candidates = {
        (name, sign): np.asarray(COMPILED[name](clip, jnp.float32(sign * 0.5)))
        for name in OPERATIONS
        for sign in (-1, 1)
    }
    found = set()
    for result in results:
        found |= {candidate for candidate, expected in candidates.items() if np.allclose(result, expected, atol=1e-5)}
    assert found == set(candidates)


def test_layers_follow_one_another(monkeypatch):
    monkeypatch.setattr(rand_augment_lib, "OPERATIONS", {"halve": lambda images, strength: images / 2})
    clip = jnp.ones((1, 2, 2, 3))
    for layers in (0, 1, 3):
        np.testing.assert_array_equal(rand_augment(clip, jax.random.key(0), layers, 9.0), clip / 2**layers)
