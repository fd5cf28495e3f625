import subprocess
import sys
import threading

import numpy as np
import pytest

from jaxvid.train.feature_store import CHUNK_ROWS, Writer, halved, locked, missing_rows, open_rows


def rows(first, count):
    return {"features": np.arange(first, first + count, dtype=np.float32)[:, None]}


def names(first, count):
    return [f"row{number}" for number in range(first, first + count)]


def test_rows_come_back_by_their_names(tmp_path):
    writer = Writer(tmp_path)
    writer.add(names(0, 3), rows(0, 3))
    writer.finish()
    writer.add(names(3, 2), rows(3, 2))
    writer.finish()
    stored = open_rows(tmp_path, ["row4", "row0", "row0", "row3"])
    np.testing.assert_array_equal(stored.take(np.arange(4))["features"][:, 0], [4, 0, 0, 3])
    both = stored.followed_by(open_rows(tmp_path, ["row2"]))
    np.testing.assert_array_equal(both.take(np.asarray([4, 3]))["features"][:, 0], [2, 3])
    assert missing_rows(tmp_path, ["row5", "row1", "row6", "row5"]) == [0, 2]


def test_what_is_complete_of_an_interrupted_extraction_stays(tmp_path):
    writer = Writer(tmp_path)
    writer.add(names(0, CHUNK_ROWS), rows(0, CHUNK_ROWS))
    writer.add(names(CHUNK_ROWS, 5), rows(CHUNK_ROWS, 5))
    # Killed here, and once while it wrote a chunk.
    (tmp_path / ".chunk-1-abc" / "new").mkdir(parents=True)
    (tmp_path / ".chunk-1-abc" / "new" / "rows.json").write_text('["row256"]')
    assert missing_rows(tmp_path, names(0, CHUNK_ROWS + 5)) == list(range(CHUNK_ROWS, CHUNK_ROWS + 5))


def test_a_damaged_chunk_is_named(tmp_path):
    writer = Writer(tmp_path)
    writer.add(names(0, 2), rows(0, 2))
    writer.finish()
    (chunk,) = tmp_path.glob("chunk-*")
    (chunk / "features.npy").write_bytes((chunk / "features.npy").read_bytes()[:-4])
    with pytest.raises(ValueError, match=f"{chunk} cannot be read: .*; remove it"):
        open_rows(tmp_path, names(0, 2))
    (chunk / "rows.json").write_text('["a')
    for read in (open_rows, missing_rows):
        with pytest.raises(ValueError, match=f"{chunk} cannot be read: .*; remove it"):
            read(tmp_path, names(0, 2))


def test_half_precision_keeps_three_digits_and_leaves_what_does_not_fit():
    values = np.asarray([0.0, 1.0, 0.1, 3.14159, 65000.0], np.float32)
    np.testing.assert_allclose(halved(values), values, rtol=5e-4)
    assert halved(values).dtype == np.float16
    assert halved(values * 2).dtype == np.float32
    assert halved(np.arange(3)).dtype == np.int64


def test_another_process_is_waited_for_until_it_ends_or_is_killed(tmp_path):
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        has_lock = threading.Event()

        def wait():
            with locked(tmp_path):
                has_lock.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not has_lock.wait(0.2)
        other.kill()
        assert has_lock.wait(10)
        thread.join()
