"""ConvLSTM: four convolutional LSTM layers with max-pools, for recognizing activities in video.

Sources: the layer, X. Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting,
NIPS 2015, without peepholes, as Keras' ConvLSTM2D; the network, the activity recognition paper, whose
results are of four classes of UCF50 at 20 frames of 64x64.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import Layers, per_frame, unit_forget_bias
from jaxvid.ops.convolution import convolve
from jaxvid.ops.pooling import max_pool
from jaxvid.ops.random import row_keys

_FILTERS = (4, 8, 14, 16)
_GATES = 4
_ENOUGH_FILTERS = 14  # from which a convolution for a single gate is fast on the CPU
Variables = dict[str, Any]


class ConvLSTMLayer(nn.Module):
    """A convolutional LSTM over a sequence of images, time first, with 3x3 kernels.

    The convolution of the input is 'VALID', that of the state 'SAME'. The gates stand in the order input, forget, cell,
    output, as in Keras, so that Keras' three arrays (kernel, recurrent kernel, bias) are this layer's three. Only the
    convolution of the state is inside the scan.

    Attributes:
      filters: channels of the state and of the output.
      layers: makes the convolution of the input, and the activations of the candidate and of the cell's output; the
        gates are sigmoids.
      recurrent_dropout_rate: of the hidden state, with a mask for each gate that lasts for the sequence, as in Keras.
    """

    filters: int
    layers: Layers = Layers("tanh")
    recurrent_dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self, images: Float[Array, "time batch height width channel"], *, train: bool
    ) -> Float[Array, "time batch out_height out_width filters"]:
        """Returns the output of every time step, two pixels lower and narrower than the input."""
        conv = self.layers.conv(
            _GATES * self.filters, (3, 3), padding="VALID", bias_init=unit_forget_bias, name="input"
        )
        gates = per_frame(conv, images)
        kernel = self.param(
            "recurrent_kernel",
            nn.initializers.orthogonal(),
            (3, 3, self.filters, _GATES * self.filters),
            self.layers.param_dtype,
        ).astype(self.layers.dtype)
        masks = jnp.ones((*gates.shape[1:-1], 1, self.filters), self.layers.dtype)
        if train and self.recurrent_dropout_rate > 0:
            masks = self._recurrent_dropout_masks(masks[..., 0, :])
        return _scan_over_time(self._pure_site(), gates, kernel, masks, self._site_variables(gates))

    def _pure_site(self) -> Activation:
        """Returns an activation to apply to the variables of either site, inside a scan."""
        return Activation(self.layers.activation_name, self.layers.adaptive, parent=None)

    def _site_variables(self, gates: Array) -> tuple[Variables, Variables]:
        """Returns the variables of the two sites: of the candidate, and of the cell's output."""
        sites = [self.layers.activation(name=name) for name in ("candidate_activation", "output_activation")]
        if self.is_initializing():
            for site in sites:
                site(gates)
        candidate, output = (dict(site.variables) for site in sites)
        return candidate, output

    def _recurrent_dropout_masks(
        self, state: Float[Array, "batch height width filters"]
    ) -> Float[Array, "batch height width 4 filters"]:
        keep = 1 - self.recurrent_dropout_rate
        shape = (*state.shape[1:-1], _GATES, self.filters)
        keys = row_keys(self.make_rng("dropout"), state.shape[0], self.layers.axis_name)
        return jax.vmap(lambda key: jax.random.bernoulli(key, keep, shape))(keys).astype(self.layers.dtype) / keep


