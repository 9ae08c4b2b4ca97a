"""What of a run's settings stays on this machine: ids of cases, and where files lie."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medlight.runs.config_keys import Role, key_role

CASE_KEYS = ("data.exclude", "provenance.data.excluded", "sweep.exclude", "sweep.data.exclude")
"""Settings and facts that name cases or patients."""
HIDDEN = "..."
_FILE_KEY = re.compile(
    r"(.*\.)?(init|resume|runs?|checkpoint|siblings|input|output|predictions|labels|images|root|"
    r"cache|patient|withdrawn|manifest|folder|dir|subdir|dirpath|run_dir|storage)"
)
_NO_FILE_KEY = re.compile(r"(.*\.)?(_target_|metric|monitor)")
_FILE = re.compile(r".*[/\\].*|.*\.[A-Za-z]\w{0,5}", re.DOTALL)
"""Keys whose values are files, folders or a rule about ids; those whose values only look like it;
and what files look like."""


def hide_settings(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give settings as a tracking server may see them: the same keys, and no name of a patient.

    Excluded cases are replaced by their number; locations, and whatever names a file or folder, by
    "...".

    Args:
        params: nested.
        prefix: dotted key of `params` with a dot at the end; empty at the root.
    """
    return {key: _hide(value, f"{prefix}{key}") for key, value in params.items()}


def _hide(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return hide_settings(value, f"{key}.")
    if key in CASE_KEYS:
        return len(value) if isinstance(value, list | tuple) else HIDDEN if value else value
    if isinstance(value, str) and key_role(key) is Role.LOCATION and key != "trainer.accelerator":
        return HIDDEN
    if isinstance(value, list | tuple):
        return [_hide(each, key) for each in value]
    if _names_file(key, value):
        return HIDDEN
    return strip_local_paths(value) if isinstance(value, str) else value  # passwords, too


def _names_file(key: str, value: Any) -> bool:
    if not isinstance(value, str | Path) or not str(value) or _NO_FILE_KEY.fullmatch(key):
        return False
    return bool(_FILE_KEY.fullmatch(key) or _FILE.fullmatch(str(value)))


def hide_words(words: Sequence[str]) -> list[str]:
    """Overrides without the cases and files that they name.

    >>> hide_words(["data.exclude=[p1,p2]", "seed=1"])
    ['data.exclude=...', 'seed=1']
    """
    split = (word.partition("=") for word in words)
    return [f"{key}{equals}{_hide_word(key.lstrip('+~'), value)}" for key, equals, value in split]


def _hide_word(key: str, value: str) -> str:
    private = key in CASE_KEYS or _names_file(key, value)
    return HIDDEN if private else strip_local_paths(value)


def hash_settings(config: Mapping[str, Any], hashed: Callable[[str], str]) -> dict[str, Any]:
    """Give flat settings with cases and files called what `hashed` makes of their names."""
    return {key: _hash(value, key, hashed) for key, value in config.items()}


def _hash(value: Any, key: str, hashed: Callable[[str], str]) -> Any:
    if key in CASE_KEYS:
        if isinstance(value, list | tuple):
            return [hashed(str(each)) for each in value]
        return hashed(str(value)) if value else value
    if isinstance(value, list | tuple):
        return [_hash(each, key, hashed) for each in value]
    if _names_file(key, value):
        return hashed(str(value))
    return strip_local_paths(value) if isinstance(value, str) else value


_SECRET = re.compile(
    r"((?:api[_-]?key|token|passw(?:or)?d|pwd|secret|credential)s?[\"']?\s*[=:]\s*)[^,&\s}\]]+",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"(?:file://|(?<![\w.~:/$}]))"  # not within an address, nor behind ${...}
    r"(?:/|~[\w.-]+(?:/|$)|\.\./)[^,\]\[}{'\"=]*"
)


def strip_local_paths(argument: str) -> str:
    """A command-line word without the paths of this machine, and without passwords.

    Paths below the working directory become relative, those below home start with ~, of others
    only the last part is kept: of relative ones that leave the working directory, of other
    people's homes and of file:// too. What precedes the host of an address, and the value of
    whatever is called a key, token or password, is left out.

    >>> strip_local_paths("data.root=/mnt/disk7/Task04")
    'data.root=.../Task04'
    """

    def shorten(found: re.Match[str]) -> str:
        path = Path(found[0].removeprefix("file://"))
        for root, start in ((Path.cwd(), "."), (Path.home(), "~")):
            if path.is_relative_to(root) and root != Path("/"):
                return str(Path(start) / path.relative_to(root))
        return f".../{path.name}"

    told = re.sub(r"(\w://)[^/@,\s]*@", r"\1", argument)
    told = _SECRET.sub(r"\1...", told)
    return _PATH.sub(shorten, told)
