"""What Python's import system notes on a module while its body runs."""

import sys


def is_being_imported(name: str) -> bool:
    """Whether a module has begun to be imported and is not done. `ModuleSpec._initializing`."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
