"""Versions of a data set: note what it is, see whether it still is, tell two apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medlight.core.errors import DataError
from medlight.core.manifest import Manifest, ManifestDiff, diff_manifests
from medlight.data.datamodule import DataModule
from medlight.data.exclusions import existing_withdrawal_lists, withdrawn_patients
from medlight.io.manifest import VerifyResult, verify_manifest
from medlight.io.manifest import snapshot as take_snapshot

MAX_LISTED = 10


def snapshot(
    data: DataModule, *, version: str, name: str | None = None, out: Path | None = None
) -> tuple[Manifest, Path]:
    """Write the manifest of the cases that may be used, beside the data or to `out`.

    Raises:
        DataError: that version was written already, of other data, or cannot be written.
    """
    manifest = take_snapshot(data.cases, version=version, name=name)
    path = out or data.cases.sources[0].root / manifest.file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest.save(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); type --output=<a file>, and give it to "
            f"runs by data.manifest=<that file>"
        ) from error
    return manifest, path


def verify(
    path: Path, *, roots: Sequence[Path] = (), full: bool = False
) -> tuple[VerifyResult, Manifest]:
    """Compare files with a manifest, without those of patients who withdrew.

    Args:
        path: the manifest.
        roots: a folder for each of its sources; empty: the manifest's own, if it has one source.
        full: read every file, even if its size and time are as noted.

    Raises:
        DataError: there are more or fewer sources than roots.
    """
    manifest = Manifest.load(path)
    sources = 1 + max((entry.source for entry in manifest.entries), default=0)
    roots = roots or [path.parent] * (sources == 1)
    if len(roots) != sources:
        names = manifest.sources or [f"source {number}" for number in range(sources)]
        wanted = " ".join(f"--root <folder of {name}>" for name in names)
        raise DataError(f"{path}: its files come from {sources} folders; type {wanted}")
    pairs = [(entry.case, entry.patient) for entry in manifest.entries]
    gone, _ = withdrawn_patients(pairs, existing_withdrawal_lists([*roots, path.parent]))
    kept = tuple(entry for entry in manifest.entries if entry.patient not in gone)
    return verify_manifest(replace(manifest, entries=kept), roots, full=full), manifest


def format_verification(found: VerifyResult, manifest: Manifest) -> list[str]:
    """What became of the files, in lines for people."""
    lines = []
    for what, entries in (("missing", found.missing), ("changed", found.changed)):
        lines += _format_list(what, [f"{e.path} ({e.case})" for e in entries])
    how = f"{found.n_files} files, {found.n_hashed} of them read"
    if withdrawn := len(manifest.entries) - found.n_files:
        how += f"; {withdrawn} of patients who withdrew were passed over"
    return [*lines, f"{'whole' if found.verified else 'not whole'}: {manifest.id} ({how})"]


def diff(old: Path, new: Path) -> ManifestDiff:
    """What became of the cases between two manifests."""
    return diff_manifests(Manifest.load(old), Manifest.load(new))


def format_difference(found: ManifestDiff) -> list[str]:
    """What became of the cases, in lines for people."""
    lines = []
    if found.labels[0] != found.labels[1]:
        lines.append(f"labels: {', '.join(found.labels[0])} -> {', '.join(found.labels[1])}")
    for what, cases in found.rows():
        lines += _format_list(what, cases)
    return lines or ["no difference"]


def _format_list(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = len(names) - MAX_LISTED
    more = [f"  and {rest} more"] if rest > 0 else []
    return [f"{what}: {len(names)}", *(f"  {name}" for name in names[:MAX_LISTED]), *more]
