"""A version of a data set: every file with its hash, never changed once written."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from medlight.core.errors import MALFORMED, DataError
from medlight.core.index import Index
from medlight.core.natural_order import natural_key

MANIFEST_FORMAT = 1
MANIFEST_GLOB = "manifest_*.jsonl"
"""Names by which a manifest is found beside its data."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of one case, or a part of one.

    Attributes:
        path: relative to the root of its source.
        size: in bytes.
        mtime_ns: when it was last written to, where the snapshot was taken; not part of the id.
        role: what the file is to the case; "image/1" is the second file of an image.
        label: what the tags of the case say; empty where a mask says it.
        source: number of its source.
        part: of the file, as of `FileRef`; empty for the whole file.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    case: str
    role: str
    patient: str
    label: str = ""
    source: int = 0
    part: str = ""

    @property
    def content(self) -> str:
        """What it holds: equal where nothing differs."""
        return f"{self.sha256} {self.part}" if self.part else self.sha256


@dataclass(frozen=True)
class Manifest:
    """All files of a data set at one time. `id` is `name@version+hash`, where the hash covers
    labels, paths, contents, patients and tags, so that equal ids mean equal data. `sources` are
    the names of the folders that entries count."""

    name: str
    version: str
    labels: tuple[str, ...]
    entries: tuple[ManifestEntry, ...]
    sources: tuple[str, ...] = ()

    @cached_property
    def hash(self) -> str:
        """sha256 over the sorted lines `sha256  path` with case, role, patient and label."""
        lines = sorted(
            f"{e.content}  {e.source}/{e.path}\t{e.case}\t{e.role}\t{e.patient}\t{e.label}"
            for e in self.entries
        )
        text = "\n".join([json.dumps(self.labels), *lines])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}+{self.hash[:12]}"

    @cached_property
    def cases(self) -> dict[str, dict[str, ManifestEntry]]:
        """Case id to role to entry."""
        cases: dict[str, dict[str, ManifestEntry]] = {}
        for entry in self.entries:
            cases.setdefault(entry.case, {})[entry.role] = entry
        return cases

    @property
    def file_name(self) -> str:
        return MANIFEST_GLOB.replace("*", self.version)

    def save(self, path: Path) -> None:
        """Write jsonl, a line a file. DataError where `path` holds another manifest: a version
        never changes."""
        if path.exists():
            if Manifest.load(path).id == self.id:
                return
            raise DataError(
                f"{path}: holds {Manifest.load(path).id}, and the data are no longer that; "
                f"type --version=<a new one>"
            )
        head = {
            "format": MANIFEST_FORMAT,
            "id": self.id,
            "name": self.name,
            "version": self.version,
        }
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(json.dumps(head | {"labels": self.labels, "sources": self.sources}))
                for entry in self.entries:
                    file.write("\n" + json.dumps(_as_json(entry), ensure_ascii=False))
                file.write("\n")
                file.flush()
            except OSError:
                path.unlink()  # a half would be taken for the whole
                raise

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read what `save` wrote. DataError where it was edited, or is something else."""
        try:
            with path.open(encoding="utf-8") as file:
                head = json.loads(next(file))
                entries = tuple(ManifestEntry(**json.loads(line)) for line in file)
            if head["format"] != MANIFEST_FORMAT:
                raise DataError(
                    f"{path}: manifest format {head['format']} is not {MANIFEST_FORMAT}"
                )
            sources = tuple(head.get("sources", ()))
            labels = tuple(head["labels"])
            manifest = cls(head["name"], head["version"], labels, entries, sources)
            noted, told = head["id"], manifest.id
            if not all(0 <= entry.source < max(len(sources), 1) for entry in entries):
                raise ValueError("a source that it does not name")
        except DataError:
            raise
        except FileNotFoundError as error:
            raise DataError(f"{path}: there is no such manifest") from error
        except (StopIteration, *MALFORMED) as error:
            raise DataError(
                f"{path}: not a manifest ({error!r}); make one: medlight dataset snapshot"
            ) from error
        if noted != told:
            raise DataError(
                f"{path}: says it is {noted!r}, but its lines are {told}: it was edited or "
                f"cut short; restore it, or take a new snapshot"
            )
        return manifest


def _as_json(entry: ManifestEntry) -> dict[str, object]:
    """Without what most entries leave empty."""
    return {key: value for key, value in asdict(entry).items() if key != "part" or value}


def check_version_name(version: str) -> str:
    """A version as part of a file name and an id. DataError where it cannot be."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", version):
        raise DataError(f"version {version!r}: use letters, digits and ._- only, as in 1.0.0")
    return version


