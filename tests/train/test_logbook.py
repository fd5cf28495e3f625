from jaxvid.train.logbook import FILE_NAME, Logbook, read_rows


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
