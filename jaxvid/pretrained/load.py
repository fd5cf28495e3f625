"""`config.model.pretrained` -> variables: published weights, or those of a file."""

from pathlib import Path

from jaxtyping import PyTree

from jaxvid.models import create_model, find_model
from jaxvid.models.clip_model import PretrainedPart
from jaxvid.pretrained.download import fetch_weights
from jaxvid.types import ConfigDict

Variables = dict[str, PyTree]


def check_pretrained(config: ConfigDict) -> None:
    """Checks `pretrained` of the section `model` of a config: "", the word for the published weights, or a file.

    Raises:
      ValueError: if the model takes no pretrained weights, or there is no such file.
    """
    if not config.pretrained:
        return
    word = find_model(config.name).published_weights
    if not word:
        raise ValueError(
            f"config.model.pretrained is {config.pretrained!r}; {config.name!r} takes no pretrained weights"
        )
    if config.pretrained != word and not Path(config.pretrained).expanduser().is_file():
        raise ValueError(f"config.model.pretrained is {config.pretrained!r}; allowed: {word!r}, or the path of a file")


def load_pretrained(config: ConfigDict, variables: Variables) -> Variables:
    """The variables of a model with the weights that `config.pretrained` names; `config` is the section `model`.

    Raises:
      ValueError: if the weights do not fit the model, listing all that does not.
      DownloadError: if published weights are neither in the cache nor can be downloaded.
    """
    model = create_model(config)
    for part in model.pretrained_parts():
        published = config.pretrained == model.published_weights
        path = fetch_weights(part.weights) if published else Path(config.pretrained).expanduser()
        loaded = _load_part(part, path, _select(variables, part.path))
        variables = {
            name: _with_part(collection, part.path, loaded[name]) if name in loaded else collection
            for name, collection in variables.items()
        }
    return variables


def _load_part(part: PretrainedPart, path: Path, variables: Variables) -> Variables:
    # Imported here because reading weights needs packages that only the extra `pretrained` installs.
    if part.backbone is None:
        from jaxvid.pretrained.torchvision import convert_video_resnet, load_state_dict

        return convert_video_resnet(load_state_dict(path), variables)
    from jaxvid.pretrained.keras import load_keras_weights

    return load_keras_weights(path, part.backbone, variables)


def _select(variables: Variables, part: str) -> Variables:
    if not part:
        return variables
    return {name: collection[part] for name, collection in variables.items() if part in collection}


def _with_part(collection: PyTree, part: str, values: PyTree) -> PyTree:
    return {**collection, part: values} if part else values
