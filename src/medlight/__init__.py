"""medlight: train, sweep and compare deep-learning models on medical images.

Importing medlight imports neither torch nor Lightning: the public names below load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medlight.core.case import Case
    from medlight.core.grid import Grid
    from medlight.core.index import Index
    from medlight.core.sample import Sample
    from medlight.data.datamodule import DataModule
    from medlight.tasks.base import Task

__version__ = "0.1.0"
__all__ = ["Case", "DataModule", "Grid", "Index", "Sample", "Task", "__version__"]

_HOME = {
    "Case": "medlight.core.case",
    "DataModule": "medlight.data.datamodule",
    "Grid": "medlight.core.grid",
    "Index": "medlight.core.index",
    "Sample": "medlight.core.sample",
    "Task": "medlight.tasks.base",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    known = ", ".join(__all__)
    raise AttributeError(f"module 'medlight' has no attribute {name!r}; it has {known}")
