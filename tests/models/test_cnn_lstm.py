import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from configs import shdn
from jaxvid.models.cnn_lstm import ARCHITECTURES, parse_arch
from jaxvid.models.create import module_from_config
from tests.models.backbones import keras_reference

# Written out from the paper's layers: convolutions k*k*in*out + out, batch norms 2*out, LSTM 4*256*(in + 256 + 1),
# dense layers in*out + out. C10R1D3 is the count that the paper publishes.
PARAMETERS = {"C10R1D3": 4_171_218}


def conv(kernel, inputs, outputs):
    return kernel * kernel * inputs * outputs + outputs + 2 * outputs


STACK = [conv(7, 3, 32), conv(3, 32, 32), conv(3, 32, 64), conv(3, 64, 64)]
STACK += [conv(3, 64, 128), conv(3, 128, 128), conv(3, 128, 512), conv(3, 512, 512)]
FEATURES = [32, 32, 64, 64, 128, 128, 512, 512]


def expected_parameters(num_convs, num_dense):
    lstm = 4 * 256 * (FEATURES[num_convs - 1] + 256 + 1)
    dense = 256 * 512 + 512 + (512 * 2 + 2 if num_dense == 2 else 512 * 16 + 16 + 16 * 2 + 2)
    return sum(STACK[:num_convs]) + lstm + dense


def model_config(**values):
    return ml_collections.ConfigDict({"name": "cnn_lstm", "num_classes": 2, "dtype": "float32", **values})


def shapes(model, size=128):
    clips = jnp.zeros((1, 4, size, size, 3))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), clips, train=False))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameter_counts_are_those_of_the_papers_layers(arch):
    variables = shapes(module_from_config(model_config(arch=arch)))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    num_convs, num_dense = int(arch[1:].split("R")[0]) - 2, int(arch[-1])
    assert count == expected_parameters(num_convs, num_dense)
    assert count == PARAMETERS.get(arch, count)


def test_checkpoints_find_their_parameters_and_their_first_values():
    model = module_from_config(model_config(arch="C4R1D3"))
    variables = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)), train=False))()
    assert set(variables["params"]) == {"cnn", "lstm", "dense1", "dense2", "head"}
    # As of the version of the code that had all layers in one method.
    np.testing.assert_allclose(variables["params"]["head"]["kernel"][0], [0.558941, 0.2468898], rtol=1e-6)


