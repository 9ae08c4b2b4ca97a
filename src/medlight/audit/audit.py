"""All there is to find, in one pass over the files; and the part that is cheap enough for every
training."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from medlight.audit.duplicates import duplicate_findings
from medlight.audit.facts import FileFacts, gather
from medlight.audit.files import file_findings, header_scan, pair_findings, stray_findings
from medlight.audit.findings import Finding, in_order
from medlight.audit.labels import label_findings
from medlight.audit.leakage import copies_across, patient_findings
from medlight.audit.values import value_findings
from medlight.core.index import Index
from medlight.core.split import Split


def audit(
    index: Index, split: Split | None = None, *, processes: int = 1
) -> tuple[list[Finding], list[FileFacts]]:
    """Everything that can be found, errors first, and what each file said.

    Args:
        split: what must not share patients or images between its sides; None: not looked at.
        processes: that read files at the same time.
    """
    facts = gather(index, processes=processes)
    return in_order(judge(index, facts, split)), facts


def judge(
    index: Index, facts: Sequence[FileFacts], split: Split | None = None
) -> Iterator[Finding]:
    """Findings of files that have been read already."""
    yield from pair_findings(index)
    yield from file_findings(index, facts)
    yield from stray_findings(index)
    yield from value_findings(index, facts)
    yield from label_findings(index, facts, split)
    yield from patient_findings(index, split)
    yield from duplicate_findings(index, facts, split)


def before_training(index: Index, split: Split, cache: Path) -> list[Finding]:
    """What a glance finds: missing pairs, files and voxels, geometry, leakage. Reads headers, and
    of files that may be copies across the split their contents."""
    found = [*pair_findings(index), *header_scan(index), *patient_findings(index, split)]
    return in_order([*found, *copies_across(index, split, cache)])
