import contextlib
import http.client
import json
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from jaxvid.predict.events import Event, Thresholds
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.live import LiveState
from jaxvid.predict.pages.live import live_page
from jaxvid.predict.serve import Address, parse_address, serve_camera, serving
from tests.commands import run_command
from tests.predict.made_videos import red_predictor
from tests.report.made_up import Page
from tests.tiny import find_a_face_in_every_frame

TOKEN = "a-token-of-24-characters"
LOCAL = Address("127.0.0.1", 0)


def noise():
    return np.random.default_rng(0).integers(0, 256, (90, 160, 3)).astype(np.uint8)


def decoded(image):
    return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).astype(int)


def ask(served, path="/", **headers):
    """Asks the served page for a path; returns the status, the headers and the content."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(served).netloc, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture
def live():
    return LiveState(["fight"])


def test_the_page_the_last_frame_and_the_news_are_served(live):
    page = live_page(["fight"], Thresholds(0.7, 0.3), live.began)
    with serving(live, page, LOCAL) as served:
        status, headers, content = ask(served)
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert Page(content.decode()).attributes("title")
        assert ask(served, "/frame.jpg")[0] == 204
        live.see(np.full((90, 160, 3), 60, np.uint8))
        live.see(np.full((90, 160, 3), 200, np.uint8))
        status, headers, content = ask(served, "/frame.jpg?2")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert decoded(content).mean() == pytest.approx(200, abs=2)
        live.add(1.25, np.array([0.75]), 0.04, 0)
        live.add(1.5, np.array([0.5]), 0.06, 3)
        live.change("onset", Event("fight", 0.5, None, 1.0, 0.75))
        live.end()
        status, headers, content = ask(served, "/news")
    assert headers["content-type"].startswith("text/event-stream")
    news, end, _ = content.decode().split("\n\n")
    assert json.loads(news.removeprefix("data: ")) == {
        "first": True,
        "windows": [[1.25, 0.75], [1.5, 0.5]],
        "events": [{"class_name": "fight", "onset": 0.5, "offset": None, "peak": 1.0, "probability": 0.75}],
        "latency": 0.06,
        "median_latency": 0.05,
        "frames": 2,
        "dropped": 3,
    }
    assert end == "event: end\ndata: "


def test_news_are_only_what_is_new(live):
    assert live.news(0, 0) == (0, 0, None)
    live.add(1.0, np.array([0.5]), 0.04, 0)
    windows, changes, message = live.news(0, 0)
    assert (windows, changes, message["windows"]) == (1, 0, [[1.0, 0.5]])
    assert live.news(1, 0)[2] is None
    live.change("onset", Event("fight", 0.5, None, 1.0, 0.75))
    live.change("offset", Event("fight", 0.5, 2.0, 1.0, 0.8))
    windows, changes, message = live.news(1, 0)
    assert (windows, changes, message["windows"], message["first"]) == (1, 2, [], False)
    # The event that began has ended: it is one event.
    assert [(event["onset"], event["offset"], event["probability"]) for event in message["events"]] == [(0.5, 2.0, 0.8)]


def test_without_a_token_only_addresses_of_this_machine_are_answered(live):
    with serving(live, "page", LOCAL) as served:
        port = urlsplit(served).port
        assert served == f"http://127.0.0.1:{port}/"
        for host, status in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 421)):
            assert ask(served, Host=f"{host}:{port}")[0] == status
        assert ask(served, "/frame.jpg", Host="evil.example")[0] == 421


def test_with_a_token_only_those_who_have_it_are_answered(live):
    with serving(live, "page", LOCAL, TOKEN) as served:
        assert served.endswith(f"/?token={TOKEN}")
        for path in ("/", "/frame.jpg", "/news", "/?token=wrong"):
            assert ask(served, path)[0] == 401
        status, headers, _ = ask(served, f"/?token={TOKEN}")
        # The address that remains has no token in it.
        assert (status, headers["location"]) == (303, "/")
        cookie, *settings = headers["set-cookie"].split("; ")
        assert "HttpOnly" in settings
        assert ask(served, Cookie=cookie)[2] == b"page"
        assert ask(served, Cookie=cookie, Host="camera.example")[0] == 200


@pytest.mark.parametrize(
    ("text", "token", "message"),
    [
        ("8000", "", "--serve is '8000'; allowed: HOST:PORT, such as 127.0.0.1:8000"),
        ("127.0.0.1:99999", "", "--serve is '127.0.0.1:99999'; allowed: HOST:PORT"),
        ("0.0.0.0:8000", "", "--serve=0.0.0.0:8000 would show the camera to other machines"),
        ("camera.example:8000", "", "would show the camera to other machines; allowed without --serve_token"),
        ("0.0.0.0:8000", "short", "the token has 5 characters; allowed: 16 or more"),
    ],
)
def test_addresses_that_do_not_fit_are_refused(text, token, message):
    with pytest.raises(ValueError, match=message):
        parse_address(text, token)


def test_addresses_of_this_machine_need_no_token():
    assert parse_address("127.0.0.1:8000", "") == ("127.0.0.1", 8000)
    assert parse_address("localhost:0", "") == ("localhost", 0)
    assert parse_address("[::1]:80", "") == ("::1", 80)
    assert parse_address("0.0.0.0:80", TOKEN) == ("0.0.0.0", 80)


def test_an_address_in_use_is_named(live):
    with serving(live, "page", LOCAL) as served:
        port = urlsplit(served).port
        with (
            pytest.raises(ValueError, match=f"--serve=127.0.0.1:{port} cannot be used: Address already in use"),
            serving(live, "page", Address("127.0.0.1", port)),
        ):
            pass


def test_frames_are_stored_only_where_events_begin_and_only_if_asked(tmp_path, monkeypatch):
    find_a_face_in_every_frame(monkeypatch)
    asked = LiveState(["fight"], blur_faces=True, frames_directory=tmp_path / "frames")
    for live in (LiveState(["fight"]), asked):
        live.see(noise())
        live.add(1.0, np.array([0.9]), 0.1, 0)
        live.change("onset", Event("fight", 0.5, None, 1.0, 0.9))
        live.change("offset", Event("fight", 0.5, 2.0, 1.0, 0.9))
    [path] = (tmp_path / "frames").iterdir()
    assert list(tmp_path.iterdir()) == [tmp_path / "frames"]
    # The frame that is stored, and the one that is shown, have blurred faces.
    sharp, blurred = decoded(LiveState.jpeg(live_of(noise()))), decoded(path.read_bytes())
    assert np.abs(np.diff(blurred, axis=1)).mean() < np.abs(np.diff(sharp, axis=1)).mean() / 5
    assert asked.jpeg() == path.read_bytes()


def live_of(frame):
    live = LiveState(["fight"])
    live.see(frame)
    return live


def test_large_frames_are_made_smaller_for_looking_at():
    assert decoded(live_of(np.zeros((1080, 1920, 3), np.uint8)).jpeg()).shape == (540, 960, 3)


def test_a_camera_is_followed_while_its_page_is_served(monkeypatch, tmp_path, capsys):
    followed = []

    def follow(predictor, camera, options, live):
        address = capsys.readouterr().err.split()[-1]
        followed.append((camera, options.thresholds.on, live.classes, ask(address)[2].decode()))

    monkeypatch.setattr("jaxvid.predict.serve.follow_camera", follow)
    options = PredictOptions(Thresholds(0.7, 0.3))
    serve_camera(red_predictor(), "rtsp://somewhere", options, LOCAL)
    [(camera, threshold, classes, page)] = followed
    assert (camera, threshold, classes) == ("rtsp://somewhere", 0.7, ["fight"])
    assert '"thresholds":[0.7,0.3]' in page


def test_flags_of_the_page_need_a_camera(tmp_path):
    for flags in (["--serve=127.0.0.1:0", "a.mp4"], ["--camera=0", "--store_frames=x"]):
        with pytest.raises(ValueError, match="--serve needs --camera, and --store_frames needs --serve"):
            run_command("jaxvid.predict", f"--workdir={tmp_path}", *flags)
