"""SHDN, the CNN-LSTM (model cnn_lstm) for recognizing sexual harassment in video, on the paper's datasets and others.

    python -m jaxvid.main --config=configs/shdn.py:dataset=movies_fight --workdir=runs/shdn_movies_fight

Arguments:
  `dataset`: a key of configs/datasets.py; --config.dataset.manual_dir=DIR where videos cannot be downloaded.
  `arch`: C4R1D2 to C10R1D3 (Table II).
  `normalize`: true, pixels in [0, 1], or false, in [0, 255] (Table III).

The paper's accuracy: shv 89 %, hockey_fight 98 %, movies_fight 99.9 % (Figure 4). It trains with Adam at 1e-4 for 200
epochs in one place of its text, at 1e-5 for 50 in another; this config takes the first, and stops early on held-out
clips. The paper has no such clips and does not say how it chose the epoch. The weight of its L2 penalty is not given
either. Ours on surveillance_fight and hockey_fight_random are in configs/results/README.md.

The paper uses Keras' layers and names no constants of LeakyReLU and batch normalization: here they are Keras', a slope
of 0.3, a momentum of 0.99 and an epsilon of 1e-3. Runs from before this was so, until 2026-11-27, had others:
--config.model.activation=leaky_relu --config.model.norm_momentum=0.9 --config.model.norm_epsilon=1e-5
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.models.cnn_lstm import ARCHITECTURES
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring."""
    values = parse_arg(arg, dataset=datasets("shv"), arch=tuple(reversed(ARCHITECTURES)), normalize=True)
    config = base_config()
    config.dataset.update(dataset_section(values.dataset, "128x128"))
    config.clip.update(normalization="unit" if values.normalize else "raw")
    config.model = model_section(
        "cnn_lstm",
        arch=values.arch,
        activation="leaky_relu:0.3",
        dropout_rate=0.2,
        norm_momentum=0.99,
        norm_epsilon=1e-3,
    )
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.train.update(batch_size=16, num_epochs=200, l2=1e-5, early_stopping_patience=25)
    return config
