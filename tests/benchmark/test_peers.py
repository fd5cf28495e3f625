import json
import sys

import ml_collections
import pytest

from jaxvid.benchmark.peers import compare_with_peer, peer_command
from jaxvid.benchmark.timing import spread

CONFIG = ml_collections.ConfigDict({"train": {"batch_size": 4}, "clip": {"num_frames": 20, "height": 64}})


def script(path, *rows, status=0):
    """A peer that prints rows and other lines."""
    lines = "\n".join(f"print({json.dumps(row)!r})" for row in rows)
    path.write_text(f"import sys\nprint('Loading')\n{lines}\nprint('no card', file=sys.stderr)\nsys.exit({status})\n")
    return [sys.executable, str(path)]


def test_the_ratio_is_of_rates_round_by_round(tmp_path):
    rows = [{"mode": "train", "batch": 4, "clips_per_s": 10.0}, {"mode": "inference", "clips_per_s": 40.0}]
    ours = {"step": iter([8.0, 5.0, 20.0]), "inference": iter([80.0, 80.0, 80.0])}
    command = script(tmp_path / "peer.py", *rows)
    train, inference = compare_with_peer(lambda part: next(ours[part]), CONFIG, command, rounds=3)
    assert train["what"] == "train_to_peer"
    values = [train[key] for key in ("ratio", "ratio_min", "ratio_max", "clips_per_second", "peer_clips_per_second")]
    assert values == pytest.approx([0.8, 0.5, 2.0, 8.0, 10.0])
    assert (inference["what"], inference["ratio"], inference["rounds"]) == ("inference_to_peer", pytest.approx(2.0), 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"batch": 2}, "the peer has batch 2, but config.train.batch_size is 4; allowed: the same"),
        ({"frames": 16}, "the peer has frames 16, but config.clip.num_frames is 20; allowed: the same"),
        ({"size": 112}, "the peer has size 112, but config.clip.height is 64; allowed: the same"),
    ],
)
def test_a_peer_that_measures_something_else_is_refused(tmp_path, row, message):
    command = script(tmp_path / "peer.py", {"mode": "train", "clips_per_s": 1.0, **row})
    with pytest.raises(ValueError, match=message):
        list(compare_with_peer(lambda part: 1.0, CONFIG, command, rounds=1))


@pytest.mark.parametrize(("rows", "status"), [([], 0), ([{"mode": "train", "clips_per_s": 1.0}], 3)])
def test_a_peer_that_fails_or_prints_no_rate_is_shown_with_its_last_lines(tmp_path, rows, status):
    command = script(tmp_path / "peer.py", *rows, status=status)
    with pytest.raises(ValueError, match=f"(?s)ended with status {status} and printed {len(rows)} lines.*no card"):
        list(compare_with_peer(lambda part: 1.0, CONFIG, command, rounds=1))


def test_a_script_is_run_by_this_python_unless_a_program_is_named():
    assert peer_command("bench/peer.py --batch 2") == [sys.executable, "bench/peer.py", "--batch", "2"]
    assert peer_command("venv/bin/python 'my peer.py'") == ["venv/bin/python", "my peer.py"]
    assert peer_command("") == []


def test_the_spread_is_median_lowest_and_highest():
    assert spread("rate", [3.0, 1.0, 8.0, 2.0]) == {"rate": 2.5, "rate_min": 1.0, "rate_max": 8.0}
