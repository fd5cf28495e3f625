"""Surveillance Camera Fight: fights and other scenes from surveillance cameras; downloaded."""

import re
from pathlib import Path

import tensorflow_datasets as tfds

from tfds_builders.splits import split_by_source
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    FIGHT_FOLDERS,
    VideoFile,
    folders_of,
    holds_folders,
    join_identical,
    manual_root,
    videos_in_class_folders,
)

_HOMEPAGE = "https://github.com/seymanurakti/fight-detection-surv-dataset"
_ARCHIVE = f"{_HOMEPAGE}/archive/HEAD.zip"

_HOLDS = holds_folders(FIGHT_FOLDERS)


class SurveillanceFight(VideoDataset):
    """Surveillance cameras: 150 fights and 150 other scenes of about 2 seconds, cut from 44 videos and two datasets.

    Nearly every source video gave clips of both classes, and clips of one source look alike: the split, about 60 % for
    training and 20 % each for validation and testing, is by source.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Nothing needs to be done: the dataset is downloaded from {_HOMEPAGE}.
    Where that is not possible, put its files into the manual directory, or into a folder surveillance_fight/ in it:
      fight/fi001.mp4 ...      noFight/nofi001.mp4 ...      videos.txt
    """
    CLASSES = ("no_fight", "fight")
    HOMEPAGE = _HOMEPAGE
    CITATION = """
    @inproceedings{akti2019vision,
      title={Vision-based Fight Detection from Surveillance Cameras},
      author={Akt{\\i}, {\\c{S}}eymanur and Tataro{\\u{g}}lu, G{\\"o}zde Ay{\\c{s}}e and Ekenel, Haz{\\i}m Kemal},
      booktitle={International Conference on Image Processing Theory, Tools and Applications},
      year={2019}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of both folders, with the sources of `videos.txt`; an unlisted video is its own source."""
        try:
            root = manual_root(
                dl_manager, self.MANUAL_DOWNLOAD_INSTRUCTIONS, holds=_HOLDS, names=("surveillance_fight",)
            )
        except ValueError:
            root = self._download(dl_manager)
        listings = sorted(root.rglob("videos.txt"))
        sources = video_sources(listings[0].read_text(encoding="utf-8")) if listings else {}
        videos = videos_in_class_folders(root, FIGHT_FOLDERS, lambda path: sources.get(path.stem, path.stem))
        return split_by_source(join_identical(videos), {"train": 0.6, "val": 0.2, "test": 0.2})

    def _download(self, dl_manager: tfds.download.DownloadManager) -> Path:
        try:
            extracted = Path(dl_manager.download_and_extract(_ARCHIVE))
        # Whatever goes wrong between here and the server, the remedy is the same.
        except Exception as error:
            raise ValueError(
                f"{_ARCHIVE} cannot be downloaded: {error}\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}"
            ) from error
        # The archive holds one folder, named after the repository and the revision.
        for root in (*folders_of(extracted), extracted):
            if _HOLDS(root):
                return root
        raise ValueError(f"{_ARCHIVE} holds no folders fight and noFight")


def video_sources(listing: str) -> dict[str, str]:
    """Returns the source of each video, by its name in `videos.txt`.

    After a line with an address come the clips cut from that video, one per line (`fi001: 0.13.50 - 0.15.60`). The last
    lines give ranges of clips taken from other datasets (`nofi062 - nofi076 : CamNet Dataset`), one source each. For a
    clip listed twice, the first source counts.
    """
    sources: dict[str, str] = {}
    video = ""
    for line in map(str.strip, listing.splitlines()):
        if line.startswith("http"):
            video = line
        elif span := re.fullmatch(r"([a-z]+)(\d+) - \1(\d+)\s*:\s*(.+)", line):
            first, last = int(span[2]), int(span[3])
            for number in range(first, last + 1):
                sources.setdefault(f"{span[1]}{number:0{len(span[2])}d}", span[4])
        elif clip := re.match(r"([a-z]+\d+)\s*:", line):
            sources.setdefault(clip[1], video)
    return sources
