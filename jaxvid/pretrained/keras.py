"""Weight files of keras.applications -> variables of a `Backbone`.

Two layouts are read, both HDF5:

- the legacy one of the published files (`vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`): one group a layer, listed
  in the attribute `layer_names` in the order of the model's layers, each listing its tensors in `weight_names`. Names
  that Keras generated (`conv2d_17`) depend on the other models of the session, so layers are matched by their order,
  as in Keras' own loader (`keras.src.legacy.saving.legacy_h5_format`);
- the one of Keras 3 (`*.weights.h5`): tensors called `layers/conv2d_17/vars/0`, numbered for each class of layer in
  the order of the model's layers (`keras.src.saving.saving_lib`).

No tensor is read before its shape is known to be right, and no link out of the file is followed.
"""

import difflib
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import traverse_util
from jaxtyping import PyTree

from jaxvid.models.backbones.backbone import Backbone
from jaxvid.models.backbones.graph import Conv, Dense, DepthwiseConv, Norm, SeparableConv, by_distance_from_output
from jaxvid.pretrained.hdf5 import MAX_CHUNK_BYTES

try:
    import h5py
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("reading Keras weight files needs h5py: install jaxvid[pretrained]") from error


class WeightsError(ValueError):
    """A weight file that cannot be read, or does not fit the network."""


class Tensor(NamedTuple):
    """The Flax counterpart of a Keras tensor: a collection, a suffix to the layer's name, a variable.

    Keras has depthwise kernels as (height, width, channel, 1), Flax as (height, width, 1, channel).
    """

    collection: str
    variable: str
    suffix: str = ""
    is_depthwise: bool = False


class Slot(NamedTuple):
    """The target of a tensor of a file: its path in the variables, and its shape in Keras' layout."""

    path: tuple[str, str, str]
    shape: tuple[int, ...]
    is_depthwise: bool

    def __str__(self) -> str:
        return f"{'/'.join(self.path)} {self.shape}"

    @property
    def is_classifier(self) -> bool:
        """Whether the tensor belongs to the layer whose width is the number of classes."""
        return self.path[1] in ("predictions", "conv_preds")


class KerasLayer(NamedTuple):
    """A layer with weights: Keras' name for its class, and its tensors in the order of Keras."""

    kind: str
    slots: tuple[Slot, ...]


# Layers of a network, or tensors of a layer, that a file may list; matching them takes long where they are many.
_MAX_NAMES = 5000
# Characters of a reason.
_MAX_REASON = 500

# A slot and the dataset that fills it; one is None where the other has no partner.
_Pair: TypeAlias = tuple[Slot | None, h5py.Dataset | None]

_KERNEL = Tensor("params", "kernel")
_BIAS = Tensor("params", "bias")
# Every tensor that a kind of layer can have; those that one has not (a bias, a scale) are not among the variables.
_TENSORS: MappingProxyType[type, tuple[str, tuple[Tensor, ...]]] = MappingProxyType(
    {
        Conv: ("conv2d", (_KERNEL, _BIAS)),
        Dense: ("dense", (_KERNEL, _BIAS)),
        DepthwiseConv: ("depthwise_conv2d", (Tensor("params", "kernel", is_depthwise=True),)),
        SeparableConv: (
            "separable_conv2d",
            (
                Tensor("params", "kernel", suffix="_depthwise", is_depthwise=True),
                Tensor("params", "kernel", suffix="_pointwise"),
            ),
        ),
        Norm: (
            "batch_normalization",
            (
                Tensor("params", "scale"),
                _BIAS,
                Tensor("batch_stats", "mean"),
                Tensor("batch_stats", "var"),
            ),
        ),
    }
)


