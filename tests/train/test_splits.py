import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.data.dataset import open_split
from jaxvid.train import splits


def test_balanced_class_weights_by_hand(config, data_dir):
    split = open_split(tfds.builder(config.dataset.name, data_dir=data_dir), "train")
    metadata = dataclasses.replace(split.metadata, labels=np.asarray([0] * 12 + [1] * 4))
    uneven = dataclasses.replace(split, metadata=metadata)
    np.testing.assert_allclose(splits.class_weights("balanced", split), [1, 1])
    np.testing.assert_allclose(splits.class_weights("balanced", uneven), [16 / 24, 16 / 8], rtol=1e-6)
    np.testing.assert_allclose(splits.class_weights("none", uneven), [1, 1])


def test_what_misleads_is_logged_with_the_splits(config, data_dir, monkeypatch, caplog):
    asked = []
    found = ["with sound: 100 % of fight, 0 % of no_fight"]
    monkeypatch.setattr(splits, "dataset_differences", lambda path: asked.append(path) or found)
    with caplog.at_level("INFO", logger="absl"):
        splits.open_splits(config)
    messages = [record.getMessage() for record in caplog.records]
    assert asked == [str(data_dir / "synthetic_fight" / "tiny" / "1.0.0")]
    assert any("a network can learn that instead: with sound: 100 % of fight" in message for message in messages)
    assert "Positive class: fight (the other name negates it)" in messages


def test_the_config_keeps_the_version_of_the_dataset(config):
    assert splits.with_dataset_facts(config, splits.open_splits(config)).dataset.version == "1.0.0"


def test_a_dataset_of_one_class_is_refused_before_training(config):
    opened = splits.open_splits(config)
    alone = opened._replace(data=SimpleNamespace(class_names=["fight"]))
    with pytest.raises(ValueError, match="tiny has the class fight alone; allowed: two classes or more"):
        splits.with_dataset_facts(config, alone)
