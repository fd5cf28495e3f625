"""Configs: the sections all of them share, the strict string argument, and the copy kept in a workdir."""

import json
from pathlib import Path
from typing import Any

import ml_collections

from jaxvid.files import replacing
from jaxvid.types import ConfigDict

FILE_NAME = "config.json"


# Raised when a saved config can no longer be read by this code.
FORMAT = 3


# What may differ when a run is taken up again: none of it changes what the steps done so far have computed.
RESUMABLE = (
    "checkpoint.",
    "dataset.data_dir",
    "dataset.manual_dir",
    "eval.batch_size",
    "eval.num_resamples",
    "pipeline.",
    "train.log_every_steps",
    "train.num_epochs",
    "train.num_steps",
    "train.early_stopping_patience",
)


def parse_arg(arg: str | None, **defaults: Any) -> ConfigDict:
    """The values of a config's string argument, such as "dataset=movies_fight,normalize=false".

    Args:
      arg: comma-separated `key=value`; None or "" for the defaults.
      defaults: the allowed keys. A tuple stands for the allowed values, of which the first is the default; any other
        default gives the type: bool (true or false), int, float or str.

    Raises:
      ValueError: on an unknown key, a value that is not allowed or not of the type, or a part that is not key=value.
    """
    values = {key: default[0] if isinstance(default, tuple) else default for key, default in defaults.items()}
    for part in filter(None, (arg or "").split(",")):
        key, equals, text = part.partition("=")
        if not equals:
            raise ValueError(f"config argument {part!r} is not of the form key=value; keys: {', '.join(defaults)}")
        if key not in defaults:
            raise ValueError(f"unknown config argument {key!r}; allowed: {', '.join(defaults)}")
        values[key] = _parse_value(key, text, defaults[key])
    return ml_collections.ConfigDict(values)


def _parse_value(key: str, text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        allowed = {str(value): value for value in default}
        if text not in allowed:
            raise ValueError(f"config argument {key}={text!r}; allowed: {', '.join(allowed)}")
        return allowed[text]
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"config argument {key}={text!r}; allowed: true, false")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError as error:
        raise ValueError(f"config argument {key}={text!r} is not of type {type(default).__name__}") from error


