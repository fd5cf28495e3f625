import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxvid.models.activation_plot import draw_activations, values_and_derivatives
from jaxvid.models.activations import (
    ACTIVATIONS,
    FAMILY,
    Activation,
    activation_sites,
    distinct_functions,
    family_coefficients,
    get_activation,
    same_function,
    with_functions,
)
from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.cnn_lstm import CNNLSTM
from jaxvid.models.convlstm import ConvLSTM
from jaxvid.models.frame_classifier import FrameClassifier
from jaxvid.models.lrcn import LRCN
from jaxvid.models.video_resnet import VideoResNet

# No zero and no six: there the functions have kinks, whose gradient is a convention.
REFERENCES = {name: jax.nn.identity if name == "linear" else getattr(jax.nn, name) for name in FAMILY}
X = jnp.concatenate([jnp.linspace(-200, 200, 41) + 0.1, jnp.linspace(-3, 3, 31) + 0.01])


@pytest.mark.parametrize("name", FAMILY)
def test_an_adaptive_site_equals_the_function_of_jax_nn(name):
    site = Activation(name, adaptive=True)
    variables = site.init(jax.random.key(0), X)
    np.testing.assert_allclose(site.apply(variables, X), REFERENCES[name](X), rtol=1e-6)
    adaptive_grad = jax.grad(lambda x: jnp.sum(site.apply(variables, x)))(X)
    np.testing.assert_allclose(adaptive_grad, jax.vmap(jax.grad(REFERENCES[name]))(X), rtol=1e-6)


def test_another_activation_needs_no_new_compilation():
    site = Activation("relu", adaptive=True)
    compilations = []

    @jax.jit
    def apply(variables, x):
        compilations.append(1)
        return site.apply(variables, x)

    for name in FAMILY:
        variables = {"activations": {"coefficients": jnp.asarray(FAMILY[name], jnp.float32)}}
        np.testing.assert_allclose(apply(variables, X), REFERENCES[name](X), rtol=1e-6)
    assert len(compilations) == 1


@pytest.fixture(scope="module")
def networks():
    """`(name, adaptive)` -> variables, outputs and gradients of a small CNN-LSTM with that activation at every site."""
    clips = jax.random.normal(jax.random.key(1), (2, 2, 16, 16, 3))

    @functools.partial(jax.jit, static_argnums=0)
    def outputs_and_gradients(model, variables):
        def loss(params):
            logits = model.apply({**variables, "params": params}, clips, train=False)
            return jnp.square(logits).sum(), logits

        return jax.grad(loss, has_aux=True)(variables["params"])

    def run(name, *, adaptive):
        # Adaptive: constructed with one function, set to another.
        model = CNNLSTM(num_classes=2, arch="C4R1D2", activation="celu" if adaptive else name, adaptive=adaptive)
        variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), clips)
        if adaptive:
            sites = activation_sites(model, clips.shape[1:])
            functions = dict.fromkeys(sites, name)
            variables = {**variables, "activations": with_functions(variables["activations"], functions)}
        return outputs_and_gradients(model, variables)

    return run


# Single sites are compared for all of the family above.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "relu" else pytest.mark.slow) for name in FAMILY]
)
def test_an_adaptive_network_has_the_outputs_and_gradients_of_the_fixed_one(networks, name):
    fixed, adaptive = networks(name, adaptive=False), networks(name, adaptive=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), fixed, adaptive)


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (CNNLSTM(num_classes=2, arch="C4R1D3"), (2, 32, 32, 3), 2 + 2),
        (LRCN(num_classes=2, adaptive=True), (2, 64, 64, 3), 4),
        (ConvLSTM(num_classes=2, activation="relu"), (2, 64, 64, 3), 4 * 2),
        (VideoResNet(num_classes=2, variant="r2plus1d_18"), (4, 32, 32, 3), 34),
        (VideoResNet(num_classes=2, variant="r3d_18", adaptive=True), (4, 32, 32, 3), 1 + 8 * 2),
        (BackboneLSTM(num_classes=2, backbone="vgg16"), (2, 32, 32, 3), 13 + 2),
    ],
)
def test_the_sites_of_every_model_are_listed(model, shape, expected):
    sites = activation_sites(model, shape)
    assert len(sites) == expected
    adaptive = model.clone(adaptive=True)
    clips = jnp.zeros((1, *shape))
    variables = jax.eval_shape(lambda: adaptive.init(jax.random.key(0), clips, train=False))
    flat = traverse_util.flatten_dict(variables["activations"], sep="/")
    assert set(flat) == {f"{site}/coefficients" for site in sites}


def test_sites_come_in_the_order_of_the_data_with_their_functions():
    sites = activation_sites(VideoResNet(num_classes=2, variant="r2plus1d_10", activation="elu"), (4, 32, 32, 3))
    assert list(sites)[:4] == [
        "stem/activation1",
        "stem/activation2",
        "layer1_0/conv1/activation",
        "layer1_0/activation1",
    ]
    assert list(sites)[-1] == "layer4_0/activation2"
    assert set(sites.values()) == {"elu"}


def test_one_site_changes_and_a_site_that_does_not_exist_is_named():
    collection = {"a": {"coefficients": jnp.zeros(4)}, "b": {"c": {"coefficients": jnp.ones(4)}}}
    changed = with_functions(collection, {"b/c": "relu6"})
    np.testing.assert_array_equal(changed["a"]["coefficients"], np.zeros(4))
    np.testing.assert_array_equal(changed["b"]["c"]["coefficients"], [0, 0, 1, 6])
    with pytest.raises(ValueError, match="no activation site 'b'; there are: a, b/c"):
        with_functions(collection, {"b": "relu"})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_fixed_site_has_no_variables(name):
    site = Activation(name)
    assert site.init(jax.random.key(0), X) == {}
    np.testing.assert_array_equal(site.apply({}, X), get_activation(name)(X))


