"""Workdirs that somebody changed are refused in one line."""

import json

import pytest

from jaxvid.config import base_config, load_config, save_config
from jaxvid.train.logbook import read_rows
from jaxvid.train.sessions import read_sessions


@pytest.mark.parametrize(
    ("key", "value"), [("decay_at", "<script>"), ("decay_at", {"a": 1}), ("learning_rate", []), ("name", ["a"])]
)
def test_a_config_with_values_of_other_types_is_refused(tmp_path, key, value):
    save_config(base_config(), tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    saved["config"]["optimizer"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=f"config.json does not fit this jaxvid: .*{key}"):
        load_config(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"format": 3, "config": []}', "\udcff"])
def test_a_file_that_is_no_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match="config.json (cannot be read|does not fit)"):
        load_config(tmp_path)


@pytest.mark.parametrize("line", ["[]", "null", '{"step": "a"}', '{"loss": 1.0}'])
def test_metrics_and_sessions_of_another_form_are_refused(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo\n' + line)
    with pytest.raises(ValueError, match="metrics.jsonl, line 3"):
        read_rows(tmp_path)
    (tmp_path / "sessions.jsonl").write_text(line)
    with pytest.raises(ValueError, match="sessions.jsonl has lines that are no sessions"):
        read_sessions(tmp_path)
