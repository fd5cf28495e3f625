"""The rows of the campaign."""

from tests.faults import downloads
from tests.faults.campaign import Row

ROWS = {
    "downloads": Row(downloads.PROMISE, downloads.attempt, 30),
}
