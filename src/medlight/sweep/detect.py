"""Which commands are sweeps."""

import re
from collections.abc import Sequence

SWEEP_OVERRIDE = re.compile(r"(sweep|launcher)[=.]")
"""Words that are about the sweep, not about its jobs."""
HYDRA_SWEEPER = re.compile(r"hydra[/.]sweeper\b")
"""Words that ask for one of Hydra's sweepers, which then runs in Hydra's own loop."""


def is_sweep(argv: Sequence[str], *, multirun: bool) -> bool:
    """Whether these words, with or without `-m`, ask for many runs of ours."""
    if any(HYDRA_SWEEPER.match(word) for word in argv):
        return False
    return multirun or any(SWEEP_OVERRIDE.match(word) for word in argv)
