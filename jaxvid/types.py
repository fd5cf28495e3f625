"""Types that several modules share."""

from typing import TYPE_CHECKING, Any

import numpy as np

# ml_collections declares a value as one of many types, none of which has the attributes of a section.
if TYPE_CHECKING:
    ConfigDict = Any
else:
    from ml_collections import ConfigDict

# What a network takes of clips: `frames` and what goes with them, a row for each (jaxvid.data.pipeline.clip_inputs).
Inputs = dict[str, np.ndarray]

__all__ = ["ConfigDict", "Inputs"]
