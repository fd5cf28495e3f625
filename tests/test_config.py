import json

import ml_collections
import pytest

from jaxvid import config as config_lib


def test_arguments_take_their_defaults_and_types():
    values = config_lib.parse_arg("b=true,n=3", a=("x", "y"), b=False, n=1, rate=0.5)
    assert values.to_dict() == {"a": "x", "b": True, "n": 3, "rate": 0.5}


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("datset=x", "unknown config argument 'datset'; allowed: a, b, n"),
        ("a=z", "a='z'; allowed: x, y"),
        ("b=yes", "b='yes'; allowed: true, false"),
        ("n=many", "n='many' is not of type int"),
        ("a", "'a' is not of the form key=value"),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(arg, message):
    with pytest.raises(ValueError, match=message):
        config_lib.parse_arg(arg, a=("x", "y"), b=False, n=1)


def test_a_saved_config_comes_back_equal(tmp_path):
    config = config_lib.base_config()
    config.dataset.class_names = ("calm", "fight")
    config_lib.save_config(config, tmp_path)
    assert config_lib.load_config(tmp_path).to_dict() == config.to_dict()
    assert isinstance(config_lib.load_config(tmp_path).optimizer.decay_at, tuple)


def test_keys_that_an_older_config_lacks_get_their_defaults(tmp_path):
    config = config_lib.base_config()
    config.model = {"name": "cnn_lstm"}
    config.dataset.fps = 25.0
    older = config.to_dict()
    del older["dataset"]["positive_class"], older["checkpoint"]
    older["dataset"]["class_names"] = ["calm", "fight"]
    (tmp_path / "config.json").write_text(json.dumps({"format": config_lib.FORMAT, "config": older}))
    loaded = config_lib.load_config(tmp_path)
    assert loaded.dataset.positive_class == ""
    assert loaded.dataset.class_names == ("calm", "fight")
    assert loaded.dataset.fps == 25.0
    assert loaded.checkpoint.keep_all is False
    assert loaded.model.name == "cnn_lstm"
    # Neither the new key nor its value stops such a run from being resumed.
    config.dataset.update(class_names=("calm", "fight"), positive_class="calm")
    config_lib.save_config(config, tmp_path)
    assert config_lib.load_config(tmp_path).dataset.positive_class == "calm"


def test_changing_a_config_leaves_the_defaults_alone():
    config_lib.base_config().train.num_epochs = 99
    assert config_lib.base_config().train.num_epochs == 50


def test_values_out_of_range_are_named_with_what_is_allowed():
    config = config_lib.base_config()
    config_lib.one_of(config.optimizer, "optimizer.name", ("adam", "sgd"))
    config_lib.at_least(config.train, 16, "train.num_epochs", "train.batch_size")
    with pytest.raises(ValueError, match=r"^config.optimizer.name is 'adam'; allowed: adamw, sgd$"):
        config_lib.one_of(config.optimizer, "optimizer.name", ("adamw", "sgd"))
    with pytest.raises(ValueError, match=r"^config.train.batch_size is 16; allowed: 17 or more$"):
        config_lib.at_least(config.train, 17, "train.num_epochs", "train.batch_size")
    config.train.l2 = float("nan")
    with pytest.raises(ValueError, match=r"^config.train.l2 is nan; allowed: 0 or more$"):
        config_lib.at_least(config.train, 0, "train.l2")


def test_another_run_in_the_workdir_is_refused_and_the_difference_named(tmp_path):
    config = config_lib.base_config()
    config_lib.save_config(config, tmp_path)
    config.train.num_epochs = 99
    config_lib.save_config(config, tmp_path)
    config.optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match=r"optimizer.learning_rate: 0.0001 -> 0.5"):
        config_lib.save_config(config, tmp_path)
    assert config_lib.load_config(tmp_path).optimizer.learning_rate == 1e-4


def test_the_version_of_the_dataset_may_become_known_but_not_change(tmp_path):
    config = config_lib.base_config()
    config_lib.save_config(config, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    del saved["config"]["dataset"]["version"]
    (tmp_path / "config.json").write_text(json.dumps(saved))
    config.dataset.version = "1.0.0"
    config_lib.save_config(config, tmp_path)
    config.dataset.version = "2.0.0"
    with pytest.raises(ValueError, match=r"dataset.version: '1.0.0' -> '2.0.0'"):
        config_lib.save_config(config, tmp_path)


def test_a_run_from_before_a_key_of_the_model_resumes_with_its_default_alone(tmp_path):
    config = config_lib.base_config()
    config.model = ml_collections.ConfigDict({"name": "lrcn"})
    config_lib.save_config(config, tmp_path)
    config.model.update(input="frames", motion="none", head_norm="none", temporal="lstm")
    config.model.update(norm_momentum=0.9, norm_epsilon=1e-5, lstm_layers=1)
    config_lib.save_config(config, tmp_path)
    config.model.motion = "both"
    with pytest.raises(ValueError, match=r"model.motion: 'none' -> 'both'"):
        config_lib.save_config(config, tmp_path)


def test_a_run_from_before_keras_constants_does_not_take_them(tmp_path):
    config = config_lib.base_config()
    config.model = ml_collections.ConfigDict({"name": "cnn_lstm", "activation": "leaky_relu"})
    config_lib.save_config(config, tmp_path)
    config.model.update(norm_momentum=0.99, norm_epsilon=1e-3)
    with pytest.raises(ValueError, match=r"(?s)model.norm_epsilon: None -> 0.001.*model.norm_momentum: None -> 0.99"):
        config_lib.save_config(config, tmp_path)


def test_a_config_of_another_version_or_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no workdir of a training run"):
        config_lib.load_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": 0, "config": {}}))
    with pytest.raises(ValueError, match="has format 0, this jaxvid reads 3"):
        config_lib.load_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        config_lib.load_config(tmp_path)


def test_a_misspelt_key_is_an_error():
    config = config_lib.base_config()
    with pytest.raises(AttributeError):
        _ = config.train.batchsize
