"""`config.model.pretrained` -> variables: foreign weights by path or by the name of what they were trained on."""

from pathlib import Path
from typing import Any

from jaxvid.models import WITH_BACKBONE
from jaxvid.models.backbones import create_backbone
from jaxvid.pretrained.download import fetch_weights
from jaxvid.types import ConfigDict

# The models that take foreign weights, and the word for those that are published.
PUBLISHED = {"video_resnet": "kinetics400", **dict.fromkeys(WITH_BACKBONE, "imagenet")}


def check_pretrained(config: ConfigDict) -> None:
    """Checks `pretrained` of the section `model` of a config: "", a word of PUBLISHED, or a file.

    Raises:
      ValueError: if the model takes no foreign weights, or there is no such file.
    """
    if not config.pretrained:
        return
    if config.name not in PUBLISHED:
        raise ValueError(f"config.model.pretrained is {config.pretrained!r}; {config.name!r} takes no foreign weights")
    word = PUBLISHED[config.name]
    if config.pretrained != word and not Path(config.pretrained).expanduser().is_file():
        raise ValueError(f"config.model.pretrained is {config.pretrained!r}; allowed: {word!r}, or the path of a file")


def load_pretrained(config: ConfigDict, variables: dict[str, Any]) -> dict[str, Any]:
    """The variables of a model with the foreign weights that `config`, the section `model`, names.

    Raises:
      ValueError: if the weights do not fit the model, listing all that does not.
      DownloadError: if published weights are neither in the cache nor to be had.
    """
    if config.name == "video_resnet":
        # Not at the top, as below: reading weights needs what only the extra `pretrained` installs.
        from jaxvid.pretrained.torchvision import convert_video_resnet, load_state_dict

        return convert_video_resnet(load_state_dict(_weight_file(config, config.variant)), variables)
    variables = _with_backbone(config, "cnn", config.backbone, variables)
    if config.name == "genre_crnn" and config.audio_backbone:
        variables = _with_backbone(config, "audio_cnn", config.audio_backbone, variables)
    return variables


def _with_backbone(config: ConfigDict, name: str, backbone: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The variables with foreign weights for the backbone called `name`, if there is one."""
    from jaxvid.pretrained.keras import load_keras_weights

    of_backbone = {key: collection[name] for key, collection in variables.items() if name in collection}
    if not of_backbone:
        return variables
    include_top = config.name == "backbone_lstm" and config.features == "softmax"
    path = _weight_file(config, backbone + ("" if include_top else "_notop"))
    loaded = load_keras_weights(path, create_backbone(backbone, include_top=include_top), of_backbone)
    return {
        key: {**collection, name: loaded[key]} if key in loaded else collection for key, collection in variables.items()
    }


def _weight_file(config: ConfigDict, published: str) -> Path:
    if config.pretrained == PUBLISHED[config.name]:
        return fetch_weights(published)
    return Path(config.pretrained).expanduser()
