"""Configs: the sections that all share, the strict string argument, and the copy saved in a workdir."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ml_collections

from jaxvid.files import replacing
from jaxvid.types import ConfigDict

FILE_NAME = "config.json"

# Incremented when this code can no longer read saved configs; a new key alone needs no new format.
FORMAT = 3

# Keys that may change when a run is resumed: none of them changes what the steps done so far have computed.
# train.num_epochs and train.num_steps may only change where the learning rate does not depend on them: with
# optimizer.schedule "constant" and warmup_fraction 0 (jaxvid.train.optimizer.check_resumed_length).
RESUMABLE = (
    "checkpoint.",
    "dataset.data_dir",
    "dataset.manual_dir",
    "dataset.positive_class",
    "eval.batch_size",
    "eval.calibration",
    "eval.num_resamples",
    "eval.threshold",
    "pipeline.",
    "train.log_every_steps",
    "train.num_epochs",
    "train.num_steps",
    "train.early_stopping_patience",
    "train.feature_cache",
)
# Changes from the default that `load_config` gives an older config, for a key that it could not have.
_ONCE_UNKNOWN = (
    "model.input: None -> 'frames'",
    "model.motion: None -> 'none'",
    "model.head_norm: None -> 'none'",
    "model.temporal: None -> 'lstm'",
    "model.lstm_layers: None -> 1",
    "model.norm_momentum: None -> 0.9",
    "model.norm_epsilon: None -> 1e-05",
)


class Joinable(tuple[str, ...]):
    """Allowed values of a config's argument, of which several may be joined with "+"."""


def parse_arg(arg: str | None, **defaults: Any) -> ConfigDict:
    """Parses a config's string argument, such as "dataset=movies_fight,normalize=false".

    Args:
      arg: comma-separated `key=value`; None or "" for the defaults.
      defaults: the allowed keys. A tuple stands for the allowed values, of which the first is the default, and a
        Joinable for these and several of them; any other default gives the type: bool (true or false), int, float or
        str.

    Raises:
      ValueError: on an unknown key, a value that is not allowed or not of the type, or a part that is not key=value.
    """
    values = {key: default[0] if isinstance(default, tuple) else default for key, default in defaults.items()}
    for part in filter(None, (arg or "").split(",")):
        key, equals, text = part.partition("=")
        if not equals:
            raise ValueError(f"config argument {part!r} is not of the form key=value; keys: {', '.join(defaults)}")
        if key not in defaults:
            raise ValueError(f"unknown config argument {key!r}; allowed: {', '.join(defaults) or 'none'}")
        values[key] = _parse_value(key, text, defaults[key])
    return ml_collections.ConfigDict(values)


def _parse_value(key: str, text: str, default: Any) -> Any:
    if isinstance(default, Joinable) and set(text.split("+")) <= set(default):
        return text
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


_DATASET = {
    "name": "synthetic_fight/64x64",  # TFDS name and size; several are joined with + (jaxvid/data/joined.py)
    "data_dir": "",  # of prepared datasets; "": TFDS_DATA_DIR, or ~/tensorflow_datasets
    "manual_dir": "",  # of raw videos that cannot be downloaded; "": <data_dir>/downloads/manual
    "on_invalid": "error",  # or "skip": leaves out videos that do not decode
    "train_split": "train",
    "val_split": "val",  # chooses the best checkpoint and stops early
    "test_split": "test",  # evaluated once, at the end
    "test_name": "",  # of the dataset that has the test split; "": name
    "class_map": "",  # theirs:ours,...: classes of other datasets that the first one has under other names
    "version": "",  # filled in from the prepared dataset: versions may have other splits
    "positive_class": "",  # of two classes; "": the one that the other's name negates (fight of fight and no_fight)
    "class_names": (),  # filled in from the dataset
    "frame_size": (),  # filled in: height and width of the stored frames
    "clip_seconds": 0.0,  # filled in: median length of the training clips
    "fps": 0.0,  # filled in: their median frame rate
}

_CLIP = {
    "sampling": "uniform",
    "num_frames": 16,
    "frame_interval": 1,  # of 'consecutive' and 'fps': frames from one to the next
    "window_stride": 1,  # of 'consecutive' and 'fps': frames between the windows of evaluation
    "fps": 0.0,  # of 'fps': frames per second
    "speed_jitter": 0.0,  # of 'consecutive' and 'fps': training windows run at 1-s to 1+s times the speed
    "height": 128,
    "width": 128,
    "crop": "resize",
    "normalization": "unit",
}

