"""The four networks on UCF101 that paper 1.3 (genre classification) lists beside its own in Table I.

    python -m jaxvid.main --config=configs/ucf101.py:network=c3d --workdir=runs/c3d --config.dataset.manual_dir=/data

Arguments:
  `dataset`: a key of configs/datasets.py; ucf101_split1 to ucf101_split3 are the official splits.
  `network`: c3d, single_frame, time_distributed or cnn_rnn.

The paper's accuracy and what it calls them: single_frame, 65 % (ConvNet); time_distributed, 41 % (time distributed
CNN); c3d, 52.8 % (3D convolutional network); cnn_rnn, 74 % (CNN-RNN); ours: not measured yet, as UCF101 is not to be
had where this was written. The paper says nothing of these networks or their training, and cites papers that have no
such figures. The figures are those of a well-known post that tries them on the first official split (M. Harvey, Five
video classification methods implemented in Keras and TensorFlow, 2017), and what is here follows that post. There, 65
and 74 % are top-1 accuracies of trained networks; 41 % is the *top-5* accuracy of the time-distributed CNN, of which
the top-1 accuracy is 20 %; and 52.8 % was not measured: the post quotes it of C3D's paper, where it is that of a linear
classifier on 10 numbers made of features that were learned on another dataset. Its own small 3D network has 28 %.

single_frame: Inception v3 with its last blocks and a new layer of classes trained on single frames, the middle one of
each clip in evaluation (--every_frame of jaxvid.evaluate averages all). The post trains the new layers alone first;
here they learn a hundred times faster. It has another dense layer of 1024.
time_distributed: SHDN's CNN and LSTM, 40 frames of 80x80. The post has a small VGG-like CNN of ten convolutions and,
in its text, three GRUs of 128, in its code an LSTM of 256.
c3d: C3D from scratch, 16 frames of 112x112, trained as its paper trains smaller ones on UCF101 (section 3.1): batches
of 30, a learning rate of 3e-3, a tenth of it after every 4 of 16 epochs. Pixels are normalized here, not less their
mean image. 3D networks from scratch are said to reach 41 to 44 % (D. Tran et al., ConvNet Architecture Search for
Spatiotemporal Feature Learning, 2017).
cnn_rnn: the pooled features of Inception v3, frozen, an LSTM of 4096 and a dense layer of 1024, 40 frames.
"""

from collections.abc import Callable

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring."""
    values = parse_arg(arg, dataset=datasets("ucf101_split1"), network=tuple(_NETWORKS))
    config = base_config()
    size = _NETWORKS[values.network](config)
    config.dataset.update(dataset_section(values.dataset, size))
    return config


def _c3d(config: ConfigDict) -> str:
    """Fills in a config; returns the size of the stored frames."""
    config.clip.update(
        sampling="consecutive",
        num_frames=16,
        window_stride=16,
        height=112,
        width=112,
        crop="center",
        normalization="kinetics",
    )
    config.augment.flip = True
    config.model = model_section("c3d", activation="relu", dropout_rate=0.5)
    config.optimizer.update(name="sgd", learning_rate=3e-3, schedule="steps", decay_at=(0.25, 0.5, 0.75))
    config.train.update(batch_size=30, num_epochs=16)
    return "128x171"


def _single_frame(config: ConfigDict) -> str:
    # The backbone scales the pixels itself.
    config.clip.update(sampling="random_segment", num_frames=1, height=299, width=299, normalization="raw")
    config.augment.flip = True
    config.model = model_section(
        "frame_classifier",
        backbone="inception_v3",
        activation="",
        pretrained="imagenet",
        trainable="head_and_last_stage",
    )
    config.optimizer.update(name="sgd", learning_rate=1e-2, backbone_rate_factor=0.01)
    config.train.update(batch_size=32, num_epochs=30, early_stopping_patience=10)
    return "299x299"


def _time_distributed(config: ConfigDict) -> str:
    config.clip.update(num_frames=40, height=80, width=80)
    config.model = model_section("cnn_lstm", arch="C10R1D2", activation="relu", dropout_rate=0.5)
    config.optimizer.update(name="adam", learning_rate=1e-5)
    config.train.update(batch_size=32, num_epochs=100, early_stopping_patience=5)
    return "112x112"


def _cnn_rnn(config: ConfigDict) -> str:
    config.clip.update(num_frames=40, height=299, width=299, normalization="raw")
    config.model = model_section(
        "backbone_lstm",
        backbone="inception_v3",
        features="pool",
        temporal="lstm",
        lstm_features=4096,
        lstm_layers=1,
        bidirectional=False,
        dense=(1024,),
        dropout_rate=0.5,
        activation="relu",
        pretrained="imagenet",
        trainable="head",
    )
    config.optimizer.update(name="adam", learning_rate=1e-5)
    config.train.update(batch_size=32, num_epochs=100, early_stopping_patience=5)
    return "299x299"


_NETWORKS: dict[str, Callable[[ConfigDict], str]] = {
    "c3d": _c3d,
    "single_frame": _single_frame,
    "time_distributed": _time_distributed,
    "cnn_rnn": _cnn_rnn,
}
