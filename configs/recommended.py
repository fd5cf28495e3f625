"""What to run on a folder of clips of your own: motion in the feature maps of a frozen MobileNet (model motion_pool).

    python -m jaxvid.main --config=configs/recommended.py --workdir=runs/mine --config.dataset.manual_dir=VIDEOS

VIDEOS holds `<class>/<video>` or `<split>/<class>/<video>`. ImageNet's weights of MobileNet are downloaded once;
--config.model.pretrained=FILE reads a Keras weight file instead. Minutes on a CPU: the backbone sees four views of
every clip once (config.train.cached_views), and the head is trained on the features that it made.

Arguments:
  `dataset`: a key of configs/datasets.py.

Layers and learning rate were chosen by cross-validation on surveillance_fight and violent_flows, on the same clips that
its results are of, which are a little too good for it; they and those on other datasets are in
configs/results/README.md.
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.models.motion_pool import MOBILENET_STAGES
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring."""
    values = parse_arg(arg, dataset=datasets("video_folder"))
    config = base_config()
    config.dataset.update(dataset_section(values.dataset, "224x224"))
    # The backbone scales the pixels itself.
    config.clip.update(height=224, width=224, normalization="raw")
    config.model = model_section(
        "motion_pool",
        backbone="mobilenet",
        stages=MOBILENET_STAGES,
        dropout_rate=0.0,
        pretrained="imagenet",
        trainable="head",
    )
    config.clip.update(sampling="random_segment")
    config.augment.update(flip=True, min_scale=0.7)
    config.optimizer.update(name="adamw", learning_rate=3e-3, schedule="cosine", weight_decay=0.1)
    config.train.update(batch_size=16, num_epochs=50, cached_views=4)
    # The last epoch is the checkpoint: an epoch chosen by a few dozen validation clips is chosen by chance.
    config.eval.update(every_epochs=50)
    return config