def base_config() -> ConfigDict:
    """Every section with the defaults that the configs start from; `model` is each config's own."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "dataset": {
                "name": "synthetic_fight/64x64",  # TFDS name and size
                "data_dir": "",  # where prepared datasets lie; "": TFDS_DATA_DIR, or ~/tensorflow_datasets
                "manual_dir": "",  # where raw videos lie that cannot be downloaded; "": <data_dir>/downloads/manual
                "on_invalid": "error",  # or "skip": leave out videos that do not decode
                "train_split": "train",
                "val_split": "val",  # chooses the best checkpoint and stops early
                "test_split": "test",  # evaluated once, at the end
                "class_names": (),  # filled in from the dataset
                "frame_size": (),  # filled in: height and width of the stored frames
                "clip_seconds": 0.0,  # filled in: median length of the training clips
                "fps": 0.0,  # filled in: their median frame rate
            },
            "clip": {
                "sampling": "uniform",
                "num_frames": 16,
                "frame_interval": 1,  # of 'consecutive' and 'fps': frames from one to the next
                "window_stride": 1,  # of 'consecutive' and 'fps': frames between the windows of evaluation
                "fps": 0.0,  # of 'fps': frames a second
                "height": 128,
                "width": 128,
                "crop": "resize",
                "normalization": "unit",
            },
            "audio": {  # the sound of a clip, for models that hear (jaxvid/data/spectrograms.py)
                "sample_rate": 0,  # of the dataset's, in hertz; 0: no sound
                "seconds": 10.0,  # from the beginning of a clip on
                "kind": "log_mel",  # or "mfcc"
                "window": 400,  # samples, of the Hann windows
                "hop": 160,  # samples, from one spectrum to the next
                "fft_size": 512,  # samples
                "num_mels": 64,
                "num_mfcc": 20,
                "min_hz": 0.0,
                "max_hz": 0.0,  # 0: half the sample rate
                "top_db": 80.0,  # decibels below the loudest, under which nothing counts
            },
            "augment": {
                "flip": False,
                "min_scale": 1.0,  # smallest random crop, as a share of the largest one's sides
                "brightness": 0.0,
                "contrast": 0.0,
                "erasing": 0.0,  # probability
                "mixup": 0.0,  # alpha
            },
            "activations": {  # how those of an adaptive model change during training (jaxvid/adaptation.py)
                "policy": "fixed",  # or "sequence": through the pool; "random": draws from it
                "pool": ("celu", "leaky_relu", "relu", "relu6"),
                "scope": "global",  # all sites at once; or "per_site"
                "sites": (),  # patterns of the sites that change, such as "layer4_*"; (): all
                "trigger": "rise",  # of the validation loss; or "epochs"
                "patience": 1,  # of 'rise': evaluations without a new lowest loss since the last change
                "cool_down": 0,  # of 'rise': evaluations after a change before another
                "at_epochs": (),  # of 'epochs'
                "return_to_best": False,  # whether a change begins from the weights of the best checkpoint
                "reject_after": 0,  # evaluations within which a change must bring a new lowest loss; 0: never undone
                "converge_after": 0,  # changes in a row without a new lowest loss that end the run; 0: they never do
            },
            "optimizer": {
                "name": "adam",
                "learning_rate": 1e-4,
                "schedule": "constant",
                "warmup_fraction": 0.0,
                "decay_at": (0.5, 0.75),  # of schedule 'steps'
                "decay_factor": 0.1,  # of schedule 'steps'
                "momentum": 0.9,  # of sgd
                "nesterov": False,  # of sgd
                "weight_decay": 0.0,  # of adamw and sgd
                "clip_norm": 0.0,  # 0: gradients are not clipped
                "accumulate_steps": 1,  # training steps to an update
                "backbone_rate_factor": 1.0,  # the backbone's learning rate, as a share of the head's
            },
            "train": {
                "batch_size": 16,  # of all devices together
                "num_epochs": 50,
                "num_steps": 0,  # instead of epochs, if not 0
                "l2": 0.0,  # weight of the sum of squared kernels in the loss
                "label_smoothing": 0.0,
                "class_weights": "none",  # or "balanced": inversely to the classes' numbers of clips
                "early_stopping_patience": 0,  # evaluations without improvement; 0: train to the end
                "log_every_steps": 10,
            },
            "retrain": {  # a first stage, in which the CNN of genre_crnn sees single frames (jaxvid/retraining.py)
                "num_steps": 0,  # 0: no such stage
                "every_steps": 400,  # from one evaluation and checkpoint to the next; all are kept
                "batch_size": 32,
                "optimizer": "adam",
                "learning_rate": 1e-4,
                "trainable": "all",  # or "head", "head_and_last_stage"
                "checkpoint": "last",  # that the second stage starts from: also "best", or a step such as "400"
            },
            "eval": {
                "batch_size": 16,  # views, of all devices of a process together
                "clips": 0,  # views over time whose probabilities are averaged; 0: one, or all windows
                "crops": 1,  # of each of them, side by side; of clip.crop 'center'
                "every_epochs": 1,
                "every_steps": 0,  # instead, if not 0
                "monitor": "val_loss",
                "num_resamples": 1000,  # of the bootstrap
            },
            "pipeline": {"num_threads": 4, "num_workers": 0},
            "checkpoint": {
                "every_steps": 0,  # besides one at each evaluation; 0: no others
                "keep_all": False,  # instead of the best and the last
            },
        }
    )


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """The dotted keys at which two configs differ, with both values."""
    old_values, new_values = dotted(old), dotted(new)
    keys = sorted(set(old_values) | set(new_values))
    return [
        f"{key}: {old_values.get(key)!r} -> {new_values.get(key)!r}"
        for key in keys
        if old_values.get(key) != new_values.get(key)
    ]


def save_config(config: ConfigDict, workdir: Path) -> None:
    """Writes the config into `workdir`, where it alone says how to read the checkpoints.

    Raises:
      ValueError: if the workdir holds another config, naming what differs; length of the run, logging and paths may.
    """
    path = workdir / FILE_NAME
    if path.exists():
        changed = [line for line in differences(load_config(workdir), config) if not line.startswith(RESUMABLE)]
        if changed:
            raise ValueError(
                f"{path} is of another run; choose another --workdir, or undo these changes:\n  " + "\n  ".join(changed)
            )
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps({"format": FORMAT, "config": config.to_dict()}, indent=2) + "\n")


def load_config(workdir: Path) -> ConfigDict:
    """The config saved in `workdir`.

    Raises:
      ValueError: if there is none, it cannot be read, or it is of another version of jaxvid.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        raise ValueError(f"{workdir} is no workdir of a training run: it has no {FILE_NAME}")
    try:
        saved = json.loads(path.read_text())
        version, values = saved["format"], saved["config"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}; train again, or restore the file") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, this jaxvid reads {FORMAT}: use the version that wrote it")
    return ml_collections.ConfigDict(_tuples(values))


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that configs hold."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def dotted(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The values of a config by their dotted keys, such as "train.batch_size"."""
    flat = {}
    for key, value in config.items():
        nested = isinstance(value, ml_collections.ConfigDict)
        flat |= dotted(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat
