"""The page of a camera, while a file is played as one."""

import queue
import threading

import pytest
from selenium.webdriver.common.by import By

from jaxvid.predict.camera import follow_camera
from jaxvid.predict.events import Thresholds
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.live import LiveState
from jaxvid.predict.pages.live import live_page
from jaxvid.predict.serve import Address, serving
from tests.browser.conftest import brightness, pictures, wait
from tests.predict.made_videos import red_predictor, write_greys

pytestmark = pytest.mark.slow


@pytest.fixture
def address(tmp_path):
    """The address of a page that shows 2 s of calm, 3 s of a fight and 3 s of calm."""
    write_greys(tmp_path / "camera.mp4", [20] * 20 + [220] * 30 + [20] * 30, size=(180, 320))
    options = PredictOptions(Thresholds(0.6, 0.4), window_seconds=0.5, stride_seconds=0.1)
    addresses = queue.Queue()

    def follow():
        live = LiveState(["fight"])
        page = live_page(live.classes, options.thresholds, live.began)
        with serving(live, page, Address("127.0.0.1", 0)) as served:
            addresses.put(served)
            follow_camera(red_predictor(), str(tmp_path / "camera.mp4"), options, live)

    camera = threading.Thread(target=follow)
    camera.start()
    yield addresses.get(timeout=60)
    camera.join()


def test_the_page_shows_frames_probabilities_and_events_as_they_happen(address, browser, tmp_path):
    browser.get(address)
    wait(browser, "return parseFloat(document.getElementById('probability').textContent) > 60")
    wait(browser, "return document.getElementById('alarm').textContent.startsWith('fight since')")
    wait(browser, "return document.getElementById('frame').naturalWidth === 320")
    assert browser.title == "● fight"
    assert "lasting" in browser.find_element(By.ID, "events").text
    paths = pictures(browser, tmp_path, "live")
    assert brightness(paths["light"]) > 150 > 90 > brightness(paths["dark"])
    assert browser.get_log("browser") == []
    # The event ends, and then the file.
    wait(browser, "return document.getElementById('alarm').textContent === 'The source has ended.'")
    row = browser.find_element(By.CSS_SELECTOR, "#events tbody tr:not([aria-hidden])")
    seconds = float(row.find_elements(By.TAG_NAME, "td")[2].text)
    assert seconds == pytest.approx(3, abs=0.6)
    assert " ms from the last frame to the result" in browser.find_element(By.ID, "delay").text
    # The server may be gone before it is asked for the last frame.
    assert all("frame.jpg" in entry["message"] for entry in browser.get_log("browser"))
