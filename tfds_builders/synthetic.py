"""The base of builders that draw their videos."""

import tempfile
from pathlib import Path

import tensorflow_datasets as tfds

from tfds_builders.video_dataset import VideoDataset


class SyntheticDataset(VideoDataset, skip_registration=True):
    """Videos that `find_clips` draws and writes, as real video files, into the folder `self._drawn`."""

    _drawn: Path

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> None:
        # Inside the unfinished dataset, so that an interrupted build leaves nothing elsewhere.
        with tempfile.TemporaryDirectory(dir=self.data_dir) as drawn:
            self._drawn = Path(drawn)
            super()._download_and_prepare(dl_manager, download_config)
