"""The ImageNet CNNs that turn single frames into features."""

from types import MappingProxyType
from typing import Any

from jaxvid.models.backbones.backbone import Architecture, Backbone
from jaxvid.models.backbones.inception import INCEPTION_RESNET_V2, INCEPTION_V3
from jaxvid.models.backbones.mobilenet import MOBILENET
from jaxvid.models.backbones.resnet import RESNET50
from jaxvid.models.backbones.vgg import VGG16, VGG19
from jaxvid.models.backbones.xception import XCEPTION

BACKBONES: MappingProxyType[str, Architecture] = MappingProxyType(
    {
        architecture.name: architecture
        for architecture in (VGG16, VGG19, INCEPTION_V3, XCEPTION, RESNET50, MOBILENET, INCEPTION_RESNET_V2)
    }
)


def find_architecture(name: str, *, key: str = "backbone") -> Architecture:
    """Returns the architecture called `name`.

    Args:
      name: a key of BACKBONES.
      key: of the name in a config, for the error message.

    Raises:
      ValueError: if there is no such architecture.
    """
    if name not in BACKBONES:
        raise ValueError(f"{key} is {name!r}; allowed: {', '.join(BACKBONES)}")
    return BACKBONES[name]


def create_backbone(name: str, **fields: Any) -> Backbone:
    """Creates the Flax module of the architecture called `name`; `fields` are further ones of `Backbone`.

    Raises:
      ValueError: if there is no such architecture.
    """
    return Backbone(find_architecture(name), **fields)
