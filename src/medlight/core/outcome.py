"""What a finished case is: the columns of its rows in cases.csv, and its metrics.

An `OutcomeSpec` is plain data. Every run directory carries that of its task as `outcome.json`
beside cases.csv, so that `compare`, sweeps and reports can read a run whose kind of task they have
never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from medlight.core.errors import DataError

Better = Literal["higher", "lower", "zero"]
Level = Literal["class", "case", "pooled"]

FORMAT = 1
ID_COLUMNS = ("case", "patient", "fold", "stage")
"""Text columns that every cases.csv begins with."""
CLASS_COLUMN = "class"
"""Text column of runs that write a row for each case and class instead of a row for each case."""
UNCERTAINTY = "uncertainty"
"""Column with how uncertain a prediction is, larger for more; the same in all rows of a case."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a score is read, and where it comes from.

    Attributes:
        better: "higher", "lower", or "zero" for signed errors, whose size counts.
        unit: "mm", "mL" or "" for fractions and pure numbers.
        title: as the field writes it.
        level: "class": one value for each case and class; "case": one for each case; "pooled":
            only many cases together have one (an AUROC).
        value: where the value of a case comes from: "column", the column of that name; or a
            function of `compare.case_values`. "": it is in metrics.json only.
        test: paired test between runs: "auto" is McNemar's for zeros and ones and Wilcoxon's
            signed-rank test else; "mcnemar"; "delong".
        macro: whether its mean over classes is a score as well.
    """

    better: Better
    unit: str
    title: str
    level: Level = "class"
    value: str = "column"
    test: Literal["auto", "mcnemar", "delong"] = "auto"
    macro: bool = True

    @property
    def direction(self) -> Literal["higher", "lower"]:
        """Which values are better; signed errors are compared by their size, so lower."""
        return "higher" if self.better == "higher" else "lower"

    @property
    def long_title(self) -> str:
        """The title with its unit; of signed errors, which are compared by their size, it says so.

        >>> Metric("zero", "mL", "volume error").long_title
        'size of volume error (mL)'
        """
        title = f"size of {self.title}" if self.better == "zero" else self.title
        return f"{title} ({self.unit})" if self.unit else title


@dataclass(frozen=True, slots=True)
class OutcomeSpec:
    """What there is to know about the rows of a kind of task.

    Attributes:
        kind: name of the kind of task; runs of two kinds are never compared.
        classes: names of what is scored one by one; empty if there are none.
        metrics: name to `Metric`; the first with a value for each case is the main one.
        policy: what the scores rest on; numbers under different policies must not be compared.
        text_columns: columns of cases.csv that hold words; all others hold numbers.
        per_class_rows: whether cases.csv has a row for each case and class.
        truth: column with the reference: a class name, a number or, with "{class}" in it, one
            column a class. Two runs are comparable only if it is the same in both.
        probability: column with the probability of a class, "{class}" standing for its name; "" if
            there is none.
        shown: metrics by class for the table on the screen, the most telling ones first.
        risk: what is lost in a case, in words: the title of an axis.
    """

    kind: str
    classes: tuple[str, ...]
    metrics: Mapping[str, Metric]
    policy: str
    text_columns: tuple[str, ...] = ID_COLUMNS
    per_class_rows: bool = False
    truth: str = ""
    probability: str = ""
    shown: tuple[str, ...] = ()
    risk: str = "error"
    format: int = FORMAT

    @property
    def main(self) -> str:
        """The metric that ranks cases and runs unless another is asked for."""
        columns = (name for name, metric in self.metrics.items() if metric.value == "column")
        return next(columns, next(iter(self.metrics)))

    def columns(self, pattern: str) -> list[str]:
        """Names of the columns that a pattern such as "p_{class}" stands for."""
        if "{class}" not in pattern:
            return [pattern]
        return [pattern.replace("{class}", name) for name in self.classes]

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, which JSON holds.

        >>> spec = OutcomeSpec("regression", (), {"error": Metric("lower", "mm", "error")}, "")
        >>> OutcomeSpec.from_dict(spec.as_dict()) == spec
        True
        """
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {**plain, "metrics": {name: asdict(m) for name, m in self.metrics.items()}}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "OutcomeSpec":
        """The inverse of `as_dict`.

        Raises:
            DataError: a newer version wrote it, or it is not an outcome at all.
        """
        try:
            if saved["format"] > FORMAT:
                raise DataError(f"outcome of format {saved['format']}: update medlight to read it")
            metrics = {name: Metric(**about) for name, about in saved["metrics"].items()}
            plain: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()
            }
            spec = cls(**{**plain, "metrics": metrics})
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"not the description of an outcome ({error!r})") from error
        parts: list[OutcomeSpec | Metric] = [spec, *metrics.values()]
        for each in parts:
            for part in fields(each):
                _check_kind(part.name, getattr(each, part.name))
        if not metrics:
            raise DataError("an outcome without a metric")
        return spec


def _check_kind(name: str, value: Any) -> None:
    """DataError where a text, a list of texts or a flag is something else."""
    known = {"better": get_args(Better), "level": get_args(Level)}
    texts = isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    kinds: dict[str, bool] = {
        "metrics": True, "format": True, "classes": texts, "text_columns": texts, "shown": texts,
        "per_class_rows": isinstance(value, bool), "macro": isinstance(value, bool),
    }  # fmt: skip
    if not kinds.get(name, isinstance(value, str)) or value not in known.get(name, (value,)):
        raise DataError(f"not the description of an outcome: {name} is {value!r}")


def rows_by_case(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by case, in the order in which the cases come."""
    of_case: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_case.setdefault(str(row["case"]), []).append(row)
    return of_case
