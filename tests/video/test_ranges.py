"""Long videos cut at key frames: every range decodes by itself to what decoding the video in one go gives."""

from fractions import Fraction

import av
import numpy as np
import pytest

from jaxvid.video.ranges import WHOLE, SequenceRange, plan_ranges, read_range
from jaxvid.video.sequences import SequenceForm, read_sequences
from jaxvid.video.sound import write_video_with_sound
from jaxvid.video.workers import InvalidVideoError

SIZE = (48, 64)


def write_film(path, codec, num_frames=100, **options):
    """Moving stripes with noise, 10 frames a second and a key frame every 12, with silence and then a sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "12", "keyint_min": "12", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(num_frames):
            ramp = np.arange(64)[None, :, None] * 3 + np.arange(48)[:, None, None] + 7 * number
            image = (ramp + rng.integers(0, 40, (48, 64, 3))) % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image.astype(np.uint8), "rgb24")))
        container.mux(stream.encode(None))
        samples = (3000 * np.sin(np.arange(num_frames * 800) ** 1.3)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


FILMS = {
    "film.mp4": ("libx264", {"x264-params": "scenecut=0"}),
    # Frames shown before a key frame refer to it and to those before it.
    "open.mkv": ("libx264", {"x264-params": "scenecut=0:open-gop=1:bframes=3"}),
    "film.mkv": ("mpeg4", {"bf": "2"}),
}


@pytest.fixture(scope="module", params=FILMS)
def film(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / request.param
    codec, options = FILMS[request.param]
    write_film(path, codec, **options)
    return path


@pytest.mark.parametrize(
    "form",
    [
        SequenceForm(SIZE, fps=4.0, num_frames=3, sample_rate=4000),
        SequenceForm(SIZE, num_frames=7),
        SequenceForm(SIZE, fps=30.0, num_frames=16),
    ],
    ids=["4fps", "all", "30fps"],
)
def test_ranges_are_what_decoding_in_one_go_gives(film, form):
    whole = list(read_sequences(film, form))
    (ranges,) = plan_ranges(film, form, 2.0)
    # 10 s of film, in ranges of whole sequences of about 2 s.
    assert len(ranges) >= 4
    assert [part.first for part in ranges[1:]] == [part.end for part in ranges[:-1]]
    assert len({part.key for part in ranges}) == len(ranges)
    parts = [list(read_range(film, form, part)) for part in ranges]
    assert [len(part) for part in parts[:-1]] == [part.end - part.first for part in ranges[:-1]]
    found = [clip for part in parts for clip in part]
    assert len(found) == len(whole)
    for ours, theirs in zip(found, whole, strict=True):
        assert ours.frames == theirs.frames
        assert (ours.begin, ours.fps) == (theirs.begin, theirs.fps)
        np.testing.assert_array_equal(ours.audio, theirs.audio)


def test_a_range_decodes_from_its_key_frame_and_not_from_the_beginning(film, monkeypatch):
    from jaxvid.video import ranges

    form = SequenceForm(SIZE, fps=4.0, num_frames=3)
    (planned,) = plan_ranges(film, form, 2.0)
    decoded = []
    whole = ranges._decoded_from
    monkeypatch.setattr(ranges, "_decoded_from", lambda *args: (decoded.append(f.time) or f for f in whole(*args)))
    list(read_range(film, form, planned[-1]))
    # Key frames lie 1.2 s apart; the container may count from the time of the first one.
    assert min(decoded) > planned[-1].first * 3 / 4 - 1.3


def test_short_videos_other_containers_and_whole_videos_are_not_cut(film, tmp_path):
    form = SequenceForm(SIZE, fps=4.0, num_frames=3)
    assert list(plan_ranges(film, form, 6.0)) == [[WHOLE]]
    assert list(plan_ranges(film, SequenceForm(SIZE, fps=4.0), 2.0)) == [[WHOLE]]
    frames = np.zeros((100, 48, 64, 3), np.uint8)
    write_video_with_sound(tmp_path / "a.avi", frames, 10.0, np.zeros(80_000, np.int16), 8000)
    assert list(plan_ranges(tmp_path / "a.avi", form, 2.0)) == [[WHOLE]]


def test_a_plan_that_does_not_fit_the_frames_is_noticed(film):
    form = SequenceForm(SIZE, num_frames=7)
    (ranges,) = plan_ranges(film, form, 2.0)
    wrong = SequenceRange(**{**vars(ranges[1]), "last": ranges[0].last})
    with pytest.raises(InvalidVideoError, match="are not those of its packets; it cannot be cut into ranges"):
        list(read_range(film, form, wrong))


def test_a_film_that_is_cut_short_is_no_valid_range(film, tmp_path):
    form = SequenceForm(SIZE, fps=4.0, num_frames=3)
    (ranges,) = plan_ranges(film, form, 2.0)
    cut = tmp_path / film.name
    content = film.read_bytes()
    cut.write_bytes(content[: int(len(content) * 0.8)])
    with pytest.raises(InvalidVideoError, match=r"cut short|cannot be opened"):
        list(read_range(cut, form, ranges[-1]))