def load_keras_weights(
    path: str | os.PathLike[str], backbone: Backbone, variables: Mapping[str, PyTree]
) -> dict[str, PyTree]:
    """Returns `variables` with the weights of a Keras file.

    Args:
      path: a legacy `.h5` file or a Keras 3 `.weights.h5` file of the same architecture, with a classifier if and only
        if the backbone has one.
      backbone: the module that the weights are for.
      variables: its collections, as `backbone.init` returns them. They give shapes and dtypes. Other collections
        are kept, and, with a warning, the classifier if the file's is for another number of classes.

    Raises:
      WeightsError: if the file is not readable HDF5 of one of the two layouts, or holds values that are not finite; and
        if it misses tensors, has others besides or has some of another shape, in which case the error lists them all.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} is not a file; it should be a Keras weight file of {backbone.architecture}")
    layers = keras_layers(backbone, variables)
    flat: dict[tuple[str, ...], PyTree] = dict(traverse_util.flatten_dict(variables))
    try:
        with h5py.File(path, "r") as file:
            for slot, dataset in _matches(_pairs(file, layers), path, backbone):
                flat[slot.path] = jnp.asarray(_read(slot, dataset), flat[slot.path].dtype)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:
        # For a wrong signature, a truncated file, a broken header, chunk or name h5py raises nearly anything.
        reason = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
        raise WeightsError(f"{path} cannot be read as HDF5; it may be truncated or corrupt: {reason}") from error
    return traverse_util.unflatten_dict(flat)


def keras_layers(backbone: Backbone, variables: Mapping[str, PyTree]) -> list[KerasLayer]:
    """The layers with weights of the Keras model that `backbone` is, in the order in which Keras saves them.

    Args:
      backbone: the module.
      variables: its collections, or their shapes.
    """
    layers = []
    for layer in by_distance_from_output(backbone.series()):
        if isinstance(layer, Conv | Dense | DepthwiseConv | Norm | SeparableConv):
            kind, tensors = _TENSORS[type(layer)]
            slots = (_slot(layer.name, tensor, variables) for tensor in tensors)
            layers.append(KerasLayer(kind, tuple(slot for slot in slots if slot is not None)))
    return layers


def _slot(layer_name: str, tensor: Tensor, variables: Mapping[str, PyTree]) -> Slot | None:
    path = (tensor.collection, layer_name + tensor.suffix, tensor.variable)
    module = variables[path[0]].get(path[1], {})
    if path[2] not in module:
        return None
    shape = module[path[2]].shape
    # Swapping the last two axes of Flax's shape gives Keras' shape.
    return Slot(path, (*shape[:2], shape[3], shape[2]) if tensor.is_depthwise else tuple(shape), tensor.is_depthwise)


def _pairs(file: h5py.File, layers: Sequence[KerasLayer]) -> list[_Pair]:
    """Slots and the datasets of the file that belong to them, by the rule of the file's layout."""
    groups, datasets = _contents(file)
    # A whole model saved in the legacy layout has its weights in one group and the optimizer's state in another.
    for root, prefix in ((file, ""), (groups.get("model_weights"), "model_weights/")):
        layer_names = [] if root is None else _names(root, "layer_names")
        if layer_names:
            return _pairs_by_order(layers, [_legacy_layer(prefix + name, groups, datasets) for name in layer_names])
    if "layers" in groups:
        return _pairs_by_name(layers, datasets)
    raise WeightsError(
        "no Keras weights found: neither the attribute layer_names (legacy .h5) nor a group layers (.weights.h5)"
    )


def _contents(file: h5py.File) -> tuple[dict[str, h5py.Group], dict[str, h5py.Dataset]]:
    """All groups and datasets that lie in the file itself, by their full names: links are not followed."""
    groups, datasets = {}, {}

    def collect(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Group):
            groups[name] = item
        elif isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise WeightsError(f"{name} has its values in other files, which are not read")
            chunk_bytes = math.prod(item.chunks or ()) * item.dtype.itemsize
            if chunk_bytes > MAX_CHUNK_BYTES:
                raise WeightsError(f"{name} is stored in pieces of {chunk_bytes} bytes; allowed: {MAX_CHUNK_BYTES}")
            datasets[name] = item

    file.visititems(collect)
    return groups, datasets


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which Keras splits into `attribute0`, `attribute1`, ... when HDF5's limit asks for it."""
    keys = [attribute]
    if attribute not in group.attrs:
        numbered = (f"{attribute}{i}" for i in itertools.count())
        keys = list(itertools.takewhile(lambda key: key in group.attrs, numbered))
    names = [name for key in keys for name in np.asarray(group.attrs[key]).ravel()]
    if len(names) > _MAX_NAMES:
        raise WeightsError(f"{attribute} lists {len(names)} names; allowed: {_MAX_NAMES}")
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _legacy_layer(
    name: str, groups: Mapping[str, h5py.Group], datasets: Mapping[str, h5py.Dataset]
) -> list[h5py.Dataset]:
    """The datasets of one layer, in the order of its list; none for a layer without weights."""
    if name not in groups:
        raise WeightsError(f"the layer {name} is listed, but is not in the file")
    weights = [f"{name}/{weight}" for weight in _names(groups[name], "weight_names")]
    absent = [weight for weight in weights if weight not in datasets]
    if absent:
        raise WeightsError(f"listed, but not in the file: {', '.join(absent)}")
    return [datasets[weight] for weight in weights]


