import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.activations import family_coefficients
from jaxvid.models.video_resnet import VARIANTS, VideoResNet, middle_channels
from tests.tiny import random_variables


def shapes_of(model, clips_shape=(1, 8, 32, 32, 3)):
    return jax.eval_shape(
        lambda key: model.init_with_output(key, jnp.zeros(clips_shape), train=False), jax.random.key(0)
    )


@pytest.mark.parametrize(
    ("variant", "num_classes", "expected"),
    [
        ("r2plus1d_18", 2, 31_301_151),
        ("r2plus1d_18", 400, 31_505_325),
        ("r3d_18", 2, 33_167_298),
        ("mc3_18", 2, 11_491_266),
        # 63.7 million in the authors' own model zoo.
        ("r2plus1d_34", 400, 63_697_175),
    ],
)
def test_parameter_counts_are_the_published_ones(variant, num_classes, expected):
    logits, variables = shapes_of(VideoResNet(num_classes=num_classes, variant=variant))
    assert logits.shape == (1, num_classes)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected


@pytest.mark.parametrize(
    ("channels", "expected"), [((64, 64), 144), ((64, 128), 230), ((128, 128), 288), ((256, 512), 921)]
)
def test_middle_channels_keep_the_parameters_of_a_3d_convolution(channels, expected):
    assert middle_channels(*channels) == expected


def test_r2plus1d_18_has_34_sites_with_telling_names():
    _, variables = shapes_of(VideoResNet(num_classes=2, adaptive=True))
    paths = jax.tree_util.tree_leaves_with_path(variables["activations"])
    sites = {"/".join(key.key for key in path[:-1]) for path, _ in paths}
    in_block = ["conv1/activation", "activation1", "conv2/activation", "activation2"]
    blocks = [f"layer{layer}_{block}" for layer in (1, 2, 3, 4) for block in (0, 1)]
    assert sites == {"stem/activation1", "stem/activation2", *(f"{b}/{site}" for b in blocks for site in in_block)}
    assert len(sites) == 34


@pytest.mark.parametrize(
    ("variant", "stem", "last"),
    # Frames are halved four times; time three times, and not at all where the convolutions are 1x3x3.
    [
        ("r2plus1d_18", (8, 16, 20), (1, 2, 3)),
        ("r3d_18", (8, 16, 20), (1, 2, 3)),
        ("mc3_18", (8, 16, 20), (8, 2, 3)),
    ],
)
def test_stages_shrink_as_in_torchvision(variant, stem, last):
    model = VideoResNet(num_classes=2, variant=variant)
    _, state = jax.eval_shape(
        lambda key: model.init_with_output(
            key, jnp.zeros((1, 8, 32, 40, 3)), train=False, capture_intermediates=True, mutable=True
        ),
        jax.random.key(0),
    )
    outputs = state["intermediates"]
    assert outputs["stem"]["__call__"][0].shape == (1, *stem, 64)
    assert outputs["layer4_1"]["__call__"][0].shape == (1, *last, 512)


def test_an_unknown_variant_is_refused_by_name():
    with pytest.raises(
        ValueError, match="'r2plus1d_50'; allowed: r2plus1d_10, r2plus1d_18, r2plus1d_34, r3d_18, mc3_18"
    ):
        shapes_of(VideoResNet(num_classes=2, variant="r2plus1d_50"))


def test_r2plus1d_34_normalizes_as_its_authors_and_the_others_as_torchvision():
    assert {name: variant.norm_epsilon for name, variant in VARIANTS.items()} == {
        "r2plus1d_18": 1e-5,
        "r2plus1d_10": 1e-3,
        "r2plus1d_34": 1e-3,
        "r3d_18": 1e-5,
        "mc3_18": 1e-5,
    }


@pytest.fixture(scope="module")
def mc3():
    """The smallest variant: its variables, a batch of small clips, and its logits."""
    clips = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 48, 48, 3)), jnp.float32)
    model = VideoResNet(num_classes=3, variant="mc3_18", activation="leaky_relu")
    variables = random_variables(model, clips)
    return variables, clips, logits_of(model, variables, clips)


def logits_of(model, variables, clips):
    return jax.jit(lambda v: model.apply(v, clips, train=False))(variables)


def test_adaptive_sites_take_an_activation_from_the_state(mc3):
    variables, clips, expected = mc3
    model = VideoResNet(num_classes=3, variant="mc3_18", activation="relu", adaptive=True)
    _, shapes = shapes_of(model)
    leaky = jax.tree.map(lambda _: jnp.asarray(family_coefficients("leaky_relu")), shapes["activations"])
    logits = logits_of(model, {**variables, "activations": leaky}, clips)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_bfloat16_computes_and_returns_float32(mc3):
    variables, clips, expected = mc3
    logits = logits_of(
        VideoResNet(num_classes=3, variant="mc3_18", activation="leaky_relu", dtype=jnp.bfloat16), variables, clips
    )
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.03 * np.abs(expected).max())


def test_remat_keeps_only_the_inputs_of_the_blocks():
    clips = jnp.zeros((1, 2, 16, 16, 3))

    def kept_for_the_backward_pass(remat):
        model = VideoResNet(num_classes=2, variant="mc3_18", remat=remat)
        shapes = jax.eval_shape(lambda key: model.init(key, clips, train=False), jax.random.key(0))
        loss = lambda variables: model.apply(variables, clips, train=False).sum()  # noqa: E731
        _, pull_back = jax.eval_shape(lambda variables: jax.vjp(loss, variables), shapes)
        return sum(leaf.size for leaf in jax.tree.leaves(pull_back)), jax.tree.structure(shapes)

    kept, structure = kept_for_the_backward_pass(remat=True)
    kept_without, structure_without = kept_for_the_backward_pass(remat=False)
    assert kept < kept_without
    assert structure == structure_without
