"""The architectures, and how a config names one."""

import dataclasses
from types import MappingProxyType

import jax.numpy as jnp

from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.cnn_lstm import CNNLSTM
from jaxvid.models.convlstm import ConvLSTM
from jaxvid.models.frame_classifier import FrameClassifier
from jaxvid.models.genre_crnn import GenreCRNN
from jaxvid.models.lrcn import LRCN
from jaxvid.models.video_resnet import VideoResNet
from jaxvid.types import ConfigDict

MODELS: MappingProxyType[str, type[ClipModel]] = MappingProxyType(
    {
        "cnn_lstm": CNNLSTM,
        "backbone_lstm": BackboneLSTM,
        "video_resnet": VideoResNet,
        "convlstm": ConvLSTM,
        "lrcn": LRCN,
        "frame_classifier": FrameClassifier,
        "genre_crnn": GenreCRNN,
    }
)

# Keys of config.model that say which model it is, or how it is trained, and are no fields of the module.
_NOT_FIELDS = ("name", "pretrained", "trainable")
_DTYPES = MappingProxyType({"float32": jnp.float32, "bfloat16": jnp.bfloat16})


def find_model(name: str) -> type[ClipModel]:
    """The class of the model called `name`.

    Raises:
      ValueError: if there is none.
    """
    if name not in MODELS:
        raise ValueError(f"config.model.name is {name!r}; allowed: {', '.join(MODELS)}")
    return MODELS[name]


def create_model(config: ConfigDict, *, axis_name: str | None = None) -> ClipModel:
    """The Flax module that `config` (the section `model` of a config) describes.

    Args:
      config: `name`, a key of MODELS, and fields of that module; dtypes by name.
      axis_name: the mapped axis over which batch normalization shares its statistics in training.

    Raises:
      ValueError: on an unknown model, field or dtype.
    """
    model_class = find_model(config.name)
    fields = {key: value for key, value in config.items() if key not in _NOT_FIELDS}
    allowed = {field.name for field in dataclasses.fields(model_class)} - {"parent", "name", "axis_name"}
    unknown = sorted(set(fields) - allowed)
    if unknown:
        raise ValueError(
            f"config.model has {', '.join(unknown)}, which {config.name!r} does not take; "
            f"allowed: {', '.join(sorted(allowed))}"
        )
    for key in {"dtype", "param_dtype"} & set(fields):
        if fields[key] not in _DTYPES:
            raise ValueError(f"config.model.{key} is {fields[key]!r}; allowed: {', '.join(_DTYPES)}")
        fields[key] = _DTYPES[fields[key]]
    return model_class(axis_name=axis_name, **fields)
