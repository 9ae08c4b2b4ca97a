"""Which version of its data a run works on, and whether they still are that."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from medlight.core.errors import ConfigError
from medlight.core.index import Index
from medlight.core.manifest import PATTERN, Manifest, newest
from medlight.io.manifest import verify


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
    def whole(self) -> bool:
        return not (self.changed or self.missing or self.unlisted)

    def words(self) -> str:
        if self.whole:
            return f"Data: {self.id}"
        return (
            f"The data are no longer {self.id}: {self.changed} files changed, {self.missing} are "
            f"missing, {self.unlisted} cases are not in it, such as {self.first}; "
            f"medlight dataset snapshot makes a new version"
        )

    def as_dict(self) -> dict[str, object]:
        counts = {name: getattr(self, name) for name in ("changed", "missing", "unlisted")}
        return {"id": self.id, "verified": self.whole, **counts}


def version_of(
    index: Index, manifest: str | Path | None, left_out: Collection[str]
) -> DataVersion | None:
    """Compare the data with a manifest: the given one, else the newest beside them; None where
    there is none. Files are read only where their times differ; see `verify`.

    ConfigError where the given one is not there.
    """
    if manifest is not None:
        path: Path | None = Path(manifest).expanduser()
        if path is None or not path.is_file():
            raise ConfigError(f"data.manifest={manifest}: there is no such file")
    else:
        path = newest(p for source in index.sources for p in source.root.glob(PATTERN))
    if path is None:
        return None
    noted = Manifest.load(path)
    entries = tuple(entry for entry in noted.entries if entry.case not in left_out)
    kept = replace(noted, entries=entries)
    found = verify(kept, [source.root for source in index.sources])
    unlisted = [case for case in index.ids if case not in noted.cases]
    first = [entry.path for entry in (*found.changed, *found.missing)] + unlisted
    return DataVersion(
        id=noted.id,
        changed=len(found.changed),
        missing=len(found.missing),
        unlisted=len(unlisted),
        first=first[0] if first else "",
    )
