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

from medlight.audit.issues import shorten
from medlight.callbacks.panels import plot_panels
from medlight.callbacks.results import write_scores
from medlight.callbacks.test_callback import STAGE
from medlight.core.case_result import CaseResult, Row
from medlight.core.errors import ConfigError, DataError, DataNotFoundError, MedlightError
from medlight.core.grid import Grid, gap_mm
from medlight.core.labels import Labels
from medlight.io.read import read_image, read_mask
from medlight.jobs.mask_pairs import MAX_LABEL, MaskPair, mask_pairs, read_label_names
from medlight.jobs.verb import verb
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.report.score_table import score_table
from medlight.report.slices import CaseSlice, WorstCases, case_slice
from medlight.runs.directory import PANEL_FOLDER, PROVENANCE_FILE
from medlight.runs.environment import code_version, command_line
from medlight.runs.files import write_text
from medlight.runs.private import strip_local_paths
from medlight.tasks.segmentation_outcome import SegmentationOutcome
from medlight.transforms.resample import reorient

log = logging.getLogger(__name__)
IGNORE_LABEL_NAME = "ignore"
MAX_THREADS = 4
MAX_LISTED = 5


@verb("run_dir")
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
    missing: Literal["error", "empty"] = "error",
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
        missing: what a label without a prediction is: an "error", or "empty": an empty prediction.
        max_cases: how many of the worst cases to draw.

    Raises:
        ConfigError: nothing names the labels, or an argument is wrong.
        DataNotFoundError: a folder is missing or holds no masks.
        DataError: cases cannot be scored; the message names them.
    """
    if missing not in ("error", "empty"):
        raise ConfigError(f"missing must be error or empty, got {missing!r}")
    folders = Path(predictions).expanduser(), Path(labels).expanduser()
    for key, folder in zip(("predictions", "labels"), folders, strict=True):
        if not folder.is_dir():
            raise DataNotFoundError(f"{key}={folder} is not a folder")
    named = read_label_names(folders, class_names)
    numbers = dict(named.names)
    if ignore is None:
        ignore = next((n for n, name in numbers.items() if name == IGNORE_LABEL_NAME), None)
    elif type(ignore) is not int or not 1 <= ignore <= MAX_LABEL:
        raise ConfigError(f"ignore must be a label, 1 to {MAX_LABEL}, got {ignore!r}")
    elif ignore not in numbers:  # a number such as 255 needs no name
        taken = IGNORE_LABEL_NAME in numbers.values()
        numbers[ignore] = f"{IGNORE_LABEL_NAME} {ignore}" if taken else IGNORE_LABEL_NAME
    numbers, names = dict(sorted(numbers.items())), tuple(v for _, v in sorted(numbers.items()))
    known = list(numbers)
    scorer = SegmentationScorer.from_labels(
        Labels(names, "mask"),
        regions=_by_position(regions or named.regions, known) or None,
        tolerance_mm=tolerance_mm,
        ignore=None if ignore is None else known.index(ignore),
    )
    pairs = mask_pairs(*folders, images=images, missing=missing)
    outcome = SegmentationOutcome(tuple(scorer.regions), policy=scorer.policy, labels=names)
    worst = WorstCases(max_cases, outcome.score)
    rows: list[Row] = []
    ignored = False
    for found, slices, ignores in _score_pairs(pairs, scorer, outcome, known, plot=max_cases > 0):
        rows += found
        worst.merge(slices)
        ignored |= ignores
    if ignore is not None and ignore not in named.names and not ignored:  # a slip, maybe
        raise ConfigError(
            f"ignore={ignore}: no reference mask holds {ignore}; type another number, or leave "
            "ignore out"
        )
    scores = outcome.summarise(rows)
    lines: list[Row] = [
        {"case": row["case"], "patient": row["case"], "fold": "", "stage": STAGE, **row}
        for row in rows
    ]
    intervals = outcome.intervals(lines)
    write_scores(run_dir, outcome.spec, lines, scores, intervals)
    record: dict[str, Any] = {
        "code": code_version(),
        "command": [strip_local_paths(word) for word in command_line()],
        "policy": scorer.policy,
        "cases": len(pairs),
        "missing": [pair.case for pair in pairs if pair.prediction is None],
    }
    write_text(run_dir / PROVENANCE_FILE, json.dumps(record, indent=2) + "\n")
    plot_panels(outcome, worst, rows, run_dir / PANEL_FOLDER)
    console = get_console()
    title = f"{len(pairs)} cases"
    if record["missing"]:
        title += f", {len(record['missing'])} without a prediction, counted as empty"
    console.print(score_table(outcome.spec, scores, intervals, title=title, width=console.width))
    log.info("Results saved to %s", os.path.relpath(run_dir))


def _score_pairs(
    pairs: Sequence[MaskPair],
    scorer: SegmentationScorer,
    outcome: SegmentationOutcome,
    known: Sequence[int],
    *,
    plot: bool,
) -> "list[tuple[tuple[Row, ...], list[CaseSlice], bool]]":
    """Rows, pictures, and whether voxels are ignored, in the order of the pairs. DataError names
    all cases that cannot be scored: one that is left out would change the mean."""
    found, wrong = [], []
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        score = partial(_score_case, scorer=scorer, outcome=outcome, known=known, plot=plot)
        answers = pool.map(score, pairs)
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


def _score_case(
    pair: MaskPair,
    scorer: SegmentationScorer,
    outcome: SegmentationOutcome,
    known: Sequence[int],
    *,
    plot: bool,
) -> "tuple[tuple[Row, ...], list[CaseSlice], bool] | MedlightError":
    try:
        reference, grid = _read_mask(pair.reference, known)
        predicted = np.zeros_like(reference)
        if pair.prediction is not None:
            predicted, other = _read_mask(pair.prediction, known)
            _check_same_grid(pair, grid, other)
        rows = scorer.rows(pair.case, predicted, reference, grid)
        score = outcome.score(rows)
        slices = [_render_slice(pair, rows, score, predicted, reference, grid)] if plot else []
        return rows, slices, bool((reference == scorer.ignore).any())
    except MedlightError as error:
        return error


def _by_position(
    regions: Mapping[str, Sequence[int]], known: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """Regions of label numbers as regions of their positions among the known ones."""
    place = {number: k for k, number in enumerate(known)}
    try:
        return {name: tuple(place[n] for n in numbers) for name, numbers in regions.items()}
    except KeyError as error:
        raise ConfigError(
            f"regions name the label {error}, but the labels are {_shorten(known)}"
        ) from error


def _shorten(numbers: Sequence[int]) -> str:
    if list(numbers) == list(range(len(numbers))):
        return f"0 to {len(numbers) - 1}"
    return shorten([str(number) for number in numbers], MAX_LISTED)


def _read_mask(path: Path, known: Sequence[int]) -> tuple[Any, Grid]:
    """Labels as positions among the known numbers, which may be far apart: 17, 1041, 12175."""
    mask, grid = read_mask(path)
    held = np.unique(mask)
    strange = held[~np.isin(held, known)]
    if strange.size:
        raise DataError(
            f"{path}: holds labels from {held[0]} to {held[-1]}, but {len(known)} are named "
            f"({_shorten(known)}), not {shorten([str(n) for n in strange], MAX_LISTED)}; type "
            f"class_names='[background,...]' with all of them, or name them in dataset.json; "
            f"what does not count needs no name: ignore={strange[-1]}"
        )
    places = np.searchsorted(np.asarray(known, np.int64), mask[0])
    return places.astype(np.min_scalar_type(len(known))), grid


def _check_same_grid(pair: MaskPair, reference: Grid, prediction: Grid) -> None:
    """Voxels are compared one by one, so they must lie in the same place."""
    if reference.shape != prediction.shape:
        what = f"shapes {prediction.shape} and {reference.shape}"
    elif not reference.overlies(prediction):
        off = gap_mm(reference.shape, reference.affine, prediction.affine)
        what = (
            f"positions in space: {prediction.orientation} at {_format_spacing(prediction)} and "
            f"{reference.orientation} at {_format_spacing(reference)}, up to {off:.3g} mm "
            f"apart"
        )
    else:
        return
    raise DataError(
        f"{pair.case}: prediction and reference differ in their {what}; write the prediction on "
        f"the grid of its image"
    )


def _format_spacing(grid: Grid) -> str:
    return "x".join(f"{spacing:.3g}" for spacing in grid.spacing_mm) + " mm"


def _render_slice(
    pair: MaskPair, rows: tuple[Row, ...], score: float, predicted: Any, reference: Any, grid: Grid
) -> CaseSlice:
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
        parts = [reorient(torch.from_numpy(part), grid, "RAS")[0].numpy() for part in parts]
    result = CaseResult(
        case=pair.case, rows=rows, image=parts[0], prediction=parts[1][0], truth=parts[2][0]
    )
    return case_slice(result, score)
