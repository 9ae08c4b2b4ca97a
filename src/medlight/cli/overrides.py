"""The words of a command, before Hydra reads them: the verb, short keys, slips. No Hydra here."""

import difflib
import glob
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from medlight.cli.options import VERB_GROUP, verbs, yaml_settings
from medlight.core.errors import ConfigError

Groups = Mapping[str, dict[str, Path]]
MAX_LISTED = 16
SWEEP_OVERRIDE = re.compile(r"(sweep|launcher)[=.]")
"""Words that are about a sweep, not about its jobs."""
NAME_KEY = re.compile(
    "exclude|input|output|predictions|labels|images|class_names|modality|runs?|run_dir|resume|init|"
    "checkpoint|siblings|root|cache|withdrawn|manifest|task|data|tags|group|name|project|"
    "job_type|experiment|folder|dir|subdir|storage|target|slice_labels|tracking_uri"
)
"""Keys, by their last part, whose values are names of cases, files, folders, classes or runs."""
PATTERN_KEY = "patient"
"""The key whose value is one regular expression, brackets and all."""
NOT_A_WORD = re.compile(
    r"[+-]?([\d_.]*\d[\d_.]*(e[+-]?[\d_]+)?|inf|nan)|true|false|null", re.IGNORECASE
)
"""What Hydra takes for a number, a truth value or nothing."""
PLAIN_WORD = re.compile(r"[\w/.\-*?@%+|]+", re.ASCII)
"""What its grammar takes without quotes."""
HYDRA_SYNTAX = re.compile(
    r"(bool|choice|extend_list|float|glob|int|interval|json_str|range|shuffle|sort|str|tag)\("
    r"""|\{|.*\$\{|(.*[\[,])?\s*['"]"""
)
"""Values that use its functions, mappings, references or quotes."""
HYDRA_SWEEPER = re.compile(r"hydra[/.]sweeper\b")
"""Words that ask for one of Hydra's sweepers, which then runs in Hydra's own loop."""


def is_sweep(words: Sequence[str], *, multirun: bool) -> bool:
    """Say whether these words, with or without `-m`, ask for many runs of ours."""
    if any(HYDRA_SWEEPER.match(word) for word in words):
        return False
    return multirun or any(SWEEP_OVERRIDE.match(word) for word in words)


def parse_verb(words: Sequence[str], tree: Groups) -> list[str]:
    """Spell a command for Hydra: `evaluate run=x` is `job=evaluate run=x`.

    Args:
        words: as typed, of which the first may be a verb.
        tree: group to option to file.

    Raises:
        ConfigError: a word is neither a verb nor key=value.
    """
    overrides = list(words)
    if overrides and overrides[0] in tree.get(VERB_GROUP, {}):
        overrides[0] = f"{VERB_GROUP}={overrides[0]}"
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise _bare_word_error(text, tree)
        _refuse_repeated_keys(text)
    if overrides and overrides[0].startswith(f"{VERB_GROUP}="):
        verb = overrides[0].partition("=")[2]
        overrides[0] = f"{VERB_GROUP}={_verb_variant(verb, overrides[1:], tree)}"
    return [_qualify_verb_key(_quote_for_hydra(text, tree), overrides, tree) for text in overrides]


def _refuse_repeated_keys(text: str) -> None:
    """ConfigError for a mapping that names a key twice, of which Hydra keeps the last."""
    inside: list[set[str] | None] = []  # the keys of each mapping that is open; None: a list
    before = ""
    for token in re.findall(
        r"""'[^']*'|"[^"]*"|[{}\[\],:]|[^{}\[\],:'"]+""", text.partition("=")[2]
    ):
        if token in "{[":
            inside.append(set() if token == "{" else None)
        elif token in "}]" and inside:
            inside.pop()
        elif token == ":" and inside and (keys := inside[-1]) is not None:
            if (key := before.strip().strip("'\"")) in keys:
                raise ConfigError(f"{text}: {key} stands there twice; keep one of them")
            keys.add(key)
        before = token


def _verb_variant(verb: str, overrides: Sequence[str], tree: Groups) -> str:
    """The form of a verb that has these keys: `evaluate predictions=...` is `evaluate_files`."""
    given = {text.partition("=")[0] for text in overrides}
    forms = tree.get(VERB_GROUP, {})
    for name, file in forms.items():
        if name.startswith(f"{verb}_") and given & (
            yaml_settings(file).keys() - yaml_settings(forms[verb])
        ):
            return name
    return verb


