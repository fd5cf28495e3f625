import base64
import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np
import pytest

from jaxvid.predict.events import Event, Thresholds, Timeline
from jaxvid.predict.files import PredictOptions, VideoResult, named_videos, predict_videos
from jaxvid.predict.pages.index import write_index
from jaxvid.predict.pages.interaction import address, clock, labels_key, printable, video_name
from jaxvid.predict.pages.video import write_video_page
from jaxvid.video.damage import Damage
from tests.predict.made_videos import red_predictor, write_red
from tests.report.made_up import HOSTILE, Page

FIGHT = Event("fight", 1.5, 2.5, 2.0, 0.9)


def made_result(directory, *, probabilities=(0.1, 0.9, 0.1), events=(FIGHT,), classes=("calm", "fight"), name="a.mp4"):
    """A result of windows of 2 s, 1 s apart, of which the last class has the probabilities; others share the rest."""
    fight, starts = np.asarray(probabilities), np.arange(len(probabilities), dtype=float)
    rest = np.repeat((1 - fight)[:, None] / (len(classes) - 1), len(classes) - 1, axis=1)
    rows = np.concatenate([rest, fight[:, None]], axis=1)
    timeline = Timeline(starts, starts + 2, rows, list(classes), classes[-1] if len(classes) == 2 else None)
    output = directory / "out" / name
    output.mkdir(parents=True)
    return VideoResult(directory / name, output, timeline, list(events))


def page_of(result, *, classes=("fight",), root=None, **options):
    root = root or result.output.parent
    write_video_page(result, root, classes, PredictOptions(**options))
    return read_page(result.output / "index.html")


