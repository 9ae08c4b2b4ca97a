"""The split of a run that is gone on with or tested again, when its data have changed since."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medlight.core.errors import SplitError
from medlight.core.split import SUBSETS, Split
from medlight.data.datamodule import DataModule

log = logging.getLogger(__name__)


def keep_split(kept: Mapping[str, Any], data: DataModule, run: Path, *, trains: bool) -> Split:
    """Find the sides that a run had among the cases that are there now: dealt anew, its training
    cases would be tested.

    Args:
        kept: what its split.json holds.
        data: as they are now.
        run: its directory, for messages.
        trains: it is trained on, which needs all it was trained with.

    Returns:
        The split, without cases that are new and, where nothing is trained, that are gone; the log
        says how many, and names none of a patient who withdrew.

    Raises:
        SplitError: a case to train with is gone, or no case of the run is there.
    """
    index = data.cases
    sides = {side: set(kept.get(side, ())) for side in SUBSETS}
    known, now = set().union(*sides.values()), set(index.ids)
    gone = sorted(known - now)
    if known and not known & now:
        raise SplitError(
            f"none of the {len(known)} cases of {run}, such as {gone[0]}, is in {index.name}; "
            f"type data.root=<where its data are>; other data: predict, evaluate predictions=..."
        )

    def named(cases: list[str]) -> str:
        known_by_name = [case for case in cases if case not in data.exclusions.withdrawn]
        return f"{known_by_name[0]} ({len(cases)} in all)" if known_by_name else f"{len(cases)}"

    needed = [case for case in gone if case in sides["train"] | sides["val"]]
    if trains and needed:
        why = "left out now" if needed[0] in data.exclusions.cases else "not there any more"
        raise SplitError(
            f"{run} was trained with cases that are {why}: {named(needed)}; it cannot go on "
            f"without them, start a new run"
        )
    new = [case for case in index.ids if case not in known]
    for cases, what in ((new, "new"), (gone, "left out or gone")):
        if cases:
            log.warning("Not used, as %s since %s: %s", what, run, named(cases))
    ordered = [tuple(case for case in index.ids if case in sides[side]) for side in SUBSETS]
    return Split(str(kept.get("fold", "")), *ordered)
