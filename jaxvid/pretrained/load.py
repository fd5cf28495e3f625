"""`config.model.pretrained` -> variables: foreign weights by path or by the name of what they were trained on."""

from pathlib import Path
from typing import Any

from jaxvid.models.backbones import create_backbone
from jaxvid.pretrained.download import fetch_weights
from jaxvid.types import ConfigDict

# The models that take foreign weights, and the word for those that are published.
PUBLISHED = {"video_resnet": "kinetics400", "backbone_lstm": "imagenet"}


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
        # Not at the top: reading weights needs what only the extra `pretrained` installs.
        from jaxvid.pretrained.torchvision import convert_video_resnet, load_state_dict

        return convert_video_resnet(load_state_dict(_weight_file(config, config.variant)), variables)
    from jaxvid.pretrained.keras import load_keras_weights

    include_top = config.features == "softmax"
    path = _weight_file(config, config.backbone + ("" if include_top else "_notop"))
    of_backbone = {name: collection["cnn"] for name, collection in variables.items() if "cnn" in collection}
    loaded = load_keras_weights(path, create_backbone(config.backbone, include_top=include_top), of_backbone)
    return {
        name: {**collection, "cnn": loaded[name]} if name in loaded else collection
        for name, collection in variables.items()
    }


def _weight_file(config: ConfigDict, published: str) -> Path:
    if config.pretrained == PUBLISHED[config.name]:
        return fetch_weights(published)
    return Path(config.pretrained).expanduser()
