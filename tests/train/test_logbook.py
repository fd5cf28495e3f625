import pytest
import tensorboardX.record_writer
from tensorboardX.proto.event_pb2 import Event

from jaxvid.train.logbook import FILE_NAME, Logbook, read_rows


def fill(logbook):
    """Rows of more bytes than a file keeps back."""
    for step in range(1, 500):
        logbook.write(step, {"train_loss": 0.5})


def test_a_full_disk_ends_what_writes_for_tensorboard_with_one_error(tmp_path, monkeypatch):
    """The thread of tensorboardX would print the error and end, and the training wait for it."""
    monkeypatch.setattr(tensorboardX.record_writer, "open_file", lambda _: open("/dev/full", "wb"))  # noqa: SIM115
    with (
        pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/tensorboard/events"),
        Logbook(tmp_path, 0) as log,
    ):
        fill(log)


def test_a_full_disk_names_the_file_of_metrics(tmp_path):
    log = Logbook(tmp_path, 0)
    log._file.close()
    log._file = open("/dev/full", "a", buffering=1)  # noqa: SIM115
    full = f"No space left on device: '{tmp_path}/metrics.jsonl'"
    with pytest.raises(OSError, match=full):
        log.write(1, {"train_loss": 0.5})
    # What could not be written is tried again.
    with pytest.raises(OSError, match=full), log:
        pass


def test_tensorboard_finds_the_metrics_of_every_step_and_where_a_run_goes_on(tmp_path):
    with Logbook(tmp_path, 2) as logbook:
        logbook.write(3, {"train_loss": 0.5, "epoch": 1})
        changes = [{"step": 3, "from": "relu", "to": "elu", "reason": "rise"}]
        logbook.write_changes(3, changes)
    [file] = (tmp_path / "tensorboard").iterdir()
    assert file.name.startswith("events.out.tfevents.")
    version, start, *events = read_events(file)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (3, start.session_log.START)
    found = [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]
    assert found[:3] == [(3, "train_loss", 0.5), (3, "epoch", 1.0), (3, "activation_changes", 1.0)]
    [text] = events[3].summary.value[0].tensor.string_val
    assert text == b"relu to elu (rise)"
    assert all(event.wall_time > 1.7e9 for event in (start, *events))


def read_events(file):
    """The events of a file: each is its length, a checksum, its bytes, and a checksum."""
    content, events = file.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def test_rows_survive_and_those_after_the_step_of_the_checkpoint_are_dropped(tmp_path):
    with Logbook(tmp_path, 0) as logbook:
        for step in (1, 2, 3):
            logbook.write(step, {"train_loss": step / 2})
    with Logbook(tmp_path, 2) as logbook:
        assert read_rows(tmp_path) == [{"step": 1, "train_loss": 0.5}, {"step": 2, "train_loss": 1.0}]
        logbook.write(3, {"train_loss": 7.0})
    assert [row["train_loss"] for row in read_rows(tmp_path)] == [0.5, 1.0, 7.0]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    assert read_rows(tmp_path) == []
    (tmp_path / FILE_NAME).write_text('{"step": 1, "train_loss": 0.5}\n{"step": 2, "tra')
    assert read_rows(tmp_path) == [{"step": 1, "train_loss": 0.5}]


def test_a_process_that_does_not_write_leaves_no_files(tmp_path):
    with Logbook(tmp_path, 0, writes=False) as logbook:
        logbook.write(1, {"train_loss": 0.5})
        logbook.write_changes(1, [])
    assert list(tmp_path.iterdir()) == []
