"""Video ResNets, R(2+1)D and its relatives, fine-tuned from Kinetics-400 on RWF-2000 and others.

    python -m jaxvid.main --config=configs/video_resnet.py:frames=12 --workdir=runs/video_resnet \
        --config.dataset.manual_dir=/data

Arguments:
  `dataset`: a key of configs/datasets.py.
  `block`: r2plus1d, r3d or mc3.
  `depth`: 18, and of r2plus1d also 10 and 34.
  `frames`: 12, 4, 6, 8, 10, 16 or 32 consecutive ones.

The weights of 18 layers are torchvision's, downloaded once. --config.model.pretrained=FILE reads a file instead,
--config.model.pretrained= trains from scratch, as 10 and 34 layers do, which torchvision does not have.

The paper's best accuracy on the validation split of rwf2000, with ReLU: 84.25 % of 4 frames, 85.5 of 8, 87.75 of 12
(Table 2); ours: not measurable, as the dataset is no longer distributed. Ours on surveillance_fight is in
configs/results/README.md. The paper's Table 4 counts 1000 clips of each class: those of the training and the
validation split together, so that most of them were trained on. The same counts, over clips and not over windows:

    python -m jaxvid.evaluate --workdir=runs/video_resnet --split=train+val --output=runs/video_resnet/table_4

As in the paper, no frame is skipped within a window; here the windows of evaluation are half a window apart, and a
video's prediction is that of all its windows. The paper gives neither optimizer, learning rate, batch size nor
augmentation. It chooses the epoch on the clips it reports; here held-out sources of the training split choose it.
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring.

    Raises:
      ValueError: on an argument that is not allowed, or 10 or 34 layers of other blocks than r2plus1d.
    """
    values = parse_arg(
        arg,
        dataset=datasets("rwf2000"),
        block=("r2plus1d", "r3d", "mc3"),
        depth=(18, 10, 34),
        frames=(12, 4, 6, 8, 10, 16, 32),
    )
    if values.depth != 18 and values.block != "r2plus1d":
        raise ValueError(f"config argument depth={values.depth} with block={values.block!r}; allowed: r2plus1d")
    config = base_config()
    config.dataset.update(dataset_section(values.dataset, "128x171"))
    config.clip.update(
        sampling="consecutive",
        num_frames=values.frames,
        window_stride=values.frames // 2,
        height=112,
        width=112,
        crop="center",
        normalization="kinetics",
    )
    config.augment.flip = True
    config.model = model_section(
        "video_resnet",
        variant=f"{values.block}_{values.depth}",
        activation="relu",
        remat=False,
        pretrained="kinetics400" if values.depth == 18 else "",
    )
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.train.update(batch_size=16, num_epochs=30, early_stopping_patience=5)
    return config
