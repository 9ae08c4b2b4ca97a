"""The directory of one run: which files it has, and how each is read.

Nothing here needs torch, Hydra or the data of the run.
"""

import json
import logging
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medlight.core.errors import DataError, DataNotFoundError, reading
from medlight.runs.case_table import CaseTable, read_case_table
from medlight.runs.renames import rename_config, rename_scores

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
PROVENANCE_FILE = "provenance.json"
CASES_FILE = "cases.csv"
COMPRESSED_CASES_FILE = "cases.csv.gz"
METRICS_FILE = "metrics.json"
NON_FINITE_FILE = "non_finite.pt"
OUTCOME_FILE = "outcome.json"
SPLIT_FILE = "split.json"
CURVES_FILE = "curves.csv"
CURVES_PICTURE = "curves.png"
REVIEW_ORDER_FILE = "look_first.csv"
CALIBRATION_FILE = "calibration.json"
CHECK_FILE = "check.json"
INITIAL_WEIGHTS_FILE = "init.txt"
SEEN = "seen: "
"""Begins its lines that name a case which trained or chose the first weights."""
JOB_FILE = "job.json"
RUN_LOCK = ".lock"
LOG_FILE = "run.log"
POSTPROCESSING_FILE = "postprocessing.json"
PROFILE_FILE = "profile.json"
REPRODUCTION_FILE = "reproduction.json"
PANEL_FOLDER = "panels"
PREDICTION_FOLDER = "predictions"
CHECKPOINT_FOLDER = "checkpoints"
BEST, LAST = "best", "last"
LAST_CHECKPOINT_FILE = f"{LAST}.ckpt"
PARTIAL = "partial"
_PROVENANCE_PARTS = ("code", "hardware", "data", "split", "net", "training", "times", PARTIAL)
"""In provenance.json: what a training or a test left out; and the status of such a run."""
RUN_FILES = (CONFIG_FILE, PROVENANCE_FILE, CASES_FILE, COMPRESSED_CASES_FILE, METRICS_FILE)
"""A folder with one of these is a run directory."""
USED_FILES = (
    PROVENANCE_FILE, SPLIT_FILE, METRICS_FILE, CASES_FILE, COMPRESSED_CASES_FILE, CURVES_FILE,
    JOB_FILE,
)  # fmt: skip
"""A folder with one of these, or with a checkpoint, holds what a new run would spoil."""
OVERWRITTEN = (
    CONFIG_FILE, PROVENANCE_FILE, SPLIT_FILE, METRICS_FILE, CASES_FILE, COMPRESSED_CASES_FILE,
    OUTCOME_FILE, CURVES_FILE, CURVES_PICTURE, REVIEW_ORDER_FILE, CALIBRATION_FILE, CHECK_FILE,
    INITIAL_WEIGHTS_FILE, JOB_FILE, POSTPROCESSING_FILE, PROFILE_FILE, REPRODUCTION_FILE,
    NON_FINITE_FILE, PANEL_FOLDER, PREDICTION_FOLDER, CHECKPOINT_FOLDER,
)  # fmt: skip
"""What a run leaves, but for its log and what loggers write."""

