"""What could not be read of a video."""

import dataclasses
from typing import NamedTuple


class Flaw(NamedTuple):
    """A part of a video that was not read as it was recorded.

    Attributes:
      begin: in seconds since the first frame.
      end: in seconds.
      reason: such as "damaged parts were concealed".
    """

    begin: float
    end: float
    reason: str


@dataclasses.dataclass
class Damage:
    """All that could not be read of a video; filled while its frames and its sound are decoded.

    Attributes:
      flaws: in the order in which they began to be noticed.
    """

    flaws: list[Flaw] = dataclasses.field(default_factory=list)
    # By reason, the position of its last flaw.
    _last: dict[str, int] = dataclasses.field(default_factory=dict, repr=False)

    def add(self, begin: float, end: float, reason: str) -> None:
        """Adds a flaw; one that follows another of the same reason within a second extends that one."""
        position = self._last.get(reason)
        if position is not None and begin <= self.flaws[position].end + 1:
            earlier = self.flaws[position]
            self.flaws[position] = Flaw(min(begin, earlier.begin), max(end, earlier.end), reason)
            return
        self._last[reason] = len(self.flaws)
        self.flaws.append(Flaw(begin, end, reason))

    def __bool__(self) -> bool:
        return bool(self.flaws)

    def __str__(self) -> str:
        return "; ".join(f"{_span(flaw)}: {flaw.reason}" for flaw in self.flaws)


def _span(flaw: Flaw) -> str:
    end = f"-{flaw.end:.1f}" if flaw.end - flaw.begin >= 0.05 else ""
    return f"{flaw.begin:.1f}{end} s"
