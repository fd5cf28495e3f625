"""Trees of empty files, and TFDS's own download manager, to find clips with."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

import tfds_builders  # noqa: F401 - registers the builders


def touch(root: Path, names: Iterable[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def find_clips(tmp_path):
    """Finds the clips of a dataset, by name, in the manual directory `tmp_path / "manual"`."""

    def find(name: str, **kwargs):
        builder = tfds.builder(name, data_dir=tmp_path / "data", **kwargs)
        downloads = tfds.download.DownloadManager(
            download_dir=tmp_path / "downloads",
            manual_dir=tmp_path / "manual",
            manual_dir_instructions=builder.MANUAL_DOWNLOAD_INSTRUCTIONS,
        )
        return builder.find_clips(downloads)

    return find
