"""Importing this module postpones what other libraries import at start and few runs need.

To be imported before torch, Lightning and MONAI. Lightning imports torchmetrics, whose functions
that draw take the types of their annotations from matplotlib; MONAI imports matplotlib and pandas
for what few use. All of them are imported here when something uses them, and work as ever.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from medlight.compat.importlib import is_being_imported

PLOT_MODULE = "torchmetrics.utilities.plot"
PLOT_TYPES = {"_AX_TYPE", "_CMAP_TYPE", "_PLOT_OUT_TYPE"}
"""Of its names, those that are annotations."""


class LazyModule(ModuleType):
    """Stands for a module until something is asked of it, and then passes on what is asked.

    Args:
        spec: of the module; others look by it whether there is one.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__, self.__file__ = spec, spec.origin

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # a look around, as `inspect` has one
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load(self) -> ModuleType:
        """The module itself."""
        for name, module in list(sys.modules.items()):
            below = name == self.__name__ or name.startswith(f"{self.__name__}.")
            if below and isinstance(module, LazyModule):
                del sys.modules[name]
        return importlib.import_module(self.__name__)


class LazyPlotModule(LazyModule):
    """Whose functions can be taken from it without importing it."""

    def __getattr__(self, name: str) -> Any:
        if name in PLOT_TYPES:
            return Any
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(self.load(), name)(*args, **kwargs)


class LazyPandas(LazyModule):
    """pandas, of which monai.data.utils takes a class as it starts, and never uses it."""

    def __getattr__(self, name: str) -> Any:
        if name == "DataFrame" and is_being_imported("monai"):
            return Any
        return super().__getattr__(name)


def install_lazy_imports() -> None:
    if "torchmetrics" not in sys.modules:
        sys.modules[PLOT_MODULE] = LazyPlotModule(ModuleSpec(PLOT_MODULE, loader=None))
    if matplotlib := _install("matplotlib", LazyModule):
        within = getattr(matplotlib.__spec__, "submodule_search_locations", None)
        pyplot = _install("matplotlib.pyplot", LazyModule, within)
        vars(matplotlib).update(pyplot=pyplot)
    _install("pandas", LazyPandas)


def _install(
    name: str, kind: type[LazyModule], within: Sequence[str] | None = None
) -> LazyModule | None:
    """None where there is no such module, or it is imported already."""
    spec = None if name in sys.modules else PathFinder.find_spec(name, within)
    if spec is None:
        return None
    sys.modules[name] = one = kind(spec)
    return one


install_lazy_imports()
