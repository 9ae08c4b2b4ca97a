"""Versions of a data set: note what it is, see whether it still is, tell two apart."""

from collections.abc import Sequence
from pathlib import Path

from medlight.core.difference import Difference, difference
from medlight.core.errors import DataError
from medlight.core.manifest import Manifest
from medlight.data.datamodule import DataModule
from medlight.io.manifest import Verified, verify
from medlight.io.manifest import snapshot as take

SHOWN = 10


def snapshot(
    data: DataModule, *, version: str, name: str | None = None, out: Path | None = None
) -> tuple[Manifest, Path]:
    """Write the manifest of the cases that may be used, beside the data or to `out`.

    DataError where that version was written already, of other data.
    """
    manifest = take(data.cases, version=version, name=name)
    path = out or data.cases.sources[0].root / manifest.file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest.save(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); type --out=<a file>, and give it to "
            f"runs by data.manifest=<that file>"
        ) from error
    return manifest, path


def check_against(path: Path, *, root: Path | None = None, full: bool = False) -> Verified:
    """The files below `root` against a manifest; None: below the folder it lies in."""
    manifest = Manifest.load(path)
    sources = 1 + max((entry.source for entry in manifest.entries), default=0)
    if sources > 1:
        raise DataError(
            f"{path}: its files come from {sources} folders; runs verify it (data.manifest={path})"
        )
    return verify(manifest, [root or path.parent], full=full)


def told(found: Verified, manifest: Manifest) -> list[str]:
    """What became of the files, in lines for people."""
    lines = []
    for what, entries in (("missing", found.missing), ("changed", found.changed)):
        lines += _listed(what, [f"{e.path} ({e.case})" for e in entries])
    files, read = len(manifest.entries), found.hashed
    how = f"{files} files, {read} of them read"
    return [*lines, f"{'whole' if found.whole else 'not whole'}: {manifest.id} ({how})"]


def diff(old: Path, new: Path) -> Difference:
    """What became of the cases between two manifests."""
    return difference(Manifest.load(old), Manifest.load(new))


def told_difference(found: Difference) -> list[str]:
    """What became of the cases, in lines for people."""
    lines = []
    if found.labels[0] != found.labels[1]:
        lines.append(f"labels: {', '.join(found.labels[0])} -> {', '.join(found.labels[1])}")
    for what, cases in found.rows():
        lines += _listed(what, cases)
    return lines or ["no difference"]


def _listed(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = len(names) - SHOWN
    more = [f"  and {rest} more"] if rest > 0 else []
    return [f"{what}: {len(names)}", *(f"  {name}" for name in names[:SHOWN]), *more]
