import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

import jaxvid
from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.create import module_from_config
from tests.models.backbones import keras_reference
from tests.tiny import random_variables

pytestmark = pytest.mark.usefixtures("tiny_backbone")

CNN = 3_206_976  # MobileNet's trainable parameters, as keras.applications has them.


def lstm(inputs, width):
    return 4 * width * (inputs + width + 1)


def small(backbone="tiny", **fields):
    return BackboneLSTM(num_classes=2, backbone=backbone, lstm_features=8, dense=(6,), **fields)


def clips(batch=2, time=3, size=32):
    return jax.random.uniform(jax.random.key(1), (batch, time, size, size, 3), maxval=255.0)


def shapes(model, size=32):
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 2, size, size, 3)), train=False))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters_of_the_head_of_paper_1_1():
    config = {"name": "backbone_lstm", "num_classes": 2, "backbone": "mobilenet", "dtype": "float32"}
    params = shapes(module_from_config(ml_collections.ConfigDict(config)))["params"]
    assert count(params["cnn"]) == CNN
    dense = (256 * 512 + 512) + (512 * 16 + 16) + (16 * 2 + 2)
    assert count(params["head"]) == lstm(1024, 256) + dense


def test_parameters_of_the_head_of_paper_1_3_over_class_probabilities():
    model = BackboneLSTM(num_classes=6, backbone="mobilenet", features="softmax", lstm_features=2056, dense=())
    params = shapes(model)["params"]
    assert count(params["cnn"]) == CNN + 1024 * 1000 + 1000
    assert count(params["head"]) == lstm(1000, 2056) + 2056 * 6 + 6


def test_parameters_of_a_bidirectional_head_of_two_layers():
    params = shapes(small("mobilenet", bidirectional=True, lstm_layers=2))["params"]
    lstms = 2 * lstm(1024, 8) + 2 * lstm(16, 8)
    assert count(params["head"]) == lstms + (16 * 6 + 6) + (6 * 2 + 2)


def test_every_nonlinearity_of_backbone_and_dense_layers_is_a_site():
    activations = shapes(small("mobilenet", adaptive=True))["activations"]
    assert len(activations["cnn"]) == 27
    assert set(activations["head"]) == {"dense_activation1"}


def test_cached_features_give_the_logits_of_the_clips():
    model = small()
    variables = random_variables(model, clips())

    @jax.jit
    def both(variables, clips):
        features = model.apply(variables, clips, method="extract")
        return model.apply(variables, clips, train=False), features

    logits, features = both(variables, clips())
    assert features.shape == (2, 3, 12)
    assert logits.dtype == jnp.float32
    head = {name: {"head": collection["head"]} for name, collection in variables.items() if "head" in collection}
    np.testing.assert_allclose(
        model.apply(head, features, train=False, method="classify"), logits, rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_a_whole_network_with_mobilenet_gives_the_outputs_of_keras(tmp_path):
    from keras import Input, Sequential, layers

    cnn = keras_reference.build("mobilenet", (64, 64), include_top=False)
    reference = Sequential([Input((3, 64, 64, 3)), layers.TimeDistributed(cnn), layers.LSTM(256)])
    for width in (512, 16):
        reference.add(layers.Dense(width))
        reference.add(layers.LeakyReLU(0.01))
    reference.add(layers.Dense(2))
    keras_reference.randomize(reference)
    path = tmp_path / "mobilenet.weights.h5"
    keras_reference.save_keras3(cnn, path)
    model, variables = jaxvid.create_model("backbone_lstm", backbone="mobilenet", num_classes=2, pretrained=path)
    lstm, *dense = [layer for layer in reference.layers[1:] if layer.weights]
    kernel, recurrent_kernel, bias = lstm.get_weights()
    head = {"lstm1": {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}}
    for name, layer in zip(("dense1", "dense2", "classifier"), dense, strict=True):
        head[name] = dict(zip(("kernel", "bias"), layer.get_weights(), strict=True))
    variables["params"]["head"] = head

    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3)).astype(np.float32)
    logits = jax.jit(lambda variables, frames: model.apply(variables, frames, train=False))(variables, frames)
    expected = reference(frames / 127.5 - 1, training=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_the_backward_lstm_reads_the_clip_backwards():
    model = small(bidirectional=True)
    features = jax.random.normal(jax.random.key(3), (1, 4, 12))
    params = random_variables(model, clips())["params"]
    # With both LSTMs alike, reversing the clip swaps the two halves of the inputs of the dense layers.
    params["head"]["lstm1_reverse"] = params["head"]["lstm1"]
    swapped = {**params["head"], "dense1": dict(params["head"]["dense1"])}
    swapped["dense1"]["kernel"] = jnp.roll(params["head"]["dense1"]["kernel"], 8, axis=0)
    forwards = model.apply({"params": params}, features, train=False, method="classify")
    backwards = model.apply({"params": {"head": swapped}}, features[:, ::-1], train=False, method="classify")
    np.testing.assert_allclose(forwards, backwards, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": "flatten"}, r"features is 'flatten'; allowed: pool, softmax"),
        ({"lstm_layers": 0}, r"lstm_layers is 0; allowed: 1 or more"),
    ],
)
def test_unknown_values_are_named_with_what_is_allowed(fields, message):
    with pytest.raises(ValueError, match=message):
        shapes(small(**fields))


def test_an_unknown_backbone_is_named_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"backbone is 'alexnet'; allowed: vgg16"):
        shapes(BackboneLSTM(num_classes=2, backbone="alexnet"))
