"""Weights of torchvision as Flax variables: reading `.pth` and `.safetensors` files, and converting Video ResNets.

A `.pth` file holds a pickle, which is a program. It is run by an unpickler that knows the few instructions and names
of a state dict of tensors and refuses every other, so that nothing in the file executes; PyTorch is not needed. Both
layouts of torch.save are read: the zip archive, and the sequence of pickles that it wrote before version 1.6.

Nor can a small file take long or much memory: no tensor has more elements than its storage, all together take at most
twice as many bytes as the file, keys are strings, and no message shows a value of the pickle's own making, which may
contain itself a billion times.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import traverse_util
from jaxtyping import PyTree

_STORAGE_DTYPES: MappingProxyType[str, np.dtype] = MappingProxyType(
    {
        "DoubleStorage": np.dtype("<f8"),
        "FloatStorage": np.dtype("<f4"),
        "HalfStorage": np.dtype("<f2"),
        "BFloat16Storage": np.dtype(jnp.bfloat16),
        "LongStorage": np.dtype("<i8"),
        "IntStorage": np.dtype("<i4"),
        "ShortStorage": np.dtype("<i2"),
        "CharStorage": np.dtype("i1"),
        "ByteStorage": np.dtype("u1"),
        "BoolStorage": np.dtype("?"),
    }
)
_LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# A hundred thousand tensors have a header as large as this.
_MAX_HEADER_BYTES = 16 << 20


class _Storage(NamedTuple):
    """A flat array of the file, by the name of its storage class, its key and its number of elements."""

    class_name: str
    key: str
    size: int


class _Tensor(NamedTuple):
    """A strided view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


# The instructions of pickles that torch.save writes, by Python 2 as well.
_INSTRUCTIONS = tuple(
    instruction[0]
    for instruction in (
        *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.MEMOIZE, pickle.PUT, pickle.BINPUT),
        *(pickle.LONG_BINPUT, pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL),
        *(pickle.REDUCE, pickle.BUILD, pickle.BINPERSID, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT),
        *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG, pickle.UNICODE),
        *(pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
        *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST),
        *(pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS),
    )
)


# Written in Python, unlike `pickle.Unpickler`, whose memo takes gigabytes if a few bytes say so, and which knows all
# instructions. Type checkers do not know it.
_Unpickler: Any = pickle._Unpickler  # pyright: ignore[reportAttributeAccessIssue]


class _StateDictUnpickler(_Unpickler):
    """Unpickles ordered dictionaries of tensors and refuses every other global.

    Tensors come out as descriptions in plain tuples, so that a pickle cannot reach an object with state of its own.
    """

    dispatch: ClassVar[dict[int, Any]] = {code: _Unpickler.dispatch[code] for code in _INSTRUCTIONS}

    def load_dict(self) -> None:
        """Makes a dictionary of the items behind the last mark."""
        items = self.pop_mark()
        self.append(_string_keyed(zip(items[::2], items[1::2], strict=True)))

    def load_setitem(self) -> None:
        """Adds an item to a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1].update(_string_keyed([(key, value)]))

    def load_setitems(self) -> None:
        """Adds the items behind the last mark to a dictionary."""
        items = self.pop_mark()
        self.stack[-1].update(_string_keyed(zip(items[::2], items[1::2], strict=True)))

    def load_build(self) -> None:
        """Drops the attributes of an ordered dictionary: versions of modules."""
        self.stack.pop()

    dispatch |= {
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BUILD[0]: load_build,
    }

    def find_class(self, module: str, name: str, /) -> Any:
        """Returns the replacement of the global `module.name`.

        Raises:
          ValueError: if a state dict of tensors has no use for it.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return lambda items=(): _string_keyed(items)
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _describe_tensor(storage, offset, shape, strides)
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        raise ValueError(
            f"its pickle asks for {module}.{name}, which a state dict of tensors does not need; nothing was executed. "
            "Save model.state_dict(), not the model"
        )

    def persistent_load(self, pid: Any, /) -> _Storage:
        """The storage that the tuple `pid` describes."""
        kind, class_name, key, _, size, *view = pid
        if any(type(part) is not str for part in (kind, class_name, key)) or type(size) is not int:
            raise ValueError("it describes a storage otherwise than torch.save does")
        if kind != "storage" or class_name not in _STORAGE_DTYPES or not 0 <= size < 1 << 48:
            raise ValueError(f"it describes a storage as {kind[:40]!r}, {class_name[:40]!r}, of {size:.3g} elements")
        if any(part is not None for part in view):
            raise ValueError(f"its storage {key[:40]!r} is a view of another, which is not supported; save it again")
        return _Storage(class_name, key, size)


def _string_keyed(items: Iterable[tuple[Any, Any]]) -> OrderedDict[str, Any]:
    """A dictionary of items whose keys are strings: others can take forever to compare."""
    pairs = [(key, value) for key, value in items]
    if any(type(key) is not str for key, _ in pairs):
        raise ValueError("it is no state dict: it has keys that are no strings")
    return OrderedDict(pairs)


