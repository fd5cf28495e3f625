import dataclasses
import shutil

import jax
import keras
import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid import checkpoint
from jaxvid.data.dataset import open_split
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.inference import predict_split
from jaxvid.models.create import module_from_config
from jaxvid.train import feature_cache, setup
from jaxvid.train.logbook import read_rows
from jaxvid.train.loop import train
from jaxvid.train.signals import Interrupted
from jaxvid.trained import compile_probabilities
from tests.tiny import interrupt_after


@pytest.fixture
def frozen_config(config, tiny_backbone):
    config.clip.update(height=32, width=32, num_frames=2, normalization="raw")
    config.model = ml_collections.ConfigDict(
        {
            "name": "backbone_lstm",
            "num_classes": 0,
            "backbone": "tiny",
            "lstm_features": 8,
            "dense": (4,),
            "dropout_rate": 0.0,
            "pretrained": "",
            "trainable": "head",
        }
    )
    config.optimizer.learning_rate = 1e-2
    return config


@pytest.mark.slow
def test_training_on_cached_features_is_training_on_frames(frozen_config, tmp_path, monkeypatch):
    train(frozen_config, tmp_path / "cached")
    assert {path.name for path in (tmp_path / "cached" / "features").iterdir()} == {"train", "val"}
    monkeypatch.setattr(feature_cache, "are_constant", lambda config: False)
    train(frozen_config, tmp_path / "frames")
    assert not (tmp_path / "frames" / "features").exists()
    for cached, plain in zip(read_rows(tmp_path / "cached"), read_rows(tmp_path / "frames"), strict=True):
        for key in set(cached) - {"clips_per_second"}:
            assert cached[key] == pytest.approx(plain[key], rel=1e-3, abs=1e-5), key
    assert evaluate(tmp_path / "cached")["num_clips"] == 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_training_starts_from_pretrained_weights_which_a_resumed_run_does_not_need(
    frozen_config, tmp_path, monkeypatch
):
    published = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    path = tmp_path / "mobilenet.weights.h5"
    published.save_weights(path)
    frozen_config.model.update(backbone="mobilenet", pretrained=str(path), features="pool")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            train(frozen_config, tmp_path / "run")
    path.unlink()
    # As if the file of features had been lost too: they come from the checkpoint's weights.
    features_file = tmp_path / "run" / "features" / "train" / "features.npy"
    before = np.load(features_file)
    shutil.rmtree(features_file.parent)
    train(frozen_config, tmp_path / "run")
    np.testing.assert_array_equal(np.load(features_file), before)

    with checkpoint.open_checkpoints(tmp_path / "run", "val_loss") as checkpoints:
        params = checkpoint.restore_variables(checkpoints, 4)["params"]
    kernel = published.get_layer("conv_pw_3").get_weights()[0]
    assert any(leaf.shape == kernel.shape and (leaf == kernel).all() for leaf in jax.tree.leaves(params["cnn"]))
    frozen_config.model.pretrained = str(path)
    with pytest.raises(ValueError, match="mobilenet.weights.h5'; allowed: '', 'imagenet', or the path of a file"):
        train(frozen_config, tmp_path / "another")


def test_cached_features_are_computed_once_and_classify_as_the_whole_model_does(
    frozen_config, data_dir, tmp_path, monkeypatch
):
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "val")
    run = setup.set_up(frozen_config)
    variables = run.initial_state.variables
    stored = feature_cache.cached_features(tmp_path, run.model, variables, split, "tiny/1.0.0", run.config)
    assert {name: values.shape for name, values in stored.items()} == {"features": (8, 2, 12)}
    # The same features are not computed again.
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "_extract", None)
        again = feature_cache.cached_features(tmp_path, run.model, variables, split, "tiny/1.0.0", run.config)
    np.testing.assert_array_equal(stored["features"], again["features"])

    outputs = feature_cache.classify(feature_cache.compile_classifier(run.model), variables, stored, 3)
    whole = predict_split(
        compile_probabilities(module_from_config(run.config.model), run.config), variables, split, run.config
    )
    np.testing.assert_allclose(outputs, whole.clips.probabilities, atol=1e-5)


