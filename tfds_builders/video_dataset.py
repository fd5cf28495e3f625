"""The base of all builders: features, sizes, decoding, and writing with bounded memory that leaves nothing half done.

A dataset's own file has `find_clips`, which returns its videos with their labels, sources and splits; nothing else.
"""

import abc
import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import re
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import example_serializer, file_adapters
from tensorflow_datasets.core.splits import SplitInfo
from tqdm import tqdm

from tfds_builders.shards import write_shards
from tfds_builders.splits import in_mixed_order
from tfds_builders.statistics import SplitStatistics
from tfds_builders.video_files import VideoFile, count_differences, files_left_out

if TYPE_CHECKING:
    # Not at run time: reading a prepared dataset needs neither decord nor OpenCV.
    from jaxvid.video.clips import EncodedClip
    from jaxvid.video.workers import InvalidVideo
    from tfds_builders.clip_index import ClipRows

# Height and width of the frames.
SIZES = ((64, 64), (112, 112), (128, 128), (128, 171), (224, 224), (225, 225), (299, 299))

# Left-out files that a warning names.
_MAX_NAMED = 20

Example = dict[str, str | np.float32 | np.ndarray | list[bytes] | None]

# Keys and examples.
Examples = Generator[tuple[str, Example], None, None]

FileFormat = file_adapters.FileFormat

INVALID_VIDEOS_FILENAME = "invalid_videos.json"
STATISTICS_FILENAME = "statistics.json"

# The options that may follow a config's name, in this order: each a field of VideoConfig.
_OPTIONS = re.compile(r"(?:_(?P<fps>\d+(?:\.\d+)?)fps)?(?:_(?P<num_frames>\d+)frames)?(?:_(?P<audio>\d+)hz)?")