def read_page(path):
    """The parsed page and its data; checks that the page may run its own script and no other."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    data, script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.S)
    (policy,) = [meta["content"] for meta in page.attributes("meta") if "http-equiv" in meta]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert "http:" not in text
    assert "https:" not in text
    return page, json.loads(data)


def test_every_video_has_a_page_and_the_index_leads_to_it(tmp_path):
    videos = tmp_path / "my videos"
    (videos / "deeper").mkdir(parents=True)
    first = write_red(videos / "50 % #1?.avi", [0.1] * 6 + [0.9] * 4 + [0.1] * 2)
    write_red(videos / "deeper" / "a.avi", [0.1] * 4)
    (videos / "broken.mp4").touch()
    results = predict_videos(red_predictor(), named_videos([videos]), tmp_path / "out", PredictOptions())
    page, index = read_page(tmp_path / "out" / "index.html")
    rows = {row["name"]: row for row in index["videos"]}
    assert set(rows) == {"my videos/50 % #1?.avi", "my videos/broken.mp4", "my videos/deeper/a.avi"}
    assert rows["my videos/broken.mp4"]["href"] is None
    assert rows["my videos/broken.mp4"]["problems"].startswith("not read: it cannot be opened")
    assert "1 event in 2 videos, 0.1 minutes." in page.text
    assert "1 file could not be read." in page.text
    row = rows["my videos/50 % #1?.avi"]
    opened = tmp_path / "out" / unquote(urlsplit(row["href"]).path)
    page, data = read_page(opened)
    # The original is found from the page, the page over all videos too.
    (player,) = page.attributes("video")
    assert (opened.parent / unquote(urlsplit(player["src"]).path)).resolve() == first.resolve()
    links = [attributes["href"] for attributes in page.attributes("a")]
    assert all((opened.parent / unquote(link)).exists() for link in links)
    assert (opened.parent / links[0]).resolve() == tmp_path / "out" / "index.html"
    # Both pages keep labels under one key, and know the same event.
    (event,) = data["events"]
    assert (data["key"], data["name"]) == (row["key"], row["name"])
    assert row["events"] == [[event["onset"], event["offset"], 0, event["probability"]]]
    assert (row["highest"], row["seconds"]) == (pytest.approx(0.9, abs=0.02), pytest.approx(6.0, abs=0.01))
    assert results[0].events[0].onset == event["onset"]


def test_the_page_of_a_video_has_its_curve_events_and_thresholds(tmp_path):
    page, data = page_of(made_result(tmp_path), thresholds=Thresholds(0.7, 0.3))
    # Windows of 2 s, 1 s apart: their middles are 1, 2 and 3.
    assert data["edges"] == [0.0, 1.5, 2.5, 4.0]
    assert (data["classes"], data["curves"]) == (["fight"], [[0.1, 0.9, 0.1]])
    assert data["thresholds"] == [0.7, 0.3]
    assert data["events"] == [
        {"class_name": "fight", "onset": 1.5, "offset": 2.5, "peak": 2.0, "probability": 0.9, "series": 0}
    ]
    assert data["segments"] == data["flaws"] == []
    assert "1 event, the most probable one of fight with 90.0 % at 0:02.0." in page.text
    assert "begin at 70 % and end below 30 %" in page.text
    assert [attributes["value"] for attributes in page.attributes("option") if "value" in attributes] == []


def test_the_annotated_copy_plays_first_and_only_if_this_call_wrote_it(tmp_path):
    result = made_result(tmp_path)
    (result.output / "annotated.mp4").touch()
    page, _ = page_of(result)
    assert page.attributes("video")[0]["src"] == "../../a.mp4"
    page, _ = page_of(result, annotate=True)
    assert page.attributes("video")[0]["src"] == "annotated.mp4"
    assert [option["value"] for option in page.attributes("option") if option] == ["annotated.mp4", "../../a.mp4"]


def test_without_faces_a_video_is_shown_only_as_its_annotated_copy(tmp_path):
    result = made_result(tmp_path)
    page, _ = page_of(result, blur_faces=True)
    assert page.attributes("video") == []
    assert "the video as it was recorded is not shown" in page.text
    (result.output / "annotated.mp4").touch()
    page, _ = page_of(result, blur_faces=True, annotate=True)
    assert [video["src"] for video in page.attributes("video")] == ["annotated.mp4"]


def test_segments_and_heat_maps_are_shown_where_there_are_any(tmp_path):
    result = made_result(tmp_path, classes=("action", "horror", "sports"), events=[])
    page, data = page_of(result, classes=("sports",), explain=True)
    assert [(row["start"], row["end"], row["class_name"], row["series"]) for row in data["segments"]] == [
        (0.0, 1.5, "action", 0),
        (1.5, 2.5, "sports", 2),
        (2.5, 4.0, "action", 0),
    ]
    assert "Where the network looks" in page.text
    assert [image["src"] for image in page.attributes("img")] == ["explanation.png"]


def test_of_many_classes_the_most_probable_are_drawn(tmp_path):
    names = [f"class{number}" for number in range(12)]
    result = made_result(tmp_path, classes=names, events=[])
    result.timeline.probabilities[1] = np.linspace(0.2, 0.0, 12)
    _, data = page_of(result, classes=names)
    assert data["classes"] == [*names[:7], "class11"]
    assert len(data["curves"]) == 8


def test_problems_are_named_and_marked(tmp_path):
    result = made_result(tmp_path)
    for second in range(0, 24, 3):
        result.problems.add(float(second), second + 1.0, "frames are <missing>")
    page, data = page_of(result)
    assert data["flaws"][1] == {"begin": 3.0, "end": 4.0}
    assert page.cautions()[0] == "0.0-1.0 s: frames are <missing>"
    assert page.cautions()[-1] == "3 more in problems.json"


def test_names_are_text_whatever_they_hold(tmp_path):
    hostile = HOSTILE.replace("/", "|")
    result = made_result(tmp_path, name=hostile, classes=("calm", HOSTILE), events=[Event(HOSTILE, 0.0, 1.0, 0.5, 0.9)])
    page, data = page_of(result, classes=[HOSTILE])
    assert data["name"] == printable(hostile)
    assert data["events"][0]["class_name"] == HOSTILE
    assert len(page.attributes("script")) == 2
    # A link leads to the file, whose name is not UTF-8.
    (player,) = page.attributes("video")
    assert os.fsdecode(unquote_to_bytes(player["src"])) == f"../../{hostile}"
    root = result.output.parent
    write_index([result, VideoResult(Path(HOSTILE), root / "x", None, [], HOSTILE)], root, [HOSTILE])
    page, index = read_page(root / "index.html")
    assert len(page.attributes("script")) == 2
    assert index["videos"][1]["problems"] == f"not read: {HOSTILE}"


def test_the_index_of_an_interrupted_call_holds_what_was_done(tmp_path, monkeypatch):
    videos = [write_red(tmp_path / f"{name}.avi", [0.1] * 3) for name in "ab"]
    predictor = red_predictor()
    predict = type(predictor).predict_videos

    def interrupt(self, paths, **options):
        yield next(predict(self, paths, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(type(predictor), "predict_videos", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict_videos(predictor, named_videos(videos), tmp_path / "out", PredictOptions())
    _, index = read_page(tmp_path / "out" / "index.html")
    # Of two that are decoded beside each other, the first to end.
    (done,) = index["videos"]
    assert done["name"] in ("a.avi", "b.avi")
    assert (tmp_path / "out" / Path(done["name"]) / "timeline.csv").exists()


def test_labels_are_kept_under_another_key_for_other_events():
    later = Event("fight", 1.6, 2.5, 2.0, 0.9)
    assert labels_key("a.mp4", [FIGHT]) != labels_key("a.mp4", [later])
    assert labels_key("a.mp4", [FIGHT]) != labels_key("b.mp4", [FIGHT])
    # The probability of a retrained network does not make the events others.
    assert labels_key("a.mp4", [FIGHT]) == labels_key("a.mp4", [Event("fight", 1.5, 2.5, 1.9, 0.8)])


def test_names_and_addresses_are_relative(tmp_path):
    assert video_name(tmp_path / "videos" / "a.mp4", tmp_path) == "videos/a.mp4"
    assert address(tmp_path / "a b.mp4", tmp_path / "out" / "x") == "../../a%20b.mp4"


def test_times_are_minutes_and_hours():
    assert [clock(seconds) for seconds in (0.04, 4.06, 59.96, 61.0, 3604.1)] == [
        "0:00.0",
        "0:04.1",
        "1:00.0",
        "1:01.0",
        "1:00:04.1",
    ]


def test_a_video_that_was_not_read_has_no_page(tmp_path):
    result = VideoResult(Path("a.mp4"), tmp_path / "a.mp4", None, [], "it is empty", problems=Damage())
    with pytest.raises(ValueError, match="a.mp4 was not read: it is empty"):
        write_video_page(result, tmp_path, ["fight"], PredictOptions())
