import av
import numpy as np
import pytest

from jaxvid.predict.files import PredictOptions, named_videos, predict_videos
from tests.predict.made_videos import FIGHT, red_predictor, write_greys, write_red


def test_an_annotated_video_keeps_size_times_and_sound(tmp_path):
    path = write_red(tmp_path / "b.mp4", [0.1] * 2 + [0.9] * 2, side=96, sound=True)
    [result] = predict_videos(red_predictor(), named_videos([path]), tmp_path / "out", PredictOptions(annotate=True))
    with av.open(str(result.output / "annotated.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(96, 96)] * 20
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    # The bar, dark where it is empty, grows with the probability.
    first, last = (frames[i].to_ndarray(format="rgb24")[8:13, 30:36] for i in (0, 19))
    assert np.abs(first.astype(int).mean(axis=(0, 1)) - last.mean(axis=(0, 1))).max() > 50
    with av.open(str(result.output / "annotated.mp4")) as container:
        kept = sum(frame.samples for frame in container.decode(audio=0))
    assert kept == pytest.approx(32000, rel=0.1)
    assert {item.name for item in result.output.iterdir()} == {
        "timeline.csv",
        "events.json",
        "timeline.png",
        "annotated.mp4",
    }


def test_sound_that_mp4_cannot_hold_becomes_aac(tmp_path):
    for codec in ("aac", "pcm_s16le"):
        path = tmp_path / f"{codec}.mkv"
        write_greys(path, FIGHT, size=(96, 160), sound=codec)
        [result] = predict_videos(
            red_predictor(), {path: path.relative_to(tmp_path)}, tmp_path / "out", PredictOptions(annotate=True)
        )
        with av.open(str(result.output / "annotated.mp4")) as container:
            [video, sound] = container.streams
            assert (video.codec_context.height, video.codec_context.width) == (96, 160)
            assert sound.codec_context.name == "aac"
            assert float(sound.duration * sound.time_base) == pytest.approx(6, abs=0.2)
            frames = list(container.decode(video))
        assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(60)], abs=2e-3)
        # The right edge shows the video, the bar at the top left is drawn over it.
        images = [frame.to_ndarray(format="rgb24").astype(int) for frame in (frames[5], frames[30])]
        assert [image[:, -2:].mean() for image in images] == pytest.approx([30, 220], abs=6)
        assert np.abs(images[1][5:15, 5:20] - 220).mean() > 40