@dataclasses.dataclass(eq=False)
class VideoConfig(tfds.core.BuilderConfig):
    """How videos are stored; the name `128x171_4fps_40frames_16000hz` states every field.

    Attributes:
      height: height of the frames in pixels.
      width: width of the frames in pixels.
      fps: frames per second that are stored; 0 for all of the video's.
      sequence_frames: frames of the sequences that videos are cut into, each an example; 0 for whole videos.
      audio: sample rate, in hertz, of the sound that is stored beside the frames; 0 for none.
    """

    height: int = 128
    width: int = 128
    fps: float = 0.0
    sequence_frames: int = 0
    audio: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether examples are whole videos with all their frames and without sound."""
        return not (self.fps or self.sequence_frames or self.audio)


Config = TypeVar("Config", bound=VideoConfig)


def sized_configs(
    config_class: type[Config] = VideoConfig, variant: str = "", description: str = "", **values: Any
) -> list[Config]:
    """Returns a config for each of `SIZES`, named by the size, such as "64x64", or "64x64_random" of a variant.

    Args:
      config_class: the class of the configs.
      variant: suffix of their names; "" for none.
      description: the variant in words.
      values: fields of `config_class` besides the size.
    """
    return [
        config_class(
            name="_".join(filter(None, [f"{height}x{width}", variant])),
            description=", ".join(filter(None, [f"{height}x{width} pixels", description])) + ".",
            height=height,
            width=width,
            **values,
        )
        for height, width in SIZES
    ]


class VideoDataset(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Videos decoded once, when the dataset is built, into JPEG frames of a fixed size.

    A config is a size, such as `128x128`. A frame rate, a number of frames and a sample rate may follow it, as in
    `128x128_4fps_40frames_16000hz`: examples are then sequences of 40 frames, 4 per second, with their 10 seconds of
    sound at 16 kHz. The last sequence of a video may be shorter. All sequences have the source, and so the split, of
    their video and are named `<video>#0`, `<video>#1` and so on. A video without sound has an empty one;
    `statistics.json` beside the records counts videos and examples, names the videos without sound, and has the sizes,
    frame rates, lengths, codecs and containers of the files by class. The frames stand for equal intervals of time,
    whatever the frame rate of the video: each is the one shown in the middle of its interval.

    The default file format is ArrayRecord, for `tfds.data_source`. `tfds.load` and tf.data read TFRecord, which
    `file_format="tfrecord"` prepares, in another `data_dir`.

    Args:
      on_invalid: the treatment of a video that cannot be decoded or is cut short: "error" stops the build and names the
        file, "skip" leaves the video out and lists it, with the reason, in `invalid_videos.json` beside the records.
      num_workers: processes to decode in; by default one per core.
      decoder: of whole videos: "decord" or "av", whose frames differ by the version of FFmpeg's scaler alone.
      timeout_seconds: how long decoding one video, or one sequence of it, may take.
      file_format: "array_record" or "tfrecord"; by default that of the prepared dataset, or else ArrayRecord.
      **kwargs: as for any `tfds.core.DatasetBuilder`: `data_dir`, `config`, `version`.
    """

    VERSION: ClassVar[tfds.core.Version] = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar[Sequence[VideoConfig]] = sized_configs()
    DEFAULT_BUILDER_CONFIG_NAME: ClassVar[str] = "128x128"

    # In the order of the labels; None: the classes of the data, sorted.
    CLASSES: ClassVar[tuple[str, ...] | None] = None
    # Videos by split ("": of all splits) and class, as published; a build that finds other counts warns.
    PUBLISHED_COUNTS: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    HOMEPAGE: ClassVar[str] = ""
    CITATION: ClassVar[str] = ""

    def __init__(
        self,
        *,
        on_invalid: Literal["error", "skip"] = "error",
        num_workers: int | None = None,
        decoder: Literal["decord", "av"] = "decord",
        timeout_seconds: float = 60.0,
        file_format: str | None = None,
        config: str | VideoConfig | None = None,
        **kwargs: Any,
    ):
        if on_invalid not in ("error", "skip"):
            raise ValueError(f'on_invalid must be "error" or "skip", got {on_invalid!r}')
        if decoder not in ("decord", "av"):
            raise ValueError(f'decoder must be "decord" or "av", got {decoder!r}')
        super().__init__(config=self.named_config(config), **kwargs)
        self._on_invalid = on_invalid
        self._num_workers = num_workers
        self._decoder = decoder
        self._timeout_seconds = timeout_seconds
        self._invalid_videos: list[dict[str, str]] = []
        self._statistics: dict[str, SplitStatistics] = {}
        self._rows: dict[str, ClipRows] = {}
        self._select_file_format(file_format)

    @classmethod
    def named_config(cls, config: str | VideoConfig | None) -> VideoConfig:
        """Returns the config of a name, which may end in options (see `VideoConfig`), or the config itself.

        Raises:
          ValueError: if there is no such config.
        """
        if isinstance(config, VideoConfig):
            return config
        named = {known.name: known for known in cls.BUILDER_CONFIGS}
        name = config or cls.DEFAULT_BUILDER_CONFIG_NAME
        if name in named:
            return named[name]
        for known in named.values():
            options = _OPTIONS.fullmatch(name.removeprefix(known.name)) if name.startswith(known.name) else None
            if options:
                return _with_options(known, name, options.groupdict(default="0"))
        raise ValueError(
            f"{cls.name} has no config {name!r}; it has {', '.join(named)}, each followed by any of _<N>fps, "
            "_<N>frames and _<N>hz, in this order"
        )

    @abc.abstractmethod
    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns all videos of the dataset, with label, source and split.

        Raises:
          ValueError: if files are missing.
        """

    def download_and_prepare(
        self,
        *,
        download_dir: str | os.PathLike[str] | None = None,
        download_config: tfds.download.DownloadConfig | None = None,
        file_format: str | FileFormat | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the dataset unless it is there; see `tfds.core.DatasetBuilder.download_and_prepare`.

        One process builds; others that want the same dataset at the same time wait and use it. A build removes what
        a killed one has left behind.
        """
        if file_format is not None:
            self._select_file_format(file_format)
        overwrite = download_config is not None and download_config.download_mode.overwrite_dataset
        if self.is_prepared() and not overwrite:
            super().download_and_prepare(download_dir=download_dir, download_config=download_config, **kwargs)
            return
        with _exclusive(self._lock_path()):
            self._remove_leftovers()
            if self.is_prepared() and not self.info.splits:
                self._adopt_prepared()
            super().download_and_prepare(download_dir=download_dir, download_config=download_config, **kwargs)

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """Returns a `tf.data.Dataset`, from TFRecord; see `tfds.core.DatasetBuilder.as_dataset`."""
        if self.info.file_format == FileFormat.ARRAY_RECORD:
            raise NotImplementedError(
                f"{self.data_dir} holds ArrayRecord, which tf.data cannot read: read it with tfds.data_source, or "
                'prepare the dataset with builder_kwargs={"file_format": "tfrecord"} in another data_dir'
            )
        return super().as_dataset(*args, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        assert config is not None
        image = tfds.features.Image(shape=(config.height, config.width, 3), encoding_format="jpeg")
        features = {
            "video": tfds.features.Sequence(image),
            "label": tfds.features.ClassLabel(names=self.CLASSES),
            "fps": tfds.features.Scalar(np.float32),
            "source": tfds.features.Text(),
            "filename": tfds.features.Text(),
        }
        if config.sequence_frames:
            features["begin"] = tfds.features.Scalar(np.float32)
        if config.audio:
            # As bytes: protocol buffers take ten for a small negative number. Their order is little-endian.
            features["audio"] = tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__ or "",
            features=tfds.features.FeaturesDict(features),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        videos = self.find_clips(dl_manager)
        self._warn_of_other_counts(videos)
        if self.CLASSES is None:
            self._features["label"].names = sorted({video.label for video in videos})
        return {
            split: self._generate_examples([video for video in videos if video.split == split])
            for split in sorted({video.split for video in videos}, key=_split_position)
        }

    def _warn_of_other_counts(self, videos: Sequence[VideoFile]) -> None:
        differences = count_differences(videos, self.PUBLISHED_COUNTS)
        for difference in differences:
            logging.warning("%s: %s", self.name, difference)
        if differences and (left_out := files_left_out(videos)):
            named = ", ".join(left_out[:_MAX_NAMED]) + ", ..." * (len(left_out) > _MAX_NAMED)
            logging.warning("%s: %d video files left out: %s", self.name, len(left_out), named)

    def _generate_examples(self, videos: Sequence[VideoFile]) -> Examples:
        # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
        from jaxvid.video.workers import InvalidVideo, InvalidVideoError
        from tfds_builders.clip_index import ClipRows, row_of_decoded

        videos = in_mixed_order(videos)
        statistics = self._statistics[videos[0].split] = SplitStatistics()
        rows = self._rows[videos[0].split] = ClipRows()
        with (
            contextlib.closing(self._decode([video.path for video in videos])) as decoding,
            tqdm(total=len(videos), desc=f"{self.name} {videos[0].split}", unit="video") as progress,
        ):
            for position, result in decoding:
                progress.update(position + 1 - progress.n)
                video = videos[position]
                if not isinstance(result, InvalidVideo):
                    number = statistics.add(video, result.audio)
                    filename = self._filename(video, number)
                    rows.add(row_of_decoded(video, filename, result, statistics.properties_of(video)))
                    yield f"{video.filename}#{number}", self._example(video, filename, result)
                    continue
                if self._on_invalid == "error":
                    raise InvalidVideoError(result.path, f'{result.reason} (on_invalid="skip" leaves such videos out)')
                self._invalid_videos.append({"filename": video.filename, "split": video.split, "reason": result.reason})

    def _decode(self, paths: Sequence[Path]) -> Generator[tuple[int, "EncodedClip | InvalidVideo"], None, None]:
        config = self.builder_config
        assert isinstance(config, VideoConfig)
        size = (config.height, config.width)
        options: dict[str, Any] = {"num_workers": self._num_workers, "timeout_seconds": self._timeout_seconds}
        if config.is_plain:
            from jaxvid.video.clips import decode_clips

            yield from enumerate(decode_clips(paths, size, decoder=self._decoder, **options))
            return
        from jaxvid.video.sequences import SequenceForm, decode_sequences, whole_videos

        form = SequenceForm(size, config.fps, config.sequence_frames, config.audio)
        decoding = decode_sequences(paths, form, **options)
        # A video that is listed as left out must not be in the data in part.
        yield from whole_videos(decoding) if self._on_invalid == "skip" else decoding

    def _filename(self, video: VideoFile, number: int) -> str:
        """Returns the name of an example."""
        config = self.builder_config
        assert isinstance(config, VideoConfig)
        return f"{video.filename}#{number}" if config.sequence_frames else video.filename

    def _example(self, video: VideoFile, filename: str, decoded: "EncodedClip") -> Example:
        config = self.builder_config
        assert isinstance(config, VideoConfig)
        example: Example = {
            "video": decoded.frames,
            "label": video.label,
            "fps": np.float32(decoded.fps),
            "source": video.source,
            "filename": filename,
        }
        if config.sequence_frames:
            example["begin"] = np.float32(decoded.begin)
        if config.audio:
            example["audio"] = decoded.audio
        return example

    def _generate_splits(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> Sequence[SplitInfo]:
        # Instead of TFDS' own writer, which sorts the records: it holds up to 1 GB in memory, then uses a thousand
        # temporary files. Here the order is fixed before decoding, and records go straight to the shards.
        if download_config.num_shards:
            raise ValueError("num_shards cannot be set, as sizes are not known in advance; set max_shard_size")
        splits = self._split_generators(dl_manager)
        return [self._write_split(split, examples, download_config) for split, examples in splits.items()]

    def _write_split(self, split: str, examples: Examples, download_config: tfds.download.DownloadConfig) -> SplitInfo:
        serializer = example_serializer.ExampleSerializer(self._features.get_serialized_info())
        records = (
            serializer.serialize_example(self._features.encode_example(example))
            for _, example in itertools.islice(examples, download_config.max_examples_per_split)
        )
        file_format = self.info.file_format
        assert file_format is not None
        with contextlib.closing(examples):
            shards = write_shards(records, Path(self.data_dir), file_format, download_config.max_shard_size)
        if not shards:
            raise ValueError(f"{self.name}: no video of the split {split!r} can be decoded")
        template = self._get_filename_template(split_name=split)
        for position, shard in enumerate(shards):
            shard.path.rename(template.sharded_filepath(shard_index=position, num_shards=len(shards)))
        written = SplitInfo(
            name=split,
            shard_lengths=[shard.num_records for shard in shards],
            num_bytes=sum(shard.num_bytes for shard in shards),
            filename_template=template,
        )
        self._write_index(written)
        return written

    def _write_index(self, split: SplitInfo) -> None:
        from tfds_builders.clip_index import index_path, record_facts, write_index

        path = index_path(Path(self.data_dir), split.name)
        write_index(self._rows.pop(split.name).table(), path, record_facts(self.info, split))

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> None:
        self._invalid_videos, self._statistics, self._rows = [], {}, {}
        super()._download_and_prepare(dl_manager, download_config)
        if self._on_invalid == "skip":
            listing = json.dumps(self._invalid_videos, indent=2, ensure_ascii=False)
            (Path(self.data_dir) / INVALID_VIDEOS_FILENAME).write_text(listing + "\n")
        config = self.builder_config
        assert isinstance(config, VideoConfig)
        self._write_statistics(with_sound=bool(config.audio))

    def _write_statistics(self, *, with_sound: bool) -> None:
        summaries = {split: of_split.summary(with_sound=with_sound) for split, of_split in self._statistics.items()}
        listing = json.dumps(summaries, indent=2, ensure_ascii=False)
        (Path(self.data_dir) / STATISTICS_FILENAME).write_text(listing + "\n")
        for split, counts in summaries.items():
            logging.info("%s: %d examples of %d videos", split, counts["examples"], counts["videos"])
            if silent := counts.get("videos_without_sound"):
                logging.info("%s: %d videos without sound", split, len(silent))

    def _select_file_format(self, file_format: str | FileFormat | None) -> None:
        """Sets the format to write; checks that a prepared dataset is in this format."""
        if not self.is_prepared():
            file_format = FileFormat.from_value(file_format or FileFormat.ARRAY_RECORD)
            self.info.set_file_format(file_format, override=True)
            return
        prepared = self.info.file_format
        assert prepared is not None
        if file_format is not None and FileFormat.from_value(file_format) != prepared:
            raise ValueError(
                f"{self.data_dir} holds this dataset as {prepared.value}; to have it as {file_format}, use another "
                "data_dir or remove that folder"
            )

    @property
    def _features(self) -> Any:
        # TFDS declares features as None or of a type without items; here they are those of `_info`.
        return self.info.features

    def is_prepared(self) -> bool:
        """Returns whether the dataset is prepared."""
        # A build gets its final name when it is complete.
        return Path(self.data_dir).exists()

    def _adopt_prepared(self) -> None:
        """Reads the dataset that another process has built since this builder was made."""
        wanted = self.info.file_format
        self.info.as_proto.ClearField("file_format")
        self.info.read_from_directory(self.data_dir)
        self._select_file_format(wanted)

    def _lock_path(self) -> Path:
        final = Path(self.data_dir)
        return final.parent / f".{final.name}.lock"

    def _remove_leftovers(self) -> None:
        final = Path(self.data_dir)
        for leftover in final.parent.glob(f"incomplete.*_{final.name}"):
            logging.info("removing the leftovers of an interrupted build: %s", leftover)
            shutil.rmtree(leftover)


def _split_position(split: str) -> tuple[int, str]:
    """Returns the key by which splits are sorted: train, val, test, then others by name."""
    usual = ("train", "val", "test")
    return (usual.index(split) if split in usual else len(usual)), split


def _with_options(known: VideoConfig, name: str, options: Mapping[str, str]) -> VideoConfig:
    fps, num_frames, audio = float(options["fps"]), int(options["num_frames"]), int(options["audio"])
    parts = [f"{fps:g} frames per second" * bool(fps), f"sequences of {num_frames}" * bool(num_frames)]
    parts.append(f"sound at {audio} Hz" * bool(audio))
    description = f"{(known.description or '').rstrip('.')}, {', '.join(filter(None, parts))}."
    return dataclasses.replace(
        known, name=name, description=description, fps=fps, sequence_frames=num_frames, audio=audio
    )


@contextlib.contextmanager
def _exclusive(lock_path: Path) -> Iterator[None]:
    """Holds a lock, which the system releases however this process ends; waits while another process holds it."""
    lock_path.parent.mkdir(parents=True, exist_ok=True)
    with lock_path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.warning("Another process is building %s; waiting for it.", lock_path.parent)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
