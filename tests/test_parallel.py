import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid import parallel


def convolved(kernel, frames):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return kernel, jax.lax.conv_general_dilated(frames, kernel, (1, 1), "SAME", dimension_numbers=dimensions)


@pytest.fixture
def fresh_options():
    parallel.compiler_options.cache_clear()
    yield
    parallel.compiler_options.cache_clear()


def test_convolutions_on_the_cpu_are_not_given_to_the_library_that_has_one_core_for_them():
    shapes = jax.ShapeDtypeStruct((3, 3, 16, 32), jnp.float32), jax.ShapeDtypeStruct((4, 32, 32, 16), jnp.float32)
    program = parallel.over_devices(convolved).lower(*shapes).compile().as_text()
    assert " convolution(" in program
    assert "ynn" not in program


@pytest.mark.usefixtures("fresh_options")
def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(parallel, "_FUSIONS", ("OF_ANOTHER_RELEASE",))
    assert parallel.compiler_options() == {}


def test_in_batches_gives_a_row_for_every_row():
    double = parallel.over_local_devices(lambda factor, rows: factor * rows["x"])
    rows = {"x": np.arange(14, dtype=np.float32).reshape(7, 2)}
    outputs = list(parallel.in_batches(lambda batch: double(2.0, batch), rows, 3))
    assert [len(rows) for rows in outputs] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(outputs), 2 * rows["x"])
