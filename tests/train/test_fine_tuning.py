"""Runs that begin with the weights of an earlier run."""

import contextlib
import json
import shutil

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from absl import logging

from jaxvid import checkpoint
from jaxvid.config import load_config, save_config
from jaxvid.models.activations import FAMILY, activation_sites, functions_of, with_functions
from jaxvid.models.create import module_from_config
from jaxvid.steps import TrainState
from jaxvid.train.fine_tuning import check_pretrained, weights_of_run
from jaxvid.train.loop import train
from jaxvid.train.setup import set_up
from jaxvid.train.signals import Interrupted
from jaxvid.train.two_stage import check_sequences
from tests.tiny import interrupt_after, random_variables, tiny_config
from tests.train.runs import final_variables

CLIP = (2, 32, 32, 3)
SITES = [f"cnn/activation{i}" for i in (1, 2)]


def model_config(**model):
    """The config of SHDN's smallest network for two classes, with other values of the section `model`."""
    config = tiny_config("")
    config.dataset.class_names = ("no_fight", "fight")
    config.model.update(num_classes=2, activation="relu", **model)
    return config


def variables_of(config, seed=0):
    model = module_from_config(config.model)
    variables = random_variables(model, jnp.zeros((1, *CLIP)), seed)
    if "activations" in variables:
        sites = activation_sites(model, CLIP)
        variables["activations"] = with_functions(variables["activations"], sites)
    return variables


