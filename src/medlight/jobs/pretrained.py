"""Which cases the weights of `init=` have seen: tests on them are none."""

import logging
from pathlib import Path

from medlight.data.datamodule import DataModule
from medlight.runs.directory import SPLIT_FILE, RunDirectory

log = logging.getLogger(__name__)


def cases_behind(checkpoint: Path) -> frozenset[str]:
    """Find the cases that trained a checkpoint or chose it, and those behind its own `init=`.

    Args:
        checkpoint: in the directory of its run; of one elsewhere nothing is known.

    Raises:
        DataError: the split of its run is damaged.
    """
    for folder in checkpoint.absolute().parents[:2]:
        run = RunDirectory(folder)
        if run.has(SPLIT_FILE):
            split = run.split()
            return frozenset([*split.get("train", ()), *split.get("val", ())]) | run.pretrained_on()
    return frozenset()


def warn_of_pretrained_tests(data: DataModule, cases: frozenset[str], init: str | Path) -> None:
    """Say how many test cases are of patients whom the weights of `init=` have seen."""
    index, tested = data.full_index, set(data.split.test)
    patient_of = dict(zip(index.ids, index.patients, strict=True))
    seen = {patient_of[case] for case in cases if case in patient_of}
    if leaked := sum(patient_of[case] in seen for case in tested):
        log.warning(
            "init=%s has seen %d of the %d test cases, or others of their patients, in training or "
            "validation: scores of this test are not those of new patients; start from a run of "
            "the same fold, or from none",
            init,
            leaked,
            len(tested),
        )
