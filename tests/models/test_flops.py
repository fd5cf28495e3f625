import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxvid.models.flops import flops
from jaxvid.models.layers import LSTM
from jaxvid.ops.convolution import convolve


def test_flops_of_products_convolutions_and_loops_equal_a_count_by_hand():
    matrix, images, kernel = jnp.zeros((4, 4)), jnp.zeros((2, 8, 8, 6)), jnp.zeros((3, 3, 3, 10))

    def grouped(images, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=dimensions, feature_group_count=2
        )

    def loop(matrix):
        return jax.lax.scan(lambda carry, _: (carry @ matrix, None), matrix, length=5)

    assert flops(lambda a, b: a @ b, jnp.zeros((2, 3)), jnp.zeros((3, 5))) == 2 * 2 * 3 * 5
    assert flops(jax.jit(lambda a: a + 1), matrix) == 0
    assert flops(grouped, images, kernel) == 2 * (2 * 4 * 4 * 10) * (3 * 3 * 3)
    assert flops(jax.jit(loop), matrix) == 5 * 2 * 4**3


def test_flops_of_the_gradient_of_a_strided_convolution_equal_a_count_by_hand():
    images, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 10))

    def loss(images, kernel):
        return convolve(images, kernel, (2, 2), ((1, 1), (1, 1))).sum()

    # The outputs are not needed; the gradient of each argument has as many products as they would take.
    forward = 2 * (2 * 4 * 4 * 10) * (3 * 3 * 3)
    assert flops(loss, images, kernel) == forward
    assert flops(jax.grad(loss, argnums=1), images, kernel) == forward
    assert flops(jax.grad(loss, argnums=(0, 1)), images, kernel) == 2 * forward


def test_an_lstm_counts_every_time_step():
    batch, time, channels, features = 2, 7, 5, 3
    lstm, inputs = LSTM(features), jnp.zeros((batch, time, channels))
    variables = jax.eval_shape(lambda: lstm.init(jax.random.key(0), inputs))
    # Four gates from the input and four from the state, in each of seven steps.
    per_step = batch * 4 * features * (channels + features)
    assert flops(lstm.apply, variables, inputs) == 2 * time * per_step

    # The gradient takes two more products for each, but none for the inputs. The recurrent kernel's is one product
    # over all steps.
    def loss(variables):
        return lstm.apply(variables, inputs).sum()

    of_inputs, of_state = batch * 4 * features * channels, batch * 4 * features * features
    assert flops(jax.grad(loss), variables) == 2 * time * (2 * of_inputs + 3 * of_state)


def test_unused_products_do_not_count():
    def unused(a):
        _ = a @ a
        return a + 1

    assert flops(jax.jit(unused), jnp.zeros((4, 4))) == 0


def test_a_product_in_a_while_loop_is_refused_and_other_loops_count_nothing():
    def loop(body):
        return lambda a: jax.lax.while_loop(lambda a: a.sum() < 1, body, a)

    with pytest.raises(ValueError, match="'while' loop with products cannot be counted"):
        flops(loop(lambda a: a @ a), jnp.zeros((4, 4)))
    assert flops(loop(lambda a: a + 1), jnp.zeros((4, 4))) == 0


def test_every_device_of_a_mesh_counts():
    mesh = Mesh(jax.devices()[:1], "data")
    rows = PartitionSpec("data")
    product = jax.shard_map(lambda a, b: a @ b, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)
    assert flops(jax.jit(product), jnp.zeros((6, 4)), jnp.zeros((4, 5))) == 2 * 6 * 4 * 5
