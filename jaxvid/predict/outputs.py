"""The files that are written of each video: timeline, events, problems, plot, pages, annotated video, explanation."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from jaxvid.files import replacing
from jaxvid.predict.annotate import annotate
from jaxvid.predict.events import Timeline, find_segments, write_events, write_segments, write_timeline
from jaxvid.predict.files import PeakWindow, PredictOptions, VideoResult
from jaxvid.predict.pages.video import write_video_page
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.timeline_plot import plot_timeline
from jaxvid.video.damage import Damage
from jaxvid.video.faces import FaceBlur
from jaxvid.video.workers import InvalidVideoError


def write_outputs(
    predictor: Predictor,
    result: VideoResult,
    root: Path,
    classes: Sequence[str],
    options: PredictOptions,
    peak: PeakWindow | None,
) -> None:
    """Writes the files of a video that was read into its directory.

    Args:
      predictor: of the result.
      result: whose problems take note of files that cannot be written.
      root: directory of the call, with the page over all videos.
      classes: classes whose events are detected.
      options: of the call.
      peak: the window to explain; None for no explanation.
    """
    assert result.timeline is not None
    _write_files(result, result.timeline, options)
    if peak is not None:
        _write_explanation(predictor, peak, result.output, options)
    write_video_page(result, root, classes, options)


def _write_files(result: VideoResult, timeline: Timeline, options: PredictOptions) -> None:
    output = result.output
    output.mkdir(parents=True, exist_ok=True)
    write_timeline(timeline, output / "timeline.csv")
    write_events(result.events, output / "events.json")
    if len(timeline.class_names) > 2:
        write_segments(find_segments(timeline), output / "segments.csv")
    if options.annotate:
        try:
            face_blur = FaceBlur() if options.blur_faces else None
            annotate(result.path, timeline, output / "annotated.mp4", face_blur)
        except InvalidVideoError as error:
            # The timeline is worth keeping without it.
            result.problems.add(0.0, float(timeline.ends[-1]), error.reason)
    write_problems(result.problems, output / "problems.json")
    if options.plot:
        plot = plot_timeline(timeline, result.events, options.thresholds, result.path.name, result.problems.flaws)
        with replacing(output / "timeline.png") as unfinished:
            unfinished.write_bytes(plot)


def _write_explanation(predictor: Predictor, peak: PeakWindow, output: Path, options: PredictOptions) -> None:
    # Not at the top: it imports JAX, which a plot can do without.
    from jaxvid.predict.grad_cam import explain

    assert peak.window is not None
    strip = explain(predictor, peak.window, peak.label, without_faces=options.blur_faces)
    name = predictor.class_names[peak.label]
    window = f"{peak.window.start:.1f} to {peak.window.end:.1f} s"
    title = f"{name} {100 * peak.probability:.0f} %, {window} (below: bright where Grad-CAM finds {name})"
    caption = np.full((28, strip.shape[1], 3), 255, np.uint8)
    shown = title.encode("ascii", errors="replace").decode()
    cv2.putText(caption, shown, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack([caption, strip]), cv2.COLOR_RGB2BGR))
    with replacing(output / "explanation.png") as unfinished:
        unfinished.write_bytes(encoded.tobytes())


def write_problems(problems: Damage, path: Path) -> None:
    """Writes the parts of a video that were not read as recorded, in order of time, as a list of JSON objects."""
    flaws = [flaw._asdict() for flaw in sorted(problems.flaws)]
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(flaws, indent=2) + "\n")
