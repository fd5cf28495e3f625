"""Worker processes whose results come as they are ready; those in order are tested with the decoders of clips."""

import os
import resource
import signal
import time
from pathlib import Path

from jaxvid.video import workers
from jaxvid.video.workers import GuardedDecoding, InvalidVideo, InvalidVideoError, decode_in_workers


def obey(path):
    """A decoder that does what the name of the file says, and yields numbers."""
    order = path.stem
    if order == "invalid":
        raise InvalidVideoError(path, "no video")
    if order == "crash":
        os.abort()
    if order == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "memory":
        raise MemoryError
    yield 0
    if order == "once" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "hang":
        time.sleep(60)
    yield 1


def results_of(names, **options):
    paths = [Path(f"{name}.mp4") for name in names]
    return list(decode_in_workers(obey, paths, in_order=False, **options))


def test_a_file_that_hangs_delays_no_other_and_ends_after_its_time():
    found = results_of(["hang", "a", "b", "crash", "invalid", "c"], num_workers=2, timeout_seconds=3.0)
    for video in (1, 2, 5):
        assert [result for index, result in found if index == video] == [0, 1]
    assert found[-1] == (0, InvalidVideo(Path("hang.mp4"), "not decoded within 3 s"))
    assert [result.reason for index, result in found if index == 3] == ["the decoder crashed: killed by SIGABRT"]
    assert [result.reason for index, result in found if index == 4] == ["no video"]
    assert len(found) == 6 + 2 + 2


def test_what_memory_costs_is_said_with_the_limit_of_this_program():
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 29, limits[1]))
    try:
        found = results_of(["memory", "killed", "a"], num_workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert found[0][1].reason == "decoding takes more than 1.5 GiB of memory"
    assert found[1][1].reason == "the decoder crashed: killed by SIGKILL, as by the kernel where memory runs out"
    assert found[2:] == [(2, 0), (2, 1)]


def test_a_file_whose_worker_is_killed_from_outside_is_decoded_once_more(tmp_path):
    once, other = tmp_path / "once", tmp_path / "a"
    assert list(decode_in_workers(obey, [once, other], num_workers=1)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert once.exists()


def test_the_time_for_a_result_begins_when_the_process_that_replaces_a_killed_one_has_started(tmp_path, monkeypatch):
    pauses, started = iter([0.0, 2.5]), workers._await_start

    def slowly_started(worker):
        started(worker)
        time.sleep(next(pauses))

    monkeypatch.setattr(workers, "_await_start", slowly_started)
    assert list(decode_in_workers(obey, [tmp_path / "once"], timeout_seconds=2.0)) == [(0, 0), (0, 1)]


def test_no_files_give_no_results():
    assert results_of([]) == []


def test_a_process_that_is_kept_from_file_to_file_survives_them():
    decoding = GuardedDecoding(timeout_seconds=6.0)
    results = {name: list(decoding.decode(obey, Path(name))) for name in ("a", "crash", "invalid", "hang", "b")}
    assert results["a"] == results["b"] == [0, 1]
    assert [result.reason for result in results["crash"]] == ["the decoder crashed: killed by SIGABRT"]
    assert [result.reason for result in results["invalid"]] == ["no video"]
    assert results["hang"] == [0, InvalidVideo(Path("hang"), "not decoded within 6 s")]
    # What is left of a file that nobody wants any more does not come as that of the next.
    unwanted = decoding.decode(obey, Path("c"))
    next(unwanted)
    unwanted.close()
    assert list(decoding.decode(obey, Path("d"))) == [0, 1]
    decoding.close()
