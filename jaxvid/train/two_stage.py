"""Training of sequence models in two stages: first their CNN on single frames, then the rest on sequences.

Source: paper 1.3 (genre classification). The CNN is retrained on frames, 4000 steps with a checkpoint every 400, and
the sequence model then trains on its features.
"""

from pathlib import Path

import jax
import ml_collections
from jaxtyping import PyTree

from jaxvid import checkpoint
from jaxvid.config import at_least, base_config, one_of
from jaxvid.data.sampling import SEQUENCE_SAMPLINGS
from jaxvid.data.spectrograms import num_bands
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.models.freezing import TRAINABLE
from jaxvid.train.fine_tuning import names_run
from jaxvid.types import ConfigDict

# Folder of the first stage in the workdir.
DIRECTORY = "frames"


def check_sequences(config: ConfigDict) -> None:
    """Checks the settings of sequences and retraining, and that the model takes what audio there is.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    model = module_from_config(config.model)
    if not model.takes_sequences:
        for section, key in (("audio", "sample_rate"), ("retrain", "num_steps")):
            if config[section][key]:
                raise ValueError(
                    f"config.{section}.{key} is {config[section][key]}; allowed for {config.model.name}: 0"
                )
        return
    if config.clip.sampling not in SEQUENCE_SAMPLINGS:
        raise ValueError(
            f"config.clip.sampling is {config.clip.sampling!r}; "
            f"allowed for {config.model.name}: {', '.join(SEQUENCE_SAMPLINGS)}"
        )
    for key in ("mixup", "cutmix"):
        if config.augment[key]:
            raise ValueError(f"config.augment.{key} is {config.augment[key]}; allowed for {config.model.name}: 0")
    if "sound" in model.input_streams():
        _check_sound(config)
    elif config.audio.sample_rate:
        raise ValueError(f"config.audio.sample_rate is {config.audio.sample_rate}; allowed without a stream 'sound': 0")
    _check_retraining(config, model)


def _check_sound(config: ConfigDict) -> None:
    if not config.audio.sample_rate:
        raise ValueError("config.audio.sample_rate is 0; the stream 'sound' needs the dataset's, above 0")
    if config.model.num_bands != num_bands(config.audio):
        raise ValueError(
            f"config.model.num_bands is {config.model.num_bands}; allowed with this section audio: "
            f"{num_bands(config.audio)}"
        )


def _check_retraining(config: ConfigDict, model: ClipModel) -> None:
    retrain = config.retrain
    at_least(retrain, 0, "retrain.num_steps")
    at_least(retrain, 1, "retrain.every_steps", "retrain.batch_size")
    if retrain.num_steps and "frames" not in model.input_streams():
        raise ValueError(f"config.retrain.num_steps is {retrain.num_steps}; allowed without a stream 'frames': 0")
    if retrain.num_steps and model.input != "frames":
        raise ValueError(f"config.retrain.num_steps is {retrain.num_steps}; allowed with input {model.input!r}: 0")
    fine_tunes = names_run(config.model.pretrained)
    if retrain.num_steps and fine_tunes:
        raise ValueError(
            f"config.retrain.num_steps is {retrain.num_steps}; allowed with the run "
            f"{config.model.pretrained!r} in config.model.pretrained, whose CNN is retrained already: 0"
        )
    if model.needs_first_stage() and not retrain.num_steps and not fine_tunes:
        raise ValueError(f"config.retrain.num_steps is 0; allowed with features {config.model.features!r}: above 0")
    one_of(retrain, "retrain.trainable", TRAINABLE)


def frames_config(config: ConfigDict) -> ConfigDict:
    """Returns the config of the first stage: a CNN and a dense layer on one random frame of a sequence."""
    retrain = config.retrain
    stage = config.copy_and_resolve_references()
    stage.model = ml_collections.ConfigDict(
        {
            "name": "frame_classifier",
            "num_classes": config.model.num_classes,
            "backbone": config.model.backbone,
            "activation": config.model.get("backbone_activation") or "",
            "adaptive": False,
            "dtype": config.model.dtype,
            "pretrained": config.model.pretrained,
            "trainable": retrain.trainable,
        }
    )
    # A policy of changing activations is for the second stage.
    stage.activations.policy = "fixed"
    stage.clip.update(num_frames=1, sampling="random_segment")
    stage.audio.sample_rate = 0
    stage.optimizer.update(name=retrain.optimizer, learning_rate=retrain.learning_rate)
    stage.train.update(batch_size=retrain.batch_size, num_steps=retrain.num_steps, early_stopping_patience=0)
    stage.eval.update(batch_size=retrain.batch_size, every_steps=retrain.every_steps)
    # Calibrated is what the second stage predicts.
    stage.eval.update(calibration="none", threshold="none")
    stage.checkpoint.update(every_steps=retrain.every_steps, keep_all=True)
    # The second stage may start from another checkpoint without making the first another run.
    stage.retrain = base_config().retrain
    return stage


def with_retrained_cnn(variables: dict[str, PyTree], first_stage: Path, config: ConfigDict) -> dict[str, PyTree]:
    """Replaces the CNN of a sequence model, and its classifier of frames if it has one, by those of the first stage.

    The activations of an adaptive model stay: the first stage trains with fixed ones.

    Args:
      variables: of the sequence model.
      first_stage: workdir of the first stage.
      config: of the run.

    Raises:
      ValueError: if the first stage has no checkpoint `config.retrain.checkpoint`.
    """
    _, trained = checkpoint.load_variables(first_stage, config.eval.monitor, config.retrain.checkpoint)
    parts = module_from_config(config.model).retrained_parts

    def replaced(name: str, collection: dict[str, PyTree]) -> dict[str, PyTree]:
        sources = {part: source for part, source in parts.items() if part in collection and name in trained}
        return {**collection, **{part: jax.device_get(trained[name][source]) for part, source in sources.items()}}

    return {name: replaced(name, collection) for name, collection in variables.items()}
