"""Inception v3 (Szegedy et al., 2016) and Inception-ResNet v2 (Szegedy et al., 2017), as in keras.applications.

The papers' tables leave open what keras.applications fixes (filters, order of branches, names `mixed...`, `block...`);
Keras leaves most convolutions without a name, so those here are named by block, branch and position.
"""

from typing import NamedTuple

from jaxvid.models.backbones.backbone import Architecture, symmetric_scaling
from jaxvid.models.backbones.graph import (
    Add,
    AveragePool,
    Conv,
    Dense,
    GlobalPool,
    MaxPool,
    Norm,
    Parallel,
    Series,
    Site,
)


class Unit(NamedTuple):
    """A convolution, which batch normalization and an activation follow."""

    filters: int
    height: int
    width: int
    stride: int = 1
    padding: str = "SAME"


def _square(filters: int, size: int) -> Unit:
    return Unit(filters, size, size)


def _shrink(filters: int) -> Unit:
    return Unit(filters, 3, 3, stride=2, padding="VALID")


def _conv_norm(name: str, unit: Unit) -> Series:
    conv = Conv(f"{name}_conv", unit.filters, (unit.height, unit.width), unit.stride, unit.padding)
    return conv, Norm(f"{name}_bn", use_scale=False), Site(f"{name}_act")


def _chain(name: str, *units: Unit) -> Series:
    """Units one after the other, numbered from 1."""
    layers: Series = ()
    for i, unit in enumerate(units, start=1):
        layers += _conv_norm(f"{name}_{i}", unit)
    return layers


def _mixed(name: str, chains: tuple[tuple[Unit, ...], ...], pool: Series) -> Parallel:
    """Chains of convolutions and a pooled branch side by side."""
    branches = tuple(_chain(f"{name}_branch{i}", *units) for i, units in enumerate(chains, start=1))
    return Parallel((*branches, pool))


def _pool_and_project(name: str, filters: int) -> Series:
    return (AveragePool(), *_conv_norm(f"{name}_pool", _square(filters, 1)))


def _stem() -> Series:
    """From the frame to maps of an eighth of its height and width, with 192 channels."""
    return (
        *_conv_norm("stem_1", _shrink(32)),
        *_conv_norm("stem_2", Unit(32, 3, 3, padding="VALID")),
        *_conv_norm("stem_3", _square(64, 3)),
        MaxPool(3),
        *_conv_norm("stem_4", Unit(80, 1, 1, padding="VALID")),
        *_conv_norm("stem_5", Unit(192, 3, 3, padding="VALID")),
        MaxPool(3),
    )


def _module_a(name: str, pool_filters: int, first_filters: int = 64) -> Parallel:
    """1x1, 5x5 and double 3x3 convolutions (figure 5 of the Inception v3 paper)."""
    chains = (
        (_square(first_filters, 1),),
        (_square(48, 1), _square(64, 5)),
        (_square(64, 1), _square(96, 3), _square(96, 3)),
    )
    return _mixed(name, chains, _pool_and_project(name, pool_filters))


def _module_b(name: str, filters: int) -> Parallel:
    """7x7 convolutions split into 1x7 and 7x1 (figure 6)."""
    row, column = Unit(filters, 1, 7), Unit(filters, 7, 1)
    chains = (
        (_square(192, 1),),
        (_square(filters, 1), row, Unit(192, 7, 1)),
        (_square(filters, 1), column, row, column, Unit(192, 1, 7)),
    )
    return _mixed(name, chains, _pool_and_project(name, 192))


def _module_c(name: str) -> Parallel:
    """3x3 convolutions split into 1x3 and 3x1 side by side (figure 7)."""

    def fork(branch: str) -> Parallel:
        return Parallel((_conv_norm(f"{branch}_row", Unit(384, 1, 3)), _conv_norm(f"{branch}_column", Unit(384, 3, 1))))

    second, third = f"{name}_branch2", f"{name}_branch3"
    branches = (
        _chain(f"{name}_branch1", _square(320, 1)),
        (*_chain(second, _square(384, 1)), fork(second)),
        (*_chain(third, _square(448, 1), _square(384, 3)), fork(third)),
        _pool_and_project(name, 192),
    )
    return Parallel(branches)


