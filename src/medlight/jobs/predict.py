"""Predict files with a run, or with several that answer together."""

import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import medlight
from medlight.core.errors import ConfigError, DataError, MedlightError
from medlight.core.file_ref import is_local
from medlight.core.sample import Sample
from medlight.inference.sliding_window import SlidingWindow
from medlight.io.inputs import InputCase, InputPaths, find_inputs
from medlight.io.read import read_image
from medlight.jobs.input_warnings import InputWarnings
from medlight.jobs.verb import verb
from medlight.runs.directory import read_json
from medlight.runs.files import file_stem, write_text
from medlight.tasks.trained_model import (
    LoadModel,
    PredictionWriter,
    PredictOptions,
    TrainedModel,
    check_compatible,
)

log = logging.getLogger(__name__)

SETTINGS_FILE = "predicted_by.json"
_MAX_LISTED = 20


@verb("runs", "load")
def predict(
    *,
    runs: Sequence[Path],
    load: LoadModel,
    inference: SlidingWindow,
    input: InputPaths,  # noqa: A002  # what users type
    output: Path,
    checkpoint: str = "best",
    probabilities: bool = False,
    uncertainty: bool = False,
    postprocess: bool = True,
) -> None:
    """Write a mask for each case on the grid of its file and `volumes.csv`, or, for a run that
    classifies, `predictions.csv`. The data the runs were trained on are not needed.

    What is written completely, by the same runs, from the same file and with the same settings, is
    not predicted again. Failed cases are reported and the rest continue.

    Args:
        runs: run directories; several give the mean of their probabilities.
        load: reads a run.
        inference: windows, and whether reflections are averaged.
        input: a file, a folder, a pattern, or a list of them; see `medlight.io.inputs`.
        output: folder to write to.
        checkpoint: "best", "last", or a path.
        probabilities: also write the probability of each class.
        uncertainty: also write the entropy of the probabilities and, of several answers, their
            disagreement: both as a share of the largest entropy there can be.
        postprocess: do what the runs' validation cases chose; see the verb `postprocess`.

    Raises:
        ConfigError: the output folder holds the input, or predictions of other runs.
        DataError: some cases failed; the message names them.
    """
    models = [load(run, checkpoint) for run in runs]
    check_compatible(models)
    output = Path(output).expanduser()
    spec = models[0].spec
    cases = find_inputs(input, channels=spec.channels, spatial_dims=spec.image_dims)
    _check_output(output, cases)
    settings = {
        "medlight": medlight.__version__,
        "runs": [{"name": each.name, "checkpoint": each.digest} for each in models],
        "overlap": inference.overlap,
        "mirrored": list(spec.mirror_axes) if inference.tta else [],
        "probabilities": probabilities,
        "uncertainty": uncertainty,
    }
    options = PredictOptions(
        inference=inference, output=output, probabilities=probabilities,
        uncertainty=uncertainty, postprocess=postprocess,
    )  # fmt: skip
    writer = models[0].task.outcome.writer(models, options)
    settings["postprocessing"] = writer.postprocessing_config
    _check_earlier(output, settings, writer.done.all_cases - {case.name for case in cases})
    keys = {case.name: cache_key(case, settings) for case in cases}
    todo = [case for case in cases if not writer.is_done(case, keys[case.name])]
    writer.done.drop([case.name for case in todo])
    write_text(output / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")
    told = f"{len(cases) - len(todo)} of {len(cases)} are done already" if cases != todo else ""
    log.info(
        "%d cases to predict by %s%s", len(todo), _describe_models(models), told and f"; {told}"
    )
    failed = _predict(todo, keys, models[0], writer)
    writer.done.finish()
    log.info("%d cases saved to %s", len(cases) - len(failed), output)
    if failed:
        lines = [f"{name}: {why}" for name, why in sorted(failed.items())]
        more = [f"and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
        raise DataError(
            f"{len(failed)} of {len(cases)} cases could not be predicted:\n  "
            + "\n  ".join(lines[:_MAX_LISTED] + more)
        )


def _predict(
    todo: Sequence[InputCase], keys: dict[str, str], model: TrainedModel, writer: PredictionWriter
) -> dict[str, str]:
    """Name to reason of the cases that failed."""
    failed: dict[str, str] = {}
    odd = InputWarnings(model.spec)
    told = 0

    def fail(case: InputCase, error: Exception) -> None:
        failed[case.name] = " ".join(str(error).split()) or type(error).__name__
        log.error("%s failed: %s", case.name, failed[case.name])
        if not isinstance(error, MedlightError):
            log.debug("", exc_info=error)

    columns = [TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn()]
    shown = sys.stdout.isatty() or get_console().is_jupyter
    with Progress(*columns, TimeRemainingColumn(), disable=not shown) as bar:
        line = bar.add_task("predicting", total=len(todo))
        for batch in batched(read_ahead(todo, model), writer.batch_size):
            good = []
            for case, sample in batch:
                if isinstance(sample, Exception):
                    fail(case, sample)
                else:
                    odd.look(case.name, sample)
                    good.append((case, sample))
            before = len(failed)
            for group in writer.groups(good):
                try:
                    for case, lines in writer.write(group):
                        writer.done.add(case.name, keys[case.name], lines)
                except Exception as error:  # whatever it is, the other cases go on
                    for case, _ in group:
                        fail(case, error)
            bar.advance(line, len(batch))
            told += len(batch)
            if not shown and writer.batch_size == 1 and good and len(failed) == before:
                log.info("  %s (%d of %d)", batch[0][0].name, told, len(todo))
    odd.report()
    return failed


def read_ahead(
    cases: Sequence[InputCase], model: TrainedModel
) -> Iterator[tuple[InputCase, Sample | Exception]]:
    """The cases as the net sees them, the next one read while this one is predicted."""

    def read(case: InputCase) -> Sample:
        image, grid = read_image(case.files)
        try:
            return model.preprocess(image, grid)
        except DataError as error:
            raise DataError(f"{case.files[0]}: {error}") from error

    with ThreadPoolExecutor(1) as pool:
        ahead: Future[Sample] | None = pool.submit(read, cases[0]) if cases else None
        for number, case in enumerate(cases):
            assert ahead is not None
            try:
                sample: Sample | Exception = ahead.result()
            except Exception as error:
                sample = error
            following = cases[number + 1 : number + 2]
            ahead = pool.submit(read, following[0]) if following else None
            yield case, sample


def batched(
    items: Iterator[tuple[InputCase, Sample | Exception]], count: int
) -> Iterator[list[tuple[InputCase, Sample | Exception]]]:
    some = []
    for item in items:
        some.append(item)
        if len(some) == count:
            yield some
            some = []
    if some:
        yield some


def cache_key(case: InputCase, settings: dict[str, Any]) -> str:
    """What a prediction was made from, and how: other files or settings, another key."""
    stats = [(file.name, file.stat()) for file in case.files]
    files = [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats]
    text = json.dumps([settings, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_output(output: Path, cases: Sequence[InputCase]) -> None:
    """Never write over what is read, nor two cases to one file."""
    written: dict[str, InputCase] = {}
    for case in cases:
        other = written.setdefault(file_stem(case.name), case)
        if other is not case:
            raise ConfigError(
                f"{other.files[0]} and {case.files[0]} would both be written to "
                f"{file_stem(case.name)}; predict one of them into another folder"
            )
        for file in case.files:
            if is_local(file) and file.resolve().is_relative_to(output.resolve()):
                raise ConfigError(
                    f"output={output} holds {file}, which would be read again or written over; "
                    f"name another folder"
                )


def _check_earlier(output: Path, settings: dict[str, Any], others: set[str]) -> None:
    """Masks of other runs or settings must not lie among those of these."""
    path = output / SETTINGS_FILE
    if others and path.is_file() and read_json(path) != settings:
        raise ConfigError(
            f"output={output} holds {len(others)} cases that other runs or settings predicted "
            f"({min(others)}); name another folder"
        )


def _describe_models(models: Sequence[TrainedModel]) -> str:
    if len(models) == 1:
        return models[0].name
    return f"the mean of {len(models)} runs"
