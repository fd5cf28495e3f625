"""Operations of a program, counted from its trace."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn
from jaxtyping import PyTree


def flops(function: Callable[..., PyTree], *args: PyTree) -> int:
    """Operations of the convolutions and matrix products of a call, two for a multiplication and its addition.

    XLA's cost analysis counts the body of a loop once: of a network with an LSTM over 20 frames it sees one time step.
    Here the body of a `scan` counts as often as it runs, and that of a `shard_map` once for each device.
    Multiplications with the zeros of a padding count.

    Args:
      function: that JAX can trace.
      args: arrays, or their shapes.

    Raises:
      ValueError: if a product is inside a `while` loop, of which the number of runs is not known.
    """
    return 2 * _multiplications(jax.make_jaxpr(function)(*args).jaxpr)


def _multiplications(jaxpr: Jaxpr) -> int:
    return sum(map(_multiplications_of, jaxpr.eqns))


def _multiplications_of(equation: JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return _size(equation.outvars[0]) * math.prod(_shape(equation.invars[0])[i] for i in contracted)
    if name == "conv_general_dilated":
        features = _shape(equation.invars[1])[params["dimension_numbers"].rhs_spec[0]]
        return _size(equation.outvars[0]) * _size(equation.invars[1]) // features
    if name == "cond":
        # The same operation for several platforms, of which the last is XLA's own.
        return _multiplications(params["branches"][-1].jaxpr)
    # The functions that this equation calls, such as the body of a scan.
    called = [getattr(value, "jaxpr", value) for value in params.values()]
    inside = sum(_multiplications(jaxpr) for jaxpr in called if hasattr(jaxpr, "eqns"))
    if name == "while" and inside:
        raise ValueError("a 'while' loop with products cannot be counted: the number of its runs is not known")
    return inside * _num_runs(name, params)


def _num_runs(name: str, params: dict[str, Any]) -> int:
    if name == "scan":
        return params["length"]
    return params["mesh"].size if name == "shard_map" else 1


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _size(variable: Any) -> int:
    return math.prod(_shape(variable))
