"""Manifests against the files they speak of."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from medlight.core.errors import DataError
from medlight.core.index import Index
from medlight.core.manifest import Manifest, ManifestEntry, check_version_name, label_texts
from medlight.io.digests import file_digest


def snapshot(index: Index, *, version: str, name: str | None = None) -> Manifest:
    """Read every file of every case and note what it is. DataError names one that is not there."""
    check_version_name(version)
    labels = label_texts(index)
    entries = []
    for row in tqdm(range(len(index)), desc="hashing", delay=1, disable=not sys.stderr.isatty()):
        source = int(index.source_of[row])
        for role, column in index.files.items():
            path = column[row]
            if path is None:
                continue
            file = index.sources[source].root / path
            try:
                stat, sha256 = file.stat(), file_digest(file)
            except OSError as error:
                raise DataError(
                    f"{file}: cannot be read ({error.strerror}); medlight check finds all that is "
                    f"wrong with a data set"
                ) from error
            entries.append(
                ManifestEntry(
                    path=Path(path).as_posix(),
                    size=stat.st_size,
                    mtime_ns=stat.st_mtime_ns,
                    sha256=sha256,
                    case=index.ids[row],
                    role=role,
                    patient=index.patients[row],
                    label=labels[row],
                    source=source,
                )
            )
    sources = tuple(source.name for source in index.sources)
    return Manifest(name or index.name, version, index.labels.names, tuple(entries), sources)


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
    """Compare the files below `roots`, one for each source, with the manifest.

    Fast mode believes a file whose size and time are those of the snapshot, and reads one whose
    time is not; full mode reads them all.
    """
    missing, changed, n_hashed = [], [], 0
    bar = tqdm(manifest.entries, desc="verifying", delay=1, disable=not sys.stderr.isatty())
    for entry in bar:
        path = roots[entry.source] / entry.path
        try:
            stat = os.stat(path)
            if stat.st_size != entry.size:
                changed.append(entry)
            elif full or stat.st_mtime_ns != entry.mtime_ns:
                n_hashed += 1
                if file_digest(path) != entry.sha256:
                    changed.append(entry)
        except OSError:
            missing.append(entry)
    return VerifyResult(tuple(missing), tuple(changed), len(manifest.entries), n_hashed)
