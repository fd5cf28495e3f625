"""Fixtures of the tests of evaluation."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.data.dataset import open_split
from jaxvid.data.records import decode_frames
from jaxvid.train.loop import train
from jaxvid.video.files import write_video
from tests.tiny import tiny_config


@pytest.fixture(scope="package")
def run(data_dir, tmp_path_factory):
    """The workdir of a short run on `synthetic_fight/tiny`, with classes no_fight and fight; trained once."""
    workdir = tmp_path_factory.mktemp("run")
    train(tiny_config(data_dir), workdir)
    return workdir


@pytest.fixture
def changed_run(run, tmp_path):
    """Returns a workdir with the checkpoints of `run` and other values in sections of its config."""

    def change(**sections):
        saved = json.loads((run / "config.json").read_text())
        for section, values in sections.items():
            saved["config"][section].update(values)
        workdir = tmp_path / "changed"
        workdir.mkdir()
        (workdir / "checkpoints").symlink_to(run / "checkpoints")
        (workdir / "config.json").write_text(json.dumps(saved))
        return workdir

    return change


@pytest.fixture
def write_clips(data_dir):
    """Writes clips of a split of the tiny dataset as videos: `write_clips(root, name_of)`, a name for each clip.

    `name_of(position, label)` returns the path below `root`, or None for a clip to leave out.
    """

    def write(root, name_of, split="test"):
        clips = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), split)
        for position in range(len(clips)):
            clip = clips[position]
            name = name_of(position, clip.label)
            if name is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                write_video(root / name, decode_frames(clip.frames, np.arange(len(clip.frames))), clip.fps)
        return clips

    return write
