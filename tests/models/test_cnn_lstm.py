import jax
import jax.numpy as jnp
import ml_collections
import pytest

from jaxvid.models.cnn_lstm import ARCHITECTURES, parse_arch
from jaxvid.models.create import module_from_config

# Written out from the paper's layers: convolutions k*k*in*out + out, batch norms 2*out, LSTM 4*256*(in + 256 + 1),
# dense layers in*out + out. C10R1D3 is the count that the paper publishes.
PARAMETERS = {"C10R1D3": 4_171_218}


def conv(kernel, inputs, outputs):
    return kernel * kernel * inputs * outputs + outputs + 2 * outputs


STACK = [conv(7, 3, 32), conv(3, 32, 32), conv(3, 32, 64), conv(3, 64, 64)]
STACK += [conv(3, 64, 128), conv(3, 128, 128), conv(3, 128, 512), conv(3, 512, 512)]
FEATURES = [32, 32, 64, 64, 128, 128, 512, 512]


def expected_parameters(num_convs, num_dense):
    lstm = 4 * 256 * (FEATURES[num_convs - 1] + 256 + 1)
    dense = 256 * 512 + 512 + (512 * 2 + 2 if num_dense == 2 else 512 * 16 + 16 + 16 * 2 + 2)
    return sum(STACK[:num_convs]) + lstm + dense


def model_config(**values):
    return ml_collections.ConfigDict({"name": "cnn_lstm", "num_classes": 2, "dtype": "float32", **values})


def shapes(model, size=128):
    clips = jnp.zeros((1, 4, size, size, 3))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), clips, train=False))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameter_counts(arch):
    variables = shapes(module_from_config(model_config(arch=arch)))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    num_convs, num_dense = int(arch[1:].split("R")[0]) - 2, int(arch[-1])
    assert count == expected_parameters(num_convs, num_dense)
    assert count == PARAMETERS.get(arch, count)


def test_every_nonlinearity_of_cnn_and_dense_layers_is_a_site():
    variables = shapes(module_from_config(model_config(adaptive=True)))
    assert set(variables["activations"]) == {"cnn", "dense_activation1", "dense_activation2"}
    assert set(variables["activations"]["cnn"]) == {f"activation{i}" for i in range(1, 9)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_are_float32_whatever_the_computation_is_in(dtype):
    model = module_from_config(model_config(arch="C4R1D2", dtype=dtype))
    clips = jax.random.uniform(jax.random.key(1), (2, 3, 32, 32, 3))
    variables = model.init(jax.random.key(0), clips, train=False)
    logits = model.apply(variables, clips, train=False)
    assert logits.shape == (2, 2)
    assert logits.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_the_order_of_frames_matters():
    model = module_from_config(model_config(arch="C4R1D2"))
    clips = jax.random.uniform(jax.random.key(1), (1, 5, 32, 32, 3))
    variables = model.init(jax.random.key(0), clips, train=False)
    forwards = model.apply(variables, clips, train=False)
    backwards = model.apply(variables, clips[:, ::-1], train=False)
    assert jnp.abs(forwards - backwards).max() > 1e-5


def test_an_unknown_arch_model_field_or_dtype_is_refused():
    with pytest.raises(ValueError, match="'C12R1D3'; allowed: C4R1D2"):
        parse_arch("C12R1D3")
    with pytest.raises(ValueError, match="config.model.name is 'cnn'; allowed: cnn_lstm"):
        module_from_config(model_config(name="cnn"))
    with pytest.raises(ValueError, match="config.model.depth is no field of 'cnn_lstm'; allowed: activation"):
        module_from_config(model_config(depth=3))
    with pytest.raises(ValueError, match="config.model.dtype is 'float8'; allowed: float32, bfloat16"):
        module_from_config(model_config(dtype="float8"))
