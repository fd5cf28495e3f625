import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.activations import ACTIVATIONS, FAMILY, Activation, get_activation

# No zero and no six: there the functions have kinks, whose gradient is a convention.
X = jnp.concatenate([jnp.linspace(-200, 200, 41) + 0.1, jnp.linspace(-3, 3, 31) + 0.01])


@pytest.mark.parametrize("name", FAMILY)
def test_an_adaptive_site_is_the_function_of_jax_nn(name):
    site = Activation(name, adaptive=True)
    variables = site.init(jax.random.key(0), X)
    np.testing.assert_allclose(site.apply(variables, X), getattr(jax.nn, name)(X), rtol=1e-6)
    adaptive_grad = jax.grad(lambda x: jnp.sum(site.apply(variables, x)))(X)
    np.testing.assert_allclose(adaptive_grad, jax.vmap(jax.grad(getattr(jax.nn, name)))(X), rtol=1e-6)


def test_another_activation_is_another_value_and_compiles_nothing():
    site = Activation("relu", adaptive=True)
    compilations = []

    @jax.jit
    def apply(variables, x):
        compilations.append(1)
        return site.apply(variables, x)

    for name in FAMILY:
        variables = {"activations": {"coefficients": jnp.asarray(FAMILY[name], jnp.float32)}}
        np.testing.assert_allclose(apply(variables, X), getattr(jax.nn, name)(X), rtol=1e-6)
    assert len(compilations) == 1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_fixed_site_has_no_variables(name):
    site = Activation(name)
    assert site.init(jax.random.key(0), X) == {}
    np.testing.assert_array_equal(site.apply({}, X), get_activation(name)(X))


def test_unknown_and_unsupported_names_are_refused_with_the_allowed_ones():
    with pytest.raises(ValueError, match="unknown activation 'rleu'; allowed: relu, leaky_relu"):
        get_activation("rleu")
    with pytest.raises(ValueError, match="'gelu' cannot adapt; adaptive sites take one of: relu, leaky_relu, elu"):
        Activation("gelu", adaptive=True).init(jax.random.key(0), X)
