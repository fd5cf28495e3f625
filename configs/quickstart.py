"""SHDN's CNN-LSTM on a small synthetic dataset of two motions: from nothing to a report on a laptop's CPU.

python -m jaxvid.main --config=configs/quickstart.py --workdir=runs/quickstart
"""

from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config; there are no arguments."""
    parse_arg(arg)
    config = base_config()
    config.dataset.name = "synthetic_fight/64x64"
    config.clip.update(num_frames=16, height=64, width=64)
    config.model = model_section("cnn_lstm", arch="C8R1D2", activation="leaky_relu", dropout_rate=0.2)
    config.optimizer.update(learning_rate=1e-3, schedule="cosine", warmup_fraction=0.1)
    config.train.update(batch_size=16, num_epochs=4)
    return config
