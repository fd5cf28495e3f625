import json
import subprocess
import sys
import zipfile
from functools import partial

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from absl import flags

from jaxvid import checkpoint, trained
from jaxvid.calibration import Calibration, FittedOn, write_calibration
from jaxvid.config import base_config, load_config
from jaxvid.export.export import create_parts, create_program, export
from jaxvid.export.formats import serialized
from jaxvid.models.create import module_from_config
from jaxvid.steps import eval_step
from jaxvid.train.loop import train
from tests.commands import run_command
from tests.tiny import tiny_config

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 4, 64, 64, 3), np.uint8)
SMALL = {
    "cnn_lstm": {"arch": "C4R1D2"},
    "lrcn": {},
    "convlstm": {},
    "video_resnet": {"variant": "r2plus1d_10"},
    "backbone_lstm": {"backbone": "mobilenet"},
    "motion_pool": {"backbone": "mobilenet"},
    "genre_crnn": {"backbone": "mobilenet", "lstm_features": 8, "streams": ("frames",)},
}


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A workdir with a checkpoint, and the probabilities of FRAMES by it."""
    workdir = tmp_path_factory.mktemp("run")
    config = tiny_config(data_dir)
    config.train.num_epochs = 1
    train(config, workdir)
    config.model.num_classes = 2
    with checkpoint.open_checkpoints(workdir, "val_loss") as checkpoints:
        variables = checkpoint.restore_variables(checkpoints, 2)
    return workdir, eval_step(
        variables, {"frames": jnp.asarray(FRAMES)}, model=module_from_config(config.model), config=config
    )


def test_an_exported_file_runs_without_jaxvid_and_agrees(run, tmp_path):
    workdir, expected = run
    metadata = export(workdir, tmp_path / "sub" / "model.zip")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["model.zip"]
    np.save(tmp_path / "frames.npy", FRAMES)
    program = f"""
import json, sys, zipfile
import jax, numpy as np
from jax import export
sys.modules["jaxvid"] = sys.modules["flax"] = None  # importing either fails from here on
with zipfile.ZipFile({str(tmp_path / "sub" / "model.zip")!r}) as archive:
    model = export.deserialize(bytearray(archive.read("model.stablehlo")))
    metadata = json.loads(archive.read("model.json"))
