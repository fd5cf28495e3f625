"""Builds a dataset, unless it is prepared, and prints where it lies and what it holds.

    python -m jaxvid.data.prepare --config=configs/NAME.py[:key=value,...] [--config.dataset.KEY=VALUE ...]
    python -m jaxvid.data.prepare --name=video_folder/128x128 --manual_dir=VIDEOS [--data_dir=DIR]

VIDEOS is a folder or, for video_folder on Apache Beam, an address such as gs://bucket/folder.

--beam_options=NAME=VALUE,NAME,... builds on Apache Beam, with the options of a runner; for two processes here:
runner=FnApiRunner,direct_running_mode=multi_processing,direct_num_workers=2. tfds_builders/README.md has others.
"""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from jaxvid import commands
from jaxvid.types import ConfigDict

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_NAME = flags.DEFINE_string("name", None, "name of the dataset and its config, instead of a config file")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", "", "raw videos of the dataset --name: a folder, or an address")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "where the dataset --name is built (default: that of TFDS)")
_ON_INVALID = flags.DEFINE_enum("on_invalid", "error", ["error", "skip"], "treatment of videos that do not decode")
_BEAM_OPTIONS = flags.DEFINE_string("beam_options", None, "build on Apache Beam: runner=NAME,NAME=VALUE,...")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    config = _config()
    # Not at the top: --help need not wait for it.
    from jaxvid.data.joined import prepare_data

    for part in prepare_data(config.dataset, config.pipeline.decoder, _BEAM_OPTIONS.value).parts:
        splits = ", ".join(f"{name} {split.num_examples}" for name, split in part.builder.info.splits.items())
        print(f"{part.builder.info.full_name} in {part.builder.data_path}: {splits}")


def _config() -> ConfigDict:
    """Returns the config, or the default with what the flags say.

    Raises:
      ValueError: if there are both a config and a name, or neither.
    """
    if (_CONFIG.value is None) == (_NAME.value is None):
        raise ValueError("give either --config or --name")
    if _CONFIG.value is not None:
        return _CONFIG.value
    from jaxvid.config import base_config

    config = base_config()
    config.dataset.update(
        name=_NAME.value, manual_dir=_MANUAL_DIR.value, data_dir=_DATA_DIR.value, on_invalid=_ON_INVALID.value
    )
    return config


if __name__ == "__main__":
    commands.run(main)
