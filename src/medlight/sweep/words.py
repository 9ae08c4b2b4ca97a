"""Which commands are sweeps."""

import re
from collections.abc import Sequence

OURS = re.compile(r"(sweep|launcher)[=.]")
"""Words that are about the sweep, not about its jobs."""
ANOTHER = re.compile(r"hydra[/.]sweeper\b")
"""Words that ask for one of Hydra's sweepers, which then runs in Hydra's own loop."""


def is_sweep(words: Sequence[str], *, multirun: bool) -> bool:
    """Whether these words, with or without `-m`, ask for many runs of ours."""
    if any(ANOTHER.match(word) for word in words):
        return False
    return multirun or any(OURS.match(word) for word in words)
