"""ConvLSTM, four convolutional LSTM layers, for recognizing activities, on UCF50 and others.

    python -m jaxvid.main --config=configs/convlstm.py:classes=tutorial --workdir=runs/convlstm \
        --config.dataset.manual_dir=/data

Arguments, data and splits are those of lrcn.py.

The paper's accuracy: 80 %; ours: not measured yet, nor the time. Batch size, number of epochs, pictures and number of
frames are the paper's, early stopping after 10 epochs and Adam at Keras' 1e-3 those of the tutorial whose network it
uses.
"""

import ml_collections

from configs import lrcn
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """The config, by the arguments of lrcn.py."""
    config = lrcn.get_config(arg)
    config.model = ml_collections.ConfigDict(
        {
            "name": "convlstm",
            "num_classes": 0,
            "activation": "tanh",
            "adaptive": False,
            "dropout_rate": 0.2,
            "recurrent_dropout_rate": 0.2,
            "dtype": "float32",
            "pretrained": "",
            "trainable": "all",
        }
    )
    config.train.update(num_epochs=50, early_stopping_patience=10)
    return config
