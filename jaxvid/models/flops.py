"""Operations of a program, counted from its trace."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var
from jaxtyping import PyTree


def flops(function: Callable[..., PyTree], *args: PyTree) -> int:
    """Operations of a call, as `jaxpr_flops` counts them.

    Args:
      function: that JAX can trace; not one compiled with options of its own.
      args: arrays, or their shapes.

    Raises:
      ValueError: as `jaxpr_flops`.
    """
    return jaxpr_flops(jax.make_jaxpr(function)(*args))


def jaxpr_flops(jaxpr: ClosedJaxpr) -> int:
    """Operations of the convolutions and matrix products of a program, two for a multiplication and its addition.

    XLA's cost analysis counts the body of a loop once: of a network with an LSTM over 20 frames it sees one time step.
    Here the body of a `scan` counts as often as it runs, and that of a `shard_map` once for each device.
    Multiplications with the zeros of a padding count.

    Raises:
      ValueError: if a product is inside a `while` loop, of which the number of runs is not known.
    """
    return sum(equation_flops for _, equation_flops in flops_by_equation(jaxpr))


def flops_by_equation(jaxpr: ClosedJaxpr) -> Iterator[tuple[JaxprEqn, int]]:
    """Yields the operations of every equation that the outputs need, as `jaxpr_flops` counts them; the last one first.

    Raises:
      ValueError: as `jaxpr_flops`.
    """
    for equation, multiplications in _needed(jaxpr.jaxpr, [True] * len(jaxpr.jaxpr.outvars)):
        yield equation, 2 * multiplications


def _needed(jaxpr: Jaxpr, outputs_used: Sequence[bool]) -> Iterator[tuple[JaxprEqn, int]]:
    """Yields the equations that the used outputs need; XLA drops the others, such as the gradient of the frames."""
    used = set(_variables(itertools.compress(jaxpr.outvars, outputs_used)))
    for equation in reversed(jaxpr.eqns):
        outputs_used = [variable in used for variable in equation.outvars]
        if any(outputs_used):
            used.update(_variables(equation.invars))
            yield equation, _multiplications_of(equation, outputs_used)


def _multiplications(jaxpr: Jaxpr, outputs_used: Sequence[bool]) -> int:
    return sum(multiplications for _, multiplications in _needed(jaxpr, outputs_used))


def _multiplications_of(equation: JaxprEqn, outputs_used: Sequence[bool]) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return _size(equation.outvars[0]) * math.prod(_shape(equation.invars[0])[i] for i in contracted)
    if name == "conv_general_dilated":
        features = _shape(equation.invars[1])[params["dimension_numbers"].rhs_spec[0]]
        # A dilated input is one with zeros between its values, as in the gradient of a strided convolution.
        elements = features * math.prod(params["lhs_dilation"])
        return _size(equation.outvars[0]) * _size(equation.invars[1]) // elements
    if name == "cond":
        # The same operation for several platforms, of which the last is XLA's own.
        return _multiplications(params["branches"][-1].jaxpr, outputs_used)
    # The functions that this equation calls, such as the body of a scan, whose outputs all go into its next run.
    called = [getattr(value, "jaxpr", value) for value in params.values()]
    inside = sum(
        _multiplications(jaxpr, [True] * len(jaxpr.outvars) if name in ("scan", "while") else outputs_used)
        for jaxpr in called
        if hasattr(jaxpr, "eqns")
    )
    if name == "while" and inside:
        raise ValueError("a 'while' loop with products cannot be counted: the number of its runs is not known")
    return inside * _num_runs(name, params)


def _num_runs(name: str, params: dict[str, Any]) -> int:
    if name == "scan":
        return params["length"]
    return params["mesh"].size if name == "shard_map" else 1


def _variables(atoms: Iterable[Any]) -> list[Var]:
    """The atoms that are no constants."""
    return [atom for atom in atoms if isinstance(atom, Var)]


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _size(variable: Any) -> int:
    return math.prod(_shape(variable))
