"""Video folder: your own videos, in one folder per class."""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tfds_builders.splits import check_ratios, split_by_source
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    SPLIT_FOLDERS,
    VideoFile,
    fold,
    folder_source,
    folders_of,
    join_identical,
    manual_directory,
    relative_path,
    videos_below,
)

DEFAULT_RATIOS = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclasses.dataclass(eq=False)
class VideoFolderConfig(VideoConfig):
    """The size of the frames, and which folder.

    Attributes:
      directory: the folder; None for the manual directory.
      ratios: the share of each split, where the folder has no splits.
    """

    directory: str | None = None
    ratios: Mapping[str, float] = dataclasses.field(default_factory=lambda: DEFAULT_RATIOS)


class VideoFolder(VideoDataset):
    """The videos of a folder, `<class>/<video>` or `<split>/<class>/<video>`; the classes are the folders, sorted.

    A folder within a class, `<class>/<source>/<video>`, names the source of its videos, which splits by ratio keep
    together. Videos directly in the folder of a class are each their own source, but identical files have one source.
    A single folder around all others, as archives have it, is skipped. The folder may be at an address (gs://, s3://),
    whose videos Apache Beam copies to its workers one by one.

    The name of a dataset made with `directory` has the folder's name and a hash of its path and of the ratios, so that
    any number of folders can share one `data_dir`. One made from the manual directory (`tfds build --manual_dir=...`)
    has the plain name of the size: for another folder use another `data_dir`, or `directory`.

    Args:
      directory: the folder, a path or an address; by default the manual directory.
      ratios: the share of each split, where the folder has no splits.
      **kwargs: as for `VideoDataset`.
    """

    BUILDER_CONFIGS: ClassVar[list[VideoFolderConfig]] = sized_configs(VideoFolderConfig)
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Name the folder: tfds.builder("video_folder/128x128", directory=...), or config.dataset.manual_dir of jaxvid; or
    make it the manual directory. It holds one folder per class, or folders train, val, test with one folder per class
    in each:
      <class>/<video>      or      <split>/<class>/<video>
    """

    def __init__(
        self,
        *,
        directory: str | Path | None = None,
        ratios: Mapping[str, float] | None = None,
        config: str | VideoConfig | None = None,
        **kwargs: Any,
    ):
        if directory is not None:
            path = str(directory).rstrip("/") if "://" in str(directory) else str(Path(directory).absolute())
            config = _config_of_folder(self.named_config(config), path, ratios or DEFAULT_RATIOS)
        elif ratios is not None:
            raise ValueError("ratios can only be given together with directory")
        super().__init__(config=config, **kwargs)

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of every class, in the folder's own splits or else split by the ratios."""
        # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
        from jaxvid.video.addresses import as_path, check_directory, readable

        config = self.builder_config
        assert isinstance(config, VideoFolderConfig)
        directory = as_path(config.directory or manual_directory(dl_manager))
        check_directory(directory)
        with readable(directory):
            root = _inside_single_folder(directory)
            folders = folders_of(root)
            if not folders:
                raise ValueError(f"{root} holds no folders.\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
            if all(fold(folder.name) in SPLIT_FOLDERS for folder in folders):
                return [video for folder in folders for video in _videos_of_split(root, folder.name)]
            return split_by_source(join_identical(_labeled_videos(root, folders, folder_source)), config.ratios)


def _inside_single_folder(root: Path) -> Path:
    """Returns `root`, or the one folder in it where that holds all classes, or all splits."""
    folders = folders_of(root)
    if len(folders) == 1 and fold(folders[0].name) not in SPLIT_FOLDERS and len(folders_of(folders[0])) > 1:
        return folders[0]
    return root


def _config_of_folder(form: VideoConfig, directory: str, ratios: Mapping[str, float]) -> VideoFolderConfig:
    check_ratios(ratios)
    assert isinstance(form, VideoFolderConfig)
    digest = hashlib.sha256(repr((directory, sorted(ratios.items()))).encode()).hexdigest()[:8]
    folder_name = re.sub(r"\W+", "_", Path(directory).name, flags=re.ASCII)
    return dataclasses.replace(
        form,
        name=f"{folder_name}-{digest}-{form.name}",
        description=f"The videos in {directory}. {form.description}",
        directory=directory,
        ratios=dict(ratios),
    )


def _videos_of_split(root: Path, folder: str) -> list[VideoFile]:
    """Returns the videos of the classes in `root/folder`, which holds a split."""
    videos = _labeled_videos(root, folders_of(root / folder), lambda path: folder_source(path.relative_to(folder)))
    return [dataclasses.replace(video, split=SPLIT_FOLDERS[fold(folder)]) for video in videos]


def _labeled_videos(root: Path, classes: Sequence[Path], source_of: Callable[[Path], str]) -> list[VideoFile]:
    """Returns the videos in the folders of classes.

    Raises:
      ValueError: if a class has no videos.
    """
    label_of = {relative_path(folder, root): folder.name for folder in classes}
    videos = videos_below(
        root, lambda path: next((label_of[parent] for parent in path.parents if parent in label_of), None), source_of
    )
    found = {video.label for video in videos}
    for folder in classes:
        if folder.name not in found:
            raise ValueError(f"{folder} holds no videos: the class {folder.name!r} would have no clips")
    return videos