def _describe_tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> _Tensor:
    """A tensor of `storage`, having checked that all its elements lie inside."""
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) > 32:
        raise ValueError("it describes a tensor otherwise than torch.save does")
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or any(type(n) is not int or not 0 <= n < 1 << 48 for n in numbers):
        raise ValueError("it describes a tensor otherwise than torch.save does")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    count = math.prod(shape)
    if count and (last >= storage.size or count > storage.size):
        raise ValueError(f"a tensor of shape {tuple(shape)} reaches outside its storage of {storage.size} elements")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _materialize(tensor: _Tensor, flat: np.ndarray) -> np.ndarray:
    """The tensor as an array of its own; bfloat16, which NumPy lacks, becomes float32."""
    strides = [stride * flat.itemsize for stride in tensor.strides]
    start = tensor.offset if math.prod(tensor.shape) else 0
    array = np.lib.stride_tricks.as_strided(flat[start:], tensor.shape, strides).copy()
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def _unpickle_tensors(file: io.BufferedIOBase, most: int) -> dict[str, _Tensor]:
    """The state dict of the next pickle of `file`, its tensors only described; they have `most` bytes at most."""
    tensors = _StateDictUnpickler(file).load()
    if not isinstance(tensors, dict):
        raise ValueError(f"it holds a {type(tensors).__name__}, not a state dict")
    others = [key for key, value in tensors.items() if not isinstance(value, _Tensor)]
    if others:
        raise ValueError(f"it is no state dict: its entries {_listed(repr(key[:80]) for key in others)} are no tensors")
    num_bytes = sum(
        math.prod(tensor.shape) * _STORAGE_DTYPES[tensor.storage.class_name].itemsize for tensor in tensors.values()
    )
    if num_bytes > most:
        raise ValueError(f"its tensors would take {num_bytes} bytes; allowed for a file of its size: {most}")
    return tensors


