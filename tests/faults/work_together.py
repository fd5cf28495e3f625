"""What one of several processes does at once: it downloads, builds a dataset and trains; a program of its own.

Prints as JSON what came of each.
"""

import json
import sys
from pathlib import Path
from unittest import mock

import tensorflow_datasets as tfds

import tfds_builders  # noqa: F401
from jaxvid.pretrained.download import Digest, fetch
from jaxvid.train.loop import train
from tests.tiny import tiny_config


def main(directory: Path, address: str, digest: str) -> None:
    """Prints "done" or the error of every step."""
    done = {
        "download": _outcome(lambda: fetch(address, "weights.bin", Digest("sha256", digest), directory / "cache")),
        "build": _outcome(
            lambda: tfds.builder("synthetic_fight/tiny", data_dir=directory / "tfds").download_and_prepare()
        ),
        "train": _outcome(lambda: train(tiny_config(directory / "tfds"), directory / "run")),
    }
    print(json.dumps(done))


def _outcome(step) -> str:
    try:
        with mock.patch.dict("os.environ", {"no_proxy": "*"}):
            step()
    except (ValueError, OSError) as error:
        return str(error)
    return "done"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