def _qualify_verb_key(text: str, overrides: Sequence[str], tree: Groups) -> str:
    """`check fix=true` is `check job.fix=true`, where no group or root key is called so."""
    verb = next((t.partition("=")[2] for t in overrides if t.startswith(f"{VERB_GROUP}=")), "fit")
    key = text.partition("=")[0]
    file = tree.get(VERB_GROUP, {}).get(verb)
    return f"{VERB_GROUP}.{text}" if file and key in yaml_settings(file) else text


def _quote_for_hydra(text: str, tree: Groups) -> str:
    """Spell for Hydra what its grammar refuses or changes: `group=null`, paths as the shell knows
    them, and names."""
    key, _, value = text.partition("=")
    if value == "null" and key in tree:
        return f"{key}=none" if "none" in tree[key] else f"~{key}"
    if "=" not in text:
        return text
    if value.startswith("~") or (set(value) & set(" ,:=()[]{}'\"") and _is_path(value)):
        return f"{key}={_quoted(value)}"
    return quote_names(text, tree)


def quote_names(text: str, groups: Collection[str] = ()) -> str:
    """Spell the names of an override so that Hydra takes them as they are: 1_2 is the number 12
    to it.

    Args:
        text: `key=value`; values of keys that name nothing stay.
        groups: keys whose values name configurations.

    >>> quote_names("data.exclude=[1_2,a]"), quote_names("seed=1_2")
    ("data.exclude=['1_2',a]", 'seed=1_2')
    """
    key, _, value = text.partition("=")
    last = key.lstrip("+").rpartition(".")[2]
    if last == PATTERN_KEY and value != "null" and value[:1] not in ("'", '"'):
        return f"{key}={_quoted(value)}"
    whole = value != "null" and value.count("[") == value.count("]")
    is_name = key in groups or NAME_KEY.fullmatch(last)
    if is_name and whole and not HYDRA_SYNTAX.match(value):
        return f"{key}={re.sub(r'[^][,]+', _quote_word, value)}"
    return text


def _quote_word(word: re.Match[str]) -> str:
    """One name of a list, in quotes if it needs them."""
    text = word[0].strip()
    plain = PLAIN_WORD.fullmatch(text) and not NOT_A_WORD.fullmatch(text)
    return text if plain or not text else _quoted(text)


def _quoted(value: str) -> str:
    text = re.sub(r"(\\+)(?='|$)", r"\1\1", value).replace("'", r"\'")
    return f"'{text}'"


def _is_path(value: str) -> bool:
    """A path, or a pattern of paths that is not a list of Hydra's."""
    return Path(value).exists() or (not value.startswith("[") and bool(glob.glob(value)))


def _bare_word_error(word: str, tree: Groups) -> ConfigError:
    if word in tree:
        return ConfigError(f"{word} needs a value: {word}={'|'.join(tree[word])}")
    homes = [f"{group}={word}" for group, options in tree.items() if word in options]
    if homes:
        return ConfigError(f"{word} is not a verb; did you mean {', '.join(homes)}?")
    known = verbs(tree)
    hits = difflib.get_close_matches(word, [*known, *tree.get("experiment", ())], n=3)
    named = [hit if hit in known else f"experiment={hit}" for hit in hits]
    hint = f"; did you mean {', '.join(named)}?" if named else f"; there are {', '.join(known)}"
    return ConfigError(f"{word} is neither a verb nor key=value{hint}")


def did_you_mean(word: str, known: Iterable[str], deeper: Iterable[str] = ()) -> str:
    """Give `; did you mean x?`, from `deeper` if nothing else is near; else what there is."""
    words = sorted(set(known))
    hits = _hits(word, words) or _hits(word, sorted(set(deeper)))
    if hits:
        return f"; did you mean {', '.join(hits)}?"
    if len(words) > MAX_LISTED:
        return "; medlight --help and --cfg job show what there is"
    return f"; known: {', '.join(words)}" if words else ""


def _hits(word: str, words: list[str]) -> list[str]:
    """The likest first: those whose last part is spelt alike, and those that `word` begins."""
    tails = {each: each.rpartition(".")[2] for each in words}
    alike = difflib.get_close_matches(word.rpartition(".")[2], set(tails.values()), n=3)
    hits = [each for each in words if tails[each] in alike or each.startswith(word)]
    return sorted(hits, key=lambda each: -difflib.SequenceMatcher(None, word, each).ratio())[:4]
