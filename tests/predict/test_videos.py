import dataclasses

import numpy as np
import pytest

from tests.predict.made_videos import cut, red_predictor, redness, write_recording, write_red


@pytest.mark.parametrize("num_videos", [3, 6])
def test_videos_share_batches_and_have_their_own_timelines(tmp_path, num_videos):
    rows = []

    def count(variables, inputs):
        rows.append(len(inputs["frames"]))
        return redness(variables, inputs)

    levels = [0.1, 0.9, 0.3, 0.7, 0.5, 0.2]
    # Each of 1.5 s: three windows.
    videos = [write_red(tmp_path / f"{i}.avi", [level] * 3) for i, level in enumerate(levels[:num_videos])]
    predictor = dataclasses.replace(red_predictor(), probabilities=count, batch_size=4)
    watched = []
    predictions = list(predictor.predict_videos(videos, watch=watched.append, num_workers=2))
    assert sorted(prediction.video for prediction in predictions) == list(range(num_videos))
    for prediction in predictions:
        alone = red_predictor().predict_video(videos[prediction.video])
        np.testing.assert_allclose(prediction.timeline.starts, alone.starts)
        np.testing.assert_allclose(prediction.timeline.probabilities, alone.probabilities)
        assert prediction.timeline.positive_class == "fight"
        assert prediction.problems.flaws == []
    # Three windows of each video; a batch has four.
    assert rows == [4] * -(-3 * num_videos // 4)
    assert sorted(classified.video for classified in watched) == sorted([*range(num_videos)] * 3)


@pytest.mark.parametrize("num_whole", [1, 3])
def test_damaged_and_broken_videos_stop_no_other(tmp_path, num_whole):
    whole = [write_red(tmp_path / f"{i}.avi", [0.2] * 4) for i in range(num_whole)]
    broken = tmp_path / "broken.mp4"
    broken.touch()
    damaged = cut(write_recording(tmp_path / "cut.mp4", [0.1] * 12))
    paths = [broken, damaged, *whole]
    predictions = {found.video: found for found in red_predictor().predict_videos(paths, num_workers=2)}
    assert predictions[0].timeline is None
    assert "cannot be opened" in predictions[0].reason
    assert "it is cut short" in str(predictions[1].problems)
    assert 2.2 < predictions[1].timeline.ends[-1] < 3.8
    for i in range(num_whole):
        assert predictions[2 + i].timeline.of_class("fight") == pytest.approx(0.2, abs=0.02)


def test_a_video_is_yielded_before_the_others_are_read(tmp_path):
    short = write_red(tmp_path / "short.avi", [0.1] * 4)
    long = write_red(tmp_path / "long.avi", [0.1] * 240)
    seconds = []
    predictions = red_predictor().predict_videos([short, long], watch=lambda c: seconds.append(c.window.end))
    assert next(predictions).video == 0
    assert max(seconds) < 60
    predictions.close()
