import pytest

from jaxvid.baselines.of_config import baselines_of_config
from jaxvid.baselines.text import format_baselines


def test_the_baselines_of_a_split_need_no_network(config):
    compared = baselines_of_config(config, "val")
    # Four clips of each class.
    assert compared["systems"]["commonest_class"]["accuracy"]["value"] == 0.5
    first, header, *_ = format_baselines(compared).splitlines()
    assert first == "Baselines, fitted on synthetic_fight/tiny, split train:"
    assert header.split() == ["accuracy", "ROC", "AUC"]


def test_a_split_that_does_not_exist_is_named(config):
    config.dataset.test_split = "nowhere"
    with pytest.raises(ValueError, match="has no split 'nowhere'"):
        baselines_of_config(config)
