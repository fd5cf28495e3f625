import dataclasses
import json
import shutil

import jax
import keras
import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid import checkpoint
from jaxvid.data.augment import augmented
from jaxvid.data.dataset import open_split
from jaxvid.data.records import decode_frames
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.inference import predict_split
from jaxvid.models.create import module_from_config
from jaxvid.train import feature_cache, setup
from jaxvid.train.checks import check_config
from jaxvid.train.feature_store import FeatureRows
from jaxvid.train.feature_views import clip_digests, training_views
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
    frozen_config.model.update(temporal="pool", motion="both", head_norm="batch", input="differences")
    train(frozen_config, tmp_path / "cached")
    assert len(list((tmp_path / "cached" / "features").glob("*/chunk-*"))) == 2
    monkeypatch.setattr(feature_cache, "are_constant", lambda config: False)
    train(frozen_config, tmp_path / "frames")
    assert not (tmp_path / "frames" / "features").exists()
    for cached, plain in zip(read_rows(tmp_path / "cached"), read_rows(tmp_path / "frames"), strict=True):
        for key in set(cached) - {"clips_per_second"}:
            assert cached[key] == pytest.approx(plain[key], rel=1e-3, abs=1e-5), key
    assert evaluate(tmp_path / "cached")["num_clips"] == 8


def stored_features(workdir):
    """The chunks of a run's cache by their numbers of rows, which differ here."""
    chunks = map(np.load, (workdir / "features").glob("*/chunk-*/features.npy"))
    return {len(chunk): chunk for chunk in chunks}


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
    # As if the features had been lost too: they come from the checkpoint's weights.
    before = stored_features(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "features")
    train(frozen_config, tmp_path / "run")
    after = stored_features(tmp_path / "run")
    assert len(before) == len(after) == 2
    for count, features in after.items():
        np.testing.assert_array_equal(features, before[count])

    with checkpoint.open_checkpoints(tmp_path / "run", "val_loss") as checkpoints:
        params = checkpoint.restore_variables(checkpoints, 4)["params"]
    kernel = published.get_layer("conv_pw_3").get_weights()[0]
    assert any(leaf.shape == kernel.shape and (leaf == kernel).all() for leaf in jax.tree.leaves(params["cnn"]))
    frozen_config.model.pretrained = str(path)
    with pytest.raises(ValueError, match="mobilenet.weights.h5'; allowed: '', 'imagenet', or the path of a file"):
        train(frozen_config, tmp_path / "another")


@pytest.fixture
def cached(frozen_config, data_dir, tmp_path, monkeypatch):
    """A call that caches a view of a split, with some settings changed, and tells how many rows were computed."""
    builder = tfds.builder("synthetic_fight/tiny", data_dir=data_dir)
    run = setup.set_up(frozen_config)
    compute, computed = feature_cache._compute, []

    def recorded(extractor, split, views):
        computed.append(len(views))
        compute(extractor, split, views)

    monkeypatch.setattr(feature_cache, "_compute", recorded)

    def call(split="val", *, number=0, root=tmp_path, variables=run.initial_state.variables, clips=None, **sections):
        computed.clear()
        config = run.config.copy_and_resolve_references()
        config.update(sections)
        clips = clips or open_split(builder, split)
        views = training_views(clips, clip_digests(clips), config.clip, number)
        extractor = feature_cache.create_extractor(root, config, variables, clips, augments=number > 0)
        rows = feature_cache.cached_rows(extractor, clips, views)
        return rows.take(np.arange(len(rows)))["features"], sum(computed)

    return run, call


def test_cached_features_are_computed_once_and_classify_as_the_whole_model_does(cached, data_dir):
    run, call = cached
    variables = run.initial_state.variables
    features, computed = call()
    assert (features.shape, features.dtype, computed) == ((8, 2, 12), np.float32, 8)
    again, computed = call()
    assert computed == 0
    np.testing.assert_array_equal(features, again)
    rows = FeatureRows([{"features": features}], np.asarray([(0, i) for i in range(8)]))
    outputs = feature_cache.classify(feature_cache.compile_classifier(run.model), variables, rows, 3)
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "val")
    model = module_from_config(run.config.model)
    whole = predict_split(compile_probabilities(model, run.config), variables, split, run.config)
    np.testing.assert_allclose(outputs, whole.clips.probabilities, atol=1e-5)


