"""The builders of published datasets, on files of the formats that these datasets have."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
import tensorflow_datasets as tfds

import tfds_builders  # noqa: F401 - registers the builders

FPS, NUM_FRAMES, SAMPLE_RATE = 25, 12, 44100


def write_file(path, gray, video_codec, audio_codec="", tag=None):
    """Writes a gray video of 320x240 as FFmpeg does, with 12 frames that differ a little, and a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format={".mpg": "mpeg"}.get(path.suffix)) as container:
        video = container.add_stream(video_codec, rate=FPS)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        if tag:
            video.codec_context.codec_tag = tag
        audio = container.add_stream(audio_codec, rate=SAMPLE_RATE) if audio_codec else None
        for number in range(NUM_FRAMES):
            image = np.full((240, 320, 3), gray, np.uint8)
            image[:, 20 * number : 20 * number + 20] += 8
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if audio:
            write_tone(container, audio)


def write_tone(container, stream):
    times = np.arange(SAMPLE_RATE * NUM_FRAMES // FPS) / SAMPLE_RATE
    tone = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def xvid(path, gray):
    write_file(path, gray, "mpeg4", "mp2", tag="XVID")


def divx(path, gray):
    write_file(path, gray, "mpeg4", "mp2", tag="DIVX")


def mpg(path, gray):
    write_file(path, gray, "mpeg1video", "mp2")


def h264(path, gray):
    write_file(path, gray, "libx264", "aac")


# By builder: the files of the published layout, with their writer; gray 60 is the first class, 180 the second.
FILES = {
    "hockey_fight": [
        *((f"HockeyFights/no{k}_xvid.avi", xvid, 60) for k in (1, 21)),
        ("HockeyFights/no238mpg_xvid.avi", xvid, 60),
        *((f"HockeyFights/fi{k}_xvid.avi", xvid, 180) for k in (1, 21)),
    ],
    "movies_fight": [
        *((f"Peliculas/noFights/{k}.mpg", mpg, 60) for k in (1, 6)),
        *((f"Peliculas/fights/newfi{k}.avi", xvid, 180) for k in (1, 6)),
    ],
    "rwf2000": [
        (f"RWF-2000/{split}/{folder}/-1l5631l3fg_0.avi", xvid, gray)
        for split in ("train", "val")
        for folder, gray in (("NonFight", 60), ("Fight", 180))
    ],
    "shv": [
        (f"{name}/{k}.mp4", h264, gray) for name, gray in (("non_harassment", 60), ("harassment", 180)) for k in "ab"
    ],
    "surveillance_fight": [
        (f"{folder}/{name}{k:03d}.mp4", h264, gray)
        for folder, name, gray in (("noFight", "nofi", 60), ("fight", "fi", 180))
        for k in (1, 2, 3)
    ],
    "ucf50": [
        (f"UCF50/{folder}/v_{folder}_g{group:02d}_c01.avi", xvid, gray)
        for folder, gray in (("Biking", 60), ("TaiChi", 180))
        for group in (1, 8)
    ],
    "ucf101_by_group": [
        (f"UCF-101/{folder}/v_{folder}_g{group:02d}_c01.avi", xvid, gray)
        for folder, gray in (("Biking", 60), ("TaiChi", 180))
        for group in (1, 22)
    ],
    "violent_flows": [
        (f"{folder}/{query}__a_title__someone__{query[0]}{k}-_5678901.avi", divx, gray)
        for folder, query, gray in (("NonViolence", "crowds", 60), ("Violence", "fans_violence", 180))
        for k in range(5)
    ],
}


@pytest.mark.parametrize("name", FILES)
def test_a_builder_decodes_files_of_the_published_format(name, tmp_path):
    # Identical files would be one source: gray values differ by one.
    for number, (filename, write, gray) in enumerate(FILES[name]):
        write(tmp_path / "manual" / filename, gray + number)
    builder = tfds.builder(f"{name}/64x64", data_dir=tmp_path / "data", num_workers=1)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual"))
    examples = list(itertools.chain.from_iterable(builder.as_data_source(split) for split in builder.info.splits))
    assert {Path(example["filename"].decode()).name for example in examples} == {
        Path(filename).name for filename, _, _ in FILES[name]
    }
    for example in examples:
        frames = np.stack(example["video"])
        assert frames.shape == (NUM_FRAMES, 64, 64, 3)
        assert frames.mean() == pytest.approx(180 if example["label"] else 60, abs=15)
        assert example["fps"] == pytest.approx(FPS)


def test_the_written_files_have_the_codecs_of_the_published_ones(tmp_path):
    for name, write, codecs in (
        ("a.avi", xvid, ("avi", "mpeg4", "XVID", "mp2")),
        ("b.avi", divx, ("avi", "mpeg4", "DIVX", "mp2")),
        ("c.mpg", mpg, ("mpeg", "mpeg1video", None, "mp2")),
        ("d.mp4", h264, ("mov", "h264", "avc1", "aac")),
    ):
        write(tmp_path / name, 100)
        with av.open(str(tmp_path / name)) as container:
            video, audio = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
            container_name, video_codec, tag, audio_codec = codecs
            assert container.format.name.split(",")[0] == container_name
            assert (video.name, audio.name.removesuffix("float")) == (video_codec, audio_codec)
            assert tag is None or video.codec_tag == tag