def latest_manifest(paths: Iterable[Path]) -> Path | None:
    """The manifest of the highest version: "1.10" comes after "1.9"."""
    return max(paths, key=lambda path: (natural_key(path.stem), path.name), default=None)


def label_texts(index: Index) -> Sequence[str]:
    """For each case what its tags say: its class, or `name=value` of all that somebody looked at;
    empty where there are none."""
    tags, names = index.tags, index.labels.names
    if tags is None:
        return [""] * len(index)
    if index.labels.exclusive:
        return [names[k] for k in tags.argmax(axis=1)]
    return [
        ";".join(f"{n}={t:g}" for n, t in zip(names, row, strict=True) if t == t)  # nan != nan
        for row in tags.tolist()
    ]


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """What became of the cases between two manifests, by case id; pairs where the id changed.

    Attributes:
        changed: the image holds other bytes.
        relabelled: the image is the same, but not its tags, its mask or what a label means.
        renamed: the image is the same under another id, and so is what is said of it.
        patient_changed: the case belongs to another patient.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    relabelled: tuple[str, ...]
    renamed: tuple[str, ...]
    patient_changed: tuple[str, ...]
    labels: tuple[tuple[str, ...], tuple[str, ...]]

    def __bool__(self) -> bool:
        return self.labels[0] != self.labels[1] or any(cases for _, cases in self.rows())

    def rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name in ("added", "removed", "changed", "relabelled", "renamed", "patient_changed"):
            yield name, getattr(self, name)


def diff_manifests(old: Manifest, new: Manifest) -> ManifestDiff:
    """What `new` has that `old` had not, and the other way round."""
    before, after = old.cases, new.cases
    gone = {case: before[case] for case in before if case not in after}
    come = {case: after[case] for case in after if case not in before}
    by_image = {_image(files): case for case, files in gone.items() if _image(files)}
    renamed: list[str] = []
    relabelled: list[str] = []
    for case in list(come):
        was = by_image.get(_image(come[case]))
        if was in gone:
            same = _label_hashes(gone.pop(was)) == _label_hashes(come.pop(case))
            (renamed if same else relabelled).append(f"{was} -> {case}")
    both = [case for case in before if case in after]
    kept = [case for case in both if _image(before[case]) == _image(after[case])]
    relabelled += [
        case for case in kept if _label_hashes(before[case]) != _label_hashes(after[case])
    ]
    return ManifestDiff(
        added=tuple(come),
        removed=tuple(gone),
        changed=tuple(case for case in both if _image(before[case]) != _image(after[case])),
        relabelled=tuple(relabelled),
        renamed=tuple(renamed),
        patient_changed=tuple(c for c in both if _patient(before[c]) != _patient(after[c])),
        labels=(old.labels, new.labels),
    )


def _image(files: dict[str, ManifestEntry]) -> str:
    return " ".join(files[role].content for role in sorted(files) if _is_image(role))


def _is_image(role: str) -> bool:
    return role.partition("/")[0] == "image"


def _label_hashes(files: dict[str, ManifestEntry]) -> list[tuple[str, str]]:
    """Tags, and the contents of all that is no image."""
    said = [(role, entry.content) for role, entry in files.items() if not _is_image(role)]
    return [*sorted(said), ("", next(iter(files.values())).label)]


def _patient(files: dict[str, ManifestEntry]) -> str:
    return next(iter(files.values())).patient
