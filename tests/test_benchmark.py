"""The figures of `python -m jaxvid.benchmark`; how large they are is for no test to say."""

import pytest

from jaxvid.benchmark import benchmark
from jaxvid.train.setup import set_up


def test_every_part_has_its_rates(config):
    figures = {row["what"]: row for row in benchmark(set_up(config), num_steps=1)}
    assert list(figures) == ["pipeline", "step", "both", "inference"]
    for row in figures.values():
        # Batches of 8 clips of 4 frames.
        assert row["clips_per_second"] * row["ms_per_step"] == pytest.approx(8000)
        assert row["frames_per_second"] == pytest.approx(4 * row["clips_per_second"])
    assert figures["step"]["gflops_per_step"] > 0
    assert figures["step"]["compile_seconds"] > 0
