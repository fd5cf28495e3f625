"""The reports of an evaluation and of a comparison, as a reader sees them."""

import pytest

from tests.browser.conftest import brightness, in_theme, open_page, pictures, width_on_a_phone
from tests.commands import run_command
from tests.compare.made_up import write_run
from tests.report.made_up import hostile_predictions, make_predictions
from tests.report.test_report import report_of

pytestmark = pytest.mark.slow

_IMAGES = """
const shown = [...document.images];
await Promise.all(shown.map((image) => image.decode()));
return shown.map((image) => [image.naturalWidth, image.currentSrc.slice(-80)]);
"""


def check_page(browser, path, tmp_path):
    """Checks that a page shows its images, light and dark, and fits a phone."""
    open_page(browser, path)
    light = browser.execute_script(_IMAGES)
    assert light
    assert all(width > 20 for width, _ in light)
    paths = pictures(browser, tmp_path, path.stem)
    assert brightness(paths["light"]) > 200 > 80 > brightness(paths["dark"])
    in_theme(browser, "dark")
    # Plots have a second image for dark pages; frames of videos have not.
    assert browser.execute_script(_IMAGES)[0] != light[0]
    assert width_on_a_phone(browser) <= 360


@pytest.mark.parametrize("predictions", [make_predictions(6), hostile_predictions()], ids=["six classes", "hostile"])
def test_the_report_of_an_evaluation(browser, tmp_path, predictions):
    check_page(browser, report_of(tmp_path, predictions), tmp_path)


def test_the_report_of_a_comparison(browser, tmp_path):
    first, second = write_run(tmp_path / "a", "abcdefgh"), write_run(tmp_path / "b", "aijkl")
    run_command("jaxvid.compare", first, second, f"--output={tmp_path / 'out'}")
    check_page(browser, tmp_path / "out" / "comparison.html", tmp_path)
