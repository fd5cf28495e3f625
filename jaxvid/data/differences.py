"""Differences between the files of two classes that a network can learn instead of their content."""

import json
from collections.abc import Mapping
from pathlib import Path

from jaxvid.video.properties import PropertiesSummary

# Written by the builders beside the records.
STATISTICS_FILENAME = "statistics.json"
# Classes of fewer videos differ by chance.
_FEWEST_VIDEOS = 10
# Classes differ where their shares of a value are further apart than this, or their medians by more than that factor.
_SHARE_DIFFERENCE, _MEDIAN_FACTOR = 0.2, 1.2


def class_differences(classes: Mapping[str, PropertiesSummary]) -> list[str]:
    """Returns how the files of the classes differ, one sentence for each property in which they do.

    Classes differ in file format, codec, size, frame rate or sound if their shares of some value of it are more than 20
    points apart; in length and data rate if their medians are more than 20 % apart. Classes of fewer than ten videos
    are left out.
    """
    large = {name: summary for name, summary in classes.items() if summary["videos"] >= _FEWEST_VIDEOS}
    if len(large) < 2:
        return []
    counts: dict[str, dict[str, Mapping[str, int]]] = {
        "file format": {name: summary["container"] for name, summary in large.items()},
        "codec": {name: summary["codec"] for name, summary in large.items()},
        "size": {name: summary["size"] for name, summary in large.items()},
        "frame rate": {name: summary["fps"] for name, summary in large.items()},
        "sound": {name: {"with sound": summary["with_sound"]} for name, summary in large.items()},
    }
    lengths = {name: summary["seconds"]["median"] for name, summary in large.items()}
    rates = {name: summary["bytes"]["median"] / 1000 / max(lengths[name], 1e-3) for name, summary in large.items()}
    videos = {name: summary["videos"] for name, summary in large.items()}
    sentences = [_uneven_shares(label, of_class, videos) for label, of_class in counts.items()]
    sentences += [_uneven_medians("length", "s", lengths), _uneven_medians("data rate", "kB/s", rates)]
    return [sentence for sentence in sentences if sentence]


def dataset_differences(data_path: Path | str) -> list[str]:
    """Returns `class_differences` of the largest split of a prepared dataset; none if its builder did not store them.

    Args:
      data_path: directory of the records, which has the builder's `statistics.json`.
    """
    path = Path(data_path) / STATISTICS_FILENAME
    if not path.exists():
        return []
    splits = [split for split in json.loads(path.read_text()).values() if "classes" in split]
    return class_differences(max(splits, key=lambda split: split["videos"])["classes"]) if splits else []


def describe_differences(differences: list[str]) -> str:
    """Returns one sentence for a log or a report; "" if there are no differences."""
    if not differences:
        return ""
    return f"The classes differ in more than content, and a network can learn that instead: {'; '.join(differences)}."


def _uneven_shares(label: str, counts: Mapping[str, Mapping[str, int]], videos: Mapping[str, int]) -> str | None:
    """Describes the value whose shares in two classes are furthest apart; None if these are close."""
    spread, value, shares = max(
        (
            (max(shares.values()) - min(shares.values()), value, shares)
            for value in {value for of_class in counts.values() for value in of_class}
            for shares in [{name: of_class.get(value, 0) / videos[name] for name, of_class in counts.items()}]
        ),
        key=lambda candidate: candidate[:2],
    )
    if spread <= _SHARE_DIFFERENCE:
        return None
    high, low = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    named = value if label == "sound" else f"{label} {value}"
    return f"{named}: {100 * shares[high]:.0f} % of {high}, {100 * shares[low]:.0f} % of {low}"


def _uneven_medians(label: str, unit: str, medians: Mapping[str, float]) -> str | None:
    high, low = max(medians, key=lambda name: medians[name]), min(medians, key=lambda name: medians[name])
    if medians[high] <= _MEDIAN_FACTOR * medians[low]:
        return None
    return f"median {label}: {medians[high]:.3g} {unit} of {high}, {medians[low]:.3g} {unit} of {low}"
