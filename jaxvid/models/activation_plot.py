"""A picture of activations and their derivatives, as Figures 1 and 2 of paper 1.2."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxvid.files import replacing
from jaxvid.models.activations import ACTIVATIONS, base_name, get_activation

# With an alpha other than 1, ELU has a kink at 0 and CELU has none.
DRAWN = (*ACTIVATIONS, "leaky_relu:0.1", "elu:0.5", "celu:0.5")
_COLUMNS = 4
# Beyond the cap of ReLU6.
_RANGE = (-4.0, 8.0)
_NUM_POINTS = 1201
_DPI = 144
# From one point to the next; no continuous derivative changes so fast.
_JUMP = 0.3


def draw_activations(output: Path, names: Sequence[str] = DRAWN) -> None:
    """Draws each activation and its derivative into a file of the format that its extension says.

    Raises:
      ValueError: if there is no such activation or format.
    """
    functions = {name: _drawable(name) for name in names}
    rows = -(-len(functions) // _COLUMNS)
    columns = min(len(functions), _COLUMNS)
    figure = Figure(figsize=(2.9 * columns, 2.4 * rows), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    if output.suffix.removeprefix(".") not in formats:
        raise ValueError(f"--activations is {str(output)!r}; allowed: a file that ends in .{', .'.join(formats)}")
    for i, (name, function) in enumerate(functions.items()):
        _draw(figure.add_subplot(rows, columns, i + 1), name, function)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as unfinished:
        figure.savefig(unfinished, dpi=_DPI)


def _drawable(name: str) -> Callable[[Array], Array]:
    """Returns an activation as a function of one number; of maxout an example, the largest of some multiples of it."""
    function = get_activation(name)
    if base_name(name) != "maxout":
        return function
    weights = jnp.asarray(_maxout_weights(name))
    return lambda x: function(weights * x)[0]


def _maxout_weights(name: str) -> list[float]:
    return np.linspace(1.0, -0.5, int(name.partition(":")[2] or 2)).tolist()


def _title(name: str) -> str:
    if base_name(name) != "maxout":
        return name
    return f"{name} of {', '.join('x' if weight == 1 else f'{weight:.2g}x' for weight in _maxout_weights(name))}"


def _draw(axes: Axes, name: str, function: Callable[[Array], Array]) -> None:
    x = np.linspace(*_RANGE, _NUM_POINTS, dtype=np.float32)
    values, derivatives = values_and_derivatives(function, x)
    axes.axhline(0, color="#bbbbbb", linewidth=0.8)
    axes.axvline(0, color="#bbbbbb", linewidth=0.8)
    axes.plot(x, values, color="#0072b2", label="function")
    axes.plot(x, derivatives, color="#d55e00", linestyle="--", label="derivative")
    axes.set_title(_title(name), fontsize=10)
    axes.set_xlim(*_RANGE)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def values_and_derivatives(
    function: Callable[[Array], Array], x: Float[np.ndarray, "point"]
) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    """Returns both at every point; a derivative is NaN where it jumps before the next point."""
    values, derivatives = jax.vmap(jax.value_and_grad(function))(x)
    # To draw a gap, not a steep line.
    jumps = np.abs(np.diff(derivatives, append=derivatives[-1:])) > _JUMP
    return np.asarray(values), np.where(jumps, np.nan, derivatives)