def _read_zip(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    """The state dict of a zip archive by torch.save: `*/data.pkl`, and each storage as `*/data/<key>`."""
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("it is a zip archive, but not one by torch.save: it needs one data.pkl")
        # What torch.save writes is not compressed, so an entry takes no more memory than the file has bytes.
        compressed = [name for name, info in entries.items() if info.compress_type != zipfile.ZIP_STORED]
        if compressed:
            raise ValueError(f"it is not by torch.save: {_listed(compressed)} are compressed")
        byteorder = f"{roots[0]}byteorder"
        if byteorder in entries and archive.read(byteorder) != b"little":
            raise ValueError("it was written on a big-endian machine")

        def read_storage(storage: _Storage) -> np.ndarray:
            dtype = _STORAGE_DTYPES[storage.class_name]
            content = archive.read(f"{roots[0]}data/{storage.key}")
            if len(content) != storage.size * dtype.itemsize:
                raise ValueError(f"its storage {storage.key} has {len(content)} bytes, not {storage.size} {dtype}")
            return np.frombuffer(content, dtype)

        most = 2 * file.seek(0, io.SEEK_END)
        tensors = _unpickle_tensors(io.BytesIO(archive.read(f"{roots[0]}data.pkl")), most)
        return {key: _materialize(tensor, read_storage(tensor.storage)) for key, tensor in tensors.items()}


def _read_legacy(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    """The state dict of the sequence that torch.save wrote before version 1.6.

    Five pickles (magic number, protocol, system, state dict, keys of the storages), then for each key the number of
    elements in eight bytes, and the elements.
    """
    if _StateDictUnpickler(file).load() != _LEGACY_MAGIC_NUMBER:
        raise ValueError("it is not by torch.save")
    if _StateDictUnpickler(file).load() != _LEGACY_PROTOCOL:
        raise ValueError(f"its protocol is another than {_LEGACY_PROTOCOL}")
    if not _StateDictUnpickler(file).load()["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    position = file.tell()
    most = 2 * file.seek(0, io.SEEK_END)
    file.seek(position)
    tensors = _unpickle_tensors(file, most)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    flat_arrays = {}
    for key in _StateDictUnpickler(file).load():
        storage = storages[key]
        dtype = _STORAGE_DTYPES[storage.class_name]
        size = int.from_bytes(file.read(8), "little")
        content = file.read(storage.size * dtype.itemsize)
        if size != storage.size or len(content) != storage.size * dtype.itemsize:
            raise ValueError(f"its storage {key} ends early")
        flat_arrays[key] = np.frombuffer(content, dtype)
    return {key: _materialize(tensor, flat_arrays[tensor.storage.key]) for key, tensor in tensors.items()}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ImportError(f"{path} needs safetensors: install jaxvid[pretrained]") from error

    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _MAX_HEADER_BYTES:
        raise ValueError(f"its header has {header} bytes; allowed: {_MAX_HEADER_BYTES}")
    return load_file(path)


def _listed(names: Iterable[str], limit: int = 20) -> str:
    """The names with commas between them; of more than `limit`, the first ones and how many follow."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def load_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict, by name.

    Args:
      path: a `.pth` file by torch.save(model.state_dict(), path), of any version of PyTorch since 0.4, or a
        `.safetensors` file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is damaged, is something else, would execute code, or holds NaNs or infinities.
    """
    path = Path(path)
    try:
        state_dict = _read(path)
        not_finite = [key for key, array in state_dict.items() if not np.isfinite(array).all()]
    except (OSError, ImportError):
        raise
    except Exception as error:  # A damaged pickle, zip or header can raise nearly anything.
        reason = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
        raise ValueError(f"{path} cannot be read as a state dict: {reason}") from error
    if not_finite:
        raise ValueError(f"{path} holds NaNs or infinities in {_listed(not_finite)}")
    return state_dict


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        return _read_zip(file) if start == b"PK\x03\x04" else _read_legacy(file)


# Characters of a reason; those of a damaged file may quote much of it.
_MAX_REASON = 500

# PyTorch counts the batches that a batch normalization has seen; Flax does not.
_COUNTER = ".num_batches_tracked"
# Where torchvision's nn.Sequential numbers its layers, by the names of jaxvid.models.video_resnet.
_STEM_NAMES = MappingProxyType(
    {"conv": "0", "norm": "1", "spatial": "0", "norm1": "1", "temporal": "3", "norm2": "4"}  # Plain, and factored.
)
_BLOCK_NAMES = MappingProxyType(
    {
        "conv1": "conv1.0",
        "norm1": "conv1.1",
        "conv2": "conv2.0",
        "norm2": "conv2.1",
        "downsample_conv": "downsample.0",
        "downsample_norm": "downsample.1",
    }
)
_FACTORED_NAMES = MappingProxyType({"spatial": "0", "norm": "1", "temporal": "3"})
_LEAF_NAMES = MappingProxyType(
    {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
)


def _video_resnet_key(path: tuple[str, ...]) -> str:
    """The name in torchvision of the array at `path` of the collection params or batch_stats of a VideoResNet."""
    module, *inner, leaf = path
    if module == "head":
        return f"fc.{_LEAF_NAMES[leaf]}"
    if module == "stem":
        return f"stem.{_STEM_NAMES[inner[0]]}.{_LEAF_NAMES[leaf]}"
    names = [_BLOCK_NAMES[inner[0]], *(_FACTORED_NAMES[name] for name in inner[1:])]
    return ".".join([*module.split("_"), *names, _LEAF_NAMES[leaf]])


def _flax_layout(array: np.ndarray) -> np.ndarray:
    """PyTorch's (output, input, *space) as Flax's (*space, input, output); vectors stay."""
    return np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array


def _only_classes_differ(state_dict: Mapping[str, np.ndarray], head: Mapping[str, PyTree]) -> bool:
    """Whether `fc` is a head like the model's but for its number of classes."""
    if not {"fc.weight", "fc.bias"} <= set(state_dict):
        return False
    weight, bias = state_dict["fc.weight"].shape, state_dict["fc.bias"].shape
    features, classes = head["kernel"].shape
    return len(bias) == 1 and weight == (*bias, features) and bias != (classes,)


def convert_video_resnet(state_dict: Mapping[str, np.ndarray], variables: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Returns the variables of a VideoResNet with the weights of torchvision's network of the same name.

    Only the head may have another number of classes than the state dict's `fc`: it then keeps its values, and a warning
    says so.

    Args:
      state_dict: as `load_state_dict` returns it.
      variables: of the VideoResNet, with the collections `params` and `batch_stats`; others are passed through.

    Returns:
      New variables, with NumPy arrays in the dtypes of the given ones.

    Raises:
      ValueError: lists all tensors that are missing, unknown or of another shape.
    """
    targets: dict[Any, Any] = traverse_util.flatten_dict({name: variables[name] for name in ("params", "batch_stats")})
    sources = {path: _video_resnet_key(path[1:]) for path in targets}
    kept = set()
    if _only_classes_differ(state_dict, variables["params"]["head"]):
        kept = {path for path in sources if path[1] == "head"}
        logging.warning(
            "The weights are of %d classes and the model of %d: its head keeps its own values.",
            len(state_dict["fc.bias"]),
            variables["params"]["head"]["bias"].shape[0],
        )
    arrays = {path: _flax_layout(state_dict[key]) for path, key in sources.items() if key in state_dict}
    unknown = [key for key in state_dict if key not in set(sources.values()) and not key.endswith(_COUNTER)]
    problems = [
        *(f"{key} is missing" for key in sources.values() if key not in state_dict),
        *(f"{key} is unknown" for key in unknown),
        *(
            f"{sources[path]} has shape {state_dict[sources[path]].shape}, which gives {array.shape} "
            f"where the model has {targets[path].shape}"
            for path, array in arrays.items()
            if path not in kept and array.shape != targets[path].shape
        ),
    ]
    if problems:
        raise ValueError(f"the state dict does not fit the model: {'; '.join(problems)}")
    converted = {
        path: targets[path] if path in kept else np.asarray(array, targets[path].dtype)
        for path, array in arrays.items()
    }
    return {**variables, **traverse_util.unflatten_dict(converted)}
