"""Score anyone's masks: a folder of predictions against a folder of reference masks."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich import get_console
from rich.progress import track

from medlight.callbacks.panels import draw_worst
from medlight.callbacks.results import write_scores
from medlight.callbacks.tested import STAGE
from medlight.core.case_result import CaseResult, Row
from medlight.core.errors import ConfigError, DataError, DataNotFoundError, MedlightError
from medlight.core.grid import Grid
from medlight.core.labels import Labels
from medlight.io.read import read_image, read_mask
from medlight.jobs.mask_pairs import Pair, mask_pairs, named_labels
from medlight.metrics.cases import Scoring
from medlight.metrics.summary import segmentation_intervals, summarise_segmentation
from medlight.report.score_table import score_table
from medlight.report.slices import Picture, Worst, picture, score_of
from medlight.runs.environment import code, command, portable
from medlight.runs.files import write_text
from medlight.transforms.orient import oriented

log = logging.getLogger(__name__)
CALLED_IGNORE = "ignore"
AT_ONCE = 4


def evaluate_files(
    *,
    run_dir: Path,
    predictions: str | Path,
    labels: str | Path,
    images: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore: int | None = None,
    tolerance_mm: float = 1.0,
    missing: Literal["refuse", "miss"] = "refuse",
    max_cases: int = 12,
) -> None:
    """Write `cases.csv`, `metrics.json`, `provenance.json` and pictures of the worst cases, and
    print the table. Files belong together by name; each file is a case and a patient.

    Args:
        run_dir: where to write.
        predictions, labels: folders of masks.
        images: folder of the images, for the pictures; nnU-Net's `_0000` is the first channel.
        class_names: names of labels 0, 1, ...; None: those of a dataset.json in or above one of
            the folders.
        regions: name to label numbers, where they overlap; None: as in dataset.json, else each
            label by itself.
        ignore: label that does not count; None: the one called "ignore", if there is one.
        tolerance_mm: of the normalised surface distance.
        missing: what a label without a prediction is: a reason to "refuse", or a "miss".
        max_cases: how many of the worst cases to draw.
    """
    if missing not in ("refuse", "miss"):
        raise ConfigError(f"missing must be refuse or miss, got {missing!r}")
    folders = Path(predictions).expanduser(), Path(labels).expanduser()
    for key, folder in zip(("predictions", "labels"), folders, strict=True):
        if not folder.is_dir():
            raise DataNotFoundError(f"{key}={folder} is not a folder")
    names, overlapping = named_labels(folders, class_names)
    given = {name: tuple(numbers) for name, numbers in (regions or overlapping).items()}
    if ignore is None and CALLED_IGNORE in names:
        ignore = names.index(CALLED_IGNORE)
    scoring = Scoring.of(
        Labels(names, "mask"), regions=given or None, tolerance_mm=tolerance_mm, ignore=ignore
    )
    pairs = mask_pairs(*folders, images=images, missing=missing)
    worst = Worst(max_cases)
    rows: list[Row] = []
    for found, pictures in _scored(pairs, scoring, draw=max_cases > 0):
        rows += found
        worst.merge(pictures)
    scores = summarise_segmentation(rows, tuple(scoring.regions))
    lines: list[Row] = [
        {"case": row["case"], "patient": row["case"], "fold": "", "stage": STAGE, **row}
        for row in rows
    ]
    intervals = segmentation_intervals(lines, tuple(scoring.regions))
    write_scores(run_dir, lines, scores, intervals)
    record: dict[str, Any] = {
        "code": code(),
        "command": [portable(word) for word in command()],
        "policy": scoring.policy,
        "cases": len(pairs),
        "missing": [pair.case for pair in pairs if pair.prediction is None],
    }
    write_text(run_dir / "provenance.json", json.dumps(record, indent=2) + "\n")
    draw_worst(worst.pictures, names, run_dir / "panels")
    console = get_console()
    title = f"{len(pairs)} cases"
    if record["missing"]:
        title += f", {len(record['missing'])} without a prediction, counted as empty"
    console.print(
        score_table(scores, intervals, policy=scoring.policy, title=title, width=console.width)
    )
    log.info("Everything lies in %s", os.path.relpath(run_dir))


def _scored(
    pairs: Sequence[Pair], scoring: Scoring, *, draw: bool
) -> "list[tuple[tuple[Row, ...], list[Picture]]]":
    """Rows and pictures in the order of the pairs. DataError names all cases that cannot be scored:
    one that is left out would change the mean."""
    found, wrong = [], []
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        answers = pool.map(partial(_case, scoring=scoring, draw=draw), pairs)
        quiet = not get_console().is_terminal
        for answer in track(answers, "scoring", len(pairs), transient=True, disable=quiet):
            if isinstance(answer, MedlightError):
                wrong.append(str(answer))
            else:
                found.append(answer)
    if wrong:
        shown = "\n  ".join(wrong[:5])
        more = f"\n  and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(f"{len(wrong)} of {len(pairs)} cases cannot be scored:\n  {shown}{more}")
    return found


def _case(
    pair: Pair, scoring: Scoring, *, draw: bool
) -> "tuple[tuple[Row, ...], list[Picture]] | MedlightError":
    try:
        reference, grid = _mask(pair.reference, scoring)
        predicted = np.zeros_like(reference)
        if pair.prediction is not None:
            predicted, other = _mask(pair.prediction, scoring)
            _same_place(pair, grid, other)
        rows = scoring.rows(pair.case, predicted, reference, grid)
        return rows, [_drawn(pair, rows, predicted, reference, grid)] if draw else []
    except MedlightError as error:
        return error


def _mask(path: Path, scoring: Scoring) -> tuple[Any, Grid]:
    mask, grid = read_mask(path)
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high >= scoring.labels:
        raise DataError(
            f"{path}: holds labels from {low} to {high}, but {scoring.labels} are named "
            f"(0 to {scoring.labels - 1}); type class_names='[background,...]' with all of them"
        )
    return mask[0].astype(np.uint8), grid


def _same_place(pair: Pair, reference: Grid, prediction: Grid) -> None:
    """Voxels are compared one by one, so they must lie in the same place."""
    if reference.shape != prediction.shape:
        what = f"shapes {prediction.shape} and {reference.shape}"
    elif reference != prediction:
        off = float(np.abs(reference.affine - prediction.affine).max())
        what = (
            f"positions in space: {prediction.orientation} at {_mm(prediction)} and "
            f"{reference.orientation} at {_mm(reference)}, affines up to {off:.3g} apart"
        )
    else:
        return
    raise DataError(
        f"{pair.case}: prediction and reference differ in their {what}; write the prediction on "
        f"the grid of its image"
    )


def _mm(grid: Grid) -> str:
    return "x".join(f"{spacing:.3g}" for spacing in grid.spacing_mm) + " mm"


def _drawn(
    pair: Pair, rows: tuple[Row, ...], predicted: Any, reference: Any, grid: Grid
) -> Picture:
    """The slice to show, on the image where there is one, else on black."""
    import torch

    image = np.zeros((1, *reference.shape), np.float32)
    if pair.image is not None:
        image, place = read_image(pair.image)
        if place.shape != grid.shape:
            raise DataError(
                f"{pair.case}: the image has shape {place.shape}, its reference {grid.shape}"
            )
    parts = [image[:1], predicted[None], reference[None]]
    if grid.ndim == 3:
        parts = [oriented(torch.from_numpy(part), grid, "RAS")[0].numpy() for part in parts]
    result = CaseResult(
        case=pair.case, rows=rows, image=parts[0], prediction=parts[1][0], truth=parts[2][0]
    )
    return picture(result, score_of(rows))