def _pairs_by_order(layers: Sequence[KerasLayer], found: Iterable[list[h5py.Dataset]]) -> list[_Pair]:
    """The layers of the file in their order against those of the network in theirs.

    If the two differ, they are aligned by their shapes, so that an error names the missing and extra tensors and not
    all tensors after them.
    """
    found = [datasets for datasets in found if datasets]
    expected_shapes = [tuple(slot.shape for slot in layer.slots) for layer in layers]
    found_shapes = [tuple(dataset.shape for dataset in datasets) for datasets in found]
    aligned = difflib.SequenceMatcher(None, expected_shapes, found_shapes, autojunk=False).get_opcodes()
    pairs = []
    for _, i1, i2, j1, j2 in aligned:
        for layer, datasets in itertools.zip_longest(layers[i1:i2], found[j1:j2]):
            pairs += itertools.zip_longest(layer.slots if layer else (), datasets or ())
    return pairs


def _pairs_by_name(layers: Iterable[KerasLayer], datasets: Mapping[str, h5py.Dataset]) -> list[_Pair]:
    """Slots and datasets of the same name, as Keras 3 counts the layers of each kind."""
    slots = {}
    counts = Counter()
    for layer in layers:
        number = f"_{counts[layer.kind]}" if counts[layer.kind] else ""
        counts[layer.kind] += 1
        slots |= {f"layers/{layer.kind}{number}/vars/{i}": slot for i, slot in enumerate(layer.slots)}
    # The state of a dropout layer's random numbers is saved like a weight.
    weights = {
        name: dataset
        for name, dataset in datasets.items()
        if name.startswith("layers/") and "/seed_generator/" not in name
    }
    return [(slots.get(name), weights.get(name)) for name in slots | weights]


def _matches(pairs: Iterable[_Pair], path: Path, backbone: Backbone) -> list[tuple[Slot, h5py.Dataset]]:
    """The pairs to read: all, or all but a classifier of another number of classes."""
    matches, problems, other_classes = [], [], []
    for slot, dataset in pairs:
        if dataset is None:
            problems.append(f"missing: {slot}")
        elif slot is None:
            problems.append(f"extra: {dataset.name} {dataset.shape}")
        elif dataset.shape == slot.shape and dataset.dtype.kind == "f":
            matches.append((slot, dataset))
        elif slot.is_classifier and dataset.shape[:-1] == slot.shape[:-1]:
            other_classes.append(dataset.shape[-1])
        else:
            problems.append(
                f"misshapen: {dataset.name} {dataset.shape} of {dataset.dtype}, where floats for {slot} belong"
            )
    if problems:
        raise WeightsError(
            f"does not fit {backbone.architecture} {'with' if backbone.include_top else 'without'} its classifier:\n  "
            + "\n  ".join(problems)
        )
    if other_classes:
        logging.warning(
            "%s has a classifier of %d classes, the network one of %d: the network keeps its own.",
            path,
            other_classes[0],
            backbone.num_classes,
        )
    return matches


def _read(slot: Slot, dataset: h5py.Dataset) -> np.ndarray:
    """The values in Flax' layout."""
    values = np.asarray(dataset)
    if not np.isfinite(values).all():
        raise WeightsError(f"{dataset.name} holds values that are not finite")
    return values.swapaxes(-1, -2) if slot.is_depthwise else values
