"""Builds the networks of keras.applications with random weights, as references for the backbones."""

import contextlib
import os
import warnings

# Keras and JAX would both take the whole of a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from jaxvid.models.backbones import BACKBONES, create_backbone
from jaxvid.pretrained.keras import load_keras_weights

APPLICATIONS = {
    "vgg16": (keras.applications.VGG16, keras.applications.vgg16),
    "vgg19": (keras.applications.VGG19, keras.applications.vgg19),
    "inception_v3": (keras.applications.InceptionV3, keras.applications.inception_v3),
    "xception": (keras.applications.Xception, keras.applications.xception),
    "resnet50": (keras.applications.ResNet50, keras.applications.resnet50),
    "mobilenet": (keras.applications.MobileNet, keras.applications.mobilenet),
    "inception_resnet_v2": (keras.applications.InceptionResNetV2, keras.applications.inception_resnet_v2),
}


def build(name, size, include_top=True):
    """Returns the Keras model; all but the VGGs take frames of other sizes as well."""
    height, width = size
    flexible = keras.Input((None, None, 3) if not name.startswith("vgg") else (height, width, 3))
    return APPLICATIONS[name][0](
        weights=None, include_top=include_top, pooling="avg", input_tensor=flexible, input_shape=(height, width, 3)
    )


def randomize(model, seed=0):
    """Sets random biases and batch norms, which Keras starts at 0 or 1."""
    rng = np.random.RandomState(seed)
    for variable in model.variables:
        noise = 0.1 * rng.standard_normal(variable.shape).astype(np.float32)
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(1 + np.abs(noise))
        elif len(variable.shape) == 1 and "seed" not in variable.path:
            variable.assign(noise)


def save_legacy(model, path):
    """Writes the layout of the published files, which Keras 3 reads, but has no public function to write."""
    with h5py.File(path, "w") as file, deprecated_copies_allowed():
        save_weights_to_hdf5_group(file, model)


def save_keras3(model, path):
    """Writes the layout of Keras 3; the name of the file has to end in `.weights.h5`."""
    with deprecated_copies_allowed():
        model.save_weights(path)


@contextlib.contextmanager
def deprecated_copies_allowed():
    """Ignores the warning of NumPy 2 about the way in which Keras copies TensorFlow's variables."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def classifier(model):
    return next(layer for layer in model.layers[::-1] if layer.weights)


def outputs(name, model, frames):
    """Returns pooled features and class probabilities; the classifier is scaled to logits of about 2."""
    maps = next(
        layer for layer in model.layers[::-1] if layer.name == "block5_pool" or "Global" in type(layer).__name__
    )
    maps = maps.output if maps.name == "block5_pool" else maps.input
    head = classifier(model)
    features = keras.layers.GlobalAveragePooling2D()(maps)
    reference = keras.Model(model.inputs, [features, head.input, model.output])
    inputs = APPLICATIONS[name][1].preprocess_input(frames.copy())
    hidden = np.asarray(reference([inputs])[1])
    kernel = np.random.RandomState(1).standard_normal(head.kernel.shape) * 2 / np.linalg.norm(hidden[0])
    head.kernel.assign(kernel)
    features, _, probabilities = reference([inputs])
    return np.asarray(features), np.asarray(probabilities)


def assert_equal_outputs(name, size, path):
    """Asserts that a Keras model, saved to `path` and loaded, has the same features and probabilities here.

    Args:
      name: a key of BACKBONES.
      size: (height, width) of the frames; None for the smallest square.
      path: of a file to write, in the layout of Keras 3 if it ends in `.weights.h5`.
    """
    smallest = BACKBONES[name].minimum_size
    size = size or (smallest, smallest)
    model = build(name, size)
    randomize(model)
    frames = np.random.RandomState(2).uniform(0, 255, (2, *size, 3)).astype(np.float32)
    features, probabilities = outputs(name, model, frames)
    # Values that are all alike would prove nothing.
    assert features.std() > 0.01
    assert probabilities.max() > 0.01
    save = save_keras3 if path.name.endswith(".weights.h5") else save_legacy
    save(model, path)
    backbone, with_top = create_backbone(name), create_backbone(name, include_top=True)
    shapes = jax.eval_shape(lambda: with_top.init(jax.random.key(0), jnp.asarray(frames), train=False))
    variables = load_keras_weights(path, with_top, shapes)

    # One graph, so that the layers which both share are compiled once.
    @jax.jit
    def forward(variables, frames):
        return backbone.apply(variables, frames, train=False), with_top.apply(variables, frames, train=False)

    ours, our_probabilities = forward(variables, frames)
    # With these weights features of ResNet50 go up to about 20, those of the others to about 1.
    np.testing.assert_allclose(ours, features, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(features).max()))
    np.testing.assert_allclose(our_probabilities, probabilities, rtol=1e-3, atol=1e-5)
