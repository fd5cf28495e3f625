"""The command that builds a dataset."""

import subprocess
import sys

import pytest
import tensorflow_datasets as tfds

from jaxvid.config import base_config
from jaxvid.data.dataset import prepare
from tests.commands import run_command
from tests.tfds_builders.test_video_dataset import write_clips

PREPARE = "jaxvid.data.prepare"


def write_folder(directory):
    write_clips(directory, [f"{split}/{label}/1.avi" for split in ("train", "test") for label in ("calm", "fight")])


def test_a_folder_is_built_and_described(tmp_path, capsys):
    write_folder(tmp_path / "videos")
    flags = ["--name=video_folder/64x64", f"--manual_dir={tmp_path / 'videos'}", f"--data_dir={tmp_path / 'data'}"]
    run_command(PREPARE, *flags)
    (built,) = (tmp_path / "data" / "video_folder").glob("videos-*-64x64/1.0.0")
    name = f"video_folder/{built.parent.name}/1.0.0"
    assert capsys.readouterr().out.splitlines()[-1] == f"{name} in {built}: train 2, test 2"


@pytest.mark.slow
def test_a_folder_is_built_on_beam(tmp_path, capsys):
    write_folder(tmp_path / "videos")
    flags = ["--name=video_folder/64x64", f"--manual_dir={tmp_path / 'videos'}", f"--data_dir={tmp_path / 'data'}"]
    run_command(PREPARE, *flags, "--beam_options=runner=FnApiRunner")
    (built,) = (tmp_path / "data" / "video_folder").glob("videos-*-64x64/1.0.0")
    assert tfds.builder_from_directory(built).info.splits["train"].num_examples == 2
    assert capsys.readouterr().out.endswith(f"in {built}: train 2, test 2\n")


@pytest.mark.slow
def test_the_training_command_builds_on_beam_too(tmp_path):
    keys = [f"--config.dataset.data_dir={tmp_path / 'data'}", "--config.dataset.name=synthetic_fight/tiny"]
    command = ["-m", "jaxvid.main", "--config=configs/quickstart.py", f"--workdir={tmp_path / 'run'}", *keys]
    done = subprocess.run(
        [sys.executable, *command, "--beam_options=runner=NoSuchRunner"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "error: Unexpected pipeline runner: NoSuchRunner" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dataset_is_named_once(tmp_path):
    with pytest.raises(ValueError, match="give either --config or --name"):
        run_command(PREPARE)


def test_beam_that_is_missing_is_named(tmp_path, monkeypatch):
    write_folder(tmp_path / "videos")
    dataset = base_config().dataset
    dataset.update(name="video_folder/64x64", manual_dir=str(tmp_path / "videos"), data_dir=str(tmp_path / "data"))
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(ValueError, match=r'building on Apache Beam needs it: pip install "jaxvid\[beam\]"'):
        prepare(dataset, beam_options="runner=DirectRunner")


def test_only_a_folder_of_ones_own_may_be_at_an_address(tmp_path):
    dataset = base_config().dataset
    dataset.update(name="rwf2000/64x64", manual_dir="gs://bucket/rwf2000", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r"manual_dir is gs://bucket/rwf2000: only video_folder takes an address"):
        prepare(dataset)
