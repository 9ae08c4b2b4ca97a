"""Which version of its data a run works on, and whether they still are that."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.manifest import MANIFEST_GLOB, Manifest, latest_manifest
from medlight.io.manifest import verify_manifest


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
    """Compare the data with a manifest: the given one, else the newest beside them; None where
    there is none. Files are read only where their times differ; see `verify_manifest`.

    ConfigError where the given one is not there.
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
