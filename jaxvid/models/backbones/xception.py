"""Xception (Chollet, 2017, figure 5), as in keras.applications."""

from jaxvid.models.backbones.backbone import Architecture, symmetric_scaling
from jaxvid.models.backbones.graph import (
    Add,
    Conv,
    Dense,
    GlobalPool,
    MaxPool,
    Norm,
    Parallel,
    SeparableConv,
    Series,
    Site,
)


def _separable(name: str, filters: int) -> Series:
    return SeparableConv(name, filters), Norm(f"{name}_bn")


def _shrinking_block(block: int, filters: tuple[int, int], start_with_activation: bool = True) -> Series:
    """Two separable convolutions and a max-pool beside a strided shortcut."""
    prefix = f"block{block}"
    main = (
        *((Site(f"{prefix}_sepconv1_act"),) if start_with_activation else ()),
        *_separable(f"{prefix}_sepconv1", filters[0]),
        Site(f"{prefix}_sepconv2_act"),
        *_separable(f"{prefix}_sepconv2", filters[1]),
        MaxPool(3, padding="SAME"),
    )
    shortcut = (Conv(f"{prefix}_shortcut_conv", filters[1], (1, 1), stride=2), Norm(f"{prefix}_shortcut_bn"))
    return (Parallel((main, shortcut), Add()),)


def _middle_block(block: int) -> Series:
    """Three separable convolutions, each after its activation, beside an identity."""
    main: Series = ()
    for i in (1, 2, 3):
        name = f"block{block}_sepconv{i}"
        main += (Site(f"{name}_act"), *_separable(name, 728))
    return (Parallel((main, ()), Add()),)


def _layers() -> Series:
    layers: Series = ()
    for name, filters, stride in (("block1_conv1", 32, 2), ("block1_conv2", 64, 1)):
        conv = Conv(name, filters, (3, 3), stride, padding="VALID")
        layers += (conv, Norm(f"{name}_bn"), Site(f"{name}_act"))
    layers += _shrinking_block(2, (128, 128), start_with_activation=False)
    layers += _shrinking_block(3, (256, 256)) + _shrinking_block(4, (728, 728))
    for block in range(5, 13):
        layers += _middle_block(block)
    layers += _shrinking_block(13, (728, 1024))
    for name, filters in (("block14_sepconv1", 1536), ("block14_sepconv2", 2048)):
        layers += (*_separable(name, filters), Site(f"{name}_act"))
    return layers


def _top(num_classes: int) -> Series:
    return GlobalPool(), Dense("predictions", num_classes)


XCEPTION = Architecture(
    name="xception",
    layers=_layers(),
    top=_top,
    scaling=symmetric_scaling,
    default_size=299,
    minimum_size=71,
    num_features=2048,
    last_stage=("block13_", "block14_"),
)
