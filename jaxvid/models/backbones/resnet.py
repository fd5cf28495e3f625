"""ResNet50 (He et al., 2016, table 1), as in keras.applications: the stride is in the first convolution of a block."""

from jaxvid.models.backbones.backbone import Architecture, caffe_scaling
from jaxvid.models.backbones.graph import Add, Conv, Dense, GlobalPool, MaxPool, Norm, Padding, Parallel, Series, Site

_FILTERS = (64, 128, 256, 512)
_DEPTHS = (3, 4, 6, 3)


def _conv_norm(name: str, filters: int, kernel: int, stride: int = 1, padding: Padding = "SAME") -> Series:
    conv = Conv(f"{name}_conv", filters, (kernel, kernel), stride, padding, use_bias=True)
    return conv, Norm(f"{name}_bn", epsilon=1.001e-5)


def _block(name: str, filters: int, stride: int, project: bool) -> Series:
    """A bottleneck of 1x1, 3x3 and 1x1 convolutions beside a shortcut, which is projected in a stage's first block."""
    shortcut = _conv_norm(f"{name}_0", 4 * filters, 1, stride) if project else ()
    bottleneck = (
        *_conv_norm(f"{name}_1", filters, 1, stride),
        Site(f"{name}_1_relu"),
        *_conv_norm(f"{name}_2", filters, 3),
        Site(f"{name}_2_relu"),
        *_conv_norm(f"{name}_3", 4 * filters, 1),
    )
    return Parallel((shortcut, bottleneck), Add()), Site(f"{name}_out")


def _layers() -> Series:
    layers: Series = (
        *_conv_norm("conv1", 64, 7, stride=2, padding=((3, 3), (3, 3))),
        Site("conv1_relu"),
        MaxPool(3, padding=((1, 1), (1, 1))),
    )
    for stage, (filters, depth) in enumerate(zip(_FILTERS, _DEPTHS, strict=True), start=2):
        for i in range(1, depth + 1):
            first = i == 1
            layers += _block(f"conv{stage}_block{i}", filters, stride=2 if first and stage > 2 else 1, project=first)
    return layers


def _top(num_classes: int) -> Series:
    return GlobalPool(), Dense("predictions", num_classes)


RESNET50 = Architecture(
    name="resnet50",
    layers=_layers(),
    top=_top,
    scaling=caffe_scaling,
    default_size=224,
    minimum_size=32,
    num_features=2048,
    last_stage=("conv5_",),
)
