"""The datasets that the configs can train on, with the splits to train on, to choose the checkpoint by and to test on.

To add one: a builder in `tfds_builders/`, and an entry in `DATASETS`.
"""

from types import MappingProxyType

from jaxvid.config import Joinable

# Of a dataset without a validation split: one source video in ten of the training split validates.
_HELD_OUT = {"train_split": "train@!0/10", "val_split": "train@0/10"}

_TRAIN_AND_TEST = {**_HELD_OUT, "test_split": "test"}

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


def _fold(number: int) -> dict[str, str]:
    """Returns a fold of the five-fold cross-validation of Violent Flows, whose builder stores the folds."""
    training = "+".join(f"fold{other}" for other in range(1, 6) if other != number)
    return {
        "builder": "violent_flows",
        "train_split": f"{training}@!0/10",
        "val_split": f"{training}@0/10",
        "test_split": f"fold{number}",
    }


# By the name that a config's argument `dataset` takes. `builder`: the TFDS builder, if it has another name; `variant`:
# of its config, after the size.
DATASETS: MappingProxyType[str, dict[str, str]] = MappingProxyType(
    {
        "shv": _TRAIN_AND_TEST,
        "hockey_fight": _TRAIN_AND_TEST,
        "hockey_fight_random": {"builder": "hockey_fight", "variant": "random", **_TRAIN_AND_TEST},
        "movies_fight": _TRAIN_AND_TEST,
        "movies_fight_random": {"builder": "movies_fight", "variant": "random", **_TRAIN_AND_TEST},
        "movies_fight_random85": {"builder": "movies_fight", "variant": "random85", **_TRAIN_AND_TEST},
        "rwf2000": {**_HELD_OUT, "test_split": "val"},
        "ucf50": _TRAIN_AND_TEST,
        "ucf101_split1": _official_split(1),
        "ucf101_split2": _official_split(2),
        "ucf101_split3": _official_split(3),
        "surveillance_fight": _OWN_SPLITS,
        **{f"violent_flows_fold{number}": _fold(number) for number in range(1, 6)},
        "video_folder": _OWN_SPLITS,
        "synthetic_fight": _OWN_SPLITS,
        "synthetic_genre": _OWN_SPLITS,
    }
)


def datasets(default: str) -> Joinable:
    """Returns the names of all datasets, `default` first, as `parse_arg` takes them; several may be joined with "+"."""
    return Joinable((default, *(name for name in DATASETS if name != default)))


def dataset_section(name: str, size: str, options: str = "") -> dict[str, str]:
    """Returns the values of a config's section `dataset`: TFDS name and splits.

    Args:
      name: a key of `DATASETS`, or several joined with "+" (jaxvid/data/joined.py).
      size: of the frames, such as "128x171".
      options: of the builder, such as "_4fps_40frames".
    """
    if "+" in name:
        parts = [dataset_section(part, size, options) for part in name.split("+")]
        return {
            key: ("+" if key == "name" else ",").join(part[key] for part in parts)
            for key in ("name", "train_split", "val_split", "test_split")
        }
    entry = dict(DATASETS[name])
    builder, variant = entry.pop("builder", name), entry.pop("variant", "")
    return {"name": f"{builder}/{size}{f'_{variant}' * bool(variant)}{options}", **entry}
