import io
import json
import os
import pickle
import subprocess
import sys
import types
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxvid.models.video_resnet import VideoResNet
from jaxvid.pretrained.torchvision import convert_video_resnet, load_state_dict

REFERENCE = Path(__file__).parents[1] / "reference" / "torchvision_r2plus1d_18.npz"


class Storage:
    """Stands for a storage of PyTorch in pickles."""

    def __init__(self, key, array, class_name):
        self.key, self.array, self.class_name = key, array, class_name


class Tensor:
    """A tensor that is pickled as those of PyTorch are."""

    def __init__(self, storage, shape, strides, offset=0):
        self.storage, self.shape, self.strides, self.offset = storage, shape, strides, offset

    def __reduce__(self):
        arguments = (self.storage, self.offset, self.shape, self.strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class TorchPickler(pickle.Pickler):
    """Pickles storages by reference, as torch.save does."""

    view_metadata = ()

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        storage_class = getattr(sys.modules["torch"], obj.class_name)
        return ("storage", storage_class, obj.key, "cpu", obj.array.size, *self.view_metadata)


class LegacyPickler(TorchPickler):
    view_metadata = (None,)


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Provides the names of PyTorch that pickles refer to, until the test ends."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        raise AssertionError("reading calls nothing of PyTorch's")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "DoubleStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def contiguous(key, array, class_name="FloatStorage"):
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return Tensor(Storage(key, array.ravel(), class_name), array.shape, strides)


def pickled(content, pickler=TorchPickler):
    buffer = io.BytesIO()
    pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def storages_of(tensors):
    return {t.storage.key: t.storage.array for t in tensors.values()}


def write_zip(path, content, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path, content, storages):
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(part, file, protocol=2)
        file.write(pickled(content, LegacyPickler))
        pickle.dump(list(storages), file, protocol=2)
        for array in storages.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())


@pytest.fixture
def tensors():
    """A convolution, a number, and a view: every second column of the last but one, transposed."""
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    matrix = np.arange(20, dtype=np.float32)
    tensors = OrderedDict(
        kernel=contiguous("0", kernel),
        count=contiguous("1", np.asarray(7, np.int64), "LongStorage"),
        view=Tensor(Storage("2", matrix, "FloatStorage"), (2, 3), (2, 5), offset=6),
    )
    tensors._metadata = OrderedDict(version=1)  # pyright: ignore[reportAttributeAccessIssue]
    return tensors


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_tensors_are_read_as_they_were_saved(tensors, write, tmp_path):
    write(tmp_path / "weights.pth", tensors, storages_of(tensors))

    arrays = load_state_dict(tmp_path / "weights.pth")

    assert list(arrays) == ["kernel", "count", "view"]
    np.testing.assert_array_equal(arrays["kernel"], np.arange(24).reshape(2, 3, 4))
    assert arrays["count"] == 7
    assert arrays["count"].dtype == np.int64
    # Element (i, j) is number 6 + 2i + 5j of its storage.
    assert arrays["view"].tolist() == [[6, 11, 16], [8, 13, 18]]


def test_half_precision_is_read(tmp_path):
    half = np.asarray([0.5, -2], np.float16)
    brain = np.asarray([1.5, 3], jnp.bfloat16)
    tensors = {"half": contiguous("0", half, "HalfStorage"), "brain": contiguous("1", brain, "BFloat16Storage")}
    write_zip(tmp_path / "weights.pth", tensors, {"0": half, "1": brain})
    arrays = load_state_dict(tmp_path / "weights.pth")
    assert arrays["half"].tolist() == [0.5, -2]
    assert arrays["brain"].tolist() == [1.5, 3]
    assert arrays["brain"].dtype == np.float32


