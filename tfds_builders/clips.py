"""Finding the clips of a dataset: which files, with which label and from which source."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import tensorflow_datasets as tfds


@dataclasses.dataclass(frozen=True)
class Clip:
    """One video of a dataset.

    Attributes:
      path: the file.
      filename: its path relative to the root of the dataset, with forward slashes.
      label: the name of its class.
      source: the video that it was cut from; clips of one source are never put into different splits by ratio.
      split: the name of its split; empty until it is known.
    """

    path: Path
    filename: str
    label: str
    source: str
    split: str = ""


def folder_clips(
    root: Path,
    folder: str,
    label: str,
    *,
    source: Callable[[Path], str] | None = None,
    split: str = "",
) -> list[Clip]:
    """The videos in `root/folder`, whose name may be in any case; the folder, never the files' names, gives the label.

    Args:
      root: the folder of the dataset.
      folder: a folder in it, such as `fight` or `train/fight`.
      label: the class of all videos in the folder.
      source: tells the source of a file; by default every file is its own.
      split: the split of all videos in the folder, if known.

    Raises:
      ValueError: if there is no such folder, or no videos in it.
    """
    # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
    from jaxvid.video.files import find_videos

    directory = subfolder(root, folder)
    if directory is None:
        present = ", ".join(path.name for path in folders_of(root)) or "none"
        raise ValueError(f"{root} has no folder {folder!r}; its folders: {present}")
    videos = find_videos(directory)
    if not videos:
        raise ValueError(f"{directory} holds no videos: the class {label!r} would have no clips")
    source = source or (lambda path: path.relative_to(root).with_suffix("").as_posix())
    return [Clip(path, path.relative_to(root).as_posix(), label, source(path), split) for path in videos]


def cut_source(path: Path) -> str:
    """The source of `<video id>_<k>.avi`, the k-th cut of a video: its id."""
    return re.sub(r"_\d+$", "", path.stem)


def subfolder(root: Path, name: str) -> Path | None:
    """The folder `name`, such as `fight` or `train/fight`, in `root`, in this or any case; None if none."""
    folder: Path | None = root
    for part in Path(name).parts:
        same_name = [path for path in folders_of(folder) if path.name.lower() == part.lower()]
        folder = min(same_name, key=lambda path, part=part: path.name != part, default=None)
        if folder is None:
            return None
    return folder


def folders_of(root: Path) -> list[Path]:
    """The folders in `root`, sorted, without hidden ones and what zip programs of macOS leave behind."""
    return sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def manual_root(
    dl_manager: tfds.download.DownloadManager,
    instructions: str,
    *,
    holds: Callable[[Path], bool],
    names: Sequence[str] = (),
    archives: Sequence[str] = (),
) -> Path:
    """The folder with a dataset's files: the manual directory, one of the `names` in it, or an archive's contents.

    Args:
      dl_manager: knows the manual directory; extracts an archive into its own folder, beside the data.
      instructions: what to put where, for the error.
      holds: whether a folder is the one.
      names: folders to look into, in this order, after the manual directory itself.
      archives: files in the manual directory to extract if no folder is there.

    Raises:
      ValueError: if the manual directory is missing, or the dataset is not in it.
    """
    try:
        manual = Path(dl_manager.manual_dir)
    except AssertionError as error:
        raise ValueError(str(error)) from error
    for root in _candidates(manual, names):
        if holds(root):
            return root
    for archive in archives:
        if (manual / archive).is_file():
            extracted = Path(dl_manager.extract(manual / archive))
            for root in _candidates(extracted, names):
                if holds(root):
                    return root
    raise ValueError(f"the dataset is not in the manual directory {manual}.\n{instructions}")


def has_folders(*folders: str) -> Callable[[Path], bool]:
    """A test whether a folder has all of these folders, in any case."""
    return lambda root: all(subfolder(root, folder) is not None for folder in folders)


def count_differences(clips: Iterable[Clip], published: Mapping[str, Mapping[str, int]]) -> list[str]:
    """How the clips differ in number from the published counts, a line for each split and class that does."""
    counts: dict[tuple[str, str], int] = {}
    for clip in clips:
        counts[clip.split, clip.label] = counts.get((clip.split, clip.label), 0) + 1
    return [
        f"{split}, {label}: {counts.get((split, label), 0)} clips instead of {expected}"
        for split, of_class in published.items()
        for label, expected in of_class.items()
        if counts.get((split, label), 0) != expected
    ]


def _candidates(root: Path, names: Sequence[str]) -> list[Path]:
    inner = [subfolder(root, name) for name in names]
    return [root, *(path for path in inner if path is not None)]
