"""Names in the order in which people count: 2 before 10."""

import re


def natural_key(text: str) -> list[tuple[int, str]]:
    """Give a key to sort texts by, in which the numbers in them count as numbers.

    >>> sorted(["run10", "run2", "run"], key=natural_key)
    ['run', 'run2', 'run10']
    """
    return [(int(t), "") if t.isdecimal() else (-1, t) for t in re.findall(r"\d+|\D+", text)]