def test_folds_seeds_and_heads_share_the_features_of_a_clip(cached):
    _, call = cached
    everything, computed = call("train+val")
    assert computed == 24
    head = {"lstm_features": 3, "dense": (2, 2), "dropout_rate": 0.5}
    for split, count in (("train", 16), ("val", 8), ("train+val@0/3", None)):
        features, computed = call(split, seed=7, model=head)
        assert computed == 0
        assert len(features) == count or count is None
        assert (features[:, None] == everything).all(axis=(2, 3)).any(axis=1).all()


def test_other_clips_preprocessing_or_frozen_weights_get_new_features(cached, data_dir, tmp_path):
    run, call = cached
    features, _ = call()
    assert call("test")[1] == 8
    # The clips decide, not the name or the directory of their split.
    shutil.copytree(data_dir, tmp_path / "copy")
    copied = open_split(tfds.builder("synthetic_fight/tiny", data_dir=tmp_path / "copy"), "val")
    assert call(clips=dataclasses.replace(copied, name="another"))[1] == 0
    assert call(clip={"normalization": "unit"})[1] == 8
    assert call(clip={"normalization": "unit"})[1] == 0
    variables, params = run.initial_state.variables, run.initial_state.variables["params"]
    larger = {part: jax.tree.map(lambda leaf: leaf + 1, params[part]) for part in params}
    assert call(variables={**variables, "params": {**params, "head": larger["head"]}})[1] == 0
    others, computed = call(variables={**variables, "params": {**params, "cnn": larger["cnn"]}})
    assert computed == 8
    assert not np.allclose(others, features)


AUGMENTED = {"clip": {"sampling": "random_segment"}, "augment": {"flip": True, "brightness": 0.3}}


def test_drawn_views_differ_and_depend_on_neither_batch_nor_threads_nor_seed(cached, tmp_path):
    _, call = cached
    views = [call(number=number, **AUGMENTED) for number in range(3)]
    assert [computed for _, computed in views] == [8, 8, 8]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(views[one][0] - views[other][0]).max(axis=(1, 2)) > 1e-3).all()
    less = {"flip": True, "brightness": 0.2}
    assert call(number=1, **AUGMENTED | {"augment": less})[1] == 8
    others = {"seed": 3, "eval": {"batch_size": 3}, "pipeline": {"num_threads": 1}}
    again, computed = call(number=1, root=tmp_path / "other", **AUGMENTED, **others)
    assert computed == 8
    np.testing.assert_allclose(again, views[1][0], rtol=1e-5, atol=1e-6)


