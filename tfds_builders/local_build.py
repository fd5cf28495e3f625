"""Building on this machine: videos are decoded in worker processes, in the order of their records."""

import contextlib
import itertools
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jaxvid.video.addresses import is_address
from jaxvid.video.clips import EncodedClip, decode_clips
from jaxvid.video.properties import read_properties
from jaxvid.video.sequences import decode_sequences, whole_videos
from jaxvid.video.workers import InvalidVideo
from tfds_builders.clip_index import row_of_decoded
from tfds_builders.examples import Examples, RecordForm
from tfds_builders.facts import SplitFacts, not_skipped
from tfds_builders.video_files import VideoFile


def decode_examples(
    videos: Sequence[VideoFile],
    form: RecordForm,
    facts: SplitFacts,
    title: str,
    *,
    skip_invalid: bool,
    num_workers: int | None,
    decoder: str,
    timeout_seconds: float,
) -> Examples:
    """Yields the examples of a split, with keys of their own; memory does not grow with the number of videos.

    Args:
      videos: of the split, in the order of the records.
      form: of the records.
      facts: takes note of the examples, and of the videos left out.
      title: of the progress bar.
      skip_invalid: whether videos that do not decode are left out, rather than an error.
      num_workers: as for `jaxvid.video.workers.decode_in_workers`.
      decoder: of whole videos; one of `jaxvid.video.opening.DECODERS`.
      timeout_seconds: as `num_workers`.

    Raises:
      ValueError: when iterating, if a video lies at an address.
      InvalidVideoError: when iterating, if a video does not decode and is not skipped.
    """
    if is_address(videos[0].path):
        raise ValueError(
            f"{videos[0].root}: videos at an address are built on Apache Beam (tfds_builders/README.md): give "
            "--beam_options=runner=FnApiRunner, or copy them to this machine"
        )
    options: dict[str, Any] = {"num_workers": num_workers, "timeout_seconds": timeout_seconds}
    decoding = _decode([video.path for video in videos], form, decoder, skip_invalid, options)
    with contextlib.closing(decoding), tqdm(total=len(videos), desc=title, unit="video") as progress:
        for position, results in itertools.groupby(decoding, key=lambda pair: pair[0]):
            progress.update(position + 1 - progress.n)
            video, properties = videos[position], None
            for number, (_, result) in enumerate(results):
                if not isinstance(result, InvalidVideo):
                    properties = properties or read_properties(video.path)
                    facts.add(row_of_decoded(video, form.filename(video, number), result, properties))
                    yield f"{video.filename}#{number}", form.example(video, number, result)
                elif skip_invalid:
                    facts.leave_out(video, result.reason)
                else:
                    raise not_skipped(result.path, result.reason)


def _decode(
    paths: Sequence[Path], form: RecordForm, decoder: str, skip_invalid: bool, options: Mapping[str, Any]
) -> Generator[tuple[int, EncodedClip | InvalidVideo], None, None]:
    if form.config.is_plain:
        yield from enumerate(decode_clips(paths, (form.config.height, form.config.width), decoder=decoder, **options))
        return
    decoding = decode_sequences(paths, form.sequences(), **options)
    # A video that is listed as left out must not be in the data in part.
    yield from whole_videos(decoding) if skip_invalid else decoding
