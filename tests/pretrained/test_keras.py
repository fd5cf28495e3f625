import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.backbones import create_backbone
from jaxvid.pretrained.keras import WeightsError, load_keras_weights
from tests.models.backbones import keras_reference

# MobileNet in the order of Keras: the first convolution, then thirteen pairs, each followed by its batch norm.
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def mobilenet_layers(seed=0):
    """Returns (name, tensors) of every layer, with names as in a session that had built other models before."""
    rng = np.random.RandomState(seed)

    def norm(name, width):
        return name, [("gamma:0", rng.rand(width)), ("beta:0", rng.rand(width))] + [
            (f"moving_{what}:0", rng.rand(width)) for what in ("mean", "variance")
        ]

    layers = [("input_7", []), ("conv2d_40", [("kernel:0", rng.rand(3, 3, 3, 32))]), norm("conv1_bn", 32)]
    inputs = 32
    for i, width in enumerate(WIDTHS, start=1):
        layers += [
            (f"conv_dw_{i}", [("depthwise_kernel:0", rng.rand(3, 3, inputs, 1))]),
            norm(f"conv_dw_{i}_bn", inputs),
            (f"conv_dw_{i}_relu", []),
            (f"conv_pw_{i}", [("kernel:0", rng.rand(1, 1, inputs, width))]),
            norm(f"conv_pw_{i}_bn", width),
        ]
        inputs = width
    return layers


def classifier(classes):
    return "conv_preds", [("kernel:0", np.ones((1, 1, 1024, classes))), ("bias:0", np.zeros(classes))]


def write_legacy(path, layers, root="/", chunks=1):
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        names = [name.encode() for name, _ in layers]
        if chunks == 1:
            group.attrs["layer_names"] = names
        for i, chunk in enumerate(np.array_split(names, chunks) if chunks > 1 else ()):
            group.attrs[f"layer_names{i}"] = chunk
        for name, tensors in layers:
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/{tensor}".encode() for tensor, _ in tensors]
            for tensor, values in tensors:
                layer[f"{name}/{tensor}"] = values.astype(np.float32)
    return path


def variable_shapes(backbone):
    return jax.eval_shape(lambda: backbone.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))


def load(path, **fields):
    backbone = create_backbone("mobilenet", **fields)
    return load_keras_weights(path, backbone, variable_shapes(backbone))


@pytest.mark.parametrize(("root", "chunks"), [("/", 1), ("/", 3), ("model_weights", 1)])
def test_legacy_files_are_matched_by_order_whatever_the_names(root, chunks, tmp_path):
    layers = mobilenet_layers()
    variables = load(write_legacy(tmp_path / "w.h5", layers, root, chunks))
    tensors = {name: dict(values) for name, values in layers}
    params, statistics = variables["params"], variables["batch_stats"]
    np.testing.assert_array_equal(params["conv1"]["kernel"], np.float32(tensors["conv2d_40"]["kernel:0"]))
    np.testing.assert_array_equal(
        params["conv_dw_7"]["kernel"][:, :, 0], np.float32(tensors["conv_dw_7"]["depthwise_kernel:0"][..., 0])
    )
    norm = tensors["conv_pw_13_bn"]
    np.testing.assert_array_equal(params["conv_pw_13_bn"]["scale"], np.float32(norm["gamma:0"]))
    np.testing.assert_array_equal(params["conv_pw_13_bn"]["bias"], np.float32(norm["beta:0"]))
    np.testing.assert_array_equal(statistics["conv_pw_13_bn"]["mean"], np.float32(norm["moving_mean:0"]))
    np.testing.assert_array_equal(statistics["conv_pw_13_bn"]["var"], np.float32(norm["moving_variance:0"]))


def test_files_of_keras_3_hold_what_legacy_files_do(tmp_path):
    model = keras_reference.build("mobilenet", (32, 32))
    keras_reference.randomize(model)
    keras_reference.save_keras3(model, tmp_path / "w.weights.h5")
    keras_reference.save_legacy(model, tmp_path / "w.h5")
    new, old = (load(tmp_path / name, include_top=True) for name in ("w.weights.h5", "w.h5"))
    jax.tree.map(np.testing.assert_array_equal, new, old)
    np.testing.assert_array_equal(new["params"]["conv_preds"]["bias"], model.get_layer("conv_preds").bias.numpy())


def test_one_error_lists_all_that_is_missing_extra_and_misshapen(tmp_path):
    layers = [layer for layer in mobilenet_layers() if layer[0] != "conv_pw_6"]
    layers[1] = ("conv2d_40", [("kernel:0", np.ones((5, 5, 3, 32)))])
    path = write_legacy(tmp_path / "w.h5", [*layers, ("dense_3", [("kernel:0", np.ones((1024, 9)))])])
    with pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "does not fit mobilenet without its classifier" in message
    assert "missing: params/conv_pw_6/kernel (1, 1, 256, 512)" in message
    assert "extra: /dense_3/dense_3/kernel:0 (1024, 9)" in message
    assert "misshapen: /conv2d_40/conv2d_40/kernel:0 (5, 5, 3, 32)" in message
    assert len(message.splitlines()) == 4


def test_names_of_keras_3_that_differ_are_listed_too(tmp_path):
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.ones((3, 3, 3, 32), np.float32)
        file["layers/dense/vars/0"] = np.ones((4, 2), np.float32)
        file["optimizer/vars/0"] = np.ones(3, np.float32)
        file["layers/dropout/seed_generator/vars/0"] = np.ones(2, np.uint32)
    with pytest.raises(WeightsError) as caught:
        load(path)
    problems = str(caught.value).splitlines()[1:]
    assert [line for line in problems if "missing" not in line] == ["  extra: /layers/dense/vars/0 (4, 2)"]
    # All of MobileNet's 27 kernels but the first, and the four tensors of 27 batch norms.
    assert len(problems) == 1 + 26 + 27 * 4


def test_a_classifier_of_other_classes_stays_fresh_with_a_warning(tmp_path, caplog):
    path = write_legacy(tmp_path / "w.h5", [*mobilenet_layers(), classifier(classes=1000)])
    backbone = create_backbone("mobilenet", include_top=True, num_classes=7)
    variables = variable_shapes(backbone)
    own = {"kernel": jnp.full((1, 1, 1024, 7), 3.0), "bias": jnp.full((7,), 4.0)}
    variables["params"]["conv_preds"] = own
    with caplog.at_level("WARNING", logger="absl"):
        loaded = load_keras_weights(path, backbone, variables)
    jax.tree.map(np.testing.assert_array_equal, loaded["params"]["conv_preds"], own)
    assert "has a classifier of 1000 classes, the network one of 7: the network keeps its own" in caplog.text


def test_a_file_with_a_classifier_does_not_fit_a_backbone_without(tmp_path):
    path = write_legacy(tmp_path / "w.h5", [*mobilenet_layers(), classifier(classes=1000)])
    with pytest.raises(WeightsError, match=r"without its classifier:\n  extra: /conv_preds/conv_preds/kernel:0"):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value, tmp_path):
    layers = mobilenet_layers()
    layers[2][1][1][1][5] = value
    with pytest.raises(WeightsError, match="conv1_bn/beta:0 holds values that are not finite"):
        load(write_legacy(tmp_path / "w.h5", layers))


def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path):
    whole = write_legacy(tmp_path / "whole.h5", mobilenet_layers()).read_bytes()
    contents = {"empty.h5": b"", "text.h5": b"weights", "truncated.h5": whole[: len(whole) // 2]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name} cannot be read as HDF5; it may be truncated or corrupt"):
            load(tmp_path / name)
    with pytest.raises(WeightsError, match=r"absent.h5 is not a file; it should be a Keras weight file of mobilenet"):
        load(tmp_path / "absent.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(WeightsError, match=r"other.h5: no Keras weights found: neither the attribute layer_names"):
        load(tmp_path / "other.h5")


def test_nothing_outside_the_file_is_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(3 * 3 * 3 * 32, np.float32).tobytes())
    path = write_legacy(tmp_path / "w.h5", mobilenet_layers())
    with h5py.File(path, "a") as file:
        del file["conv2d_40/conv2d_40/kernel:0"]
        file["conv2d_40/conv2d_40"].create_dataset(
            "kernel:0", (3, 3, 3, 32), np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )
    with pytest.raises(WeightsError, match="conv2d_40/conv2d_40/kernel:0 has its values in other files"):
        load(path)
    with h5py.File(path, "a") as file:
        del file["conv2d_40/conv2d_40/kernel:0"]
        file["conv2d_40/conv2d_40/kernel:0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/kernel")
    with pytest.raises(WeightsError, match="listed, but not in the file: conv2d_40/conv2d_40/kernel:0"):
        load(path)


def test_a_small_tensor_in_a_piece_of_gigabytes_is_not_unpacked(tmp_path):
    path = write_legacy(tmp_path / "w.h5", mobilenet_layers())
    with h5py.File(path, "a") as file:
        group = file["conv2d_40/conv2d_40"]
        del group["kernel:0"]
        piece = {"maxshape": (None, None, 3, 32), "chunks": (2000, 2000, 3, 32), "compression": "gzip"}
        group.create_dataset("kernel:0", (3, 3, 3, 32), np.float32, **piece)
    with pytest.raises(WeightsError, match="kernel:0 is stored in pieces of 1536000000 bytes; allowed: 268435456"):
        load(path)


def test_lists_of_very_many_names_are_not_matched(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxvid.pretrained.keras._MAX_NAMES", 50)
    path = write_legacy(tmp_path / "w.h5", mobilenet_layers())
    with pytest.raises(WeightsError, match=r"layer_names lists \d+ names; allowed: 50"):
        load(path)


def test_a_named_type_is_no_tensor(tmp_path):
    path = write_legacy(tmp_path / "w.h5", mobilenet_layers())
    with h5py.File(path, "a") as file:
        file["type"] = np.dtype("f4")
    load(path)
