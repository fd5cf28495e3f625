"""Files of weights that mean harm: what they would execute, read, write or fill."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

# What pickles execute, as the lists of fickling and picklescan have it: module, name, and whether a command, a file or
# code is its argument.
GADGETS = tuple(
    tuple(line.split())
    for line in """
    os system C|posix system C|nt system C|os popen C|os execv C|os spawnl C|os.path join C|subprocess Popen C
    subprocess run C|subprocess call C|subprocess check_output C|subprocess getoutput C|builtins eval P
    builtins exec P|builtins compile P|builtins __import__ P|builtins getattr P|builtins open F|builtins input P
    builtins globals P|__builtin__ eval P|__builtin__ execfile F|__main__ anything P|runpy run_path F
    runpy _run_code P|pty spawn C|webbrowser open C|importlib import_module P|importlib.util module_from_spec P
    imp load_source F|ctypes CDLL F|code InteractiveInterpreter P|code interact P|codeop compile_command P|pdb run P
    bdb Bdb P|timeit timeit P|cProfile run P|profile Profile.run P|trace Trace.run P|doctest debug_script P
    shutil rmtree F|shutil copyfile F|shutil move F|pathlib Path.write_text F|pathlib Path F|io open F|io FileIO F
    _io FileIO F|codecs open F|urllib.request urlopen F|http.client HTTPConnection P|socket create_connection P
    socket socket P|ssl get_server_certificate P|requests.api get F|smtplib SMTP P|ftplib FTP P|poplib POP3 P
    imaplib IMAP4_stream C|telnetlib Telnet P|torch load F|torch.serialization load F|torch.hub load F
    torch.jit load F|torch.package PackageImporter F|torch._inductor.codecache compile_file F
    torch.utils.collect_env run C|torch.utils.cpp_extension load F|torch.distributed.rpc rpc_sync P
    torch._dynamo.guards GuardBuilder.get P|torch._utils _rebuild_tensor P|torch._utils _rebuild_parameter P
    torch._utils _rebuild_tensor_v2.__globals__ P|torch FloatStorage.__class__ P|torch.storage _load_from_bytes P
    torch.jit.unsupported_tensor_ops execWrapper P|torch.nn.modules.module Module P|numpy load F|numpy save F
    numpy fromfile F|numpy.core.multiarray _reconstruct P|numpy.testing._private.utils runstring P
    numpy.f2py.crackfortran myeval P|numpy.f2py.crackfortran getlincoef P|numpy.f2py.crackfortran param_eval P
    numpy.f2py.diagnose run_command C|numpy.distutils.exec_command exec_command C|joblib load F|pandas read_pickle F
    dill loads P|cloudpickle loads P|pickle loads P|_pickle loads P|pickle Unpickler P|marshal loads P|shelve open F
    types FunctionType P|types CodeType P|operator attrgetter P|operator methodcaller P|functools partial P
    functools reduce P|itertools starmap P|copyreg _reconstructor P|copyreg add_extension P|collections namedtuple P
    collections OrderedDict.fromkeys P|collections defaultdict P
    asyncio.unix_events _UnixSubprocessTransport._start C|lib2to3.pgen2.grammar Grammar.loadgrammar F
    lib2to3.pgen2.pgen ParserGenerator.make_label P|idlelib.autocomplete AutoComplete.get_entity P
    idlelib.calltip get_entity P|idlelib.debugobj ObjectTreeItem.SetText P
    idlelib.pyshell ModifiedInterpreter.runcode P|idlelib.run Executive.runcode P
    test.support.script_helper assert_python_ok C|ensurepip _run_pip P|pip main P|pip._internal.cli.main main P
    setuptools sandbox P|distutils.file_util write_file F|distutils.spawn spawn C|logging.config listen P
    logging FileHandler F|zipimport zipimporter F|zipfile ZipFile F|tarfile open F|tempfile mktemp P|venv create F
    uuid _get_command_stdout C|cgitb Hook P|pydoc pipepager C|pydoc locate P|pydoc ttypager P|platform popen C
    mailcap findmatch P|antigravity fly P|sys modules P|sys setrecursionlimit P|gc collect P|signal alarm P
    _thread start_new_thread P|threading Thread P|multiprocessing Process P|concurrent.futures ThreadPoolExecutor P
    sqlite3 connect F|readline read_history_file F|linecache getlines F|fileinput input F|glob glob F
    site addsitedir F|jaxvid.commands run P|jaxvid.files replacing F
    jax.experimental.compilation_cache initialize_cache F|tensorflow io.read_file F
    tensorflow.keras.models load_model F|keras.saving deserialize_keras_object P|ml_collections ConfigDict P
    """.replace("\n", "|").split("|")
    if line.strip()
)

Content = bytes


def _arguments(kind: str, canary: Path) -> bytes:
    """A tuple of one argument that leaves the file `canary` behind."""
    text = {
        "C": f"touch {canary}",
        "F": str(canary),
        "P": f"__import__('os').system('touch {canary}')",
    }[kind].encode()
    return b"(X" + struct.pack("<I", len(text)) + text + b"t"


def call(module: str, name: str, arguments: bytes, way: str) -> bytes:
    """A pickle that calls a function, in one of the ways that pickles have."""
    if way == "global":
        return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"R."
    if way == "stack":
        words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
        return b"\x80\x04" + words + b"\x93" + arguments + b"R."
    if way == "instance":
        return arguments[:-1] + b"i" + f"{module}\n{name}\n".encode() + b"."
    if way == "object":
        return b"(c" + f"{module}\n{name}\n".encode() + arguments[1:-1] + b"o."
    if way == "new object":
        return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"\x81."
    # As the state of an ordered dictionary.
    return b"\x80\x02ccollections\nOrderedDict\n)Rc" + f"{module}\n{name}\n".encode() + arguments + b"Rb."


WAYS = ("global", "stack", "instance", "object", "new object", "state")
_MAGIC = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


def as_zip(program: bytes, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    """A zip archive by torch.save with that pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def gadget_file(number: int, canary: Path) -> tuple[str, Content]:
    """The name and the content of a file with the gadget of that number, in its turn of way and layout."""
    module, name, kind = GADGETS[number % len(GADGETS)]
    way = WAYS[(number + number // len(GADGETS)) % len(WAYS)]
    program = call(module, name, _arguments(kind, canary), way)
    layout = number % 3
    content = (as_zip(program), _MAGIC + program, program)[layout]
    return f"gadget_{number}.{('pth', 'pth', 'pt')[layout]}", content


def _state_dict(tensors: bytes) -> bytes:
    return b"\x80\x02}(" + tensors + b"u."


def _tensor(key: str, size: int, shape: tuple[int, ...], strides: tuple[int, ...], storage: str = "0") -> bytes:
    def text(word: str) -> bytes:
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(pickle.dumps(value, 2)[2:-1] for value in values) + b"t"

    size_bytes = pickle.dumps(size, 2)[2:-1]
    return (
        text(key) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n"
        + text(storage) + text("cpu") + size_bytes + b"tQK\x00" + numbers(shape) + numbers(strides) + b"tR"
    )  # fmt: skip


_NESTED = b"\x80\x02)q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(64))


def _safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _entry(*offsets: int, dtype: str = "F32", shape: tuple[int, ...] = (4,)) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _bomb() -> bytes:
    return as_zip(b"\x80\x02}.", zipfile.ZIP_DEFLATED, **{"archive/data/0": bytes(200 << 20)})


_FOUR = np.ones(4, np.float32).tobytes()
# Files that are wrong in one way each.
PLAIN: dict[str, Callable[[], Content]] = {
    "nested_storage.pth": lambda: as_zip(_NESTED + b"h\x00Q."),
    "nested_key.pth": lambda: as_zip(_NESTED + b"}h\x00K\x01s."),
    "nested_legacy.pth": lambda: _MAGIC + _NESTED + b"h\x00Q.",
    "memo.pth": lambda: as_zip(b"\x80\x02]r\xff\xff\xff\x7f."),
    "bytes.pth": lambda: as_zip(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"."),
    "bytearray.pth": lambda: as_zip(b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b"."),
    "frame.pth": lambda: as_zip(b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"."),
    "long.pth": lambda: as_zip(b"\x80\x02\x8b" + struct.pack("<i", 0x7FFFFFFF) + b"."),
    "recursion.pth": lambda: as_zip(b"\x80\x02" + b"(" * 1_000_000 + b"t" * 1_000_000 + b"."),
    "loop.pth": lambda: as_zip(b"\x80\x02}q\x00X\x01\0\0\0ah\x00s."),
    "shared.pth": lambda: as_zip(
        _state_dict(b"".join(_tensor(f"w{i}", 1 << 20, (1 << 20,), (1,)) for i in range(2000))),
        **{"archive/data/0": bytes(4 << 20)},
    ),
    "huge_shape.pth": lambda: as_zip(_state_dict(_tensor("w", 1, (1 << 40,), (0,))), **{"archive/data/0": bytes(4)}),
    "huge_numbers.pth": lambda: as_zip(_state_dict(_tensor("w", 1 << 3000, (1 << 3000,), (1,)))),
    "many_sides.pth": lambda: as_zip(_state_dict(_tensor("w", 4, (1,) * 5000, (1,) * 5000))),
    "outside.pth": lambda: as_zip(_state_dict(_tensor("w", 4, (4,), (1,), "../../../etc/passwd"))),
    "nan.pth": lambda: as_zip(
        _state_dict(_tensor("w", 4, (4,), (1,))), **{"archive/data/0": np.full(4, np.nan, "f4").tobytes()}
    ),
    "up.pth": lambda: as_zip(b"\x80\x02}.", **{"../../up.txt": b"x", "/etc/up.txt": b"x"}),
    "two_roots.pth": lambda: as_zip(b"\x80\x02}.", **{"other/data.pkl": b"\x80\x02}."}),
    "bomb.pth": _bomb,
    "bomb_in_bomb.pth": lambda: as_zip(_bomb(), zipfile.ZIP_DEFLATED),
    "truncated.pth": lambda: as_zip(_state_dict(_tensor("w", 4, (4,), (1,))), **{"archive/data/0": _FOUR})[:-60],
    "legacy_size.pth": lambda: _MAGIC + _state_dict(_tensor("w", 1 << 44, (4,), (1,))) + b"\x80\x02]X\x01\0\0\x000a.",
    "empty.pth": lambda: b"",
    "header.safetensors": lambda: _safetensors({}, length=1 << 62),
    "long_header.safetensors": lambda: _safetensors(b" " * (20 << 20)),
    "deep.safetensors": lambda: _safetensors(b'{"a":' + b"[" * 500_000),
    "overlap.safetensors": lambda: _safetensors({"a": _entry(0, 16), "b": _entry(8, 24)}, bytes(24)),
    "far.safetensors": lambda: _safetensors({"a": _entry(1 << 50, (1 << 50) + 16)}, _FOUR),
    "backwards.safetensors": lambda: _safetensors({"a": _entry(16, 0)}, _FOUR),
    "negative.safetensors": lambda: _safetensors({"a": _entry(-16, 0)}, _FOUR),
    "shape.safetensors": lambda: _safetensors({"a": _entry(0, 16, shape=(1 << 40, 1 << 40))}, _FOUR),
    "type.safetensors": lambda: _safetensors({"a": _entry(0, 16, dtype="PICKLE")}, _FOUR),
    "float8.safetensors": lambda: _safetensors({"a": _entry(0, 16, dtype="F8_E4M3", shape=(16,))}, _FOUR),
    "nan.safetensors": lambda: _safetensors({"a": _entry(0, 16)}, np.full(4, np.inf, "f4").tobytes()),
    "short.safetensors": lambda: _safetensors({"a": _entry(0, 16)}, _FOUR[:-1]),
    "twice.safetensors": lambda: _safetensors(b'{"a":1,"a":2}', _FOUR),
    "tiny.safetensors": lambda: b"\x01",
}


def whole_keras(path: Path) -> None:
    """Writes a Keras file of the network `tiny` (tests/tiny.py)."""
    tensors = {
        "conv": {"kernel:0": (3, 3, 3, 8)},
        "bn": dict.fromkeys(("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"), (8,)),
        "conv2": {"kernel:0": (3, 3, 8, 12)},
    }
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in tensors]
        for layer, of_layer in tensors.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in of_layer]
            for name, shape in of_layer.items():
                group[name] = np.ones(shape, np.float32)


