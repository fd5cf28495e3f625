"""What XLA is told about compiling, where it does not find the fastest way by itself."""

import functools

import jax

# All but INDIVIDUAL_CONVOLUTION.
_FUSIONS = ("INDIVIDUAL_DOT", "DOT", "REDUCE")


@functools.cache
def compiler_options() -> dict[str, str]:
    """For `jax.jit`; it looks for the devices.

    jaxlib 0.10 gives convolutions on the CPU to its library YNN, which computes large ones on one core: 3x3 from 64 to
    144 planes over 16 frames of 56x56 took 56 ms, and 37 by Eigen on two cores; inference of SHDN 119 and 39.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{name}" for name in _FUSIONS)}
    return options if jax.default_backend() == "cpu" and _are_known(options) else {}


def _are_known(options: dict[str, str]) -> bool:
    """Whether this XLA has such options; those that begin with `xla_cpu_experimental` come and go."""
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
