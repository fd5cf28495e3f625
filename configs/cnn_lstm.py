"""An ImageNet CNN, an LSTM of 256 and dense layers of 512 and 16: the networks that SHDN's paper compares itself with.

    python -m jaxvid.main --config=configs/cnn_lstm.py:backbone=xception,dataset=movies_fight \
        --workdir=runs/xception_movies --config.dataset.manual_dir=/data

Arguments: `dataset` (shv, hockey_fight, movies_fight, rwf2000, ucf50, ucf101_split1/2/3, surveillance_fight,
video_folder, synthetic_fight), `backbone` (vgg16, vgg19, inception_v3, xception, resnet50, mobilenet,
inception_resnet_v2). SHDN's own network is in shdn.py.

The weights are those of keras.applications, downloaded once; --config.model.pretrained=FILE takes a file, and
--config.model.pretrained= trains from scratch. --config.model.trainable=head, or head_and_last_stage, leaves the
backbone, or most of it, as it is.

The paper's precision, recall, F1 and AUC on shv in % (Table VI): vgg16 90, 97, 93, 91; vgg19 88, 56, 68, 75;
inception_v3 80, 74, 77, 80; resnet50 85, 95, 90, 86; xception 82, 89, 85, 82; mobilenet 86, 97, 91, 88;
inception_resnet_v2 81, 67, 73, 78. Ours: not measured yet, nor the time; shv is not public. Batch size, Adam at 1e-5
and 50 epochs are the paper's, which does not say whether the CNNs were trained on.
"""

import ml_collections

from configs.datasets import dataset_section, datasets
from jaxvid.config import base_config, parse_arg
from jaxvid.models.backbones import BACKBONES
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """The config, by the arguments of this module's docstring."""
    values = parse_arg(arg, dataset=datasets("shv"), backbone=tuple(BACKBONES))
    size = BACKBONES[values.backbone].default_size
    config = base_config()
    config.dataset.update(dataset_section(values.dataset, f"{size}x{size}"))
    # The scaling of pictures is part of the backbone.
    config.clip.update(height=size, width=size, normalization="raw")
    config.model = ml_collections.ConfigDict(
        {
            "name": "backbone_lstm",
            "num_classes": 0,
            "backbone": values.backbone,
            "features": "pool",
            "lstm_features": 256,
            "lstm_layers": 1,
            "bidirectional": False,
            "dense": (512, 16),
            "dropout_rate": 0.2,
            "activation": "leaky_relu",
            "adaptive": False,
            "dtype": "float32",
            "pretrained": "imagenet",
            "trainable": "all",
        }
    )
    config.optimizer.update(name="adam", learning_rate=1e-5)
    config.train.update(batch_size=16, num_epochs=50)
    return config
