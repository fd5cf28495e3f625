"""The rows of the campaign."""

from tests.faults import (
    cameras,
    disks,
    downloads,
    kills,
    load,
    long_runs,
    rtsp_cameras,
    together,
    videos,
    weights,
    workdirs,
)
from tests.faults.campaign import Row

ROWS = {
    "videos": Row(videos.PROMISE, videos.attempt, 1),
    "weights": Row(weights.PROMISE, weights.attempt, 1),
    "kills": Row(kills.PROMISE, kills.attempt, 2),
    # Only root may mount its disks, and not in every container: by the command alone.
    "disks": Row(disks.PROMISE, disks.attempt, 0),
    "load": Row(load.PROMISE, load.attempt, 4),
    "cameras": Row(cameras.PROMISE, cameras.attempt, 2),
    "rtsp_cameras": Row(rtsp_cameras.PROMISE, rtsp_cameras.attempt, 3),
    "workdirs": Row(workdirs.PROMISE, workdirs.attempt, 1),
    "together": Row(together.PROMISE, together.attempt, 1),
    "downloads": Row(downloads.PROMISE, downloads.attempt, 30),
    "long_runs": Row(long_runs.PROMISE, long_runs.attempt, 4),
}