def _scan_over_time(
    site: Activation, gates: Array, kernel: Array, masks: Array, variables: tuple[Variables, Variables]
) -> Array:
    """Returns the outputs of all time steps; `masks` multiply the hidden state: one mask, or one for each gate."""
    candidate_variables, output_variables = variables
    activate: Callable[[Variables, Array], Array] = site.apply  # pyright: ignore[reportAssignmentType]

    # The gradient keeps the sums of the gates and the two states, and computes the rest again: of 20 frames of 64x64,
    # four clips, a training step took 155 MB instead of 233 MB, and 394 ms instead of 408 ms.
    remember_inputs = partial(jax.checkpoint, prevent_cse=False)

    gates_from_state = remember_inputs(_masked_convolution(masks, kernel))

    @remember_inputs
    def update(cell: Array, summed: Array) -> tuple[Array, Array]:
        # One pass over all gates has long runs for vector instructions, which the few channels of a gate have not. On
        # two cores the scans of the four layers took 95, 11, 8 and 1.4 ms with it, and 114, 21, 15 and 2.8 without.
        i, f, _, o = jnp.split(jax.lax.optimization_barrier(nn.sigmoid(summed)), _GATES, axis=-1)
        cell = f * cell + i * activate(candidate_variables, jnp.split(summed, _GATES, axis=-1)[2])
        return cell, o * activate(output_variables, cell)

    def step(state: tuple[Array, Array], gates_from_input: Array) -> tuple[tuple[Array, Array], Array]:
        cell, hidden = state
        cell, hidden = update(cell, gates_from_input + gates_from_state(hidden))
        return (cell, hidden), hidden

    zeros = jnp.zeros((*masks.shape[:-2], masks.shape[-1]), gates.dtype)
    return jax.lax.scan(step, (zeros, zeros), gates)[1]


def _masked_convolution(masks: Array, kernel: Array) -> Callable[[Array], Array]:
    """Returns the convolution of a hidden state, masked for each gate or once for all gates.

    With one convolution for each gate from 14 filters on, a training step took 374 ms; with one for all gates, 394 ms.
    """
    num_masks, filters = masks.shape[-2:]
    convolve_same = partial(convolve, strides=(1, 1), padding=((1, 1), (1, 1)))
    if num_masks > 1 and filters >= _ENOUGH_FILTERS:
        kernels = jnp.split(kernel, num_masks, axis=-1)
        return lambda hidden: jnp.concatenate(
            [convolve_same(hidden * masks[..., i, :], k) for i, k in enumerate(kernels)], axis=-1
        )
    # Arranged once here, not in every step of a scan.
    joined = kernel if num_masks == 1 else _kernel_by_gate(kernel)
    return lambda hidden: convolve_same((hidden[..., None, :] * masks).reshape(*hidden.shape[:-1], -1), joined)


def _kernel_by_gate(kernel: Float[Array, "3 3 filters gates"]) -> Float[Array, "3 3 gates gates"]:
    """Returns a kernel for a hidden state with one copy per gate: each gate has zeros for the copies of the others.

    One convolution with four times the arithmetic is faster on the CPU than four convolutions of a few channels.
    """
    filters = kernel.shape[2]
    gates = kernel.reshape(3, 3, filters, _GATES, filters)
    apart = jnp.einsum("hwigo,gk->hwgiko", gates, jnp.eye(_GATES, dtype=kernel.dtype))
    return apart.reshape(3, 3, _GATES * filters, _GATES * filters)


class ConvLSTM(ClipModel, kw_only=True):
    """Four ConvLSTM layers of 4, 8, 14 and 16 filters, each followed by a 2x2 max-pool, and one dense layer over all.

    The dense layer takes the maps of all frames, so its size depends on the number of frames and their size.

    Attributes:
      dropout_rate: after the pools of the first three layers.
      recurrent_dropout_rate: in each layer.
    """

    # The activations are inside a scan, where no interceptor can tell one time step from another.
    map_layers: ClassVar = (ConvLSTMLayer,)

    activation: str = "tanh"
    dropout_rate: float = 0.2
    recurrent_dropout_rate: float = 0.2

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """20 frames of 64x64."""
        return 20, 64, 64, 3

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        # Time first, once for all layers: each of them scans over it.
        layers = self.layers()
        x = self.prepared(clips).astype(self.dtype).swapaxes(0, 1)
        for i, filters in enumerate(_FILTERS, start=1):
            x = ConvLSTMLayer(filters, layers, self.recurrent_dropout_rate, name=f"convlstm{i}")(x, train=train)
            x = max_pool(x, 2, "SAME")
            if i < len(_FILTERS):
                dropout = layers.dropout(self.dropout_rate, name=f"dropout{i}")
                x = dropout(x.swapaxes(0, 1), train=train).swapaxes(0, 1)
        x = x.swapaxes(0, 1).reshape(clips.shape[0], -1)
        return layers.dense(self.num_classes, name="head")(x).astype(jnp.float32)