# The audio of a clip, for models that take it (jaxvid/data/spectrograms.py).
_AUDIO = {
    "sample_rate": 0,  # of the dataset's audio, in hertz; 0: no audio
    "seconds": 10.0,  # from the beginning of a clip
    "kind": "log_mel",  # or "mfcc"
    "window": 400,  # samples in a Hann window
    "hop": 160,  # samples from one spectrum to the next
    "fft_size": 512,  # samples
    "num_mels": 64,
    "num_mfcc": 20,
    "min_hz": 0.0,
    "max_hz": 0.0,  # 0: half the sample rate
    "top_db": 80.0,  # values further below the maximum, in decibels, are raised to this distance
}

_AUGMENT = {
    "flip": False,
    "min_scale": 1.0,  # smallest random crop, as a fraction of the sides of the largest
    "brightness": 0.0,
    "contrast": 0.0,
    "erasing": 0.0,  # probability
    "rand_augment_layers": 0,  # operations per clip
    "rand_augment_magnitude": 9.0,  # their strength, 0 to 30
    "mixup": 0.0,  # alpha
    "cutmix": 0.0,  # alpha; with mixup, each pair of clips gets one of the two
}

# How the activations of an adaptive model change during training (jaxvid/train/adaptation.py).
_ACTIVATIONS = {
    "policy": "fixed",  # or "sequence": through the pool; "random": draws from it
    "pool": ("celu", "leaky_relu", "relu", "relu6"),
    "scope": "global",  # all sites at once; or "per_site"
    "sites": (),  # patterns of the sites that change, such as "layer4_*"; (): all
    "trigger": "rise",  # of the validation loss; or "epochs"
    "patience": 1,  # of 'rise': evaluations without a new lowest loss since the last change
    "cool_down": 0,  # of 'rise': evaluations after a change before the next one
    "at_epochs": (),  # of 'epochs'
    "return_to_best": False,  # whether a change begins from the weights of the best checkpoint
    "reject_after": 0,  # evaluations within which a change must bring a new lowest loss; 0: never undone
    "converge_after": 0,  # changes in a row without a new lowest loss that end the run; 0: they never do
    "first": (),  # filled in: "site=function" of the run that `model.pretrained` names
}

_OPTIMIZER = {
    "name": "adam",
    "learning_rate": 1e-4,
    "schedule": "constant",
    "warmup_fraction": 0.0,
    "decay_at": (0.5, 0.75),  # of schedule 'steps', as fractions of the run
    "decay_factor": 0.1,  # of schedule 'steps'
    "momentum": 0.9,  # of sgd
    "nesterov": False,  # of sgd
    "weight_decay": 0.0,  # of adamw and sgd
    "clip_norm": 0.0,  # 0: gradients are not clipped
    "accumulate_steps": 1,  # training steps per update
    "ema_decay": 0.0,  # of a moving average of the weights, which is then evaluated and used; 0: none
    "backbone_rate_factor": 1.0,  # the backbone's learning rate divided by the head's
}

_TRAIN = {
    "batch_size": 16,  # of all devices together
    "num_epochs": 50,  # on resume another number only with a constant learning rate; so num_steps
    "num_steps": 0,  # instead of epochs, if not 0
    "l2": 0.0,  # weight of the sum of squared kernels in the loss
    "label_smoothing": 0.0,
    "cached_views": 0,  # of every training clip (jaxvid/train/feature_cache.py); 0: one, if no augmentation changes it
    "feature_cache": "",  # directory of such features, which runs share; "": in the workdir
    "class_weights": "none",  # or "balanced": inversely to the classes' numbers of clips
    "early_stopping_patience": 0,  # the last of so many evaluations without improvement ends the run; 0: none does
    "log_every_steps": 10,
}

# The first stage of genre_crnn, which trains the CNN on single frames (jaxvid/train/two_stage.py).
_RETRAIN = {
    "num_steps": 0,  # 0: no first stage
    "every_steps": 400,  # from one evaluation and checkpoint to the next; all are kept
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "trainable": "all",  # or "head", "head_and_last_stage"
    "checkpoint": "last",  # that the second stage starts from: also "best", or a step such as "400"
}

_EVAL = {
    "batch_size": 16,  # views, of all devices of a process together
    "blur_faces": False,  # in the frames of the report, as far as a detector finds them: no anonymization
    "clips": 0,  # views over time whose probabilities are averaged; 0: one, or all windows
    "crops": 1,  # of each of them, side by side; of clip.crop 'center'
    "every_epochs": 1,
    "every_steps": 0,  # instead, if not 0
    "monitor": "val_loss",
    "num_resamples": 1000,  # of the bootstrap
    "calibration": "none",  # or "temperature": of the probabilities, fitted on the validation clips after training
    "threshold": "none",  # for the most probable class; or "validation": of the positive class, chosen on those clips
}

