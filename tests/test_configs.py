"""Every file in configs/: all its arguments, the shapes of its training step, and a run on small data."""

import importlib
import json
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import pytest
import tensorflow_datasets as tfds

import configs
import tfds_builders  # noqa: F401 - registers the builders
from configs.datasets import DATASETS
from jaxvid import parallel
from jaxvid.config import parse_arg
from jaxvid.data.audio import num_samples
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.models.create import MODELS, module_from_config
from jaxvid.models.freezing import parameter_labels
from jaxvid.steps import create_state, initial_variables, train_step
from jaxvid.train.checks import check_config
from jaxvid.train.loop import train
from jaxvid.train.optimizer import create_optimizer, create_schedule
from jaxvid.train.two_stage import frames_config

# What the configs share.
SHARED = ("__init__", "datasets", "models")

NAMES = sorted(path.stem for path in Path(configs.__path__[0]).glob("*.py") if path.stem not in SHARED)

# The argument and the `clip` section that make each system small enough for a run on synthetic_fight/tiny.
SMALL = {
    "adaptive_video_resnet": (
        "frames=4,depth=10,policy=random,scope=per_site",
        {"height": 32, "width": 32, "crop": "resize"},
    ),
    "backbone_lstm": ("backbone=mobilenet", {"height": 32, "width": 32, "num_frames": 2}),
    "convlstm": ("", {"height": 32, "width": 32, "num_frames": 2}),
    "genre": ("frames=false", {"num_frames": 4}, "synthetic_genre/tiny_4fps_4frames_16000hz"),
    "lrcn": ("", {"num_frames": 4}),
    "quickstart": ("", {"height": 32, "width": 32, "num_frames": 4}),
    "recommended": ("dataset=synthetic_fight", {"height": 32, "width": 32, "num_frames": 3}),
    "shdn": ("arch=C4R1D2", {"height": 32, "width": 32, "num_frames": 4}),
    "ucf101": ("network=c3d", {"height": 16, "width": 16, "num_frames": 2, "crop": "resize"}),
    "video_resnet": ("frames=4,block=mc3", {"height": 32, "width": 32}),
}


def get_config(name, arg=""):
    return importlib.import_module(f"configs.{name}").get_config(arg)


def defaults_of(name):
    """The arguments that the config takes, with their defaults as `parse_arg` gets them."""
    module = importlib.import_module(f"configs.{name}")
    # A config that derives from another has that one read its arguments.
    reader = module if hasattr(module, "parse_arg") else module.lrcn
    taken = {}

    def spy(arg, **defaults):
        taken.update(defaults)
        return parse_arg(arg, **defaults)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "parse_arg", spy)
        module.get_config("")
    return taken


def arguments_of(name):
    """All `key=value` that the config takes, one at a time, and "" for its defaults."""
    values = {
        key: default if isinstance(default, tuple) else (True, False) for key, default in defaults_of(name).items()
    }
    return ["", *(f"{key}={value}" for key, allowed in values.items() for value in allowed)]


ALL = [(name, arg) for name in NAMES for arg in arguments_of(name)]


def shapes_of_a_step(config):
    """The state before and after a training step, and its metrics, as shapes."""
    config = config.copy_and_resolve_references()
    config.model.num_classes = 3
    model = module_from_config(config.model, axis_name=parallel.AXIS_NAME)
    variables = jax.eval_shape(lambda: initial_variables(model, config.clip, config.seed))
    labels = parameter_labels(variables["params"], config.model)
    optimizer = create_optimizer(config.optimizer, create_schedule(config.optimizer, 100), labels)
    state = jax.eval_shape(lambda variables: create_state(variables, optimizer), variables)
    height, width = map(int, config.dataset.name.split("/")[1].split("_")[0].split("x"))
    rows = config.train.batch_size
    batch = {
        "frames": jax.ShapeDtypeStruct((rows, config.clip.num_frames, height, width, 3), jnp.uint8),
        "num_frames": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "audio": jax.ShapeDtypeStruct((rows, num_samples(config.audio)), jnp.int16),
        "num_samples": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "label": jax.ShapeDtypeStruct((rows,), jnp.int32),
    }
    step = partial(
        train_step,
        model=model,
        optimizer=optimizer,
        labels=labels,
        class_weights=jnp.ones(3),
        config=ml_collections.FrozenConfigDict(config),
        axis_name=parallel.AXIS_NAME,
    )
    return state, *jax.eval_shape(parallel.over_devices(step), state, batch)