_MAX_DIGITS = 18  # of a whole number; longer ones are floating point
_MAX_DEPTH = 50
_COLLECTIONS = (yaml.CollectionStartEvent, yaml.CollectionEndEvent)
RESTORE = "take the file from a copy of the run, or train again"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run, finished or not.

    Attributes:
        path: the directory.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser())

    def has(self, *names: str) -> bool:
        """Say whether all of these files are there."""
        return all((self.path / name).is_file() for name in names)

    @property
    def is_used(self) -> bool:
        """Say whether a run has been here, finished or not."""
        return any((self.path / name).is_file() for name in USED_FILES) or any(
            self.checkpoints.glob("*.ckpt")
        )

    def clear(self) -> None:
        """Remove the files of a run; what is not a run's stays."""
        for name in OVERWRITTEN:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINT_FOLDER

    @property
    def last_checkpoint(self) -> Path:
        """Where training saves its state; the file may not be there yet."""
        return self.checkpoints / LAST_CHECKPOINT_FILE

    def checkpoint(self, which: str | Path = BEST) -> Path:
        """Find a checkpoint; a run without validation has no best, and gives its last.

        Args:
            which: "best", "last", or the path of a checkpoint.

        Raises:
            DataNotFoundError: there is no such file.
        """
        named = str(which) in (BEST, LAST)
        path = self.checkpoints / f"{which}.ckpt" if named else Path(which).expanduser()
        if which == BEST and not path.is_file() and self.last_checkpoint.is_file():
            log.info("%s: no validation chose a best checkpoint; taking the last", self.path)
            return self.last_checkpoint
        if not path.is_file():
            raise DataNotFoundError(
                f"no checkpoint at {path}; train first, or name one with checkpoint=<path>"
            )
        return path

    def config(self) -> dict[str, Any]:
        """Read the saved configuration under the present names, references not followed.

        Returns:
            The nested configuration; empty for a run made in Python, which has none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / CONFIG_FILE
        try:
            with reading(path, RESTORE):
                try:
                    content = yaml.safe_load(read_yaml_text(path))
                except yaml.YAMLError as error:
                    raise ValueError(error) from error
                return rename_config(_mapping(path, content or {}))
        except FileNotFoundError:
            return {}

    def provenance(self) -> dict[str, Any]:
        """Read what the run noted about its code, data and machine; empty if it noted nothing.

        Raises:
            DataError: the file is damaged.
        """
        record = self._json(PROVENANCE_FILE)
        for part in _PROVENANCE_PARTS:
            if not isinstance(record.get(part) or {}, Mapping):
                raise DataError(f"{self.path / PROVENANCE_FILE}: {part} is no mapping; {RESTORE}")
        return record

    def left_out(self) -> list[str]:
        """Say which settings kept the run from all of its data; empty for a whole one."""
        parts = self.provenance().get(PARTIAL) or {}
        with reading(self.path / PROVENANCE_FILE, RESTORE):
            return list(dict.fromkeys(str(each) for part in parts.values() for each in part))

    def metrics(self) -> dict[str, Any]:
        """Read the scores, "<stage>/<metric>[/<class>]" to a value; empty if nothing was scored.

        Raises:
            DataError: the file is damaged.
        """
        scores = self._json(METRICS_FILE)
        wrong = [key for key, value in scores.items() if not isinstance(value, int | float | None)]
        if wrong:
            raise DataError(f"{self.path / METRICS_FILE}: {wrong[0]} is no number; {RESTORE}")
        return rename_scores(scores)

    def split(self) -> dict[str, Any]:
        """Read which cases the run trained, validated and tested on.

        Raises:
            DataNotFoundError: the run has not been trained.
            DataError: the file is damaged.
        """
        if not self.has(SPLIT_FILE):
            raise DataNotFoundError(f"{self.path} has no {SPLIT_FILE}: it has not been trained")
        split = self._json(SPLIT_FILE)
        for part in ("train", "val", "test"):
            ids = split.get(part, ())
            if not isinstance(ids, list | tuple) or not all(isinstance(each, str) for each in ids):
                raise DataError(f"{self.path / SPLIT_FILE}: {part} is no list of ids; {RESTORE}")
        return {"train": [], "val": [], "test": [], **split}

    def pretrained_on(self) -> frozenset[str]:
        """Read which cases the weights of `init=` had seen; empty without `init=`.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / INITIAL_WEIGHTS_FILE
        if not path.is_file():
            return frozenset()
        with reading(path, RESTORE):
            lines = path.read_text(encoding="utf-8").splitlines()
        return frozenset(line.removeprefix(SEEN) for line in lines if line.startswith(SEEN))

    @property
    def cases_file(self) -> Path | None:
        """The table of cases, plain or compressed; None if nothing was tested."""
        files = (self.path / name for name in (CASES_FILE, COMPRESSED_CASES_FILE))
        return next((file for file in files if file.is_file()), None)

    def cases(self) -> CaseTable:
        """Read the table of cases.

        Raises:
            DataError: the run has not been tested, or its table cannot be used.
        """
        if self.cases_file is None:
            raise DataError(
                f"{self.path}: no {CASES_FILE}: it has not been tested; "
                f"type medlight evaluate run={shlex.quote(str(self.path))}"
            )
        return read_case_table(self.cases_file)

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return read_json(path) if path.is_file() else {}


def read_yaml_text(path: Path) -> str:
    """Read a file that is YAML, and does not grow without end when it is parsed.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML, is nested deeper than any configuration, or refers to itself.
    """
    text, depth = path.read_text(encoding="utf-8"), 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            start, end = (isinstance(event, kind) for kind in _COLLECTIONS)
            depth += start - end
            if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                raise ValueError(f"it uses aliases, or is nested deeper than {_MAX_DEPTH} levels")
    except yaml.YAMLError as error:
        raise ValueError(error) from error
    return text


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of a run that holds one JSON object.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it holds anything else; the message names it.
    """
    with reading(path, RESTORE):
        text = path.read_text(encoding="utf-8")
        return dict(_mapping(path, json.loads(text, parse_int=_parse_int)))


def _parse_int(digits: str) -> int | float:
    """A number so large that it is none of ours overflows to infinity, not in whoever uses it."""
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _mapping(path: Path, content: Any) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds no mapping; {RESTORE}")
    return content
