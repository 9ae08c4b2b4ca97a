"""What reading had to guess or to leave out, and images that no net takes together."""

from collections import Counter
from collections.abc import Iterator, Sequence

from medlight.audit.issues import Issue, exclude_hint, shorten
from medlight.io.nifti_place import SIZE_OF_0

_FOUND = {
    SIZE_OF_0: (
        "voxel size",
        "volumes and distances are not to be trusted; write the thickness into the headers, or",
    )
}
"""Caveat to the kind of its finding, and what to do."""


def caveat_issues(caveats: Sequence[tuple[str, str, tuple[str, ...]]]) -> Iterator[Issue]:
    """Yield a finding for each caveat.

    Args:
        caveats: (case, file, caveats of its grid) of each file.
    """
    for caveat, (kind, advice) in _FOUND.items():
        found = [(case, path) for case, path, those in caveats if caveat in those]
        if found:
            cases = tuple(dict.fromkeys(case for case, _ in found))
            yield Issue(
                "warning",
                kind,
                f"{len(found)} files, such as {found[0][1]}: {caveat}",
                f"{advice} {exclude_hint(cases, kind)}",
                cases,
            )


def channel_issues(role: str, files: Sequence[tuple[str, str, int]]) -> Iterator[Issue]:
    """Yield the finding of images that differ in their number of channels.

    Args:
        role: "image", ...
        files: (case, file, channels) of each.
    """
    channels = Counter(number for _, _, number in files)
    if len(channels) > 1:
        usual = channels.most_common(1)[0][0]
        odd = [(case, path) for case, path, number in files if number != usual]
        cases = tuple(case for case, _ in odd)
        counts = ", ".join(f"{number} ({n})" for number, n in channels.most_common())
        yield Issue(
            "error",
            "channels",
            f"{role}s have different numbers of channels, {counts}: "
            f"{shorten([path for _, path in odd], 3)}",
            f"a network takes one number of channels; {exclude_hint(cases, 'channels')}",
            cases,
        )