def save_run(workdir, config, variables):
    """Saves variables as the best checkpoint of a run, and others as its last one."""
    workdir.mkdir()
    save_config(config, workdir)
    with contextlib.closing(checkpoint.open_checkpoints(workdir, "val_loss")) as checkpoints:
        for step, loss, factor in ((1, 0.5, 1.0), (2, 0.9, 0.0)):
            values = jax.tree.map(lambda leaf, factor=factor: jnp.asarray(leaf) * factor, variables)
            state = TrainState(jnp.asarray(step), values.pop("params"), values, optax.sgd(0.1).init({}))
            checkpoint.save(checkpoints, state, loop={}, metrics={"val_loss": loss})
    return workdir


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The workdir of a run of fixed activations, and the variables of its best checkpoint."""
    config = model_config()
    variables = variables_of(config)
    return save_run(tmp_path_factory.mktemp("earlier") / "run", config, variables), variables


@pytest.fixture(scope="module")
def earlier_adaptive(tmp_path_factory):
    """Likewise of a run whose activations have changed: the CNN's are CELU and ReLU6, the dense layer's is ReLU."""
    config = model_config(adaptive=True)
    variables = variables_of(config)
    changed = dict(zip(SITES, ("celu", "relu6"), strict=True))
    variables["activations"] = with_functions(variables["activations"], changed)
    return save_run(tmp_path_factory.mktemp("adaptive") / "run", config, variables), variables


def begin(config, workdir):
    config.model.pretrained = str(workdir)
    variables = variables_of(config, seed=1)
    sites = activation_sites(module_from_config(config.model), CLIP)
    return variables, *weights_of_run(config, variables, sites)


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_all_weights_and_statistics_are_those_of_the_best_checkpoint(earlier):
    workdir, there = earlier
    _, begun, functions = begin(model_config(), workdir)
    assert_equal(begun, there)
    assert functions == {}


def test_the_layer_of_other_classes_is_new(earlier):
    workdir, there = earlier
    config = model_config()
    config.model.num_classes = 5
    fresh, begun, _ = begin(config, workdir)
    assert_equal(begun["params"].pop("head"), fresh["params"].pop("head"))
    expected = {name: values for name, values in there["params"].items() if name != "head"}
    assert_equal(begun["params"], expected)
    assert_equal(begun["batch_stats"], there["batch_stats"])


def test_everything_else_that_differs_is_listed(earlier):
    workdir, _ = earlier
    # Another dense layer; and an LSTM that takes a norm of twice as many features.
    with pytest.raises(ValueError, match="does not fit:") as error:
        begin(model_config(arch="C4R1D3", motion="both", head_norm="layer"), workdir)
    assert set(str(error.value).splitlines()[1:]) == {
        "  params/dense2/bias: not in the run",
        "  params/dense2/kernel: not in the run",
        "  params/norm/bias: not in the run",
        "  params/norm/scale: not in the run",
        "  params/head/kernel: (512, 2) in the run, (16, 2) here",
        "  params/lstm/input/kernel: (32, 1024) in the run, (64, 1024) here",
    }
    with pytest.raises(ValueError, match="params/cnn/conv3/kernel: not in the run"):
        begin(model_config(arch="C6R1D2"), workdir)


def test_activations_may_change_after_a_run_in_which_they_were_fixed(earlier):
    workdir, there = earlier
    fresh, begun, functions = begin(model_config(adaptive=True), workdir)
    assert_equal(begun["params"], there["params"])
    assert_equal(begun["activations"], fresh["activations"])
    assert functions == {}


def test_activations_that_have_changed_stay_as_they_are(earlier_adaptive):
    workdir, there = earlier_adaptive
    _, begun, functions = begin(model_config(adaptive=True), workdir)
    assert_equal(begun["params"], there["params"])
    assert functions == {SITES[0]: "celu", SITES[1]: "relu6", "dense_activation1": "relu"}


def test_a_fixed_model_has_no_activations_that_have_changed(earlier_adaptive):
    workdir, _ = earlier_adaptive
    with pytest.raises(ValueError, match="does not fit:") as error:
        begin(model_config(), workdir)
    lines = [
        f"  activation {SITES[0]}: celu in the run, relu here",
        f"  activation {SITES[1]}: relu6 in the run, relu here",
    ]
    assert str(error.value).splitlines()[1:] == lines


def test_settings_that_the_weights_do_not_show_are_warned_of(earlier, monkeypatch):
    warned = []
    monkeypatch.setattr(logging, "warning", lambda message, *args: warned.append(message % args))
    config = model_config(input="differences")
    config.clip.normalization = "raw"
    config.dataset.class_names = ("fight", "no_fight")
    begin(config, earlier[0])
    # The earlier config has no `input`, as it was written before there was one.
    assert [line.split("trained with ")[1] for line in warned] == [
        "clip.normalization='unit', not 'raw'",
        "dataset.class_names=('no_fight', 'fight'), not ('fight', 'no_fight')",
    ]


def test_names_of_functions_with_equal_coefficients_are_the_first_that_fit():
    activations = {"a": {"coefficients": np.asarray(FAMILY["celu"], np.float32)}}
    assert functions_of(activations) == {"a": "elu"}
    assert functions_of(activations, ("silu", "relu", "celu", "elu")) == {"a": "celu"}
    with pytest.raises(ValueError, match="activation site 'a' has the coefficients .*; known: relu"):
        functions_of(activations, ("relu",))


def test_a_run_begins_with_the_weights_and_the_functions(config, earlier_adaptive):
    workdir, there = earlier_adaptive
    config.clip.num_frames = CLIP[0]
    config.model.update(activation="relu", adaptive=True, pretrained=str(workdir))
    config.activations.update(policy="random", trigger="epochs", at_epochs=(1,))
    run = set_up(config)
    assert_equal(run.initial_state.variables, there)
    assert run.config.activations.first == ("cnn/activation1=celu", "cnn/activation2=relu6", "dense_activation1=relu")


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("lrcn", "{run}", "a run of 'cnn_lstm'; allowed: runs of 'lrcn'"),
        ("cnn_lstm", "{empty}", "it has no config.json"),
        ("cnn_lstm", "{untrained}", "a run without a checkpoint; train it first"),
        ("cnn_lstm", "imagenet", "allowed: '', as this model takes no .* weights; or the workdir of an earlier run"),
        ("backbone_lstm", "{empty}/weights", "'imagenet', or the path of a file; or the workdir of an earlier run"),
    ],
)
def test_what_is_no_run_of_this_model_is_refused(earlier, tmp_path, model, pretrained, message):
    for name in ("empty", "untrained"):
        (tmp_path / name).mkdir()
    save_config(model_config(), tmp_path / "untrained")
    places = {"run": earlier[0], "empty": tmp_path / "empty", "untrained": tmp_path / "untrained"}
    section = ml_collections.ConfigDict({"name": model, "num_classes": 2, "pretrained": pretrained.format(**places)})
    with pytest.raises(ValueError, match=f"config.model.pretrained is .*{message}"):
        check_pretrained(section)
    section.pretrained = ""
    check_pretrained(section)


def test_the_first_stage_is_left_out_after_an_earlier_run(config, earlier):
    config.clip.sampling = "sequence"
    fields = {"streams": ("frames",), "features": "softmax", "backbone": "mobilenet", "pretrained": str(earlier[0])}
    config.model = ml_collections.ConfigDict({"name": "genre_crnn", "num_classes": 2, **fields})
    check_sequences(config)
    config.retrain.num_steps = 10
    with pytest.raises(ValueError, match="config.retrain.num_steps is 10; allowed with the run .*: 0"):
        check_sequences(config)


@pytest.mark.slow
def test_a_run_with_changing_activations_goes_on_from_one_and_resumes_without_it(config, tmp_path, monkeypatch):
    config.model.update(activation="relu", adaptive=True)
    config.activations.update(policy="sequence", trigger="epochs", at_epochs=(1,), pool=("celu", "relu6"))
    train(config, tmp_path / "earlier")

    def fine_tune(workdir):
        tuned = config.copy_and_resolve_references()
        tuned.model.pretrained = str(tmp_path / "earlier")
        tuned.activations.update(policy="random", scope="per_site", pool=("celu", "relu6", "leaky_relu"))
        train(tuned, tmp_path / workdir)

    fine_tune("whole")
    first = dict(line.split("=") for line in load_config(tmp_path / "whole").activations.first)
    assert set(first) == {*SITES, "dense_activation1"}
    assert set(first.values()) <= {"celu", "relu6"}
    (change,) = map(json.loads, (tmp_path / "whole" / "activation_changes.jsonl").read_text().splitlines())
    assert {site: before for site, (before, _) in change["sites"].items()}.items() <= first.items()

    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            fine_tune("resumed")
    shutil.rmtree(tmp_path / "earlier")
    fine_tune("resumed")
    (_, whole), (_, resumed) = (final_variables(tmp_path / name, config) for name in ("whole", "resumed"))
    assert_equal(whole, resumed)