def test_safetensors_are_read(tmp_path):
    save_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}, tmp_path / "weights.safetensors")
    assert load_state_dict(tmp_path / "weights.safetensors")["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_pickle_that_would_execute_code_executes_nothing(write, tensors, tmp_path):
    content = OrderedDict(tensors, trap=Malicious(f"touch {tmp_path}/executed"))
    write(tmp_path / "evil.pth", content, storages_of(tensors))
    with pytest.raises(ValueError, match=r"evil\.pth.*asks for (posix|nt)\.system.*nothing was executed"):
        load_state_dict(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_a_saved_model_is_refused(tmp_path):
    write_zip(tmp_path / "model.pth", Path("a whole object"), {})
    with pytest.raises(ValueError, match=r"asks for pathlib.*Save model\.state_dict\(\)"):
        load_state_dict(tmp_path / "model.pth")


def test_a_training_checkpoint_is_refused(tensors, tmp_path):
    write_zip(tmp_path / "checkpoint.pth", {"model": tensors, "epoch": 3}, storages_of(tensors))
    with pytest.raises(ValueError, match="its entries 'model', 'epoch' are no tensors"):
        load_state_dict(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("kept_share", [0, 0.01, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("write", [write_zip, write_legacy, None], ids=["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(write, kept_share, tensors, tmp_path):
    path = tmp_path / ("weights.pth" if write else "weights.safetensors")
    if write:
        write(path, tensors, storages_of(tensors))
    else:
        save_file({"weight": np.ones(50, np.float32)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept_share * len(whole))])
    with pytest.raises(ValueError, match=r"weights\.\w+ cannot be read as a state dict"):
        load_state_dict(path)


def test_a_flipped_byte_is_noticed(tensors, tmp_path):
    path = tmp_path / "weights.pth"
    write_zip(path, tensors, storages_of(tensors))
    content = path.read_bytes()
    position = content.index(np.arange(24, dtype=np.float32).tobytes()) + 10
    path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
    with pytest.raises(ValueError, match="Bad CRC-32"):
        load_state_dict(path)


@pytest.mark.parametrize("content", [b"not a state dict", b"\x80\x02]q\x00.", b"PK\x03\x04 but no archive"])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.pth cannot be read as a state dict"):
        load_state_dict(tmp_path / "weights.pth")


def test_a_compressed_archive_is_refused(tensors, tmp_path):
    write_zip(tmp_path / "bomb.pth", tensors, storages_of(tensors), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"archive/data\.pkl.* are compressed"):
        load_state_dict(tmp_path / "bomb.pth")


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((2, 3), (3, 1), 3), ((7,), (1,), 0), ((2, 10**9), (0, 0), 0), ((2,), (-1,), 1)],
    ids=["offset", "size", "repeated", "backwards"],
)
def test_a_tensor_outside_its_storage_is_refused(shape, strides, offset, tmp_path):
    array = np.ones(6, np.float32)
    write_zip(
        tmp_path / "w.pth", {"w": Tensor(Storage("0", array, "FloatStorage"), shape, strides, offset)}, {"0": array}
    )
    with pytest.raises(ValueError, match="outside its storage of 6 elements|describes a tensor otherwise"):
        load_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(value, tmp_path):
    array = np.asarray([1, value], np.float32)
    write_zip(tmp_path / "w.pth", {"conv.weight": contiguous("0", array)}, {"0": array})
    with pytest.raises(ValueError, match=r"w\.pth holds NaNs or infinities in conv\.weight"):
        load_state_dict(tmp_path / "w.pth")


def test_a_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_state_dict(tmp_path / "nowhere.pth")


def made_up_array(key, shape):
    """Returns the weights with which the reference outputs were computed."""
    n = np.asarray(np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape), np.float32)
    if key.endswith("running_var"):
        return 1 + 0.1 * np.abs(n)
    if key.endswith(("running_mean", "bias")):
        return 0.1 * n
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if len(shape) == 1:
        return 1 + 0.1 * n
    return n * np.float32(np.sqrt(2 / np.prod(shape[1:])))


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def state_dict(reference):
    shapes = zip(reference["keys"], reference["shapes"], strict=True)
    return {str(key): made_up_array(str(key), json.loads(str(shape))) for key, shape in shapes}


def shapes_of(model):
    clips = jnp.zeros((1, 8, 64, 64, 3))
    return jax.eval_shape(lambda key: model.init(key, clips, train=False), jax.random.key(0))


def test_r2plus1d_18_computes_what_torchvision_computes(state_dict, reference):
    model = VideoResNet(num_classes=2)
    variables = convert_video_resnet(state_dict, shapes_of(model))
    clips = np.random.RandomState(0).standard_normal(reference["input_shape"]).astype(np.float32)

    @jax.jit
    def logits_and_outputs(variables, clips):
        return model.apply(variables, clips, train=False, capture_intermediates=True)

    logits, state = logits_and_outputs(variables, jnp.asarray(clips))

    np.testing.assert_allclose(logits, reference["logits"], rtol=1e-3)
    last_blocks = {"stem": "stem", **{f"layer{i}": f"layer{i}_1" for i in (1, 2, 3, 4)}}
    for stage, block in last_blocks.items():
        (outputs,) = state["intermediates"][block]["__call__"]
        expected = reference[f"mean_{stage}"]
        np.testing.assert_allclose(outputs.mean(axis=(1, 2, 3)), expected, rtol=1e-3, atol=1e-3 * expected.mean())


def test_one_error_lists_all_tensors_that_do_not_fit(state_dict):
    broken = dict(state_dict, **{"layer5.0.weight": np.zeros(3)})
    del broken["layer1.0.conv1.0.0.weight"]
    broken["stem.0.weight"] = broken["stem.0.weight"][:, :1]
    broken["fc.weight"] = broken["fc.weight"][:, :-1]
    with pytest.raises(ValueError, match="does not fit") as error:
        convert_video_resnet(broken, shapes_of(VideoResNet(num_classes=2)))
    message = str(error.value)
    assert "layer1.0.conv1.0.0.weight is missing" in message
    assert "layer5.0.weight is unknown" in message
    assert "stem.0.weight has shape (45, 1, 1, 7, 7)" in message
    assert "fc.weight has shape (2, 511)" in message
    assert message.count(";") == 3


def test_a_head_of_other_classes_stays_fresh_with_a_warning(state_dict, caplog):
    variables = shapes_of(VideoResNet(num_classes=5))
    converted = convert_video_resnet(state_dict, variables)
    assert converted["params"]["head"] == variables["params"]["head"]
    np.testing.assert_array_equal(
        converted["params"]["stem"]["temporal"]["kernel"][2, 0, 0], state_dict["stem.3.weight"][:, :, 2, 0, 0].T
    )
    assert "weights are of 2 classes and the model of 5" in caplog.text


def test_a_state_dict_without_a_head_is_refused(state_dict):
    headless = {key: array for key, array in state_dict.items() if not key.startswith("fc.")}
    with pytest.raises(ValueError, match=r"fc\.\w+ is missing; fc\.\w+ is missing"):
        convert_video_resnet(headless, shapes_of(VideoResNet(num_classes=2)))


def test_other_collections_are_unchanged(state_dict):
    variables = shapes_of(VideoResNet(num_classes=2, adaptive=True))
    assert convert_video_resnet(state_dict, variables)["activations"] == variables["activations"]


@pytest.mark.parametrize(
    ("variant", "keys"),
    [
        (
            "r3d_18",
            {"stem.0.weight": (64, 3, 3, 7, 7), "stem.1.bias": (64,), "layer2.0.conv1.0.weight": (128, 64, 3, 3, 3)},
        ),
        ("mc3_18", {"layer2.0.conv1.0.weight": (128, 64, 1, 3, 3), "layer2.0.downsample.0.weight": (128, 64, 1, 1, 1)}),
        (
            "r2plus1d_34",
            {"layer2.0.conv2.0.0.weight": (288, 128, 1, 3, 3), "layer3.5.conv2.0.3.weight": (256, 576, 3, 1, 1)},
        ),
    ],
)
def test_the_other_variants_take_torchvision_names(variant, keys):
    with pytest.raises(ValueError, match="is missing") as error:
        convert_video_resnet(
            {key: np.zeros(shape) for key, shape in keys.items()},
            shapes_of(VideoResNet(num_classes=2, variant=variant)),
        )
    assert "unknown" not in str(error.value)
    assert "has shape" not in str(error.value)


def write_program(path, program):
    """A zip archive by torch.save whose pickle is a program of our own."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/data/0", bytes(4))


# A tuple that holds itself twice, 64 times over: to show or to compare it takes as long as the sun has.
NESTED = b"\x80\x02)q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(64))
PROGRAMS = {
    "a storage that takes forever to show": NESTED + b"h\x00Q.",
    "a key that takes forever to compare": NESTED + b"}h\x00K\x01s.",
    "keys that take forever to compare": NESTED + b"}(h\x00K\x01u.",
    "items that take forever to compare": NESTED + b"ccollections\nOrderedDict\n]h\x00K\x01\x86a\x85R.",
    "a memo of 17 GB": b"\x80\x02}r\xff\xff\xff\x7f.",
    "an object of a class": b"(iposix\nsystem\n.",
    "a copy of the top of the stack": b"\x80\x02}0K\x012.",
}


def test_programs_that_would_take_forever_or_all_memory_are_refused_at_once(tmp_path):
    for name, program in PROGRAMS.items():
        write_program(tmp_path / f"{name}.pth", program)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "from jaxvid.pretrained.torchvision import load_state_dict\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try: print(load_state_dict(path))\n"
        "    except ValueError as error: print('refused' if len(str(error)) < 800 else error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    command = [sys.executable, "-c", code, *(str(tmp_path / f"{name}.pth") for name in PROGRAMS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *answers, megabytes = done.stdout.splitlines()
    assert answers == ["{}" if name == "a memo of 17 GB" else "refused" for name in PROGRAMS]
    assert int(megabytes) < 100


def test_tensors_that_share_a_storage_take_no_more_than_twice_the_file(tmp_path):
    array = np.ones(1000, np.float32)
    shared = {f"w{i}": Tensor(Storage("0", array, "FloatStorage"), (1000,), (1,)) for i in range(20)}
    write_zip(tmp_path / "w.pth", shared, {"0": array})
    with pytest.raises(ValueError, match="its tensors would take 80000 bytes; allowed for a file of its size"):
        load_state_dict(tmp_path / "w.pth")


def test_a_safetensors_header_of_gigabytes_is_not_read(tmp_path):
    (tmp_path / "w.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="its header has 1099511627776 bytes; allowed: 16777216"):
        load_state_dict(tmp_path / "w.safetensors")