@pytest.fixture
def cached(frozen_config, data_dir, tmp_path, monkeypatch):
    """A call of `cached_features` with some arguments changed, that tells whether the features are computed."""
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "val")
    run = setup.set_up(frozen_config)
    arguments = {
        "workdir": tmp_path,
        "model": run.model,
        "variables": run.initial_state.variables,
        "split": split,
        "dataset": "tiny/1.0.0",
        "config": run.config,
    }
    extract, computed = feature_cache._extract, []

    def recorded(*args):
        computed.append(1)
        extract(*args)

    monkeypatch.setattr(feature_cache, "_extract", recorded)

    def call(**changed):
        computed.clear()
        features = feature_cache.cached_features(**(arguments | changed))["features"]
        return np.array(features), bool(computed)

    assert call()[1]
    return arguments, call


def test_other_clips_under_the_name_of_a_split_get_new_features(cached, data_dir, tmp_path):
    arguments, call = cached
    features, _ = call()
    builder = tfds.builder("synthetic_fight/tiny", data_dir=data_dir)
    others = dataclasses.replace(open_split(builder, "test"), name="val")
    new, computed = call(split=others)
    assert computed
    expected, _ = call(split=others, workdir=tmp_path / "fresh")
    np.testing.assert_array_equal(new, expected)
    assert not np.array_equal(new, features)
    assert not call(split=others)[1]
    # The first clips again.
    again, computed = call(split=arguments["split"])
    assert computed
    np.testing.assert_array_equal(again, features)


def test_the_same_clips_in_another_directory_get_the_cached_features(cached, data_dir, tmp_path):
    _, call = cached
    shutil.copytree(data_dir, tmp_path / "copy")
    copied = open_split(tfds.builder("synthetic_fight/tiny", data_dir=tmp_path / "copy"), "val")
    assert not call(split=copied)[1]


def test_another_version_or_preprocessing_or_frozen_weight_gets_new_features(cached):
    arguments, call = cached
    assert call(dataset="tiny/2.0.0")[1]
    config = arguments["config"].copy_and_resolve_references()
    config.clip.normalization = "unit"
    assert call(config=config)[1]
    assert not call(config=config)[1]
    params = arguments["variables"]["params"]
    cnn = jax.tree.map(lambda leaf: leaf + 1, params["cnn"])
    assert call(config=config, variables=arguments["variables"] | {"params": params | {"cnn": cnn}})[1]


def test_a_trained_head_gets_the_cached_features(cached):
    arguments, call = cached
    params = arguments["variables"]["params"]
    head = jax.tree.map(lambda leaf: leaf + 1, params["head"])
    assert not call(variables=arguments["variables"] | {"params": params | {"head": head}})[1]


def test_features_cached_by_earlier_versions_are_computed_again(cached, tmp_path):
    _, call = cached
    (tmp_path / "features" / "val" / "key.json").unlink()
    assert call()[1]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("augment", "flip", True),
        ("augment", "min_scale", 0.8),
        ("augment", "erasing", 0.1),
        ("clip", "sampling", "random_segment"),
        ("clip", "crop", "center"),
        ("model", "trainable", "all"),
        ("activations", "policy", "random"),
        ("eval", "clips", 3),
    ],
)
def test_features_that_change_from_step_to_step_are_not_cached(frozen_config, section, key, value):
    assert feature_cache.are_constant(frozen_config)
    frozen_config[section][key] = value
    assert not feature_cache.are_constant(frozen_config)


def test_without_a_backbone_no_features_are_constant(config):
    config.clip.crop = "resize"
    config.model.trainable = "head"
    assert not feature_cache.are_constant(config)


def test_feature_batches_resume_at_their_position():
    stored = np.arange(20, dtype=np.float32).reshape(10, 1, 2)
    labels = np.arange(10)
    iterator = feature_cache.feature_batches({"features": stored}, labels, batch_size=4, seed=0)
    first = [next(iterator) for _ in range(2)]
    state = iterator.get_state()
    third = next(iterator)
    restored = feature_cache.feature_batches({"features": stored}, labels, batch_size=4, seed=0)
    restored.set_state(state)
    np.testing.assert_array_equal(next(restored)["label"], third["label"])
    for batch in first:
        np.testing.assert_array_equal(batch["features"], stored[batch["label"]])