def test_unknown_and_unsupported_names_are_refused_with_the_allowed_ones():
    with pytest.raises(ValueError, match="unknown activation 'rleu'; allowed: relu, leaky_relu"):
        get_activation("rleu")
    with pytest.raises(ValueError, match="'gelu' cannot adapt; adaptive sites take one of: relu, leaky_relu, elu"):
        Activation("gelu", adaptive=True).init(jax.random.key(0), X)


@pytest.mark.parametrize(
    ("name", "expected"),
    # At -2 and 3, worked out from the definitions.
    [
        ("leaky_relu:0.1", [-0.2, 3]),
        ("leaky_relu:0.3", [-0.6, 3]),
        ("elu:0.5", [0.5 * (math.exp(-2) - 1), 3]),
        ("celu:0.5", [0.5 * (math.exp(-4) - 1), 3]),
        ("linear", [-2, 3]),
    ],
)
def test_a_setting_is_the_constant_of_the_function_fixed_and_adaptive(name, expected):
    x = jnp.asarray([-2.0, 3.0])
    np.testing.assert_allclose(get_activation(name)(x), expected, rtol=1e-6)
    site = Activation(name, adaptive=True)
    np.testing.assert_allclose(site.apply(site.init(jax.random.key(0), x), x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("relu:0.1", "activation 'relu:0.1': relu has no setting; allowed: leaky_relu:slope, elu:alpha, celu:alpha"),
        ("leaky_relu:", "'leaky_relu:': the slope is ''; allowed: a number above 0"),
        ("elu:0", "'elu:0': the alpha is '0'; allowed: a number above 0"),
        ("celu:nan", "'celu:nan': the alpha is 'nan'; allowed: a number above 0"),
        ("maxout:1", "'maxout:1': the pieces is '1'; allowed: a whole number from 2 on"),
        ("maxout:2.5", "'maxout:2.5': the pieces is '2.5'; allowed: a whole number from 2 on"),
        ("rleu:1", "unknown activation 'rleu:1'; allowed: relu"),
    ],
)
def test_settings_that_are_not_allowed_are_named(name, message):
    with pytest.raises(ValueError, match=message):
        get_activation(name)


def test_maxout_takes_the_largest_of_neighboring_channels():
    x = jnp.asarray([[1.0, 5, 3, 2], [-1, -4, 0, -7]])
    np.testing.assert_array_equal(get_activation("maxout")(x), [[5, 3], [-1, 0]])
    np.testing.assert_array_equal(get_activation("maxout:4")(x), [[5], [0]])
    with pytest.raises(ValueError, match="maxout:3 takes a multiple of 3 channels, not 4"):
        get_activation("maxout:3")(x)
    with pytest.raises(ValueError, match="'maxout' cannot adapt"):
        family_coefficients("maxout")


def test_a_network_of_maxout_units_is_half_as_wide():
    model = LRCN(num_classes=2, activation="maxout")
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 2, 64, 64, 3)), train=False))
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items() if "conv" in name}
    assert kernels == {"conv1": (3, 3, 3, 16), "conv2": (3, 3, 8, 32), "conv3": (3, 3, 16, 64), "conv4": (3, 3, 32, 64)}


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (VideoResNet, "activation"),
        (ConvLSTM, "activation"),
        (FrameClassifier, "activation"),
        (BackboneLSTM, "backbone_activation"),
    ],
)
def test_maxout_is_refused_where_widths_are_fixed(model, key):
    with pytest.raises(ValueError, match=f"^{key} is 'maxout:2', which leaves fewer channels .*; allowed: relu, leaky"):
        model(num_classes=2, **{key: "maxout:2"})


def test_names_of_one_function_are_the_same():
    assert same_function("elu", "celu")
    assert same_function("leaky_relu", "leaky_relu:0.01")
    assert not same_function("elu:0.5", "celu:0.5")
    assert not same_function("gelu", "silu")
    names = ("celu", "relu", "elu", "leaky_relu:0.1", "elu:1", "leaky_relu")
    assert distinct_functions(names) == ["celu", "relu", "leaky_relu:0.1", "leaky_relu"]


def test_activations_are_drawn_with_their_derivatives(tmp_path):
    draw_activations(tmp_path / "sub" / "drawn.svg", ("elu:0.5", "maxout:3"))
    drawn = (tmp_path / "sub" / "drawn.svg").read_text()
    for text in ("elu:0.5", "maxout:3 of x, 0.25x, -0.5x", "derivative"):
        assert f"<!-- {text} -->" in drawn
    with pytest.raises(ValueError, match="--activations is '.*drawn.txt'; allowed: a file that ends in .*png"):
        draw_activations(tmp_path / "drawn.txt", ("relu",))
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["drawn.svg"]


def test_what_is_drawn_are_values_and_derivatives_with_a_gap_at_a_jump():
    x = np.float32([-0.4, -0.2, -0.01, 0.01, 1])
    values, derivatives = values_and_derivatives(get_activation("elu:0.5"), x)
    np.testing.assert_allclose(values, [-0.16484, -0.0906346, -0.004975, 0.01, 1], 1e-4)
    # The derivative is exp(x) / 2, and 1 from 0 on.
    np.testing.assert_allclose(derivatives, [0.33516, 0.409365, np.nan, 1, 1], 1e-4)
