import pytest

from jaxvid.train.loop import train
from tests.train.runs import adaptive


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eval.monitor", "val_los", "'val_los'; allowed: val_accuracy"),
        ("train.num_epochs", 0, "num_epochs is 0"),
        ("train.class_weights", "even", "'even'; allowed: none, balanced"),
        ("pipeline.decoder", "vlc", "'vlc'; allowed: decord, av"),
        ("train.batch_size", 0, "batch_size is 0"),
        ("train.label_smoothing", 1.0, "label_smoothing is 1.0"),
        ("model.num_classes", 3, "has 2 classes \\(no_fight, fight\\); allowed: 2, or 0"),
        ("model.activation", "rleu", "unknown activation 'rleu'"),
        ("activations.policy", "random", "needs config.model.adaptive=True"),
        ("dataset.name", "synthetc_fight", "'synthetc_fight'"),
        ("dataset.train_split", "training", "no split 'training'"),
    ],
)
def test_bad_values_stop_a_run_before_it_writes_anything(config, tmp_path, key, value, message):
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(ValueError, match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_sites_and_windows_that_do_not_exist_stop_a_run_before_it_begins(config, tmp_path):
    adaptive(config).activations.sites = ("layer4*",)
    with pytest.raises(ValueError, match="'layer4\\*', which is no site; there are: cnn/activation1"):
        train(config, tmp_path / "run")
    config.activations.sites = ()
    config.clip.update(sampling="sliding_window", num_frames=13)
    with pytest.raises(ValueError, match="is 13; .* has 8: a sliding window longer than the clip; allowed: 1 to 8"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
