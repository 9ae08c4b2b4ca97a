"""Two versions of a data set, case by case."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlight.core.manifest import Entry, Manifest


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the cases between two manifests, by case id; pairs where the id changed.

    Attributes:
        changed: the image holds other bytes.
        relabelled: the image is the same, but not its tags, its mask or what a label means.
        moved: the image is the same under another id, and so is what is said of it.
        repatiented: the case belongs to another patient.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    relabelled: tuple[str, ...]
    moved: tuple[str, ...]
    repatiented: tuple[str, ...]
    labels: tuple[tuple[str, ...], tuple[str, ...]]

    def __bool__(self) -> bool:
        return self.labels[0] != self.labels[1] or any(cases for _, cases in self.rows())

    def rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name in ("added", "removed", "changed", "relabelled", "moved", "repatiented"):
            yield name, getattr(self, name)


def difference(old: Manifest, new: Manifest) -> Difference:
    """What `new` has that `old` had not, and the other way round."""
    before, after = old.cases, new.cases
    gone = {case: before[case] for case in before if case not in after}
    come = {case: after[case] for case in after if case not in before}
    by_image = {_image(files): case for case, files in gone.items() if _image(files)}
    moved: list[str] = []
    relabelled: list[str] = []
    for case in list(come):
        was = by_image.get(_image(come[case]))
        if was in gone:
            same = _said(gone.pop(was)) == _said(come.pop(case))
            (moved if same else relabelled).append(f"{was} -> {case}")
    both = [case for case in before if case in after]
    kept = [case for case in both if _image(before[case]) == _image(after[case])]
    relabelled += [case for case in kept if _said(before[case]) != _said(after[case])]
    return Difference(
        added=tuple(come),
        removed=tuple(gone),
        changed=tuple(case for case in both if _image(before[case]) != _image(after[case])),
        relabelled=tuple(relabelled),
        moved=tuple(moved),
        repatiented=tuple(c for c in both if _patient(before[c]) != _patient(after[c])),
        labels=(old.labels, new.labels),
    )


def _image(files: dict[str, Entry]) -> str:
    return files["image"].sha256 if "image" in files else ""


def _said(files: dict[str, Entry]) -> list[tuple[str, str]]:
    """Tags, and the contents of all that is no image."""
    said = [(role, entry.sha256) for role, entry in files.items() if role != "image"]
    return [*sorted(said), ("", next(iter(files.values())).label)]


def _patient(files: dict[str, Entry]) -> str:
    return next(iter(files.values())).patient
