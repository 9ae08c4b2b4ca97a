"""Errors a user can act on: what is wrong, where, what was found, what to type.

The front door prints these as one line; anything else keeps its traceback.
"""

import csv
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


MALFORMED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    csv.Error,
    zlib.error,
)
"""What reading a file raises whose content is not what it should be."""


@contextmanager
def reading(
    path: Path,
    advice: str = "copy it again, or remove it",
    *,
    kinds: tuple[type[Exception], ...] = MALFORMED,
) -> Iterator[None]:
    """Raise DataError, in one line that names the file, for whatever is wrong with its content.

    Args:
        path: of the file that is read in this block.
        advice: what to do about it, after a semicolon.
        kinds: what the reader raises on a damaged file.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it cannot be read.
    """
    try:
        yield
    except MedlightError:
        raise
    except FileNotFoundError as error:
        or_else = "" if isinstance(path, Path) else ", or nobody answers there; check the address"
        raise DataNotFoundError(f"{path}: there is no such file{or_else}") from error
    except kinds as error:
        why = " ".join(str(error).split()) or "damaged"
        if isinstance(error, EOFError):
            why = "it is cut short"
        elif isinstance(error, LookupError | TypeError | AttributeError):  # no sentences
            why = f"{type(error).__name__}: {why}"
        empty = isinstance(path, Path) and path.is_file() and not path.stat().st_size
        what = "is empty" if empty else f"cannot be read ({why[:200]})"
        raise DataError(f"{path}: {what}{advice and f'; {advice}'}") from error
    except Exception as error:
        if isinstance(path, Path):
            raise
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"  # of whose service
        raise DataError(f"{path}: cannot be fetched ({why}); check the address") from error
