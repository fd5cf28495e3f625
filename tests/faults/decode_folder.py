"""Decodes a folder in every way that jaxvid has, and prints as JSON what came of each file; a program of its own.

The parent of the decoders is this process: its memory is printed too.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

from jaxvid.predict.reading import Reading, read_videos
from jaxvid.predict.windows import Window, WindowPlan
from jaxvid.video.clips import decode_clips
from jaxvid.video.files import find_videos
from jaxvid.video.sequences import SequenceForm, decode_sequences
from jaxvid.video.workers import InvalidVideo

_SIZE = (64, 64)
_PLAN = WindowPlan(0.4, 0.2, (np.arange(4) + 0.5) / 10, True)


def main(directory: Path, seconds: float) -> None:
    """Prints by way and file: the number of frames of a whole one, the end of a whole prediction, or the reason."""
    paths = find_videos(directory)
    found = {way: _clips(paths, way, seconds) for way in ("decord", "av")}
    found["sequences"] = _sequences(paths, seconds)
    found["windows"] = _windows(paths)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"memory": memory, "found": found}))


def _clips(paths, decoder, seconds):
    results = decode_clips(paths, _SIZE, num_workers=2, timeout_seconds=seconds, decoder=decoder)
    return {
        result.path.name: result.reason if isinstance(result, InvalidVideo) else len(result.frames)
        for result in results
    }


def _sequences(paths, seconds):
    counts = {}
    form = SequenceForm(_SIZE, 0.0, 20, 8000)
    for position, result in decode_sequences(paths, form, num_workers=2, timeout_seconds=seconds):
        name = paths[position].name
        if isinstance(result, InvalidVideo):
            counts[name] = result.reason
        else:
            counts[name] = counts.get(name, 0) + len(result.frames)
    return counts


def _windows(paths):
    ends, found = {}, {}
    for position, item in read_videos(paths, Reading(_PLAN, _SIZE, 8000), num_workers=2):
        name = paths[position].name
        if isinstance(item, Window):
            ends[name] = item.end
        elif isinstance(item, InvalidVideo):
            found[name] = item.reason
        else:
            found[name] = str(item) if item else ends[name]
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
