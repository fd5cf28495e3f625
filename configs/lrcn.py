"""LRCN, convolutions over frames and a small LSTM, for recognizing activities, on UCF50 and others.

    python -m jaxvid.main --config=configs/lrcn.py:classes=tutorial --workdir=runs/lrcn \
        --config.dataset.manual_dir=/data

Arguments: `dataset` (ucf50, ucf101_split1/2/3, shv, hockey_fight, movies_fight, rwf2000, surveillance_fight,
video_folder, synthetic_fight), `classes` (of ucf50: all, or tutorial: HorseRace, Swing, TaiChi, WalkingWithDog).

The paper's accuracy: 92 %, without saying on how many classes or clips; ours there: not measured yet. Ours on
surveillance_fight, whose split keeps source videos apart: 61.2, 49.0, 53.1 % with seeds 0, 1, 2 (49 clips; 3 to 7
minutes each on two CPU cores, 2026-11-21).

Batch size, number of epochs, pictures and number of frames are the paper's, early stopping after 15 epochs and Adam at
Keras' 1e-3 those of the tutorial whose network it uses. The tutorial splits clips at random, so that clips of one
group, cut from the same video, are on both sides; here groups stay together, which makes lower and more honest figures.
"""

import ml_collections

from configs.datasets import dataset_section, datasets
from jaxvid.config import base_config, parse_arg
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """The config, by the arguments of this module's docstring.

    Raises:
      ValueError: on an argument that is not allowed, or classes=tutorial of a dataset that is not ucf50.
    """
    values = parse_arg(arg, dataset=datasets("ucf50"), classes=("all", "tutorial"))
    if values.classes == "tutorial" and values.dataset != "ucf50":
        raise ValueError(f"config argument classes='tutorial' with dataset={values.dataset!r}; allowed: ucf50")
    config = base_config()
    config.dataset.update(
        dataset_section(values.dataset, "64x64_tutorial" if values.classes == "tutorial" else "64x64")
    )
    config.clip.update(num_frames=20, height=64, width=64)
    config.model = ml_collections.ConfigDict(
        {
            "name": "lrcn",
            "num_classes": 0,
            "activation": "relu",
            "adaptive": False,
            "dropout_rate": 0.25,
            "dtype": "float32",
            "pretrained": "",
            "trainable": "all",
        }
    )
    config.optimizer.update(name="adam", learning_rate=1e-3)
    config.train.update(batch_size=4, num_epochs=70, early_stopping_patience=15)
    return config
