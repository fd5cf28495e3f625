"""The frames of a split decoded once: which ones are kept, and where each of them is."""

from multiprocessing.pool import ThreadPool

import numpy as np
from jaxtyping import Int, UInt8
from tqdm import tqdm

from jaxvid.data.dataset import ClipSplit
from jaxvid.data.records import decode_frames
from jaxvid.data.sampling import Sampling


class FrameRows:
    """Rows of an array of the frames that training may take of the clips of a split, clip by clip.

    They are all frames of a clip; where training takes the same ones every time, only these.

    Attributes:
      num_rows: number of all frames.
    """

    def __init__(self, split: ClipSplit, scheme: Sampling):
        """Plans the array; nothing is read."""
        metadata = split.metadata
        counts, rates = metadata.num_frames.tolist(), metadata.fps.tolist()
        self._kept = [_kept(scheme, count, fps) for count, fps in zip(counts, rates, strict=True)]
        sizes = np.asarray([len(kept) for kept in self._kept])
        self._first_rows = np.cumsum(sizes) - sizes
        self.num_rows = int(sizes.sum())

    def of(self, position: int, frames: Int[np.ndarray, "time"]) -> Int[np.ndarray, "time"]:
        """Returns the rows of frames of a clip."""
        return (self._first_rows[position] + np.searchsorted(self._kept[position], frames)).astype(np.int32)

    def decode(self, split: ClipSplit, num_threads: int) -> UInt8[np.ndarray, "row height width 3"]:
        """Returns the array, decoded by several threads."""

        def decoded(position: int) -> UInt8[np.ndarray, "kept height width 3"]:
            return decode_frames(split[position].frames, self._kept[position])

        array, first = np.zeros(0, np.uint8), 0
        with ThreadPool(num_threads) as pool:
            clips = pool.imap(decoded, range(len(split)))
            for images in tqdm(clips, f"Decoding {split.name}", len(split), unit="clip", leave=False):
                if not first:
                    array = np.empty((self.num_rows, *images.shape[1:]), np.uint8)
                array[first : first + len(images)] = images
                first += len(images)
        return array


def _kept(scheme: Sampling, num_frames: int, fps: float) -> Int[np.ndarray, "kept"]:
    """Returns the frames of a clip that training may take, in their order."""
    if not scheme.is_fixed:
        return np.arange(num_frames)
    # No random number is drawn.
    return np.unique(scheme.train(num_frames, fps, np.random.default_rng(0)))