frames = np.load({str(tmp_path / "frames.npy")!r})
assert metadata["input"]["shape"][1:] == list(frames.shape[1:])
one, all_three = model.call(frames[:1]), model.call(frames)
print(json.dumps([np.asarray(one).tolist(), np.asarray(all_three).tolist(), model.platforms, metadata["class_names"]]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    one, all_three, platforms, names = json.loads(done.stdout)
    np.testing.assert_allclose(all_three, expected, atol=1e-5)
    np.testing.assert_allclose(one, expected[:1], atol=1e-5)
    assert (platforms, names) == (["cpu", "cuda"], ["no_fight", "fight"])
    assert metadata["input"]["sampling"] == "uniform"
    assert metadata["step"] == 2
    with zipfile.ZipFile(tmp_path / "sub" / "model.zip") as archive:
        assert json.loads(archive.read("model.json")) == metadata
        assert archive.read("labels.txt") == b"no_fight\nfight\n"


def test_the_temperature_is_part_of_the_program(run, tmp_path):
    workdir, expected = run
    saved = json.loads((workdir / "config.json").read_text())
    saved["config"]["eval"]["calibration"] = "temperature"
    (tmp_path / "config.json").write_text(json.dumps(saved))
    (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
    with pytest.raises(ValueError, match=r"calibration.json cannot be read.*--checkpoint=2$"):
        export(tmp_path, tmp_path / "model.zip")
    calibration = Calibration(2.0, None, FittedOn("synthetic_fight/tiny/1.0.0", "val", 8, 8, 0.7, 0.6, None))
    write_calibration(tmp_path, 2, load_config(tmp_path), calibration)
    metadata = export(tmp_path, tmp_path / "model.zip")
    assert metadata["calibration"]["temperature"] == 2.0
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        program = jax.export.deserialize(bytearray(archive.read("model.stablehlo")))
    outputs = np.asarray(program.call(FRAMES))
    roots = np.sqrt(expected)
    np.testing.assert_allclose(outputs, roots / roots.sum(axis=1, keepdims=True), atol=1e-5)
    # As `jaxvid.evaluate` computes them.
    loaded = trained.load(tmp_path)
    evaluated = calibration.apply(np.asarray(loaded.uncalibrated(loaded.variables, {"frames": FRAMES})))
    np.testing.assert_allclose(outputs, evaluated, atol=1e-6)
    np.testing.assert_allclose(loaded.probabilities(loaded.variables, {"frames": FRAMES}), evaluated, atol=1e-6)


def test_a_savedmodel_agrees_and_is_not_overwritten(run, tmp_path):
    import tensorflow as tf

    workdir, expected = run
    export(workdir, tmp_path / "saved", kind="savedmodel")
    assert json.loads((tmp_path / "saved" / "model.json").read_text())["class_names"] == ["no_fight", "fight"]
    assert (tmp_path / "saved" / "labels.txt").read_text().split() == ["no_fight", "fight"]
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    (outputs,) = signature(frames=tf.constant(FRAMES)).values()
    np.testing.assert_allclose(outputs.numpy(), expected, atol=1e-5)
    with pytest.raises(ValueError, match="exists; give another directory"):
        export(workdir, tmp_path / "saved", kind="savedmodel")


def test_the_command_writes_the_file_and_prints_its_metadata(run, tmp_path, capsys):
    workdir, expected = run
    run_command("jaxvid.export", f"--workdir={workdir}", f"--output={tmp_path / 'model.zip'}", "--checkpoint=last")
    written, _, message = capsys.readouterr().out.rpartition("Written: ")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert json.loads(archive.read("model.json")) == json.loads(written)
        program = jax.export.deserialize(bytearray(archive.read("model.stablehlo")))
    assert message.strip() == str(tmp_path / "model.zip")
    np.testing.assert_allclose(program.call(FRAMES), expected, atol=1e-5)


def test_the_command_refuses_other_arguments_and_formats(tmp_path):
    with pytest.raises(ValueError, match="unexpected argument 'model.zip'; options begin with --"):
        run_command("jaxvid.export", "--workdir=run", "--output=model", "model.zip")
    with pytest.raises(flags.IllegalFlagValueError, match="should be one of <stablehlo|savedmodel|onnx>"):
        run_command("jaxvid.export", "--workdir=run", "--output=model", "--format=tflite")


def test_a_checkpoint_or_format_that_does_not_exist_is_named(run, tmp_path):
    with pytest.raises(ValueError, match="'tflite'; allowed: stablehlo, savedmodel, onnx"):
        export(run[0], tmp_path / "model", kind="tflite")
    with pytest.raises(ValueError, match="no checkpoint '7'; allowed: best, last, 2"):
        export(run[0], tmp_path / "model", which="7")
    with pytest.raises(ValueError, match="no workdir of a training run"):
        export(tmp_path / "none", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def model_of(name):
    config = base_config()
    config.clip.update(num_frames=4, height=64, width=64)
    config.model = ml_collections.ConfigDict({"name": name, "num_classes": 2, **SMALL[name]})
    config.dataset.frame_size = (64, 64)
    model = module_from_config(config.model)
    return model, jax.jit(partial(model.init, train=False))(jax.random.key(0), jnp.zeros((1, 4, 64, 64, 3))), config


def inputs_of(program, batch):
    made = {"frames": FRAMES[:batch], "num_frames": np.int32([4, 2, 3])[:batch]}
    return [jnp.asarray(made[name]) for name in program.inputs]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_is_exported_for_any_batch(name):
    program = create_program(*model_of(name))
    exported = serialized(program)
    for batch in (1, 3):
        inputs = inputs_of(program, batch)
        np.testing.assert_allclose(exported.call(*inputs), jax.jit(program.probabilities)(*inputs), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "span"), [("cnn_lstm", 1), ("lrcn", 1), ("backbone_lstm", 1), ("motion_pool", 2), ("genre_crnn", 1)]
)
def test_the_two_parts_of_a_program_compute_what_it_does(name, span):
    made = model_of(name)
    program, parts = create_program(*made), create_parts(*made)
    features, sequences = serialized(parts["features"]), serialized(parts["sequences"])
    # Three windows of four frames in a row, one apart.
    frames = np.concatenate([FRAMES[0], FRAMES[1]])[:6]
    of_frames = np.asarray(features.call(jnp.asarray(frames)))
    assert len(of_frames) == 6
    of_windows = np.stack([of_frames[first + span - 1 : first + 4] for first in range(3)])
    beside = [np.int32([4, 4, 4])] if "num_frames" in program.inputs else []
    windows = np.stack([frames[first : first + 4] for first in range(3)])
    expected = jax.jit(program.probabilities)(windows, *beside)
    np.testing.assert_allclose(sequences.call(jnp.asarray(of_windows), *map(jnp.asarray, beside)), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["convlstm", "video_resnet"])
def test_networks_of_whole_clips_have_no_parts(name):
    config = base_config()
    config.model = ml_collections.ConfigDict({"name": name, "num_classes": 2})
    assert create_parts(module_from_config(config.model), {}, config) == {}
