import logging

import jax
import numpy as np
import pytest

from jaxvid import checkpoint
from jaxvid.train import resident
from jaxvid.train.checks import check_config
from jaxvid.train.loop import train
from jaxvid.train.resident import is_resident, largest_resident
from jaxvid.train.signals import Interrupted
from tests.several import ended, two
from tests.tiny import interrupt_after


def final_variables(workdir, config):
    return checkpoint.load_variables(workdir, config.eval.monitor, "last")


def assert_same_bits(one, other):
    assert one[0] == other[0]
    jax.tree.map(np.testing.assert_array_equal, one[1], other[1])


def test_resident_frames_train_to_the_same_bits_also_resumed(config, tmp_path, monkeypatch, caplog):
    config.clip.sampling = "random_segment"
    config.augment.update(flip=True, min_scale=0.8)
    train(config, tmp_path / "streamed")
    config.pipeline.resident = "true"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            train(config, tmp_path / "resident")
    # A run may change its way when it is resumed.
    config.pipeline.resident = "auto"
    with caplog.at_level(logging.INFO, logger="absl"):
        train(config, tmp_path / "resident")
    assert "frames of train stay in device memory" in caplog.text
    assert final_variables(tmp_path / "resident", config)[0] == 4
    assert_same_bits(final_variables(tmp_path / "streamed", config), final_variables(tmp_path / "resident", config))


def test_auto_keeps_what_fits_into_a_share_of_memory(config, monkeypatch, caplog):
    config.pipeline.resident = "auto"
    memory = 1000 * 4096
    monkeypatch.setattr(resident.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}[name])
    assert largest_resident() == pytest.approx(0.1 * memory)
    assert is_resident(config, int(0.0999 * memory))
    assert not is_resident(config, int(0.1001 * memory))
    config.pipeline.resident = "true"
    assert is_resident(config, 10 * memory)
    config.pipeline.resident = "false"
    assert not is_resident(config, 1)


@pytest.mark.parametrize(("other_host", "agreed"), [("large", False), ("small", True)])
def test_auto_is_decided_by_the_host_with_the_least_memory(config, monkeypatch, other_host, agreed):
    config.pipeline.resident = "auto"
    said = []

    def exchange(text):
        said.append(text)
        return [text, other_host]

    monkeypatch.setattr(resident.processes, "exchange", exchange)
    assert is_resident(config, 1) == agreed
    # Here it is too large, whatever fits elsewhere.
    assert not is_resident(config, 1 << 60)
    assert said == ["small", "large"]


# What fits into the memory of one host or of both.
DECIDES = """
from jaxvid.config import base_config
from jaxvid.train import resident
config = base_config()
config.pipeline.resident = "auto"
resident.largest_resident = lambda: (100, 200)[index]
print(*(resident.is_resident(config, num_bytes) for num_bytes in (90, 150, 250)))
"""


@pytest.mark.slow
def test_two_hosts_with_different_memory_decide_alike(tmp_path):
    results = ended(*two(DECIDES, tmp_path))
    assert [output.split() for _, output, _ in results] == [["True", "False", "False"]] * 2, results


def test_other_values_and_sound_are_refused(config):
    config.pipeline.resident = "yes"
    with pytest.raises(ValueError, match="config.pipeline.resident is 'yes'; allowed: false, true, auto"):
        check_config(config)
    config.pipeline.resident = "true"
    config.audio.sample_rate = 16000
    with pytest.raises(ValueError, match="resident is 'true'; allowed with audio.sample_rate 16000: 'false', 'auto'"):
        resident.check_resident(config)
