"""The datasets that the configs can train on, with the splits to train on, to choose the checkpoint by and to test on.

To add one: a builder in `tfds_builders/`, and an entry in `DATASETS`.
"""

from types import MappingProxyType

# Of a dataset without a validation split: one source video in ten of the training split validates.
_HELD_OUT = {"train_split": "train@!0/10", "val_split": "train@0/10"}

_OWN_SPLITS = {"train_split": "train", "val_split": "val", "test_split": "test"}


def _official_split(number: int) -> dict[str, str]:
    """Returns one of the three official splits of UCF101, whose builder stores the parts that they are made of."""
    others = "+".join(f"test{other}" for other in (1, 2, 3) if other != number)
    training = f"{others}+always_train"
    return {
        "builder": "ucf101_by_group",
        "train_split": f"{training}@!0/10",
        "val_split": f"{training}@0/10",
        "test_split": f"test{number}",
    }


# By the name that a config's argument `dataset` takes. `builder`: the TFDS builder, if it has another name.
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
        "surveillance_fight": _OWN_SPLITS,
        "video_folder": _OWN_SPLITS,
        "synthetic_fight": _OWN_SPLITS,
        "synthetic_genre": _OWN_SPLITS,
    }
)


def datasets(default: str) -> tuple[str, ...]:
    """Returns the names of all datasets, `default` first, as `parse_arg` takes them."""
    return (default, *(name for name in DATASETS if name != default))


def dataset_section(name: str, size: str) -> dict[str, str]:
    """Returns the values of a config's section `dataset`: TFDS name and splits.

    Args:
      name: a key of `DATASETS`.
      size: a config of the TFDS builder, such as "128x171".
    """
    splits = dict(DATASETS[name])
    return {"name": f"{splits.pop('builder', name)}/{size}", **splits}
