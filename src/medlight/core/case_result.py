"""What a task says of one whole case.

Shapes: C channels, *S spatial axes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlight.core.grid import Grid

Row = dict[str, str | int | float]
"""One line of cases.csv; a task makes it without patient, fold and stage."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a task says of one whole case.

    Attributes:
        case: id of the case.
        rows: its lines in cases.csv; empty where the truth is not known.
        image: (C, *S) float32, as the net saw it.
        truth, prediction: (*S) label indices beside `image`; segmentation only.
        source_prediction: (*source S) uint8, the prediction on the grid of its source file.
        source_grid: that grid.
    """

    case: str
    rows: tuple[Row, ...]
    image: NDArray[np.float32]
    truth: NDArray[np.uint8] | None = None
    prediction: NDArray[np.uint8] | None = None
    source_prediction: NDArray[np.uint8] | None = None
    source_grid: Grid | None = None
