"""The pages of predictions: what a person clicks and types."""

import csv
import time

import cv2
import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from jaxvid.evaluate.events import evaluate_events
from jaxvid.predict.events import Event
from jaxvid.predict.files import PredictOptions, named_videos, predict_videos
from jaxvid.predict.pages.index import write_index
from jaxvid.predict.pages.video import write_video_page
from tests.browser.conftest import brightness, open_page, pictures, wait, width_on_a_phone
from tests.predict.made_videos import red_predictor, write_greys, write_red
from tests.predict.test_pages import made_result

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Predictions of a video with two events, of one that browsers do not play, and of a file that is none."""
    videos = tmp_path_factory.mktemp("made") / "videos"
    videos.mkdir()
    # Gray is as red as it is bright: dark to 2 s, light to 4 s, dark to 6 s, light to 7 s, dark to 8 s.
    greys = [20] * 20 + [240] * 20 + [20] * 20 + [200] * 10 + [20] * 10
    write_greys(videos / "=a <b>.mp4", greys, size=(90, 160))
    write_red(videos / "old.avi", [0.1] * 8)
    (videos / "broken.mp4").write_bytes(b"no video")
    predict_videos(red_predictor(), named_videos([videos]), videos.parent / "out", PredictOptions())
    return videos.parent / "out"


@pytest.fixture
def page(output, browser):
    """The page of the video with two events."""
    open_page(browser, output / "videos" / "=a <b>.mp4" / "index.html")
    wait(browser, "return document.querySelector('video').readyState > 0")
    return browser


def press(browser, *keys):
    browser.switch_to.active_element.send_keys(*keys)


def text_of(browser, element_id):
    return browser.find_element(By.ID, element_id).text


def rows_of(browser, table):
    """The texts of the rows in sight."""
    return browser.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr:not([aria-hidden])`)].map("
        "(row) => [...row.cells].map((cell) => cell.innerText))",
        table,
    )


def player_time(browser):
    wait(browser, "return !document.querySelector('video').seeking")
    return browser.execute_script("return document.querySelector('video').currentTime")


def playhead(browser):
    """Where the line of the present is, in pixels from the left end of the curve."""
    return browser.execute_script("return parseFloat(document.querySelector('.playhead').style.left)")


def click_button(browser, text):
    browser.find_element(By.XPATH, f"//button[starts-with(normalize-space(), '{text}')]").click()


def click_curve(browser, seconds, *, y):
    """Clicks on the curve of 8 s at a time, `y` pixels below its top."""
    curve = browser.find_element(By.ID, "curve")
    x = seconds / 8 * curve.size["width"] - curve.size["width"] / 2
    chain = ActionChains(browser)
    chain.move_to_element_with_offset(curve, round(x), round(y - curve.size["height"] / 2)).click().perform()


def downloaded(directory, name):
    """The rows of a file that the browser has downloaded."""
    for _ in range(100):
        if (directory / name).exists():
            with (directory / name).open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        time.sleep(0.05)
    raise AssertionError(f"{name} was not downloaded; there are {sorted(directory.iterdir())}")


def test_the_index_is_sorted_and_searched_and_opens_videos(output, browser, tmp_path):
    open_page(browser, output / "index.html")
    names = [row[0] for row in rows_of(browser, "videos")]
    # The highest probability first, and last what could not be read.
    assert names == ["videos/=a <b>.mp4", "videos/old.avi", "videos/broken.mp4"]
    assert rows_of(browser, "videos")[2][-1].startswith("not read")
    click_button(browser, "Video")
    assert [row[0] for row in rows_of(browser, "videos")] == sorted(names)
    click_button(browser, "Video")
    assert [row[0] for row in rows_of(browser, "videos")] == sorted(names, reverse=True)
    browser.find_element(By.CSS_SELECTOR, "#videos input").send_keys("OLD avi")
    assert [row[0] for row in rows_of(browser, "videos")] == ["videos/old.avi"]
    assert browser.find_element(By.CSS_SELECTOR, "#videos [role=status]").text == "1 of 3"
    assert [row[0] for row in rows_of(browser, "events")] == ["videos/=a <b>.mp4"] * 2
    assert width_on_a_phone(browser) <= 360
    paths = pictures(browser, tmp_path, "index")
    assert brightness(paths["light"]) > 200 > 80 > brightness(paths["dark"])
    # The second event, of the lower probability, opens at its place.
    browser.find_elements(By.CSS_SELECTOR, "#events tbody a")[1].click()
    wait(browser, "return document.querySelector('video')?.readyState > 0")
    assert text_of(browser, "status").startswith("Event 2 of 2: fight, 0:06.")


def test_keys_and_clicks_jump_to_events(page, tmp_path):
    first, second = (float(row[0].split(":")[1]) for row in rows_of(page, "events"))
    assert (first, second) == (pytest.approx(2, abs=0.5), pytest.approx(6, abs=0.5))
    press(page, "n")
    assert player_time(page) == pytest.approx(first, abs=0.06)
    press(page, "n")
    assert player_time(page) == pytest.approx(second, abs=0.06)
    assert text_of(page, "status").startswith("Event 2 of 2: fight")
    press(page, "n")
    assert text_of(page, "status") == "No later event."
    press(page, "p")
    assert player_time(page) == pytest.approx(first, abs=0.06)
    # A mark leads to the beginning of its event, a place on the curve to that moment.
    click_curve(page, 6.6, y=8)
    assert player_time(page) == pytest.approx(second, abs=0.06)
    click_curve(page, 4.5, y=100)
    assert player_time(page) == pytest.approx(4.5, abs=0.05)
    assert text_of(page, "now").startswith("0:04.5 · fight ")
    press(page, Keys.ARROW_RIGHT)
    assert player_time(page) == pytest.approx(5.5, abs=0.05)
    press(page, Keys.HOME)
    assert player_time(page) == 0
    page.find_elements(By.CSS_SELECTOR, "#events tbody tr td:nth-child(3)")[1].click()
    assert player_time(page) == pytest.approx(second, abs=0.06)
    assert width_on_a_phone(page) <= 360
    paths = pictures(page, tmp_path, "video")
    assert brightness(paths["light"]) > 150 > 80 > brightness(paths["dark"])


def test_the_curve_follows_the_player(page):
    press(page, " ")
    wait(page, "return document.querySelector('video').currentTime > 0.6")
    press(page, " ")
    assert page.execute_script("return document.querySelector('video').paused")
    share = playhead(page) / page.find_element(By.ID, "curve").size["width"]
    assert 8 * share == pytest.approx(player_time(page), abs=0.1)


def test_a_zoomed_curve_shows_a_part_and_follows(page):
    click_curve(page, 4.0, y=100)
    press(page, "+", "+")
    # Two of eight seconds are in sight, from 3 to 5.
    click_curve(page, 0.0, y=100)
    assert player_time(page) == pytest.approx(3, abs=0.1)
    press(page, "n")
    assert 0 < playhead(page) < page.find_element(By.ID, "curve").size["width"] / 4
    press(page, "0")
    click_curve(page, 1.0, y=100)
    assert player_time(page) == pytest.approx(1, abs=0.05)


def test_a_person_labels_events_and_downloads_them(page, output, tmp_path):
    press(page, "n")
    press(page, "c")
    page.find_elements(By.XPATH, "//td//button[.='Reject']")[1].click()
    assert text_of(page, "reviewed") == "1 confirmed, 1 rejected, 0 added, 0 open"
    # An event from 4.5 to 5.5 s that the network missed.
    click_curve(page, 4.5, y=100)
    press(page, "[")
    press(page, Keys.ARROW_RIGHT)
    press(page, "]")
    page.find_element(By.ID, "watched").click()
    click_button(page, "Download labels")
    rows = downloaded(tmp_path, "=a _b_.mp4.labels.csv")
    assert {row["video"] for row in rows} == {"videos/=a <b>.mp4"}
    assert [row["verdict"] for row in rows] == ["confirmed", "rejected", "added", "watched"]
    assert (float(rows[2]["onset"]), float(rows[2]["offset"])) == pytest.approx((4.5, 5.5), abs=0.05)
    assert [row["class"] for row in rows] == ["fight", "fight", "fight", ""]
    # The browser has kept them, for the page over all videos too.
    page.refresh()
    assert text_of(page, "reviewed") == "1 confirmed, 1 rejected, 1 added, 0 open"
    assert page.find_element(By.ID, "watched").is_selected()
    open_page(page, output / "index.html")
    assert rows_of(page, "videos")[0][4] == "2 of 2"
    assert [row[-1] for row in rows_of(page, "events")] == ["confirmed", "rejected"]
    click_button(page, "Download labels")
    assert downloaded(tmp_path, "labels.csv") == rows
    # One event found is right and one a false alarm, and the one that was added was missed.
    fights = evaluate_events(output, [tmp_path / "labels.csv"], output=tmp_path)["classes"]["fight"]
    counts = [fights["overlap"]["0.5"][key] for key in ("num_right", "num_false_alarms", "num_missed")]
    assert counts == [1, 1, 1]
    page.back()
    # The same verdict again takes it back, and a missed event can be removed.
    press(page, "n", "c")
    click_button(page, "Remove")
    assert text_of(page, "reviewed") == "0 confirmed, 1 rejected, 0 added, 1 open"


def test_a_file_name_that_begins_a_formula_is_quoted(browser, tmp_path):
    result = made_result(tmp_path, name="=1+1.mp4")
    write_video_page(result, result.output.parent, ["fight"], PredictOptions())
    open_page(browser, result.output / "index.html")
    # The video itself does not exist, which a browser reports.
    wait(browser, "return !document.getElementById('not-played').hidden")
    assert "ERR_FILE_NOT_FOUND" in " ".join(entry["message"] for entry in browser.get_log("browser"))
    click_button(browser, "Download labels")
    assert [row["video"] for row in downloaded(tmp_path, "=1+1.mp4.labels.csv")] == ["'=1+1.mp4"]


def test_what_a_browser_does_not_play_still_has_its_curve(output, browser):
    open_page(browser, output / "videos" / "old.avi" / "index.html")
    wait(browser, "return !document.getElementById('not-played').hidden")
    click_curve(browser, 2.0, y=100)
    # The curve of eight seconds that is clicked at a quarter is that of four.
    assert text_of(browser, "now").startswith("0:01.0 · fight 9.")


def test_segments_and_heat_maps_are_shown(browser, tmp_path):
    classes = ("action", "horror", "sports")
    events = [Event("sports", 1.5, 2.5, 2.0, 0.9)]
    result = made_result(tmp_path, classes=classes, events=events, name="film.mp4")
    write_greys(tmp_path / "film.mp4", [30] * 40, size=(90, 160))
    cv2.imwrite(str(result.output / "explanation.png"), np.full((100, 300, 3), 90, np.uint8))
    write_video_page(result, result.output.parent, classes, PredictOptions(explain=True))
    open_page(browser, result.output / "index.html")
    assert [row[2] for row in rows_of(browser, "segments")] == ["action", "sports", "action"]
    assert browser.execute_script("return document.querySelector('img').naturalWidth") == 300
    browser.find_elements(By.CSS_SELECTOR, "#segments tbody tr:not([aria-hidden])")[2].click()
    assert text_of(browser, "now").startswith("0:02.5 · ")
    Select(browser.find_element(By.ID, "missed-class")).select_by_visible_text("horror")
    paths = pictures(browser, tmp_path, "segments")
    assert brightness(paths["light"]) > 150 > 80 > brightness(paths["dark"])


def test_ten_thousand_events_stay_fast(browser, tmp_path):
    # Windows 1 s apart, every fourth of which is an event: eleven hours.
    probabilities = np.tile([0.1, 0.3, 0.9, 0.2], 10000)
    events = [Event("fight", 4.0 * i + 2.5, 4.0 * i + 3.5, 4.0 * i + 3, 0.7 + i / 1e5) for i in range(10000)]
    result = made_result(tmp_path, probabilities=probabilities, events=events)
    write_greys(tmp_path / "a.mp4", [30] * 10)
    write_video_page(result, result.output.parent, ["fight"], PredictOptions())
    began = time.monotonic()
    open_page(browser, result.output / "index.html")
    assert text_of(browser, "reviewed") == "0 confirmed, 0 rejected, 0 added, 10000 open"
    assert time.monotonic() - began < 5
    assert len(rows_of(browser, "events")) < 60
    milliseconds = browser.execute_script(
        """
        const began = performance.now();
        const next = () => document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "n", bubbles: true}));
        for (let i = 0; i < 10; i++) next();
        return (performance.now() - began) / 10;
        """
    )
    assert milliseconds < 200
    assert text_of(browser, "status").startswith("Event 10 of 10000: fight")
    # The end of the table is reached at once; sorted by probability, the last is the first.
    browser.execute_script("const rows = document.querySelector('.rows'); rows.scrollTop = rows.scrollHeight")
    wait(browser, "return document.querySelector('tr[aria-rowindex=\"10001\"]') !== null")
    for _ in range(2):
        click_button(browser, "Highest")
    assert rows_of(browser, "events")[0][4] == "80.0 %"
    pictures(browser, tmp_path, "many")


def test_an_index_of_ten_thousand_events_stays_fast(browser, tmp_path):
    events = [Event("fight", 4.0 * i, 4.0 * i + 2, 4.0 * i + 1, 0.6 + i / 1000) for i in range(100)]
    results = [made_result(tmp_path, events=events, name=f"video{number}.mp4") for number in range(100)]
    page = write_index(results, tmp_path / "out", ["fight"])
    began = time.monotonic()
    open_page(browser, page)
    assert browser.find_element(By.CSS_SELECTOR, "#events [role=status]").text == "10,000"
    assert time.monotonic() - began < 5
    assert len(rows_of(browser, "events")) < 60
    milliseconds = browser.execute_script(
        """
        const search = document.querySelector("#events input");
        const began = performance.now();
        search.value = "video42.mp4";
        search.dispatchEvent(new Event("input"));
        return performance.now() - began;
        """
    )
    assert milliseconds < 500
    assert browser.find_element(By.CSS_SELECTOR, "#events [role=status]").text == "100 of 10,000"
