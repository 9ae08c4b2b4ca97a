"""Compare manifests with the files they list, and tell which version of its data a run works on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from medlight.core.errors import ConfigError, DataError
from medlight.core.file_ref import FileRef, below, names_in
from medlight.core.index import Index
from medlight.core.manifest import (
    MANIFEST_GLOB,
    Manifest,
    ManifestEntry,
    check_version_name,
    label_texts,
    latest_manifest,
)
from medlight.io.digests import file_digest


def snapshot(index: Index, *, version: str, name: str | None = None) -> Manifest:
    """Read every file of every case and note what it is.

    Args:
        index: the cases.
        version: what the manifest's version is called.
        name: of the data set; None: the index's.

    Returns:
        The manifest, with an entry for each file.

    Raises:
        DataError: a file cannot be read, or the version cannot be a file's name.
    """
    check_version_name(version)
    labels = label_texts(index)
    entries: list[ManifestEntry] = []
    shared: dict[Path, str] = {}
    for row in tqdm(range(len(index)), desc="hashing", delay=1, disable=None):
        source = int(index.source_of[row])
        root = index.sources[source].root
        for role, column in index.files.items():
            text = column[row]
            if text is None:
                continue
            ref = FileRef.parse(text, root)
            names = names_in(text)
            for number, path in enumerate(ref.paths):
                try:
                    stat = path.stat()
                    sha256 = _digest(path, ref.part, shared)
                except OSError as error:
                    raise DataError(
                        f"{path}: cannot be read ({error.strerror}); medlight check finds "
                        f"all that is wrong with a data set"
                    ) from error
                entries.append(
                    ManifestEntry(
                        path=names[number],
                        size=stat.st_size,
                        mtime_ns=stat.st_mtime_ns,
                        sha256=sha256,
                        case=index.ids[row],
                        role=f"{role}/{number}" if number else role,
                        patient=index.patients[row],
                        label=labels[row],
                        source=source,
                        part=ref.part,
                    )
                )
    sources = tuple(source.name for source in index.sources)
    return Manifest(name or index.name, version, index.labels.names, tuple(entries), sources)


def _digest(path: Path, part: str, shared: dict[Path, str]) -> str:
    """sha256 of a file; one that cases are parts of is read once."""
    if not part:
        return file_digest(path)
    if path not in shared:
        shared[path] = file_digest(path)
    return shared[path]


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What became of the files of a manifest.

    Attributes:
        missing, changed: entries whose file is gone, or holds something else.
        n_files: how many files the manifest names.
        n_hashed: how many were read: all in full mode, else those whose time changed.
    """

    missing: tuple[ManifestEntry, ...]
    changed: tuple[ManifestEntry, ...]
    n_files: int
    n_hashed: int

    @property
    def verified(self) -> bool:
        return not self.missing and not self.changed


def verify_manifest(
    manifest: Manifest, roots: Sequence[Path], *, full: bool = False
) -> VerifyResult:
    """Compare the files below `roots` with the manifest.

    Args:
        manifest: what they should be.
        roots: one for each source.
        full: read all files. Otherwise a file whose size and time are those of the snapshot is
            believed, and one whose time is not is read.

    Returns:
        What is missing or changed.
    """
    missing, changed, n_hashed = [], [], 0
    shared: dict[Path, str] = {}
    bar = tqdm(manifest.entries, desc="verifying", delay=1, disable=None)
    for entry in bar:
        path = below(roots[entry.source], entry.path)
        try:
            stat = path.stat()
            if stat.st_size != entry.size:
                changed.append(entry)
            elif full or not entry.mtime_ns or stat.st_mtime_ns != entry.mtime_ns:
                n_hashed += 1
                if _digest(path, entry.part, shared) != entry.sha256:
                    changed.append(entry)
        except OSError:
            missing.append(entry)
    return VerifyResult(tuple(missing), tuple(changed), len(manifest.entries), n_hashed)


@dataclass(frozen=True, slots=True)
class DataVersion:
    """What a manifest says of the data of a run.

    Attributes:
        id: `name@version+hash`.
        changed, missing: files of the manifest that hold something else, or are gone.
        unlisted: cases that the manifest does not know.
        first: the path of one of them, or the id of a case.
    """

    id: str
    changed: int
    missing: int
    unlisted: int
    first: str

    @property
    def verified(self) -> bool:
        return not (self.changed or self.missing or self.unlisted)

    def summary(self) -> str:
        if self.verified:
            return f"Data: {self.id}"
        return (
            f"The data are no longer {self.id}: {self.changed} files changed, {self.missing} are "
            f"missing, {self.unlisted} cases are not in it, such as {self.first}; "
            f"medlight dataset snapshot makes a new version"
        )

    def as_dict(self) -> dict[str, object]:
        counts = {name: getattr(self, name) for name in ("changed", "missing", "unlisted")}
        return {"id": self.id, "verified": self.verified, **counts}


def find_version(
    index: Index, manifest: str | Path | None, excluded: Collection[str]
) -> DataVersion | None:
    """Compare the data with a manifest. Files are read only if their times differ.

    Args:
        index: the cases that are used.
        manifest: its path; None: the newest beside the data.
        excluded: ids of cases that need not be there.

    Returns:
        Which version the data should be and whether they are; None if there is no manifest.

    Raises:
        ConfigError: the given manifest is not there.
    """
    if manifest is not None:
        path: Path | None = Path(manifest).expanduser()
        if path is None or not path.is_file():
            raise ConfigError(f"data.manifest={manifest}: there is no such file")
    else:
        path = latest_manifest(
            p for source in index.sources for p in source.root.glob(MANIFEST_GLOB)
        )
    if path is None:
        return None
    noted = Manifest.load(path)
    entries = tuple(entry for entry in noted.entries if entry.case not in excluded)
    kept = replace(noted, entries=entries)
    found = verify_manifest(kept, [source.root for source in index.sources])
    unlisted = [case for case in index.ids if case not in noted.cases]
    first = [entry.path for entry in (*found.changed, *found.missing)] + unlisted
    return DataVersion(
        id=noted.id,
        changed=len(found.changed),
        missing=len(found.missing),
        unlisted=len(unlisted),
        first=first[0] if first else "",
    )
