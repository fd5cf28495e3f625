"""Activation sites: every nonlinearity of a network, fixed at construction or held as data in the state.

A site in adaptive mode applies one parametric family,

    x > 0:   min(x, cap)
    x <= 0:  slope * x + scale * expm1(x / tau),

which contains ReLU, Leaky ReLU, ELU, CELU, ReLU6 and the identity exactly. Its four coefficients are an entry of the
variable collection `activations`, so that changing an activation changes a value of the state and compiles nothing.

An activation is named by one of ACTIVATIONS. A colon and a number set what it has as a constant: "leaky_relu:0.1" has
the slope 0.1, "elu:0.5" and "celu:0.5" the alpha 0.5, "maxout:4" four pieces.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jaxtyping import Array, Float, PyTree


def maxout(x: Float[Array, "*shape channel"], pieces: int = 2) -> Float[Array, "*shape unit"]:
    """Returns the largest of every `pieces` neighboring channels (I. Goodfellow et al., Maxout Networks, ICML 2013).

    After a layer of k times n channels this is a layer of n maxout units, max(w1 x + b1, ..., wk x + bk). There are
    fewer outputs than inputs: a network computes with it only if its next layer takes any number of channels.
    `ClipModel.takes_maxout` says which ones do; they become narrower, and so have fewer parameters.

    Raises:
      ValueError: if the number of channels is no multiple of `pieces`.
    """
    *shape, channels = x.shape
    if channels % pieces:
        raise ValueError(f"maxout:{pieces} takes a multiple of {pieces} channels, not {channels}")
    return x.reshape(*shape, -1, pieces).max(axis=-1)


def _identity(x: jax.Array) -> jax.Array:
    return x


ACTIVATIONS: MappingProxyType[str, Callable[..., jax.Array]] = MappingProxyType(
    {
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "elu": jax.nn.elu,
        "celu": jax.nn.celu,
        "relu6": jax.nn.relu6,
        "silu": jax.nn.silu,
        "gelu": jax.nn.gelu,
        "tanh": jnp.tanh,
        "sigmoid": jax.nn.sigmoid,
        "linear": _identity,
        "maxout": maxout,
    }
)
# What the number after the colon is; the second argument of the function, with its default.
SETTINGS = MappingProxyType({"leaky_relu": "slope", "elu": "alpha", "celu": "alpha", "maxout": "pieces"})


class Coefficients(NamedTuple):
    """A member of the parametric family; the order is that of the array a site stores."""

    slope: float
    scale: float
    tau: float
    cap: float


# The constants are the defaults of jax.nn: slope 0.01 for Leaky ReLU, alpha 1 for ELU and CELU.
FAMILY = MappingProxyType(
    {
        "relu": Coefficients(slope=0.0, scale=0.0, tau=1.0, cap=np.inf),
        "leaky_relu": Coefficients(slope=0.01, scale=0.0, tau=1.0, cap=np.inf),
        "elu": Coefficients(slope=0.0, scale=1.0, tau=1.0, cap=np.inf),
        "celu": Coefficients(slope=0.0, scale=1.0, tau=1.0, cap=np.inf),
        "relu6": Coefficients(slope=0.0, scale=0.0, tau=1.0, cap=6.0),
        "linear": Coefficients(slope=1.0, scale=0.0, tau=1.0, cap=np.inf),
    }
)
# The coefficients that a setting takes the place of.
_SET_COEFFICIENTS = MappingProxyType({"leaky_relu": ("slope",), "elu": ("scale",), "celu": ("scale", "tau")})


def base_name(name: str) -> str:
    """Returns the name without its setting: "elu" of "elu:0.5"."""
    return name.partition(":")[0]


def get_activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Returns the plain function called `name`; all but `maxout` compute every element by itself.

    Raises:
      ValueError: if there is no such activation, or its setting is not allowed.
    """
    if base_name(name) not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; allowed: {', '.join(ACTIVATIONS)}")
    function, setting = ACTIVATIONS[base_name(name)], _setting(name)
    return function if setting is None else partial(_with_setting, function, setting)


def _with_setting(function: Callable[..., jax.Array], setting: int | float, x: jax.Array) -> jax.Array:
    return function(x, setting)


