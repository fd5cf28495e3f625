"""The base of all builders: features, sizes, and builds that leave nothing half done.

A dataset's own file has `find_clips`, which returns its videos with their labels, sources and splits; nothing else.
`local_build` decodes in processes of this machine, `beam_build` wherever Apache Beam runs, to the same files.
"""

import abc
import contextlib
import dataclasses
import fcntl
import functools
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import file_adapters
from tensorflow_datasets.core.splits import SplitInfo

from tfds_builders.examples import Examples, RecordForm
from tfds_builders.shards import write_shards
from tfds_builders.splits import in_mixed_order
from tfds_builders.video_config import VideoConfig, config_named, sized_configs
from tfds_builders.video_files import VideoFile, count_differences, files_left_out

if TYPE_CHECKING:
    # Not at run time: reading a prepared dataset needs neither decord nor OpenCV.
    from tfds_builders.facts import SplitFacts

# Left-out files that a warning names.
_MAX_NAMED = 20

FileFormat = file_adapters.FileFormat

INVALID_VIDEOS_FILENAME = "invalid_videos.json"
STATISTICS_FILENAME = "statistics.json"


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
      range_seconds: on Apache Beam, videos twice as long or longer are cut at key frames into ranges of about this
        length, which decode on different workers.
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
        range_seconds: float = 600.0,
        file_format: str | None = None,
        config: str | VideoConfig | None = None,
        **kwargs: Any,
    ):
        if on_invalid not in ("error", "skip"):
            raise ValueError(f'on_invalid must be "error" or "skip", got {on_invalid!r}')
        if decoder not in ("decord", "av"):
            raise ValueError(f'decoder must be "decord" or "av", got {decoder!r}')
        if range_seconds <= 0:
            raise ValueError(f"range_seconds must be positive, got {range_seconds}")
        super().__init__(config=self.named_config(config), **kwargs)
        self._on_invalid = on_invalid
        self._num_workers = num_workers
        self._decoder = decoder
        self._timeout_seconds = timeout_seconds
        self._range_seconds = range_seconds
        self._facts: dict[str, SplitFacts] = {}
        self._select_file_format(file_format)

    @classmethod
    def named_config(cls, config: str | VideoConfig | None) -> VideoConfig:
        """Returns the config of a name, which may end in options (see `VideoConfig`), or the config itself.

        Raises:
          ValueError: if there is no such config.
        """
        if isinstance(config, VideoConfig):
            return config
        name = config or cls.DEFAULT_BUILDER_CONFIG_NAME
        if found := config_named(name, cls.BUILDER_CONFIGS):
            return found
        known = ", ".join(each.name for each in cls.BUILDER_CONFIGS)
        raise ValueError(
            f"{cls.name} has no config {name!r}; it has {known}, each followed by any of _<N>fps, _<N>frames and "
            "_<N>hz, in this order"
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
        if "://" in str(self.data_dir):
            raise ValueError(f"data_dir is {self.data_dir}: records are written to folders, not to addresses")
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
        config = self._config
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

    @property
    def _config(self) -> VideoConfig:
        config = self.builder_config
        assert isinstance(config, VideoConfig)
        return config

    @functools.cached_property
    def _record_form(self) -> RecordForm:
        # Without what is the dataset's own: `tfds build` imports its module under a name that no other process knows.
        fields = {field.name: getattr(self._config, field.name) for field in dataclasses.fields(VideoConfig)}
        return RecordForm(VideoConfig(**fields), self._features)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        return {split: self._generate_examples(videos) for split, videos in self._videos_by_split(dl_manager).items()}

    def _videos_by_split(self, dl_manager: tfds.download.DownloadManager) -> dict[str, list[VideoFile]]:
        """Returns the videos in the order of their records."""
        videos = self.find_clips(dl_manager)
        self._warn_of_other_counts(videos)
        if self.CLASSES is None:
            self._features["label"].names = sorted({video.label for video in videos})
        return {
            split: in_mixed_order([video for video in videos if video.split == split])
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
        from tfds_builders.facts import SplitFacts
        from tfds_builders.local_build import decode_examples

        split = videos[0].split
        self._facts[split] = SplitFacts(split)
        return decode_examples(
            videos,
            self._record_form,
            self._facts[split],
            f"{self.name} {split}",
            skip_invalid=self._on_invalid == "skip",
            num_workers=self._num_workers,
            decoder=self._decoder,
            timeout_seconds=self._timeout_seconds,
        )

    def _generate_splits(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> Sequence[SplitInfo]:
        # Instead of TFDS' own writer, which sorts the records: it holds up to 1 GB in memory, then uses a thousand
        # temporary files. Here the order is fixed before decoding, and records go straight to the shards.
        if download_config.num_shards:
            raise ValueError("num_shards cannot be set, as sizes are not known in advance; set max_shard_size")
        if download_config.beam_options is not None or download_config.beam_runner is not None:
            return self._generate_splits_on_beam(dl_manager, download_config)
        splits = self._split_generators(dl_manager)
        return [self._write_split(split, examples, download_config) for split, examples in splits.items()]

    def _write_split(self, split: str, examples: Examples, download_config: tfds.download.DownloadConfig) -> SplitInfo:
        taken = itertools.islice(examples, download_config.max_examples_per_split)
        records = (self._record_form.record(example) for _, example in taken)
        file_format = self.info.file_format
        assert file_format is not None
        with contextlib.closing(examples):
            shards = write_shards(records, Path(self.data_dir), file_format, download_config.max_shard_size)
        template = self._get_filename_template(split_name=split)
        for position, shard in enumerate(shards):
            shard.path.rename(template.sharded_filepath(shard_index=position, num_shards=len(shards)))
        return self._written(split, [shard.num_records for shard in shards], sum(shard.num_bytes for shard in shards))

    def _generate_splits_on_beam(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> list[SplitInfo]:
        if download_config.max_examples_per_split is not None:
            raise ValueError("max_examples_per_split cannot be set on Apache Beam")
        # Not at the top: only this needs Apache Beam.
        from tfds_builders.beam_build import BeamBuild

        videos = self._videos_by_split(dl_manager)
        file_format = self.info.file_format
        assert file_format is not None
        build = BeamBuild(
            form=self._record_form,
            directory=str(self.data_dir),
            templates={split: self._get_filename_template(split_name=split) for split in videos},
            file_format=file_format,
            max_shard_bytes=download_config.max_shard_size,
            skip_invalid=self._on_invalid == "skip",
            decoder=self._decoder,
            timeout_seconds=self._timeout_seconds,
            range_seconds=self._range_seconds,
        )
        written = build.run(videos, download_config.beam_runner, download_config.beam_options)
        self._facts = {split: facts for split, (facts, *_) in written.items()}
        return [self._written(split, lengths, num_bytes) for split, (_, lengths, num_bytes) in written.items()]

    def _written(self, split: str, shard_lengths: list[int], num_bytes: int) -> SplitInfo:
        """Returns what TFDS keeps of a split whose shards are written, and writes its index."""
        # Not at the top: reading a prepared dataset needs no index.
        from tfds_builders.clip_index import index_path, record_facts, write_index

        if not shard_lengths:
            raise ValueError(f"{self.name}: no video of the split {split!r} can be decoded")
        written = SplitInfo(
            name=split,
            shard_lengths=shard_lengths,
            num_bytes=num_bytes,
            filename_template=self._get_filename_template(split_name=split),
        )
        path = index_path(Path(self.data_dir), split)
        write_index(self._facts[split].take_rows(), path, record_facts(self.info, written))
        return written

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> None:
        self._facts = {}
        super()._download_and_prepare(dl_manager, download_config)
        if self._on_invalid == "skip":
            left_out = [video for facts in self._facts.values() for video in facts.invalid]
            self._write_json(INVALID_VIDEOS_FILENAME, left_out)
        self._write_statistics(with_sound=bool(self._config.audio))

    def _write_statistics(self, *, with_sound: bool) -> None:
        summaries = {split: facts.statistics.summary(with_sound=with_sound) for split, facts in self._facts.items()}
        self._write_json(STATISTICS_FILENAME, summaries)
        for split, counts in summaries.items():
            logging.info("%s: %d examples of %d videos", split, counts["examples"], counts["videos"])
            if silent := counts.get("videos_without_sound"):
                logging.info("%s: %d videos without sound", split, len(silent))

    def _write_json(self, filename: str, content: Any) -> None:
        (Path(self.data_dir) / filename).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

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
