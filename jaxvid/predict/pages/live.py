"""The page of a camera: its last frame, the probability and its curve, the events as they happen."""

from collections.abc import Sequence

from jaxvid.predict.events import Thresholds
from jaxvid.predict.pages.interaction import interaction
from jaxvid.predict.pages.video import legend
from jaxvid.report.html import render, section


def live_page(classes: Sequence[str], thresholds: Thresholds, began: float) -> str:
    """Renders the page.

    Args:
      classes: classes whose probabilities are shown.
      thresholds: of events.
      began: time of `time.time` from which seconds count.
    """
    data = {"classes": list(classes), "thresholds": [thresholds.on, thresholds.off], "began": began}
    summary = (
        '<p class="headline"><strong id="probability"></strong> <span id="state">Waiting for the first window.</span>'
        '</p>\n<p id="delay" class="muted wide"></p>\n<p id="alarm" role="alert"></p>'
    )
    sections = [
        section("Last frame", '<img id="frame" alt="The last frame of the camera" hidden>'),
        section("The last minutes", f'<div id="curve" role="img" aria-label="Probabilities"></div>\n{legend(classes)}'),
        section("Events", '<div id="events"></div>'),
    ]
    page = interaction(data, "table", "curve", "live", connects=True)
    return render("jaxvid: live", summary, sections, "Written by jaxvid.", page)
