"""Finding the videos of a dataset: which files, with which label and from which source."""

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import tensorflow_datasets as tfds

# The names of folders that stand for splits, folded (see `fold`), and the splits.
SPLIT_FOLDERS = MappingProxyType(
    {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
)

# The names of folders that stand for the classes of datasets of fights, folded.
FIGHT_FOLDERS = MappingProxyType(
    {
        **dict.fromkeys(("fight", "fights", "violence", "violent"), "fight"),
        **dict.fromkeys(("nofight", "nofights", "nonfight", "nonfights", "noviolence", "nonviolence"), "no_fight"),
        **dict.fromkeys(("nonviolent", "normal"), "no_fight"),
    }
)


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """One video of a dataset.

    Attributes:
      path: the file.
      filename: its path relative to the root of the dataset, with forward slashes.
      label: the name of its class.
      source: the video that it was cut from; splits by ratio never separate the videos of one source.
      split: the name of its split; empty until it is known.
    """

    path: Path
    filename: str
    label: str
    source: str
    split: str = ""

    @property
    def root(self) -> Path:
        """The root of the dataset."""
        return self.path.parents[len(Path(self.filename).parts) - 1]


def fold(name: str) -> str:
    """Returns a folder's name in lower case, without `_`, `-` and spaces: "Non-Fight" and "nonfight" are one name."""
    return re.sub(r"[\s_-]+", "", name).lower()


def videos_below(
    root: Path,
    label_of: Callable[[Path], str | None],
    source_of: Callable[[Path], str] | None = None,
) -> list[VideoFile]:
    """Returns the videos at any depth below `root` that have a label.

    Args:
      root: the root of the dataset.
      label_of: returns the class of a video, from its path relative to the root; None if the dataset does not have it.
      source_of: returns its source, from the same path; by default every video is its own source.
    """
    # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
    from jaxvid.video.files import find_videos

    source_of = source_of or (lambda path: path.with_suffix("").as_posix())
    paths = {relative_path(path, root): path for path in find_videos(root)}
    labels = {relative: label_of(relative) for relative in paths}
    return [
        VideoFile(paths[relative], relative.as_posix(), label, source_of(relative))
        for relative, label in labels.items()
        if label is not None
    ]


def relative_path(path: Path, root: Path) -> Path:
    """Returns a path relative to a folder, which may be at an address."""
    return Path(path.relative_to(root).as_posix())


def by_folder(meanings: Mapping[str, str]) -> Callable[[Path], str | None]:
    """Returns a function from the path of a video to the meaning of the innermost of its folders that has one.

    Args:
      meanings: classes, or splits, by folder name, folded.
    """

    def meaning_of(path: Path) -> str | None:
        names = (fold(folder.name) for folder in path.parents)
        return next((meanings[name] for name in names if name in meanings), None)

    return meaning_of


def holds_folders(meanings: Mapping[str, str]) -> Callable[[Path], bool]:
    """Returns a test whether a folder has videos, at any depth, in a folder that means a class."""
    return lambda root: bool(videos_below(root, by_folder(meanings)))


def videos_in_class_folders(
    root: Path,
    meanings: Mapping[str, str],
    source_of: Callable[[Path], str] | None = None,
) -> list[VideoFile]:
    """Returns the videos below `root` whose class is named by a folder, whatever the file's name says.

    Args:
      root: the root of the dataset.
      meanings: classes by folder name, folded.
      source_of: as for `videos_below`.

    Raises:
      ValueError: if a class has no videos.
    """
    videos = videos_below(root, by_folder(meanings), source_of)
    for label in sorted(set(meanings.values()) - {video.label for video in videos}):
        allowed = ", ".join(name for name, meaning in meanings.items() if meaning == label)
        raise ValueError(
            f"{root} holds no videos of the class {label!r}: they lie in a folder whose name is, in any case, with or "
            f"without _ and -, one of {allowed}"
        )
    return videos


def with_folder_splits(videos: Iterable[VideoFile]) -> list[VideoFile]:
    """Returns the videos in a folder of a split, with that split; see `SPLIT_FOLDERS`."""
    split_of = by_folder(SPLIT_FOLDERS)
    splits = ((video, split_of(Path(video.filename))) for video in videos)
    return [dataclasses.replace(video, split=split) for video, split in splits if split is not None]


def folder_source(path: Path) -> str:
    """Returns the source of `<class>/<source>/.../<video>`, or of `<class>/<video>`, which is its own source."""
    return path.parts[1] if len(path.parts) > 2 else path.with_suffix("").as_posix()


def cut_source(path: Path) -> str:
    """Returns the source of `<video id>_<k>.avi`, the k-th cut of a video: its id."""
    return re.sub(r"_\d+$", "", path.stem)


def block_of(prefix: str, number: int, size: int) -> str:
    """Returns the name of a block of consecutive numbers, counted from 1: "fi21-40" for fi25 in blocks of 20."""
    first = (number - 1) // size * size + 1
    return f"{prefix}{first}-{first + size - 1}"


def join_identical(videos: Sequence[VideoFile]) -> list[VideoFile]:
    """Returns the videos with one source for all sources that have a file, byte for byte, in common."""
    from jaxvid.video.files import identical_files

    joined = {video.source: video.source for video in videos}

    def representative(source: str) -> str:
        while joined[source] != source:
            source = joined[source]
        return source

    source_of = {video.path: video.source for video in videos}
    for copies in identical_files(source_of):
        sources = sorted(representative(source_of[path]) for path in copies)
        joined.update(dict.fromkeys(sources, sources[0]))
    return [dataclasses.replace(video, source=representative(video.source)) for video in videos]


def subfolder(root: Path, name: str) -> Path | None:
    """Returns the folder `name` in `root`, its name in this or any case; None if there is none."""
    same_name = [path for path in folders_of(root) if path.name.lower() == name.lower()]
    return min(same_name, key=lambda path: path.name != name, default=None)


def folders_of(root: Path) -> list[Path]:
    """Returns the folders in `root`, sorted, without hidden ones and the folder that macOS adds to archives."""
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
    """Returns the folder of a dataset: one in the manual directory, that directory, or an archive's contents.

    Args:
      dl_manager: knows the manual directory; extracts an archive into its own folder, beside the data.
      instructions: what to put where, for the error.
      holds: whether a folder has the dataset in it, at any depth.
      names: folders of the manual directory to look into, in this order, before the whole of it.
      archives: files in the manual directory to extract if no folder has the dataset.

    Raises:
      ValueError: if the manual directory is missing, or the dataset is not in it.
    """
    manual = manual_directory(dl_manager)
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


def manual_directory(dl_manager: tfds.download.DownloadManager) -> Path:
    """Returns the manual directory.

    Raises:
      ValueError: if it does not exist or is empty, with what to put there.
    """
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError as error:
        raise ValueError(str(error)) from error


def _candidates(root: Path, names: Sequence[str]) -> list[Path]:
    inner = [subfolder(root, name) for name in names]
    return [*(path for path in inner if path is not None), root]


def count_differences(videos: Iterable[VideoFile], published: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns a line for each split and class whose number of videos is not the published one.

    Args:
      videos: of the dataset.
      published: numbers by split and class; the split "" stands for all of them together.
    """
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for video in videos:
        counts.update({(split, video.label) for split in ("", video.split)})
    return [
        f"{f'{split}, ' * bool(split)}{label}: {counts[split, label]} videos instead of {expected}"
        for split, of_class in published.items()
        for label, expected in of_class.items()
        if counts[split, label] != expected
    ]


def files_left_out(videos: Sequence[VideoFile]) -> list[str]:
    """Returns the names of the videos under the dataset's root that are not among `videos`."""
    from jaxvid.video.files import find_videos

    taken = {video.path for video in videos}
    roots = {video.root for video in videos}
    return [path.relative_to(root).as_posix() for root in roots for path in find_videos(root) if path not in taken]
