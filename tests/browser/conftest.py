"""A headless Chromium for the tests of pages."""

import base64
import shutil

import cv2
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait


@pytest.fixture(scope="session")
def chromium():
    """A browser for the whole run; Debian's packages chromium and chromium-driver bring it."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.fail("these tests need a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    # CI runs as root, in which Chromium has no sandbox, with little shared memory.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, tmp_path):
    """The browser, with nothing kept from other tests, and downloads into `tmp_path`; its console stays empty."""
    chromium.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    in_theme(chromium, "light")
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def in_theme(browser, theme):
    """Makes pages `light` or `dark`."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def open_page(browser, path):
    """Opens a page from its file."""
    browser.get(path.absolute().as_uri())


def wait(browser, condition):
    """Waits until a script returns something true."""
    return WebDriverWait(browser, 20, 0.05).until(lambda _: browser.execute_script(condition))


def pictures(browser, directory, name):
    """Takes pictures of the whole page, light and dark, into NAME-light.png and NAME-dark.png; returns their paths."""
    clip = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"] | {"scale": 1}
    paths = {}
    for theme in ("light", "dark"):
        in_theme(browser, theme)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        paths[theme] = directory / f"{name}-{theme}.png"
        paths[theme].write_bytes(base64.b64decode(shot["data"]))
    return paths


def width_on_a_phone(browser):
    """How wide a page is where the screen has 360 pixels, once it is laid out for it."""
    phone = {"width": 360, "height": 700, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    # The command returns before the page has its new size, and the page before what it draws to that size: two frames.
    wait(browser, "return document.documentElement.clientWidth === 360")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    return width


def brightness(path):
    """The mean brightness of a picture, 0 to 255."""
    return float(cv2.imread(str(path)).mean())
