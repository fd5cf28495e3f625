"""Reads files of weights, each on its own, and prints a line of JSON for each; a program of its own."""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxvid.models.backbones.backbone import Backbone
from jaxvid.pretrained import hdf5
from jaxvid.pretrained.hdf5 import check_hdf5
from jaxvid.pretrained.keras import load_keras_weights
from jaxvid.pretrained.torchvision import load_state_dict
from tests.tiny import TINY_BACKBONE


def main(paths: list[Path]) -> None:
    """Prints for each file how long it took, the highest memory in MB while it was read, and the error, if any."""
    backbone = Backbone(TINY_BACKBONE)
    example = jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(lambda: backbone.init(jax.random.key(0), example, train=False))
    # CPU seconds are promised; a machine under load has fewer of them.
    hdf5._TIMEOUT_SECONDS = 30.0
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")
        began, error = time.process_time(), None
        try:
            if path.suffix == ".h5":
                check_hdf5(path)
                load_keras_weights(path, backbone, shapes)
            else:
                load_state_dict(path)
        except (ValueError, OSError) as refusal:
            error = str(refusal)
        line = {"file": path.name, "seconds": time.process_time() - began, "memory": highest_memory(), "error": error}
        print(json.dumps(line), flush=True)


def highest_memory() -> int:
    """Returns the highest memory of this process since it was last reset, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
