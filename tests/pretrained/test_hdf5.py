"""Weight files on which HDF5 hangs or crashes."""

import h5py
import numpy as np
import pytest

from jaxvid.pretrained import hdf5
from jaxvid.pretrained.hdf5 import check_hdf5


def test_a_file_that_hangs_or_crashes_the_library_is_refused_and_others_pass(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["a/b"] = np.ones(3)
    check_hdf5(tmp_path / "w.h5")
    (tmp_path / "none.h5").write_bytes(b"none")
    check_hdf5(tmp_path / "none.h5")
    # The process that reads imports a library that does so.
    (tmp_path / "h5py.py").write_text(
        "import os, time\nHLObject = Dataset = object\n"
        "def File(path, mode): time.sleep(1000) if path.name == 'hangs.h5' else os.abort()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, seconds, reason in (("hangs", 1.0, "not decoded within 1 s"), ("crashes", 60.0, "killed by SIGABRT")):
        monkeypatch.setattr(hdf5, "_TIMEOUT_SECONDS", seconds)
        with pytest.raises(ValueError, match=f"{name}.h5 cannot be read as HDF5; it may be corrupt: .*{reason}"):
            check_hdf5(tmp_path / f"{name}.h5")
