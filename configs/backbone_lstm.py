"""ImageNet CNN, LSTM of 256, dense layers of 512 and 16: the model backbone_lstm, to which SHDN's paper compares SHDN.

    python -m jaxvid.main --config=configs/backbone_lstm.py:backbone=xception,dataset=movies_fight \
        --workdir=runs/xception_movies --config.dataset.manual_dir=/data

Arguments:
  `dataset`: a key of configs/datasets.py.
  `backbone`: vgg16, vgg19, inception_v3, xception, resnet50, mobilenet or inception_resnet_v2.
  `size`: paper, frames of 128x128 for every backbone, or published, the size that its weights were trained at.

The weights are those of keras.applications, downloaded once. --config.model.pretrained=FILE reads a file instead,
--config.model.pretrained= trains from scratch. --config.model.trainable=head freezes the backbone,
head_and_last_stage freezes all of it but its last stage.

The paper's precision, recall, F1 and AUC on shv in % (Table VI): vgg16 90, 97, 93, 91; vgg19 88, 56, 68, 75;
inception_v3 80, 74, 77, 80; resnet50 85, 95, 90, 86; xception 82, 89, 85, 82; mobilenet 86, 97, 91, 88;
inception_resnet_v2 81, 67, 73, 78. shv is not public; results on other datasets are in configs/results/README.md. Batch
size, Adam at 1e-5 and 50 epochs are the paper's, which does not say whether the CNNs were trained too.
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.models.backbones import BACKBONES
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring."""
    values = parse_arg(arg, dataset=datasets("shv"), backbone=tuple(BACKBONES), size=("paper", "published"))
    size = 128 if values.size == "paper" else BACKBONES[values.backbone].default_size
    config = base_config()
    config.dataset.update(dataset_section(values.dataset, f"{size}x{size}"))
    # The backbone scales the pixels itself.
    config.clip.update(height=size, width=size, normalization="raw")
    config.model = model_section(
        "backbone_lstm",
        backbone=values.backbone,
        features="pool",
        temporal="lstm",
        lstm_features=256,
        lstm_layers=1,
        bidirectional=False,
        dense=(512, 16),
        dropout_rate=0.2,
        activation="leaky_relu",
        pretrained="imagenet",
    )
    config.optimizer.update(name="adam", learning_rate=1e-5)
    config.train.update(batch_size=16, num_epochs=50)
    return config