def _inception_v3() -> Series:
    reduction_a = ((_shrink(384),), (_square(64, 1), _square(96, 3), _shrink(96)))
    reduction_b = (
        (_square(192, 1), _shrink(320)),
        (_square(192, 1), Unit(192, 1, 7), Unit(192, 7, 1), _shrink(192)),
    )
    return (
        *_stem(),
        _module_a("mixed0", pool_filters=32),
        _module_a("mixed1", pool_filters=64),
        _module_a("mixed2", pool_filters=64),
        _mixed("mixed3", reduction_a, (MaxPool(3),)),
        _module_b("mixed4", 128),
        _module_b("mixed5", 160),
        _module_b("mixed6", 160),
        _module_b("mixed7", 192),
        _mixed("mixed8", reduction_b, (MaxPool(3),)),
        _module_c("mixed9"),
        _module_c("mixed10"),
    )


_BLOCK35 = ((_square(32, 1),), (_square(32, 1), _square(32, 3)), (_square(32, 1), _square(48, 3), _square(64, 3)))
_BLOCK17 = ((_square(192, 1),), (_square(128, 1), Unit(160, 1, 7), Unit(192, 7, 1)))
_BLOCK8 = ((_square(192, 1),), (_square(192, 1), Unit(224, 1, 3), Unit(256, 3, 1)))


def _residual(name: str, chains: tuple[tuple[Unit, ...], ...], channels: int, scale: float) -> Parallel:
    """An identity, to which `scale` times a 1x1 convolution of the joined chains is added (figures 10, 13 and 16)."""
    branches = tuple(_chain(f"{name}_branch{i}", *units) for i, units in enumerate(chains, start=1))
    update = (Parallel(branches), Conv(f"{name}_conv", channels, (1, 1), use_bias=True))
    return Parallel(((), update), Add(scale))


def _residuals(kind: str, count: int, chains: tuple[tuple[Unit, ...], ...], channels: int, scale: float) -> Series:
    layers: Series = ()
    for i in range(1, count + 1):
        name = f"{kind}_{i}"
        layers += (_residual(name, chains, channels, scale), Site(f"{name}_ac"))
    return layers


def _inception_resnet_v2() -> Series:
    reduction_a = ((_shrink(384),), (_square(256, 1), _square(256, 3), _shrink(384)))
    reduction_b = (
        (_square(256, 1), _shrink(384)),
        (_square(256, 1), _shrink(288)),
        (_square(256, 1), _square(288, 3), _shrink(320)),
    )
    return (
        *_stem(),
        _module_a("mixed_5b", pool_filters=64, first_filters=96),
        *_residuals("block35", 10, _BLOCK35, channels=320, scale=0.17),
        _mixed("mixed_6a", reduction_a, (MaxPool(3),)),
        *_residuals("block17", 20, _BLOCK17, channels=1088, scale=0.1),
        _mixed("mixed_7a", reduction_b, (MaxPool(3),)),
        *_residuals("block8", 9, _BLOCK8, channels=2080, scale=0.2),
        # The last one is neither scaled nor activated.
        _residual("block8_10", _BLOCK8, channels=2080, scale=1.0),
        *_conv_norm("conv_7b", _square(1536, 1)),
    )


def _top(num_classes: int) -> Series:
    return GlobalPool(), Dense("predictions", num_classes)


INCEPTION_V3 = Architecture(
    name="inception_v3",
    layers=_inception_v3(),
    top=_top,
    scaling=symmetric_scaling,
    default_size=299,
    minimum_size=75,
    num_features=2048,
    last_stage=("mixed8_", "mixed9_", "mixed10_"),
)
INCEPTION_RESNET_V2 = Architecture(
    name="inception_resnet_v2",
    layers=_inception_resnet_v2(),
    top=_top,
    scaling=symmetric_scaling,
    default_size=299,
    minimum_size=75,
    num_features=1536,
    last_stage=("mixed_7a_", "block8_", "conv_7b"),
)
