"""ConvLSTM, four convolutional LSTM layers, for recognizing activities, on UCF50 and others.

    python -m jaxvid.main --config=configs/convlstm.py:classes=tutorial --workdir=runs/convlstm \
        --config.dataset.manual_dir=/data

The arguments `dataset` and `classes`, the data and the splits are those of lrcn.py.

The paper's accuracy: 80 %; ours: not measured yet. Batch size and number of epochs are the paper's. The size of the
frames and their number, which its text does not give, early stopping after 10 epochs and Adam at Keras' default of 1e-3
are those of the tutorial whose network the paper uses.
"""

from configs import lrcn
from configs.models import model_section
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of lrcn.py."""
    config = lrcn.get_config(arg)
    config.model = model_section("convlstm", activation="tanh", dropout_rate=0.2, recurrent_dropout_rate=0.2)
    config.train.update(num_epochs=50, early_stopping_patience=10)
    return config
