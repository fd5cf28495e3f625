"""Windows of a live stream, each classified as soon as its last frame has come."""

from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np

from jaxvid.predict.batches import Classified, WindowClassifier
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.windows import SlidingWindow, Window, WindowPlan
from jaxvid.video.streams import TimedFrame


def follow_live(
    predictor: Predictor, frames: Iterable[TimedFrame], plan: WindowPlan, more_waiting: Callable[[], bool]
) -> Generator[Classified, None, None]:
    """Yields the windows of a live stream with their probabilities.

    Frames are computed when it is clear that the next window shows them, so that a window waits only for its last
    frame. If the stream is faster than the network, windows are left out.

    Args:
      predictor: the trained model.
      frames: frames of `predictor.frame_size`, as they arrive.
      plan: the windows to take.
      more_waiting: whether further frames have arrived already.
    """
    classifier, sliding = predictor.window_classifier(one_by_one=True), SlidingWindow(plan)
    for frame in frames:
        sliding.add(frame)
        if more_waiting():
            continue
        yield from _at_once(classifier, sliding.newest())
        classifier.prepare(0, *sliding.certain())
    yield from _at_once(classifier, sliding.finish())


def compile_live(predictor: Predictor) -> None:
    """Compiles what `follow_live` calls, so that no window waits for it."""
    list(_at_once(predictor.window_classifier(one_by_one=True), [blank_window(predictor)]))


def blank_window(predictor: Predictor) -> Window:
    """Returns a black window without sound, with which programs are compiled before they are needed."""
    image, length = np.zeros((*predictor.frame_size, 3), np.uint8), predictor.config.clip.num_frames
    return Window(0.0, 1.0, (image,) * length, (0,) * length, length, np.zeros(0, np.int16))


def _at_once(classifier: WindowClassifier, windows: Iterable[Window]) -> Iterator[Classified]:
    for window in windows:
        yield from classifier.add(0, window)
        # Several devices have a batch of several windows.
        yield from classifier.finish()
