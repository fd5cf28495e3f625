import datetime
import os

import jax

from jaxvid.train.sessions import Session, describe_hardware, read_sessions


def test_a_row_is_added_for_each_session_and_replaced_by_its_next_checkpoint(tmp_path, monkeypatch):
    clock = iter([100.0, 103.0, 110.0, 500.0, 502.5])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    assert read_sessions(tmp_path) == []
    first = Session(tmp_path, "python -m jaxvid.main")
    first.save(3)
    first.save(9)
    Session(tmp_path, "again").save(12)
    rows = read_sessions(tmp_path)
    assert [(row["command"], row["step"], row["seconds"]) for row in rows] == [
        ("python -m jaxvid.main", 9, 10.0),
        ("again", 12, 2.5),
    ]
    assert {row["date"] for row in rows} == {datetime.date.today().isoformat()}


def test_the_time_of_the_first_stage_counts(tmp_path, monkeypatch):
    clock = iter([0.0, 7.0, 10.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    (tmp_path / "frames").mkdir()
    Session(tmp_path / "frames", "").save(5)
    Session(tmp_path, "", first_stage=tmp_path / "frames").save(3)
    assert [row["seconds"] for row in read_sessions(tmp_path)] == [9.0]


def test_a_process_that_does_not_write_leaves_no_file(tmp_path):
    Session(tmp_path, "", writes=False).save(1)
    assert list(tmp_path.iterdir()) == []


def test_hardware_is_the_cores_that_the_process_may_use_or_the_accelerators(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4}, raising=False)
    assert describe_hardware() == "1 CPU core"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 7}, raising=False)
    assert describe_hardware() == "2 CPU cores"

    class Card:
        platform, device_kind = "gpu", "NVIDIA H100"

    monkeypatch.setattr(jax, "devices", lambda: [Card(), Card()])
    assert describe_hardware() == "2 x NVIDIA H100"