_PIPELINE = {
    "num_threads": 4,
    "num_workers": 0,
    "resident": "false",  # "true": training data stays in device memory; "auto": if small (jaxvid/train/resident.py)
    "steps_per_call": 1,  # of resident data: training steps that one compiled call takes (jaxvid/train/resident.py)
    "decoder": "decord",  # of whole videos, when a dataset is built and a folder evaluated; or "av"
}

_CHECKPOINT = {
    "every_steps": 0,  # in addition to those at evaluations; 0: no others
    "keep_all": False,  # instead of the best and the last
}


def base_config() -> ConfigDict:
    """Every section with its defaults, which the configs start from; each config adds its own section `model`.

    The default of a key that is added later must do what earlier versions did: `load_config` fills it in.
    """
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "dataset": _DATASET,
            "clip": _CLIP,
            "audio": _AUDIO,
            "augment": _AUGMENT,
            "activations": _ACTIVATIONS,
            "optimizer": _OPTIMIZER,
            "train": _TRAIN,
            "retrain": _RETRAIN,
            "eval": _EVAL,
            "pipeline": _PIPELINE,
            "checkpoint": _CHECKPOINT,
        }
    )


def one_of(section: ConfigDict, key: str, allowed: Collection[str]) -> None:
    """Checks that a value is one of a few.

    Args:
      section: that holds the value, such as `config.optimizer`.
      key: in full, such as "optimizer.name".
      allowed: values.

    Raises:
      ValueError: if it is another value.
    """
    value = section[key.split(".")[-1]]
    if value not in allowed:
        raise ValueError(f"config.{key} is {value!r}; allowed: {', '.join(allowed)}")


def at_least(section: ConfigDict, least: int | float, *keys: str) -> None:
    """Checks the lower bound of numbers.

    Args:
      section: that holds the values, such as `config.train`.
      least: allowed value.
      keys: in full, such as "train.num_epochs".

    Raises:
      ValueError: if a value is below `least`.
    """
    for key in keys:
        value = section[key.split(".")[-1]]
        if not value >= least:
            raise ValueError(f"config.{key} is {value}; allowed: {least} or more")


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lists the dotted keys at which two configs differ, with both values."""
    old_values, new_values = dotted(old), dotted(new)
    keys = sorted(set(old_values) | set(new_values))
    return [
        f"{key}: {old_values.get(key)!r} -> {new_values.get(key)!r}"
        for key in keys
        if old_values.get(key) != new_values.get(key)
    ]


def save_config(config: ConfigDict, workdir: Path) -> None:
    """Writes the config to `workdir`; reading the checkpoints needs no other file.

    Raises:
      ValueError: if the workdir holds a config that differs in other keys than RESUMABLE, naming them.
    """
    path = workdir / FILE_NAME
    if path.exists():
        # A version that becomes known is no change.
        allowed = (*RESUMABLE, "dataset.version: '' ->")
        changed = [
            line
            for line in differences(load_config(workdir), config)
            if not line.startswith(allowed) and line not in _ONCE_UNKNOWN
        ]
        if changed:
            raise ValueError(
                f"{path} belongs to another run; choose another --workdir, or undo these changes:\n  "
                + "\n  ".join(changed)
            )
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps({"format": FORMAT, "config": config.to_dict()}, indent=2) + "\n")


def load_config(workdir: Path) -> ConfigDict:
    """Reads the config saved in `workdir`; keys that it lacks, as they are newer, get their defaults.

    Raises:
      ValueError: if there is none, it cannot be read, or another version of jaxvid wrote it.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        raise ValueError(f"{workdir} is no workdir of a training run: it has no {FILE_NAME}")
    try:
        saved = json.loads(path.read_text())
        version, values = saved["format"], saved["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}; train again, or restore the file") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, this jaxvid reads {FORMAT}: use the version that wrote it")
    config = base_config()
    try:
        config.update(_tuples(values))
    # What ml_collections raises for values of other types than the defaults'.
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not fit this jaxvid: {error}; train again, or restore the file") from error
    return config


def _tuples(value: Any) -> Any:
    """Turns JSON's lists into the tuples that configs hold."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def dotted(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Maps dotted keys to the values of a config, such as "train.batch_size"."""
    flat = {}
    for key, value in config.items():
        nested = isinstance(value, ml_collections.ConfigDict)
        flat |= dotted(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat
