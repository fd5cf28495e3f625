import json
import sys
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxvid.config import base_config
from jaxvid.export.export import create_program
from jaxvid.export.formats import FORMATS, Input, Program
from jaxvid.models.create import module_from_config
from jaxvid.ops.convolution import convolve
from jaxvid.ops.depthwise import depthwise_conv
from jaxvid.ops.platforms import one_for_all_platforms

METADATA = {"class_names": ["no_fight", "fight"], "input": {"sampling": "uniform"}}
# A bright clip, a dark one, and one that fades.
BRIGHTNESS = np.asarray([[256, 256, 256, 256], [20, 20, 20, 20], [256, 100, 50, 10]])[:, :, None, None, None]
FRAMES = (np.random.default_rng(0).random((3, 4, 64, 64, 3)) * BRIGHTNESS).astype(np.uint8)
# One of each kind of layer: of every architecture, and both that run along time.
SMALL = {
    "cnn_lstm": {"arch": "C4R1D2", "activation": "celu", "adaptive": True},
    "lrcn": {"motion": "both", "head_norm": "layer"},
    "convlstm": {},
    "video_resnet": {"variant": "r2plus1d_10"},
    "backbone_lstm": {"backbone": "mobilenet", "bidirectional": True},
    "motion_pool": {"backbone": "mobilenet"},
    "frame_classifier": {"backbone": "mobilenet"},
    "genre_crnn": {"backbone": "mobilenet", "lstm_features": 8, "streams": ("frames",)},
}


def program_of(name):
    config = base_config()
    config.dataset.frame_size = (64, 64)
    config.clip.update(num_frames=4, height=64, width=64)
    config.model = ml_collections.ConfigDict({"name": name, "num_classes": 2, **SMALL[name]})
    model = module_from_config(config.model)
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), jnp.zeros((1, 4, 64, 64, 3)))
    if name == "cnn_lstm":
        norms = variables["batch_stats"]["cnn"]
        variables["batch_stats"] = {"cnn": {key: {**norm, "var": 0.06 * norm["var"]} for key, norm in norms.items()}}
    return create_program(model, variables, config)


def inputs_of(program, batch):
    """Frames and, of sequences, lengths of which some are padding."""
    made = {"frames": FRAMES[:batch], "num_frames": np.int32([4, 2, 3])[:batch]}
    return {name: made[name] for name in program.inputs}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_computes_in_onnx_runtime_what_it_does_in_jax(name, tmp_path):
    import onnxruntime

    program = program_of(name)
    FORMATS["onnx"].write(program, METADATA, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        inputs = inputs_of(program, batch)
        (outputs,) = session.run(["probabilities"], inputs)
        expected = jax.jit(program.probabilities)(*inputs.values())
        np.testing.assert_allclose(outputs, expected, atol=1e-4)
    if "backbone" not in SMALL[name]:
        # Clips differ by more than what may be lost; signals of a fresh backbone fade from layer to layer.
        assert np.ptp(outputs[:, 0]) > 5e-4
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["model.json"]) == METADATA
    assert texts["labels.txt"] == "no_fight\nfight\n"


def test_without_the_converter_the_command_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(ValueError, match='pip install -e ".\\[onnx\\]" && pip install --no-deps jax2onnx'):
        FORMATS["onnx"].write(half(), METADATA, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def half():
    return Program(lambda frames: frames[:, :2] / 2, {"frames": Input("batch, 4", np.uint8)})


def written(monkeypatch, tmp_path, to_onnx, outputs):
    """Writes a program by a converter and a runtime that are made up; returns the error."""
    model = SimpleNamespace(
        graph=SimpleNamespace(value_info=[1]),
        metadata_props=SimpleNamespace(add=lambda key, value: None),
        SerializeToString=lambda: b"model",
    )

    def session(content, providers):
        assert content == b"model"
        return SimpleNamespace(run=lambda names, inputs: [outputs(**inputs)])

    monkeypatch.setitem(sys.modules, "jax2onnx", SimpleNamespace(to_onnx=lambda *_, **__: to_onnx(model)))
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=session))
    FORMATS["onnx"].write(half(), METADATA, tmp_path / "model.onnx")


def test_what_does_not_convert_run_or_agree_is_refused_and_nothing_written(monkeypatch, tmp_path):
    def raises(*_, **__):
        raise NotImplementedError("No plugins registered for primitive 'fft'\nand more")

    def right(frames):
        return frames[:, :2].astype(np.float32) / 2

    with pytest.raises(ValueError, match="jax2onnx does not convert this network .*'fft'.; other formats: stablehlo"):
        written(monkeypatch, tmp_path, raises, right)
    with pytest.raises(ValueError, match="ONNX Runtime does not run this network .*'fft'.; other formats: stablehlo"):
        written(monkeypatch, tmp_path, lambda model: model, raises)
    with pytest.raises(ValueError, match="differ from JAX's by 0.001; allowed: 0.0001; other formats"):
        written(monkeypatch, tmp_path, lambda model: model, lambda frames: right(frames) + 1e-3)
    with pytest.raises(ValueError, match="differ from JAX's by nan"):
        written(monkeypatch, tmp_path, lambda model: model, lambda frames: right(frames) * np.nan)
    assert list(tmp_path.iterdir()) == []
    written(monkeypatch, tmp_path, lambda model: model, right)
    assert (tmp_path / "model.onnx").read_bytes() == b"model"


def test_one_program_for_all_platforms_has_no_choice_and_computes_the_same():
    images, kernel = (
        jax.random.normal(jax.random.key(0), (2, 8, 8, 4)),
        jax.random.normal(jax.random.key(1), (3, 3, 4, 5)),
    )

    def network(images, kernel):
        images = depthwise_conv(images, kernel[:, :, :1, :4], stride=2, padding=(1, 1))
        return convolve(images, kernel, (1, 1), ((1, 1), (1, 1)))

    assert "platform_index" in str(jax.make_jaxpr(network)(images, kernel))
    expected = network(images, kernel)
    # Functions that JAX has not traced before.
    with one_for_all_platforms():
        assert "platform_index" not in str(jax.make_jaxpr(lambda *args: network(*args))(images, kernel))
        np.testing.assert_allclose(jax.jit(lambda *args: network(*args))(images, kernel), expected, atol=1e-4)
    assert "platform_index" in str(jax.make_jaxpr(lambda *args: network(*args))(images, kernel))
