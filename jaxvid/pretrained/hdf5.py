"""HDF5 files from anybody: read once by another process, as the library can hang on a damaged file, or crash.

The process that reads imports this module, which must not import JAX.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from jaxvid.video.workers import InvalidVideo, decode_in_workers

# Weights of half a gigabyte take less than a second.
_TIMEOUT_SECONDS = 60.0

# A compressed piece of a small tensor may unpack to gigabytes; Keras compresses nothing.
MAX_CHUNK_BYTES = 256 << 20


def check_hdf5(path: Path) -> None:
    """Checks that a file can be read to its end; what it holds is not looked at.

    Raises:
      ValueError: if reading hangs, crashes or takes gigabytes. Files that HDF5 refuses by itself pass.
    """
    for _, result in decode_in_workers(_read_all, [path], num_workers=1, timeout_seconds=_TIMEOUT_SECONDS):
        if isinstance(result, InvalidVideo):
            raise ValueError(f"{path} cannot be read as HDF5; it may be corrupt: {result.reason}")


def _read_all(path: Path) -> Iterator[bool]:
    import h5py

    def read(_: str, item: h5py.HLObject) -> None:
        dict(item.attrs)
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            return
        # Pieces that unpack to more are refused when the file is read in earnest.
        if math.prod(item.chunks or ()) * item.dtype.itemsize <= MAX_CHUNK_BYTES:
            item[()]

    try:
        with h5py.File(path, "r") as file:
            dict(file.attrs)
            file.visititems(read)
    except MemoryError:
        raise
    except Exception:
        # The reason comes when it is read in earnest.
        yield False
    else:
        yield True
