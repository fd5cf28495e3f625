"""Models by name. From a name, or the section `model` of a config, to its module and fresh variables."""

import dataclasses
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.c3d import C3D
from jaxvid.models.clip_model import ClipModel, check_choice
from jaxvid.models.cnn_lstm import CNNLSTM
from jaxvid.models.convlstm import ConvLSTM
from jaxvid.models.frame_classifier import FrameClassifier
from jaxvid.models.genre_crnn import GenreCRNN
from jaxvid.models.lrcn import LRCN
from jaxvid.models.motion_pool import MotionPool
from jaxvid.models.video_resnet import VideoResNet
from jaxvid.types import ConfigDict

Variables = dict[str, PyTree]

MODELS: MappingProxyType[str, type[ClipModel]] = MappingProxyType(
    {
        "cnn_lstm": CNNLSTM,
        "backbone_lstm": BackboneLSTM,
        "motion_pool": MotionPool,
        "video_resnet": VideoResNet,
        "c3d": C3D,
        "convlstm": ConvLSTM,
        "lrcn": LRCN,
        "frame_classifier": FrameClassifier,
        "genre_crnn": GenreCRNN,
    }
)

# Keys of `config.model` that are not fields of the module.
_NOT_FIELDS = ("name", "pretrained", "trainable")
_DTYPES = MappingProxyType({"float32": jnp.float32, "bfloat16": jnp.bfloat16})


def list_models() -> list[str]:
    """The names of all models."""
    return list(MODELS)


def create_module(name: str, *, axis_name: str | None = None, **fields: Any) -> ClipModel:
    """The Flax module of the model called `name`.

    Args:
      name: a key of MODELS.
      axis_name: the mapped axis that the batch is split over, if any.
      fields: of the module; `dtype` and `param_dtype` by name.

    Raises:
      ValueError: on an unknown name, an unknown field or a value that is not allowed; the message begins with the key.
    """
    check_choice("name", name, MODELS)
    model_class = MODELS[name]
    allowed = {field.name for field in dataclasses.fields(model_class)} - {"parent", "name", "axis_name"}
    for unknown in sorted(set(fields) - allowed):
        raise ValueError(f"{unknown} is no field of {name!r}; allowed: {', '.join(sorted(allowed))}")
    for key in {"dtype", "param_dtype"} & set(fields):
        check_choice(key, fields[key], _DTYPES)
        fields[key] = _DTYPES[fields[key]]
    return model_class(axis_name=axis_name, **fields)


def module_from_config(config: ConfigDict, *, axis_name: str | None = None) -> ClipModel:
    """The Flax module that `config`, the section `model` of a config, describes.

    Raises:
      ValueError: as `create_module`, with the key in full.
    """
    fields = {key: value for key, value in config.items() if key not in _NOT_FIELDS}
    try:
        return create_module(config.name, axis_name=axis_name, **fields)
    except ValueError as error:
        raise ValueError(f"config.model.{error}") from error


def initial_variables(module: ClipModel, clip_shape: tuple[int, int, int, int], seed: int) -> Variables:
    """Fresh variables of a model for clips of this time, height, width and number of channels."""
    clips = jnp.zeros((1, *clip_shape))
    return dict(jax.jit(lambda key: module.init(key, clips, train=False))(jax.random.key(seed)))
