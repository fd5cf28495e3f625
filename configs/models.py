"""The section `model` of the configs: the keys that all models have, and those of one model."""

import ml_collections

from jaxvid.models.create import MODELS
from jaxvid.models.framewise import FramewiseModel
from jaxvid.types import ConfigDict

Value = str | int | float | bool | tuple[str, ...] | tuple[int, ...]


def model_section(name: str, **values: Value) -> ConfigDict:
    """Returns the section `model` of a config: the keys of every model or every such model, then `values`, which win.

    Args:
      name: a key of `jaxvid.models.create.MODELS`.
      values: `activation`, the model's own keys, and values that differ from the defaults here.
    """
    common: dict[str, Value] = {
        "name": name,
        "num_classes": 0,  # filled in from the dataset
        "input": "frames",  # or "differences": each frame less the one before
        "adaptive": False,  # whether activations can change during training
        "dtype": "float32",  # of the computation; or "bfloat16"
        "pretrained": "",  # published weights by name, a file, or the workdir of an earlier run; "": from scratch
        "trainable": "all",  # or "head", "head_and_last_stage"
    }
    # Of networks of single frames' features and their sequence.
    framewise: dict[str, Value] = {
        "motion": "none",  # of a frame's features into the head; or "difference" to the frame before, or "both"
        "head_norm": "none",  # of the head's input; or "layer", "batch"
    }
    own = framewise if issubclass(MODELS[name], FramewiseModel) else {}
    return ml_collections.ConfigDict(common | own | values)
