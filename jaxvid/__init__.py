"""jaxvid: recognizing violence, harassment and human activity in video, with JAX and Flax."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxvid.predict.predictor import Predictor, load

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Only when asked for: the commands, and programs that want a builder alone, need not wait for JAX.
    if name in ("Predictor", "load"):
        from jaxvid.predict import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'jaxvid' has no attribute {name!r}")
