import pytest

from jaxvid.evaluate.sources import name_sources
from tfds_builders.video_files import VideoFile


@pytest.fixture
def videos(tmp_path):
    return [
        VideoFile(tmp_path / name, name, "fight", name.removesuffix(".mp4"))
        for name in ("fight/a.mp4", "fight/b.mp4", "noFight/c.mp4")
    ]


def write(path, text):
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_file_names_the_source_of_every_video(videos, tmp_path):
    path = write(tmp_path / "sources.csv", "source,video,note\nx,noFight/c.mp4,\ny,fight/b.mp4,\nx,fight/a.mp4,\n")
    assert [video.source for video in name_sources(videos, path)] == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,origin\nfight/a.mp4,x\n", "has no column 'source'; it has: video, origin"),
        ("", "has no column 'video'; it has: none"),
        ("video,source\nfight/a.mp4,x\n", r"names no source for fight/b.mp4 and 1 more; it must have a row for each"),
        (
            "video,source\nfight/a.mp4,x\nfight/b.mp4,x\nnoFight/c.mp4,x\nd.mp4,x\n",
            r"names d.mp4: not in the folder of videos; allowed: such as fight/a.mp4",
        ),
        ("video,source\nfight/a.mp4,\n", "line 2: a video or its source is missing"),
        ("video,source\nfight/a.mp4,x\nfight/a.mp4,y\n", "line 3: fight/a.mp4 has a row already"),
    ],
)
def test_an_incomplete_or_wrong_file_is_refused(videos, tmp_path, text, message):
    path = write(tmp_path / "sources.csv", text)
    with pytest.raises(ValueError, match=message) as error:
        name_sources(videos, path)
    assert str(path) in str(error.value)
