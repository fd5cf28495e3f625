"""VGG16 and VGG19 (Simonyan and Zisserman, 2015, table 1, columns D and E), as in keras.applications."""

from jaxvid.models.backbones.backbone import Architecture, caffe_scaling
from jaxvid.models.backbones.graph import Conv, Dense, Flatten, MaxPool, Series, Site

_FILTERS = (64, 128, 256, 512, 512)


def _layers(depths: tuple[int, ...]) -> Series:
    """Five blocks of as many 3x3 convolutions as `depths` says, each with a max-pool at its end."""
    layers: Series = ()
    for block, (filters, depth) in enumerate(zip(_FILTERS, depths, strict=True), start=1):
        for i in range(1, depth + 1):
            name = f"block{block}_conv{i}"
            layers += (Conv(name, filters, (3, 3), use_bias=True), Site(f"{name}_relu"))
        layers += (MaxPool(2),)
    return layers


def _top(num_classes: int) -> Series:
    hidden = (Flatten(), Dense("fc1", 4096), Site("fc1_relu"), Dense("fc2", 4096), Site("fc2_relu"))
    return (*hidden, Dense("predictions", num_classes))


VGG16 = Architecture(
    name="vgg16",
    layers=_layers((2, 2, 3, 3, 3)),
    top=_top,
    scaling=caffe_scaling,
    default_size=224,
    minimum_size=32,
    num_features=512,
    last_stage=("block5_",),
)
VGG19 = Architecture(
    name="vgg19",
    layers=_layers((2, 2, 4, 4, 4)),
    top=_top,
    scaling=caffe_scaling,
    default_size=224,
    minimum_size=32,
    num_features=512,
    last_stage=("block5_",),
)
