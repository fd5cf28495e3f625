"""MobileNet of width 1 (Howard et al., 2017, table 1), as in keras.applications."""

from jaxvid.models.backbones.backbone import Architecture, symmetric_scaling
from jaxvid.models.backbones.graph import Conv, DepthwiseConv, Dropout, Flatten, GlobalPool, Norm, Series, Site

# Filters and stride of the thirteen blocks.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * ((512, 1),), (1024, 2), (1024, 1))


def _block(index: int, filters: int, stride: int) -> Series:
    """A depthwise and a pointwise convolution; with stride 2 only the end of the input is padded."""
    depthwise, pointwise = f"conv_dw_{index}", f"conv_pw_{index}"
    return (
        DepthwiseConv(depthwise, stride, padding=(1, 1) if stride == 1 else (0, 1)),
        Norm(f"{depthwise}_bn"),
        Site(f"{depthwise}_relu"),
        Conv(pointwise, filters, (1, 1)),
        Norm(f"{pointwise}_bn"),
        Site(f"{pointwise}_relu"),
    )


def _layers() -> Series:
    layers: Series = (Conv("conv1", 32, (3, 3), stride=2), Norm("conv1_bn"), Site("conv1_relu"))
    for index, (filters, stride) in enumerate(_BLOCKS, start=1):
        layers += _block(index, filters, stride)
    return layers


def _top(num_classes: int) -> Series:
    """The classifier is a convolution of the pooled features."""
    classifier = Conv("conv_preds", num_classes, (1, 1), use_bias=True)
    return GlobalPool(keepdims=True), Dropout(0.001), classifier, Flatten()


MOBILENET = Architecture(
    name="mobilenet",
    layers=_layers(),
    top=_top,
    scaling=symmetric_scaling,
    default_size=224,
    minimum_size=32,
    num_features=1024,
    last_stage=tuple(f"conv_{kind}_{index}" for kind in ("dw", "pw") for index in (12, 13)),
    activation="relu6",
)
