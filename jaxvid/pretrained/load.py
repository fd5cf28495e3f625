"""Pretrained weights in a model's variables: published ones by name, or those of a file."""

from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxvid.models.clip_model import ClipModel, PretrainedPart
from jaxvid.models.create import Variables
from jaxvid.pretrained.download import WEIGHTS, fetch_weights
from jaxvid.pretrained.hdf5 import check_hdf5


def check_weights(model: ClipModel, pretrained: str) -> None:
    """Checks that `pretrained` is "", the name of the model's published weights, or the path of a file.

    Raises:
      ValueError: if the model takes no pretrained weights, or there is no such file.
    """
    if not pretrained:
        return
    name = model.published_weights
    if not name:
        raise ValueError(f"pretrained is {pretrained!r}; allowed: '', as this model takes no pretrained weights")
    if pretrained != name and not Path(pretrained).expanduser().is_file():
        raise ValueError(f"pretrained is {pretrained!r}; allowed: '', {name!r}, or the path of a file")


def load_weights(model: ClipModel, pretrained: str, variables: Variables) -> Variables:
    """The variables of a model with the weights that `pretrained` names.

    Args:
      model: whose `pretrained_parts` take the weights.
      pretrained: the name of the model's published weights, or the path of a file.
      variables: of the model; they give shapes and dtypes, and the values of everything that the weights leave out.

    Raises:
      ValueError: if the weights do not fit the model, listing everything that does not.
      DownloadError: if published weights are neither in the cache nor can be downloaded.
    """
    for part in model.pretrained_parts():
        published = pretrained == model.published_weights
        path = fetch_weights(part.weights) if published else Path(pretrained).expanduser()
        if part.backbone is not None and not (published and WEIGHTS[part.weights].digest):
            check_hdf5(path)
        loaded = _load_part(part, path, _select(variables, part.path))
        variables = {
            name: _with_part(collection, part.path, loaded[name]) if name in loaded else collection
            for name, collection in variables.items()
        }
    return jax.tree.map(jnp.asarray, variables)


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