def _setting(name: str) -> int | float | None:
    """Returns the number after the colon, if there is one."""
    base, colon, text = name.partition(":")
    if not colon:
        return None
    if base not in SETTINGS:
        allowed = ", ".join(f"{name}:{setting}" for name, setting in SETTINGS.items())
        raise ValueError(f"activation {name!r}: {base} has no setting; allowed: {allowed}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    whole = base == "maxout"
    if not (math.isfinite(value) and value > 0) or (whole and (value < 2 or value % 1)):
        allowed = "a whole number from 2 on" if whole else "a number above 0"
        raise ValueError(f"activation {name!r}: the {SETTINGS[base]} is {text!r}; allowed: {allowed}")
    return int(value) if whole else value


def can_adapt(name: str) -> bool:
    """Returns whether the parametric family contains the activation called `name`."""
    return base_name(name) in FAMILY


def family_coefficients(name: str) -> Float[np.ndarray, "4"]:
    """Returns the coefficients with which the parametric family is the activation called `name`.

    Raises:
      ValueError: if the family does not contain that activation, or its setting is not allowed.
    """
    if not can_adapt(name):
        raise ValueError(f"activation {name!r} cannot adapt; adaptive sites take one of: {', '.join(FAMILY)}")
    coefficients, setting = FAMILY[base_name(name)], _setting(name)
    if setting is not None:
        coefficients = coefficients._replace(**dict.fromkeys(_SET_COEFFICIENTS[base_name(name)], setting))
    return np.asarray(coefficients, np.float32)


def same_function(name: str, other: str) -> bool:
    """Returns whether two names are of one function, as "elu" and "celu" are, or "leaky_relu" and "leaky_relu:0.01"."""
    if name == other or not (can_adapt(name) and can_adapt(other)):
        return name == other
    return np.array_equal(family_coefficients(name), family_coefficients(other))


def distinct_functions(names: Iterable[str]) -> list[str]:
    """Returns the names without those of a function that stands before them under another name."""
    distinct: list[str] = []
    for name in names:
        if not any(same_function(name, earlier) for earlier in distinct):
            distinct.append(name)
    return distinct


def parametric_activation(x: Float[Array, "..."], coefficients: Float[Array, "4"]) -> Float[Array, "..."]:
    """Applies the family of this module's docstring; `coefficients` are in the order of `Coefficients`."""
    slope, scale, tau, cap = coefficients.astype(x.dtype)
    positive = x > 0
    # expm1 of a large positive x is infinite, and its gradient NaN, although the branch is not taken.
    negative_part = jnp.where(positive, 0, x)
    return jnp.where(positive, jnp.minimum(x, cap), slope * negative_part + scale * jnp.expm1(negative_part / tau))


class Activation(nn.Module):
    """One activation site.

    Attributes:
      function: a name in ACTIVATIONS, with or without a setting; in adaptive mode one in FAMILY, with which the site
        starts.
      adaptive: whether the site reads its coefficients from the collection `activations`.
    """

    function: str = "relu"
    adaptive: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Applies the site's activation; `maxout` makes fewer channels, the others as many."""
        if not self.adaptive:
            return get_activation(self.function)(x)
        coefficients = self.variable(
            "activations", "coefficients", lambda: jnp.asarray(family_coefficients(self.function))
        )
        return parametric_activation(x, coefficients.value)


def activation_sites(model: nn.Module, clip_shape: tuple[int, int, int, int]) -> dict[str, str]:
    """Returns the sites of a network, such as "layer1_0/conv1/activation", in the order of computation.

    Args:
      model: fixed or adaptive.
      clip_shape: time, height, width and channels of its input.

    Returns:
      The name of each site, and the function that it is constructed with.
    """
    sites: dict[str, str] = {}

    def record(call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> PyTree:
        # A site that is applied to another one's variables, inside a scan, has no path.
        if isinstance(context.module, Activation) and context.method_name == "__call__" and context.module.path:
            sites["/".join(context.module.path)] = context.module.function
        return call(*args, **kwargs)

    clips = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(lambda clips: model.init(jax.random.key(0), clips, train=False), clips)
    return sites


def functions_of(activations: PyTree, names: Iterable[str] = FAMILY) -> dict[str, str]:
    """Returns the function of every site of the collection `activations`, by the first of `names` that it has.

    Names of functions that are not of the family are passed over.

    Raises:
      ValueError: if a site has none of these functions.
    """
    known = {name: family_coefficients(name) for name in names if can_adapt(name)}
    flat: dict[str, Any] = traverse_util.flatten_dict(activations, sep="/")
    functions = {}
    for key, coefficients in flat.items():
        site = key.removesuffix("/coefficients")
        fitting = [name for name, values in known.items() if np.array_equal(values, coefficients)]
        if not fitting:
            raise ValueError(f"activation site {site!r} has the coefficients {coefficients}; known: {', '.join(known)}")
        functions[site] = fitting[0]
    return functions


def with_functions(activations: PyTree, functions: Mapping[str, str]) -> PyTree:
    """Sets sites of the collection `activations` to other functions, given by site.

    The new values are on the devices of the old ones, so that a compiled step takes them.

    Raises:
      ValueError: if there is no such site, or the family does not contain such a function.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(activations, sep="/")
    for site, name in functions.items():
        key = f"{site}/coefficients"
        if key not in flat:
            sites = ", ".join(key.removesuffix("/coefficients") for key in flat)
            raise ValueError(f"there is no activation site {site!r}; there are: {sites}")
        flat[key] = jax.device_put(family_coefficients(name), flat[key].sharding)
    return traverse_util.unflatten_dict(flat, sep="/")