def _external_link(file: h5py.File, canary: Path) -> None:
    del file["conv"]
    file["conv"] = h5py.ExternalLink(str(canary), "/conv")


def _external_tensor(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    file["conv/kernel:0"] = h5py.ExternalLink(str(canary), "/conv/kernel:0")


def _external_data(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    file.create_dataset("conv/kernel:0", (3, 3, 3, 8), "f4", external=[(str(canary), 0, h5py.h5f.UNLIMITED)])


def _virtual(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    layout = h5py.VirtualLayout((3, 3, 3, 8), "f4")
    layout[:] = h5py.VirtualSource(str(canary), "conv/kernel:0", (3, 3, 3, 8))
    file.create_virtual_dataset("conv/kernel:0", layout)


def _cycle(file: h5py.File, canary: Path) -> None:
    file["conv/self"] = file["conv"]
    file["conv/root"] = file["/"]
    file["soft"] = h5py.SoftLink("/soft")


def _huge(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    file.create_dataset("conv/kernel:0", (1 << 20, 1 << 20, 3, 8), "f4", chunks=(1024, 1024, 1, 1))


def _huge_piece(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    options = {"maxshape": (None,) * 4, "chunks": (4000, 4000, 3, 8), "compression": "gzip"}
    file.create_dataset("conv/kernel:0", (3, 3, 3, 8), "f4", **options)


def _many_names(file: h5py.File, canary: Path) -> None:
    del file.attrs["layer_names"]
    for number in range(400):
        file.attrs[f"layer_names{number}"] = [b"conv"] * 1000


def _nan(file: h5py.File, canary: Path) -> None:
    file["conv/kernel:0"][0, 0, 0, 0] = np.nan


def _references(file: h5py.File, canary: Path) -> None:
    del file["conv/kernel:0"]
    file.create_dataset("conv/kernel:0", (3, 3, 3, 8), h5py.ref_dtype)
    file["type"] = np.dtype("f4")


def _objects(file: h5py.File, canary: Path) -> None:
    file.attrs["layer_names"] = h5py.Empty("f4")


HDF5 = {
    "external_link.h5": _external_link,
    "external_tensor.h5": _external_tensor,
    "external_data.h5": _external_data,
    "virtual.h5": _virtual,
    "cycle.h5": _cycle,
    "huge.h5": _huge,
    "huge_piece.h5": _huge_piece,
    "many_names.h5": _many_names,
    "nan.h5": _nan,
    "references.h5": _references,
    "no_names.h5": _objects,
}
# Read as they should be: what is wrong with them is not in what is read.
HARMLESS = ("cycle.h5",)