def specs(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def docstring_of(name):
    return importlib.import_module(f"configs.{name}").__doc__


def test_every_config_has_a_small_run_and_a_docstring_with_its_command():
    assert set(SMALL) == set(NAMES)
    for name in NAMES:
        assert f"python -m jaxvid.main --config=configs/{name}.py" in docstring_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_describes_every_argument(name):
    assert set(defaults_of(name)) <= set(re.findall(r"`(\w+)`", docstring_of(name)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("quickstart", "convlstm")])
def test_the_docstring_refers_to_the_list_of_datasets_and_names_all_other_values(name):
    docstring = docstring_of(name)
    assert "`dataset`: a key of configs/datasets.py" in docstring
    described = docstring[docstring.index("Arguments:") :].split("\n\n")[0]
    for key, default in defaults_of(name).items():
        if key == "dataset":
            assert not any(dataset in described for dataset in default if not dataset.startswith("ucf"))
        elif key not in ("arch", "audio_backbone") and isinstance(default, tuple):
            assert [value for value in default if not re.search(rf"\b{value}\b", described)] == [], key


def test_every_model_has_a_config():
    with_arguments = [(name, arg) for name, arg in ALL if not arg.startswith("dataset=")]
    assert {get_config(name, arg).model.name for name, arg in with_arguments} == set(MODELS)
    # The frame classifier is also the first stage of genre.
    assert frames_config(get_config("genre")).model.name == "frame_classifier"


@pytest.mark.parametrize(("name", "arg"), ALL)
def test_every_argument_gives_a_valid_config(name, arg):
    config = get_config(name, arg)
    check_config(config)
    config.model.num_classes = 2
    module_from_config(config.model)
    if name == "quickstart":
        return
    dataset = arg.removeprefix("dataset=") if arg.startswith("dataset=") else defaults_of(name)["dataset"][0]
    builder, _, tfds_config = config.dataset.name.partition("/")
    assert builder == DATASETS[dataset].get("builder", dataset)
    assert tfds.builder_cls(builder).named_config(tfds_config).name == tfds_config
    assert config.dataset.train_split == DATASETS[dataset]["train_split"]


def test_variants_of_datasets_are_named_before_the_options_of_the_builder():
    assert get_config("lrcn", "dataset=hockey_fight").dataset.name == "hockey_fight/64x64"
    assert get_config("lrcn", "dataset=hockey_fight_random").dataset.name == "hockey_fight/64x64_random"
    genre = get_config("genre", "dataset=movies_fight_random85")
    assert genre.dataset.name == "movies_fight/225x225_random85_4fps_40frames_16000hz"


def test_joined_datasets_have_their_names_and_splits_together():
    dataset = get_config("lrcn", "dataset=hockey_fight_random+violent_flows_fold2").dataset
    assert dataset.name == "hockey_fight/64x64_random+violent_flows/64x64"
    assert dataset.train_split == "train@!0/10,fold1+fold3+fold4+fold5@!0/10"
    assert dataset.val_split == "train@0/10,fold1+fold3+fold4+fold5@0/10"
    assert dataset.test_split == "test,fold2"
    with pytest.raises(ValueError, match=r"dataset='hockey_fight\+x'; allowed: ucf50"):
        get_config("lrcn", "dataset=hockey_fight+x")


def test_the_folds_of_violent_flows_are_tested_on_in_turn():
    dataset = get_config("lrcn", "dataset=violent_flows_fold2").dataset
    assert dataset.name == "violent_flows/64x64"
    assert (dataset.test_split, dataset.val_split) == ("fold2", "fold1+fold3+fold4+fold5@0/10")
    assert dataset.train_split == "fold1+fold3+fold4+fold5@!0/10"


def test_the_splits_of_ucf101_are_the_official_ones():
    config = get_config("lrcn", "dataset=ucf101_split2")
    assert config.dataset.name == "ucf101_by_group/64x64"
    assert config.dataset.test_split == "test2"
    assert config.dataset.train_split == "test1+test3+always_train@!0/10"
    assert config.dataset.val_split == "test1+test3+always_train@0/10"


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_every_config_keeps_the_shapes_of_the_state(name):
    before, after, metrics = shapes_of_a_step(get_config(name))
    assert specs(before) == specs(after)
    assert {key: value.shape for key, value in metrics.items()} == {"loss": (), "accuracy": (), "grad_norm": ()}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arg"), [(name, arg) for name, arg in ALL if arg and not arg.startswith("dataset=")])
def test_a_step_with_every_argument_keeps_the_shapes_of_the_state(name, arg):
    before, after, _ = shapes_of_a_step(get_config(name, arg))
    assert specs(before) == specs(after)


@pytest.mark.parametrize(
    ("name", "arg", "message"),
    [
        ("quickstart", "dataset=shv", "unknown config argument 'dataset'"),
        ("shdn", "dataset=hmdb51", "dataset='hmdb51'; allowed: shv, "),
        ("lrcn", "classes=four", "classes='four'; allowed: all, tutorial"),
        ("lrcn", "dataset=rwf2000,classes=tutorial", "classes='tutorial' with dataset='rwf2000'; allowed: ucf50"),
        ("convlstm", "clases=all", "unknown config argument 'clases'; allowed: dataset, classes"),
        ("video_resnet", "depth=50", "depth='50'; allowed: 18, 10, 34"),
        ("video_resnet", "frames=7", "frames='7'; allowed: 12, 4, 6, 8, 10, 16, 32"),
        ("video_resnet", "depth=34,block=r3d", "depth=34 with block='r3d'; allowed: r2plus1d"),
        ("video_resnet", "depth=10,block=mc3", "depth=10 with block='mc3'; allowed: r2plus1d"),
        ("adaptive_video_resnet", "frames=16", "frames='16'; allowed: 12, 4, 6, 8, 10"),
        ("genre", "audio=false,frames=false", "audio='false' with frames='false'; allowed: one of them true"),
        ("genre", "features=softmax,frames=false", "features='softmax' with frames='false'; allowed: pool"),
        ("genre", "features=logits", "features='logits'; allowed: pool, softmax"),
        ("adaptive_video_resnet", "policy=rand", "policy='rand'; allowed: sequence, fixed, random"),
        ("backbone_lstm", "backbone=vgg11", "backbone='vgg11'; allowed: vgg16, vgg19"),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(name, arg, message):
    with pytest.raises(ValueError, match=message):
        get_config(name, arg)


def test_configs_hold_the_values_of_the_papers():
    lrcn, convlstm = get_config("lrcn", "classes=tutorial"), get_config("convlstm")
    assert (lrcn.dataset.name, convlstm.dataset.name) == ("ucf50/64x64_tutorial", "ucf50/64x64")
    for config, epochs in ((lrcn, 70), (convlstm, 50)):
        assert (config.clip.num_frames, config.clip.height, config.clip.normalization) == (20, 64, "unit")
        assert (config.train.batch_size, config.train.num_epochs) == (4, epochs)
    resnet = get_config("video_resnet", "frames=8,block=r3d")
    assert (resnet.model.variant, resnet.model.pretrained) == ("r3d_18", "kinetics400")
    assert (resnet.clip.sampling, resnet.clip.num_frames, resnet.clip.frame_interval) == ("consecutive", 8, 1)
    assert (resnet.dataset.name, resnet.clip.height, resnet.clip.crop) == ("rwf2000/128x171", 112, "center")
    adaptive = get_config("adaptive_video_resnet", "frames=10")
    assert (adaptive.clip.sampling, adaptive.clip.num_frames, adaptive.clip.frame_interval) == ("sliding_window", 10, 1)
    assert adaptive.activations.pool == ("celu", "leaky_relu", "relu", "relu6")
    assert (adaptive.model.variant, adaptive.model.pretrained, adaptive.model.adaptive) == (
        "r2plus1d_18",
        "kinetics400",
        True,
    )
    # Published weights are of 18 layers only.
    assert get_config("video_resnet", "depth=34").model.pretrained == ""
    inception = get_config("backbone_lstm", "backbone=inception_v3")
    assert (inception.dataset.name, inception.clip.height, inception.clip.normalization) == ("shv/128x128", 128, "raw")
    published = get_config("backbone_lstm", "backbone=inception_v3,size=published")
    assert (published.dataset.name, published.clip.height) == ("shv/299x299", 299)
    assert (inception.optimizer.learning_rate, inception.train.num_epochs) == (1e-5, 50)


# Compiling their training steps takes long.
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_config_trains_and_evaluates(name, data_dir, tmp_path):
    arg, clip, dataset = (*SMALL[name], "synthetic_fight/tiny")[:3]
    config = get_config(name, arg)
    config.dataset.update(name=dataset, data_dir=str(data_dir))
    config.dataset.update(train_split="train", val_split="val", test_split="test")
    config.clip.update(clip)
    config.model.pretrained = ""
    config.train.update(batch_size=8, num_epochs=1)
    config.eval.update(batch_size=8, num_resamples=50)
    train(config, tmp_path)
    evaluate(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["num_clips"] == (4 if name == "genre" else 8)
