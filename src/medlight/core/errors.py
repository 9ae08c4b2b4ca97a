"""Errors a user can act on: what is wrong, where, what was found, what to type.

The front door prints these as one line; anything else keeps its traceback.
"""


class MedlightError(Exception):
    """An expected error. Its message alone tells the user what to do."""


class ConfigError(MedlightError, ValueError):
    """A setting that does not exist, or that contradicts another."""


class DataNotFoundError(MedlightError, FileNotFoundError):
    """A data set is not where it was looked for."""


class DataError(MedlightError, ValueError):
    """A file or a folder that is there, but cannot be used. The message names it."""


class SplitError(MedlightError, ValueError):
    """A split that would put one patient on two sides, or that cannot be made."""


class NonFiniteError(MedlightError, ArithmeticError):
    """A loss or an output that is nan or infinite, of which nothing may follow."""


class ExportError(MedlightError, RuntimeError):
    """An exported net that does not answer as its checkpoint does."""


class MissingExtraError(MedlightError, ImportError):
    """An optional dependency that is not installed. The message holds the install line."""
