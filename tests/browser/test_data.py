"""The page about data, as a reader sees it: of a dataset with sound and the inputs of a network, and of a folder."""

import pytest
from selenium.webdriver.common.by import By

from jaxvid.config import base_config
from jaxvid.data.show.folder import show_folder
from jaxvid.data.show.prepared import show_dataset
from jaxvid.report.data import write_data_page
from jaxvid.video.files import write_video
from tests.browser.conftest import brightness, open_page, pictures, wait, width_on_a_phone
from tests.data.test_check import noise

pytestmark = pytest.mark.slow

_SHOWN = "return [...document.images].every((image) => image.complete && image.naturalWidth > 20)"


@pytest.fixture(scope="module")
def genres(tmp_path_factory):
    """A config whose dataset has frames and sound."""
    import tensorflow_datasets as tfds

    import tfds_builders  # noqa: F401

    directory = tmp_path_factory.mktemp("tfds")
    name = "synthetic_genre/tiny_4fps_8frames_8000hz"
    tfds.builder(name, data_dir=directory).download_and_prepare()
    config = base_config()
    config.dataset.update(name=name, data_dir=str(directory))
    config.clip.update(sampling="sequence", num_frames=8, height=64, width=64)
    config.audio.update(sample_rate=8000, seconds=2.0)
    config.augment.update(flip=True, min_scale=0.7)
    return config


def check_page(browser, path, tmp_path):
    open_page(browser, path)
    # Those out of sight load when they are scrolled to.
    browser.execute_script("for (const image of document.images) image.loading = 'eager'")
    wait(browser, _SHOWN)
    assert width_on_a_phone(browser) <= 360
    paths = pictures(browser, tmp_path, path.stem)
    assert brightness(paths["light"]) > 150 > 90 > brightness(paths["dark"])


def test_the_page_of_a_dataset_with_sound(browser, genres, tmp_path):
    write_data_page(tmp_path / "genres.html", show_dataset("", genres))
    check_page(browser, tmp_path / "genres.html", tmp_path)
    browser.find_element(By.LINK_TEXT, "What the network hears").click()
    wait(browser, "return document.getElementById('what-the-network-hears').getBoundingClientRect().top < 100")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".spectrum img")) == 8
    # The places of frames are drawn as wide as the frames.
    strip, ticks = (browser.find_element(By.CSS_SELECTOR, f".views {tag}").size["width"] for tag in ("img", ".ticks"))
    assert strip == pytest.approx(ticks, abs=1)


def test_the_page_of_a_folder(browser, tmp_path):
    root = tmp_path / "videos"
    for seed, name in enumerate(("fight/<b>&amp;.mp4", f"fight/{30 * 'long'}.mp4", "calm/c.avi")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / name, noise(seed, 12), 10.0)
    (root / "calm" / "broken.mp4").write_bytes(b"no video")
    write_data_page(tmp_path / "folder.html", show_folder(root))
    check_page(browser, tmp_path / "folder.html", tmp_path)
    assert "broken.mp4" in browser.find_element(By.ID, "files-that-cannot-be-read").text
    assert "<b>&amp;.mp4" in browser.find_element(By.ID, "samples").text
