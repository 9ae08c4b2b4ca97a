"""Whatever goes wrong while a file is read, as one error that names it."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import nibabel as nib
from isal import isal_zlib
from PIL import Image

from medlight.core.errors import DataError, DataNotFoundError

READ_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    KeyError,
    zlib.error,
    struct.error,
    cast(type[Exception], isal_zlib.error),  # its stubs take it for an instance
    Image.DecompressionBombError,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
)
"""What nibabel, Pillow and the two inflaters raise on damaged files."""


@contextmanager
def errors_name_file(path: Path, advice: str = "") -> Iterator[None]:
    """Raise DataError for a file that cannot be used, DataNotFoundError for one that is not there.

    Args:
        path: of the file that is read in this block.
        advice: what to do about it, after a semicolon.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: there is no such file") from error
    except DataError:
        raise
    except READ_ERRORS as error:
        empty = path.is_file() and not path.stat().st_size
        why = "it is cut short" if isinstance(error, EOFError) else error
        what = "is empty" if empty else f"cannot be read ({why})"
        raise DataError(f"{path}: {what}{advice and f'; {advice}'}") from error
