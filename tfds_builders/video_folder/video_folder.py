"""Video folder: anyone's own videos, in one folder a class."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, folder_clips, folders_of
from tfds_builders.splits import check_ratios, split_by_source
from tfds_builders.video_dataset import VideoConfig, VideoDataset

# The names of folders that are taken for splits, and what the splits are called then.
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

DEFAULT_RATIOS = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclasses.dataclass(eq=False)
class VideoFolderConfig(VideoConfig):
    """The size of the frames, and which folder: None for the manual directory."""

    directory: str | None = None
    ratios: Mapping[str, float] = dataclasses.field(default_factory=lambda: DEFAULT_RATIOS)


class VideoFolder(VideoDataset):
    """The videos of a folder, `<class>/<video>` or `<split>/<class>/<video>`; the classes are the folders, sorted.

    A video in a folder of its own within its class, `<class>/<source>/<video>`, has the source of that name: splits by
    ratio keep it together with the others of that source. Videos directly in the folder of the class are independent.

    A dataset made with `directory` is kept apart by the folder's name and a hash of its path and of the ratios, so that
    any number of folders share one `data_dir`. One made from the manual directory (`tfds build --manual_dir=...`) is
    kept under the plain name of the size: for another folder take another `data_dir`, or `directory`.

    Args:
      directory: the folder; by default the manual directory.
      ratios: the share of each split, where the folder has no splits of its own.
      **kwargs: as for `VideoDataset`.
    """

    BUILDER_CONFIGS: ClassVar[list[VideoFolderConfig]] = [
        VideoFolderConfig(name=size.name, description=size.description, height=size.height, width=size.width)
        for size in VideoDataset.BUILDER_CONFIGS
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Pass the folder as `directory` (tfds.builder("video_folder/128x128", directory=...)), or make it the manual
    directory. It holds one folder a class, or folders train, val, test with one folder a class in each:
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
            config = _config_of_folder(self.named_config(config), Path(directory).absolute(), ratios or DEFAULT_RATIOS)
        elif ratios is not None:
            raise ValueError("ratios can only be given together with directory")
        super().__init__(config=config, **kwargs)

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The videos of every class, in the folder's own splits or else split by the ratios."""
        config = self.builder_config
        assert isinstance(config, VideoFolderConfig)
        root = Path(config.directory or dl_manager.manual_dir)
        if not root.is_dir():
            raise ValueError(f"{root} is not a directory")
        folders = folders_of(root)
        if not folders:
            raise ValueError(f"{root} holds no folders.\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        if all(folder.name.lower() in SPLIT_FOLDERS for folder in folders):
            return [clip for folder in folders for clip in _class_clips(root, folder)]
        return split_by_source(_class_clips(root, root), config.ratios)


def _config_of_folder(form: VideoConfig, directory: Path, ratios: Mapping[str, float]) -> VideoFolderConfig:
    check_ratios(ratios)
    assert isinstance(form, VideoFolderConfig)
    digest = hashlib.sha256(repr((str(directory), sorted(ratios.items()))).encode()).hexdigest()[:8]
    folder_name = re.sub(r"\W+", "_", directory.name, flags=re.ASCII)
    return dataclasses.replace(
        form,
        name=f"{folder_name}-{digest}-{form.name}",
        description=f"The videos in {directory}. {form.description}",
        directory=str(directory),
        ratios=dict(ratios),
    )


def _class_clips(root: Path, parent: Path) -> list[Clip]:
    """The clips of the classes in `parent`, which is `root` itself or the folder of a split in it."""
    split = "" if parent == root else SPLIT_FOLDERS[parent.name.lower()]
    folders = [folder.relative_to(root).as_posix() for folder in folders_of(parent)]
    return [
        clip
        for folder in folders
        for clip in folder_clips(
            root, folder, Path(folder).name, source=lambda path: _source(path.relative_to(parent)), split=split
        )
    ]


def _source(path: Path) -> str:
    """The source of `<class>/<source>/.../<video>`, or of `<class>/<video>`, which is its own."""
    return path.parts[1] if len(path.parts) > 2 else path.with_suffix("").as_posix()
