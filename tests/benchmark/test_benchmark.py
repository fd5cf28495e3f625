"""The rows that `python -m jaxvid.benchmark` prints of batches; no test measures speed."""

import pytest

from jaxvid.benchmark import rates as module
from jaxvid.benchmark.benchmark import Plan, benchmark
from jaxvid.benchmark.start import config_arguments
from jaxvid.benchmark.timing import Times


def test_every_part_has_its_rates(config):
    setting, *rows = benchmark(config, Plan(num_steps=1))
    assert setting == {"what": "setting", "device": "1 x cpu", "batch_size": 8, "steps_per_call": 1}
    rates = {row["what"]: row for row in rows}
    assert list(rates) == ["pipeline", "step", "both", "inference"]
    for row in rates.values():
        # Batches of 8 clips of 4 frames.
        assert row["clips_per_second"] * row["ms_per_step"] == pytest.approx(8000)
        assert row["frames_per_second"] == pytest.approx(4 * row["clips_per_second"])
        assert row["cpu_ms_per_step"] > 0
    assert rates["step"]["gflops_per_step"] * 1e9 == pytest.approx(operations_of_a_step())
    assert rates["step"]["compile_seconds"] > 0
    assert rates["step"]["share_of_peak"] is None
    assert rates["step"]["peak_gib"] is None


def operations_of_a_step():
    """Two for every multiplication for 8 clips of 4 frames.

    Resizing 64x64 to 32x32 is a product along each side. The first convolution, 7x7 from 3 to 32 channels with stride
    2, needs no gradient of its input. Everything else has three products of one size: the second convolution, 3x3 over
    8x8, the LSTM over 32 features, and the dense layers.
    """
    resize = 8 * 4 * 3 * (64 * 64 * 32 + 64 * 32 * 32)
    first = 8 * 4 * 16 * 16 * 7 * 7 * 3 * 32
    second = 8 * 4 * 8 * 8 * 3 * 3 * 32 * 32
    others = 8 * (4 * 4 * 256 * (32 + 256) + 256 * 512 + 512 * 2)
    return 2 * (resize + 2 * first + 3 * (second + others))


def test_of_several_steps_in_one_call_each_has_its_share(config, monkeypatch):
    config.pipeline.update(resident="true", steps_per_call=2)

    def six_seconds(call, num_calls):
        call()
        # Seven batches are three calls.
        assert num_calls == 3
        return Times(6.0, 8.0)

    monkeypatch.setattr(module, "time_calls", six_seconds)
    setting, step, both = benchmark(config, Plan(parts=("step", "both"), num_steps=7))
    assert setting["steps_per_call"] == 2
    for row in (step, both):
        assert (row["ms_per_step"], row["cpu_ms_per_step"]) == (3000, 4000)
    assert step["gflops_per_step"] * 1e9 == pytest.approx(operations_of_a_step())


def test_inference_takes_clips_where_the_batches_of_training_name_rows(config):
    config.pipeline.resident = "true"
    _, inference = benchmark(config, Plan(parts=("inference",), num_steps=1))
    assert inference["frames_per_second"] == pytest.approx(4 * inference["clips_per_second"])


def test_only_the_parts_asked_for_are_measured_in_their_own_order(config):
    rows = benchmark(config, Plan(parts=("both", "pipeline"), num_steps=1))
    assert [row["what"] for row in rows] == ["setting", "pipeline", "both"]


def test_a_part_that_there_is_not_is_named(config):
    with pytest.raises(ValueError, match="--parts has steps; allowed: pipeline, step, both, inference, prediction"):
        list(benchmark(config, Plan(parts=("steps",))))


def test_the_training_command_gets_what_sets_the_config_and_nothing_else():
    arguments = [
        "--config=a.py:k=v",
        "--steps=3",
        "--config.seed=1",
        "--config.train.batch_size",
        "4",
        "--parts",
        "start",
    ]
    assert config_arguments(arguments) == ["--config=a.py:k=v", "--config.seed=1", "--config.train.batch_size", "4"]
