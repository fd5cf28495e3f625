"""The configs of the builders: how videos are stored, named by it."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import tensorflow_datasets as tfds

# Height and width of the frames.
SIZES = ((64, 64), (112, 112), (128, 128), (128, 171), (224, 224), (225, 225), (299, 299))

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


def config_named(name: str, configs: Sequence[Config]) -> Config | None:
    """Returns the config of a name, which may end in options (see `VideoConfig`); None if there is none."""
    named = {known.name: known for known in configs}
    if name in named:
        return named[name]
    for known in named.values():
        options = _OPTIONS.fullmatch(name.removeprefix(known.name)) if name.startswith(known.name) else None
        if options:
            return _with_options(known, name, options.groupdict(default="0"))
    return None


def _with_options(known: Config, name: str, options: Mapping[str, str]) -> Config:
    fps, num_frames, audio = float(options["fps"]), int(options["num_frames"]), int(options["audio"])
    parts = [f"{fps:g} frames per second" * bool(fps), f"sequences of {num_frames}" * bool(num_frames)]
    parts.append(f"sound at {audio} Hz" * bool(audio))
    description = f"{(known.description or '').rstrip('.')}, {', '.join(filter(None, parts))}."
    return dataclasses.replace(
        known, name=name, description=description, fps=fps, sequence_frames=num_frames, audio=audio
    )