def test_every_nonlinearity_of_cnn_and_dense_layers_is_a_site():
    variables = shapes(module_from_config(model_config(adaptive=True)))
    assert set(variables["activations"]) == {"cnn", "dense_activation1", "dense_activation2"}
    assert set(variables["activations"]["cnn"]) == {f"activation{i}" for i in range(1, 9)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_float32_whatever_the_computation_is_in(dtype):
    model = module_from_config(model_config(arch="C4R1D2", dtype=dtype))
    clips = jax.random.uniform(jax.random.key(1), (2, 3, 32, 32, 3))
    variables = model.init(jax.random.key(0), clips, train=False)
    logits = model.apply(variables, clips, train=False)
    assert logits.shape == (2, 2)
    assert logits.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_the_order_of_frames_matters():
    model = module_from_config(model_config(arch="C4R1D2"))
    clips = jax.random.uniform(jax.random.key(1), (1, 5, 32, 32, 3))
    variables = model.init(jax.random.key(0), clips, train=False)
    forwards = model.apply(variables, clips, train=False)
    backwards = model.apply(variables, clips[:, ::-1], train=False)
    assert jnp.abs(forwards - backwards).max() > 1e-5


def keras_shdn(frames, size, classes):
    """C10R1D3 as the paper describes it, of Keras' layers with their defaults; its dropout does nothing here."""
    from keras import Input, Sequential, layers

    cnn = Sequential([Input((size, size, 3))])
    for i, filters in enumerate((32, 32, 64, 64, 128, 128, 512, 512)):
        cnn.add(layers.Conv2D(filters, 7 if i == 0 else 3, 2 if i % 2 == 0 else 1, padding="same"))
        cnn.add(layers.BatchNormalization())
        cnn.add(layers.LeakyReLU())
        if i in (1, 3):
            cnn.add(layers.MaxPooling2D(2, padding="same"))
    cnn.add(layers.GlobalAveragePooling2D())
    model = Sequential([Input((frames, size, size, 3)), layers.TimeDistributed(cnn), layers.LSTM(256)])
    for width in (512, 16):
        model.add(layers.Dense(width))
        model.add(layers.LeakyReLU())
    model.add(layers.Dense(classes))
    return model


@pytest.mark.slow
def test_weights_of_keras_give_its_outputs():
    reference = keras_shdn(3, 64, 2)
    keras_reference.randomize(reference)
    clips = np.random.default_rng(0).random((2, 3, 64, 64, 3), np.float32)
    # In the order of the layers, but for the statistics of the batch norms, which come last within the CNN.
    cnn = reference.layers[0].layer
    params, batch_stats = {"cnn": {}}, {"cnn": {}}
    weighted = iter([layer for layer in cnn.layers if layer.weights])
    for i, (conv, norm) in enumerate(zip(weighted, weighted, strict=True), start=1):
        params["cnn"][f"conv{i}"] = dict(zip(("kernel", "bias"), conv.get_weights(), strict=True))
        scale, bias, mean, var = norm.get_weights()
        params["cnn"][f"norm{i}"] = {"scale": scale, "bias": bias}
        batch_stats["cnn"][f"norm{i}"] = {"mean": mean, "var": var}
    lstm, *dense = [layer for layer in reference.layers[1:] if layer.weights]
    kernel, recurrent_kernel, bias = lstm.get_weights()
    params["lstm"] = {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}
    for name, layer in zip(("dense1", "dense2", "head"), dense, strict=True):
        params[name] = dict(zip(("kernel", "bias"), layer.get_weights(), strict=True))

    config = shdn.get_config().model
    config.num_classes = 2
    model = module_from_config(config)
    variables = {"params": params, "batch_stats": batch_stats}
    logits = jax.jit(lambda clips: model.apply(variables, clips, train=False))(clips)
    np.testing.assert_allclose(logits, reference(clips, training=False), rtol=1e-5, atol=1e-5)


def trained_norm(values):
    """The running mean of the first norm after one training step, and the logits before it."""
    model = module_from_config(model_config(arch="C4R1D2", **values))
    clips = jax.random.uniform(jax.random.key(1), (2, 2, 16, 16, 3))

    @jax.jit
    def step():
        variables = model.init(jax.random.key(0), clips, train=False)
        rngs = {"dropout": jax.random.key(2)}
        _, updated = model.apply(variables, clips, train=True, rngs=rngs, mutable=["batch_stats"])
        return updated["batch_stats"]["cnn"]["norm1"]["mean"], model.apply(variables, clips, train=False)

    return step()


def test_the_constants_of_batch_normalization_are_those_of_the_config():
    mean, logits = trained_norm({})
    keras_mean, keras_logits = trained_norm({"norm_momentum": 0.99, "norm_epsilon": 1e-3})
    # The running mean began at 0: it takes a tenth of the batch's, and a hundredth.
    np.testing.assert_allclose(keras_mean, mean / 10, rtol=1e-4)
    # Running variances are 1 at first: two norms shrink what follows by sqrt((1 + 1e-5) / (1 + 1e-3)) each.
    np.testing.assert_allclose(keras_logits, logits, rtol=2e-3)
    assert jnp.abs(keras_logits - logits).max() > 0
    for key, value in (("norm_momentum", 1.0), ("norm_epsilon", 0.0)):
        with pytest.raises(ValueError, match=f"config.model.{key} is {value}; allowed: "):
            module_from_config(model_config(**{key: value}))


def test_a_config_without_the_constants_has_those_of_its_time():
    model = module_from_config(model_config(activation="leaky_relu"))
    assert (model.norm_momentum, model.norm_epsilon, model.activation) == (0.9, 1e-5, "leaky_relu")
    keras = shdn.get_config().model
    assert (keras.norm_momentum, keras.norm_epsilon, keras.activation) == (0.99, 1e-3, "leaky_relu:0.3")


def test_an_unknown_arch_is_refused():
    with pytest.raises(ValueError, match="^arch is 'C12R1D3'; allowed: C4R1D2"):
        parse_arch("C12R1D3")
