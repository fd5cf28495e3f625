"""The datasets that the configs can train on."""

from types import MappingProxyType

# Where a dataset has no validation split of its own, one source video in ten of the training split makes it.
_HELD_OUT = {"train_split": "train@!0/10", "val_split": "train@0/10"}


_OF_ITS_OWN = {"train_split": "train", "val_split": "val", "test_split": "test"}


def _official_split(number: int) -> dict[str, str]:
    """One of the three of UCF101, whose builder stores the parts that they are made of."""
    others = "+".join(f"test{other}" for other in (1, 2, 3) if other != number)
    training = f"{others}+always_train"
    return {
        "builder": "ucf101_by_group",
        "train_split": f"{training}@!0/10",
        "val_split": f"{training}@0/10",
        "test_split": f"test{number}",
    }


DATASETS: MappingProxyType[str, dict[str, str]] = MappingProxyType(
    {
        "shv": {**_HELD_OUT, "test_split": "test"},
        "hockey_fight": {**_HELD_OUT, "test_split": "test"},
        "movies_fight": {**_HELD_OUT, "test_split": "test"},
        "rwf2000": {**_HELD_OUT, "test_split": "val"},
        "ucf50": {**_HELD_OUT, "test_split": "test"},
        "ucf101_split1": _official_split(1),
        "ucf101_split2": _official_split(2),
        "ucf101_split3": _official_split(3),
        "surveillance_fight": _OF_ITS_OWN,
        "video_folder": _OF_ITS_OWN,
        "synthetic_fight": _OF_ITS_OWN,
        "synthetic_genre": _OF_ITS_OWN,
    }
)


def datasets(default: str) -> tuple[str, ...]:
    """The datasets that a config can train on, `default` first, as `parse_arg` takes them."""
    return (default, *(name for name in DATASETS if name != default))


def dataset_section(name: str, size: str) -> dict[str, str]:
    """What a config's section `dataset` says of a dataset at a size, such as "128x171": its TFDS name and splits."""
    splits = dict(DATASETS[name])
    return {"name": f"{splits.pop('builder', name)}/{size}", **splits}
