"""jaxvid: recognizing violence, harassment and human activity in video, with JAX and Flax."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxvid.models.create import list_models
    from jaxvid.predict.predictor import Predictor, load
    from jaxvid.pretrained.create import create_model

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "create_model", "list_models", "load"]

# Imported when first used, so that commands and programs that only want a builder need not wait for JAX.
_MODULES = {
    "Predictor": "jaxvid.predict.predictor",
    "create_model": "jaxvid.pretrained.create",
    "list_models": "jaxvid.models.create",
    "load": "jaxvid.predict.predictor",
}

# What Python calls a program while it looks for the module that `-m` names: one of the commands, which nothing has been
# imported for yet. A program of your own keeps its allocator.
if sys.argv[0] == "-m":
    from jaxvid.allocator import start_with_huge_pages

    start_with_huge_pages()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'jaxvid' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
