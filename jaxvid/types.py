"""Types that several modules share."""

from typing import TYPE_CHECKING, Any

# ml_collections declares a value as one of many types, none of which has the attributes of a section.
if TYPE_CHECKING:
    ConfigDict = Any
else:
    from ml_collections import ConfigDict

__all__ = ["ConfigDict"]