def test_features_of_a_view_are_those_of_its_frames_and_augmentation(cached, data_dir):
    """Without the cache: the frames of the view, its key, `augmented`, the backbone."""
    run, call = cached
    features, _ = call(number=1, **AUGMENTED)
    config = run.config.copy_and_resolve_references()
    config.update(AUGMENTED)
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "val")
    view = training_views(split, clip_digests(split), config.clip, 1)[5]
    frames = decode_frames(split[5].frames, view.frames)[None]
    keys = jax.random.key(view.seed)[None]
    clips = augmented(jax.numpy.asarray(frames), keys, config.clip, config.augment)
    expected = run.model.apply(run.initial_state.variables, clips, method="extract")
    np.testing.assert_allclose(features[5], expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_run_on_cached_views_goes_on_from_its_checkpoint_bit_for_bit_also_in_device_memory(
    frozen_config, tmp_path, monkeypatch
):
    frozen_config.update(AUGMENTED)
    frozen_config.augment.mixup = 0.4
    frozen_config.optimizer.ema_decay = 0.9
    frozen_config.train.update(cached_views=3, feature_cache=str(tmp_path / "shared"), num_epochs=3, log_every_steps=3)
    train(frozen_config, tmp_path / "whole")
    stored = set((tmp_path / "shared").glob("*/chunk-*"))
    frozen_config.pipeline.resident = "true"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            train(frozen_config, tmp_path / "parts")
    # One more step, and then two in one call.
    frozen_config.pipeline.steps_per_call = 2
    train(frozen_config, tmp_path / "parts")
    for one, other in zip(read_rows(tmp_path / "whole"), read_rows(tmp_path / "parts"), strict=True):
        assert {key: one[key] for key in one if key != "clips_per_second"} == {
            key: other[key] for key in other if key != "clips_per_second"
        }
    with checkpoint.open_checkpoints(tmp_path / "parts", "val_loss") as checkpoints:
        weights, evaluated = checkpoint.restore_weights(checkpoints, 6), checkpoint.restore_variables(checkpoints, 6)
    # The moving average is what is loaded; what is frozen is exactly what it was.
    params, average = weights["params"], weights["average"]["params"]
    jax.tree.map(np.testing.assert_array_equal, evaluated["params"], average)
    jax.tree.map(np.testing.assert_array_equal, params["cnn"], average["cnn"])
    kernels = params["head"]["classifier"]["kernel"], average["head"]["classifier"]["kernel"]
    assert not np.array_equal(*kernels)
    assert not (tmp_path / "parts" / "features").exists()
    assert set((tmp_path / "shared").glob("*/chunk-*")) == stored
    assert sum(len(np.load(path / "features.npy")) for path in stored) == 16 * 3 + 8
    assert {np.load(path / "features.npy").dtype for path in stored} == {np.dtype(np.float16)}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("augment", "flip", True),
        ("augment", "min_scale", 0.8),
        ("augment", "erasing", 0.1),
        ("augment", "rand_augment_layers", 2),
        ("augment", "cutmix", 1.0),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.trainable": "all"}, "cached_views is 2; allowed with model.trainable 'all': 0"),
        ({"eval.crops": 3, "clip.crop": "center"}, "cached_views is 2; allowed with eval.crops 3: 0"),
        ({"augment.cutmix": 1.0}, "cached_views is 2; allowed with augment.cutmix 1.0: 0"),
        ({"augment.flip": False}, "all its views would be the same; allowed: 0 or 1"),
        ({"train.cached_views": -1}, "cached_views is -1; allowed: 0 or more"),
    ],
)
def test_views_that_cannot_be_cached_are_refused(frozen_config, changes, message):
    frozen_config.update_from_flattened_dict({"augment.flip": True, "train.cached_views": 2, **changes})
    with pytest.raises(ValueError, match=message):
        check_config(frozen_config)


def numbered_rows(count):
    """Rows whose only feature is their number."""
    values = np.arange(count, dtype=np.float32).reshape(count, 1, 1)
    return FeatureRows([{"features": values}], np.stack([np.zeros(count, int), np.arange(count)], axis=1))


def test_every_epoch_shows_each_clip_in_one_of_its_views():
    # Clip i of five has the rows i, 5 + i and 10 + i.
    iterator = feature_cache.feature_batches(numbered_rows(15), np.arange(5), batch_size=5, seed=0)
    seen = set()
    for _ in range(40):
        batch = next(iterator)
        rows = batch["features"][:, 0, 0].astype(int)
        assert sorted(batch["label"].tolist()) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(rows % 5, batch["label"])
        seen |= set(rows.tolist())
    assert seen == set(range(15))


def test_feature_batches_resume_at_their_position():
    rows, labels = numbered_rows(30), np.arange(10)
    iterator = feature_cache.feature_batches(rows, labels, batch_size=4, seed=0)
    for _ in range(2):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    third = next(iterator)
    restored = feature_cache.feature_batches(rows, labels, batch_size=4, seed=0)
    restored.set_state(state)
    again = next(restored)
    for name in ("features", "label"):
        np.testing.assert_array_equal(again[name], third[name])
