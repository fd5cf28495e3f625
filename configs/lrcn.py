"""LRCN, convolutions over frames and a small LSTM, for recognizing activities, on UCF50 and others.

    python -m jaxvid.main --config=configs/lrcn.py:classes=tutorial --workdir=runs/lrcn \
        --config.dataset.manual_dir=/data

Arguments:
  `dataset`: a key of configs/datasets.py.
  `classes`: of ucf50, all, or the four of the tutorial: HorseRace, Swing, TaiChi, WalkingWithDog.

The paper's accuracy: 92 %, of an unknown number of classes and clips; ours on ucf50: not measured yet. Ours on
surveillance_fight, hockey_fight and violent_flows is in configs/results/README.md.

Batch size and number of epochs are the paper's. The size of the frames and their number, which its text does not give,
early stopping after 15 epochs and Adam at Keras' default of 1e-3 are those of the tutorial whose network the paper
uses. The tutorial splits clips at random, so that clips of one group, cut from the same video, are on both sides; here
groups stay together, which gives lower and more honest accuracies.
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring.

    Raises:
      ValueError: on an argument that is not allowed, or classes=tutorial of a dataset that is not ucf50.
    """
    values = parse_arg(arg, dataset=datasets("ucf50"), classes=("all", "tutorial"))
    if values.classes == "tutorial" and values.dataset != "ucf50":
        raise ValueError(f"config argument classes='tutorial' with dataset={values.dataset!r}; allowed: ucf50")
    config = base_config()
    size = "64x64_tutorial" if values.classes == "tutorial" else "64x64"
    config.dataset.update(dataset_section(values.dataset, size))
    config.clip.update(num_frames=20, height=64, width=64)
    config.model = model_section("lrcn", activation="relu", dropout_rate=0.25)
    config.optimizer.update(name="adam", learning_rate=1e-3)
    config.train.update(batch_size=4, num_epochs=70, early_stopping_patience=15)
    return config
