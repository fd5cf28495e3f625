"""Check of a folder of videos: files that do not decode, duplicates, and differences between the classes."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from jaxvid.data.differences import class_differences
from jaxvid.video.clips import EncodedClip, decode_clips
from jaxvid.video.files import find_videos, identical_files
from jaxvid.video.properties import read_properties, summarize_properties
from jaxvid.video.streams import readable_part
from jaxvid.video.workers import InvalidVideo, decode_in_workers

# Of decoded frames only thumbnails are kept.
_FRAME_SIZE = (64, 64)
_THUMBNAIL = 16
_POSITIONS = (1 / 6, 1 / 2, 5 / 6)
_ALIKE = 0.97
# Rows of correlations that are computed together, to bound memory.
_BLOCK = 1024
_MAX_LISTED = 10
_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
      num_videos: number of videos.
      problems: folders without videos, then files that do not decode, each sorted.
      copies: sentences about identical files.
      alike: sentences about clips that look alike.
      differences: sentences about differences between the classes.
    """

    num_videos: int
    problems: list[InvalidVideo]
    copies: list[str]
    alike: list[str]
    differences: list[str]

    @property
    def warnings(self) -> list[str]:
        """All sentences."""
        return [*self.copies, *self.alike, *self.differences]


def check_folder(directory: Path | str, *, num_workers: int | None = None, timeout_seconds: float = 60.0) -> Findings:
    """Checks all videos under `directory`.

    Raises:
      ValueError: if `directory` is not a directory, or an option is out of range.
    """
    directory = Path(directory)
    videos = find_videos(directory)
    options = {"num_workers": num_workers, "timeout_seconds": timeout_seconds}
    problems = [InvalidVideo(folder, "holds no videos") for folder in _folders_without_videos(directory, videos)]
    thumbnails: dict[Path, np.ndarray] = {}
    invalid: list[InvalidVideo] = []
    for result in tqdm(decode_clips(videos, _FRAME_SIZE, **options), "Checking", len(videos), unit="video"):
        if isinstance(result, InvalidVideo):
            invalid.append(result)
        else:
            thumbnails[result.path] = _thumbnails(result)
    problems += _with_readable_part(invalid, options)
    copies = identical_files(thumbnails)
    return Findings(
        num_videos=len(videos),
        problems=problems,
        copies=[_describe_copies(group, directory) for group in copies],
        alike=_describe_alike(thumbnails, copies, directory),
        differences=_differences_between_classes(list(thumbnails), directory),
    )


def _with_readable_part(invalid: Sequence[InvalidVideo], options: dict) -> list[InvalidVideo]:
    """Adds to each reason how much of the file can be read, which is what prediction reads of it."""
    described = []
    parts = decode_in_workers(readable_part, [video.path for video in invalid], **options)
    for position, part in parts:
        if isinstance(part, InvalidVideo) or not part[0]:
            described.append(invalid[position])
            continue
        frames, seconds = part
        reason = f"{invalid[position].reason} (readable: {frames} frames, {seconds:.1f} s)"
        described.append(InvalidVideo(invalid[position].path, reason))
    return described


def _thumbnails(clip: EncodedClip) -> Float[np.ndarray, "values"]:
    """Returns gray thumbnails at fixed positions of the clip, each with mean 0 and length 1, side by side."""
    values = []
    for position in _POSITIONS:
        frame = np.frombuffer(clip.frames[int(position * len(clip.frames))], np.uint8)
        gray = np.asarray(cv2.imdecode(frame, cv2.IMREAD_GRAYSCALE))
        small = cv2.resize(gray, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        centered = small - small.mean()
        # Frames of one color are like nothing.
        values.append(centered / max(float(np.linalg.norm(centered)), 1.0))
    return np.concatenate(values) / np.sqrt(len(_POSITIONS))


def _alike_pairs(values: Float[np.ndarray, "clip values"]) -> Iterator[tuple[int, int]]:
    """Yields the positions of clips whose thumbnails correlate above the threshold, the smaller position first."""
    for begin in range(0, len(values), _BLOCK):
        block = values[begin : begin + _BLOCK] @ values[begin:].T
        for first, second in np.argwhere(np.triu(block, 1) > _ALIKE).tolist():
            yield begin + first, begin + second


def _describe_alike(thumbnails: dict[Path, np.ndarray], copies: Sequence[Sequence[Path]], directory: Path) -> list[str]:
    """Describes groups of clips that look alike, of identical files only the first."""
    repeated = {path for group in copies for path in group[1:]}
    paths = [path for path in thumbnails if path not in repeated]
    if not paths:
        return []
    pairs = list(_alike_pairs(np.stack([thumbnails[path] for path in paths])))
    if not pairs:
        return []
    rows, columns = np.asarray(pairs).T
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(paths), len(paths)))
    groups: dict[int, list[Path]] = defaultdict(list)
    for path, number in zip(paths, connected_components(graph, directed=False)[1], strict=True):
        groups[int(number)].append(path)
    alike = [group for group in groups.values() if len(group) > 1]
    apart = [group for group in alike if _lie_apart(group, directory)]
    shown = "; ".join(" ~ ".join(_names(group[:2], directory)) for group in (apart or alike)[:_MAX_LISTED])
    sentence = f"{len(alike)} groups of clips look alike ({sum(map(len, alike))} clips"
    sentence += f", {len(apart)} groups across classes or splits" if apart else ""
    return [f"{sentence}), such as {shown}"]


def _describe_copies(group: Sequence[Path], directory: Path) -> str:
    places = _lie_apart(group, directory)
    return f"identical files{f' in different {places}' if places else ''}: {' = '.join(_names(group, directory))}"


def _lie_apart(paths: Sequence[Path], directory: Path) -> str:
    """Returns "classes", "splits" or both if the files lie in several; "" if they do not."""
    splits, classes = zip(*(place(path, directory) for path in paths), strict=True)
    apart = [name for name, values in (("classes", classes), ("splits", splits)) if len(set(values)) > 1]
    return " and ".join(apart)


def place(path: Path, directory: Path) -> tuple[str, str]:
    """Returns the folders of split and class of a file in `<class>/...` or `<split>/<class>/...`; "" for none."""
    folders = path.relative_to(directory).parts[:-1]
    split = folders[0] if len(folders) > 1 and folders[0].lower() in _SPLITS else ""
    classes = folders[1:] if split else folders
    return split, classes[0] if classes else ""


def _differences_between_classes(paths: Sequence[Path], directory: Path) -> list[str]:
    by_class: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_class[place(path, directory)[1]].append(path)
    summaries = {name: summarize_properties([read_properties(path) for path in of]) for name, of in by_class.items()}
    return [f"the classes differ: {difference}" for difference in class_differences(summaries)]


def _names(paths: Sequence[Path], directory: Path) -> list[str]:
    return [str(path.relative_to(directory)) for path in paths]


def _folders_without_videos(directory: Path, videos: list[Path]) -> list[Path]:
    """Returns the topmost folders that hold no videos at any depth, `directory` itself included; no hidden ones."""
    holding = {folder for video in videos for folder in video.parents}
    if directory not in holding:
        return [directory]
    folders = (path for path in directory.rglob("*") if path.is_dir())
    visible = (path for path in folders if not any(part.startswith(".") for part in path.relative_to(directory).parts))
    return sorted(path for path in visible if path not in holding and path.parent in holding)
