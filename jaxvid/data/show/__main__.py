"""Writes a page that shows data before a network is trained on it.

    python -m jaxvid.data.show NAME_OR_DIR [--config=configs/NAME.py[:key=value,...]] [--output=DIR]

NAME is a prepared TFDS dataset such as surveillance_fight/64x64, DIR a folder of videos (`<class>/<video>` or
`<split>/<class>/<video>`); without either, the dataset of the config is shown. The page has frames of every class,
numbers by class and split, lengths, sizes, frame rates and sound of the files, sources in several splits and copies.
With a config it also has what the network gets of a few clips: their frames after sampling and augmentation, and their
spectra where it takes sound; of the config's own dataset it shows the config's splits.

Of a dataset only the clips shown are read. Of a folder every video is decoded, as by `jaxvid.data.check`, to find those
that cannot be and those that look alike; --nocheck leaves that out.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jaxvid import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "config whose network's inputs are shown")
_OUTPUT = flags.DEFINE_string("output", None, "directory of the page (default: runs/data/NAME)")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory of prepared datasets (default: the config's, or TFDS' own)")
_CHECK = flags.DEFINE_bool("check", True, "decode every video of a folder, to find broken files and look-alikes")
_BLUR_FACES = flags.DEFINE_bool("blur_faces", False, "blur faces; many are missed, so that this is no anonymization")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv[1:])
    name = argv[1] if len(argv) > 1 else ""
    config = _CONFIG.value
    if not name and config is None:
        raise ValueError("name a prepared dataset or a folder of videos, or give --config")
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.data.show.folder import show_folder
    from jaxvid.data.show.prepared import show_dataset
    from jaxvid.report.data import write_data_page

    commands.keep_compiled_programs()
    without_faces = _BLUR_FACES.value or bool(config and config.eval.blur_faces)
    if _is_path(name):
        data = show_folder(Path(name), config, checks=_CHECK.value, without_faces=without_faces)
    else:
        data = show_dataset(name, config, data_dir=_DATA_DIR.value, without_faces=without_faces)
    default = Path("runs/data") / (Path(name).absolute().name if _is_path(name) else data.name)
    page = Path(_OUTPUT.value or default) / "index.html"
    write_data_page(page, data, shlex.join(["python", "-m", "jaxvid.data.show", *sys.argv[1:]]))
    print(f"Page: {page}")


def _is_path(name: str) -> bool:
    """Whether a name is that of a folder rather than of a dataset."""
    return bool(name) and (name.startswith(("/", ".", "~")) or Path(name).is_dir())


if __name__ == "__main__":
    commands.run(main)
