"""Planned settings as yaml that a person can read, keep and change."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medlight.core.errors import ConfigError
from medlight.io.atomic import aside
from medlight.planning.rules import Choice, File

OPTIONS: tuple[File, ...] = ("data", "transforms", "model")
GROUPS: tuple[File, ...] = (*OPTIONS, "experiment")
WIDE = 100
Tree = dict[str, Any]


def write_plan(
    choices: Sequence[Choice], *, name: str, about: Sequence[str], folder: Path, force: bool
) -> list[Path]:
    """Write `<group>/<name>.yaml` for each group into a configuration folder.

    Args:
        about: what was measured; a comment at the head of the experiment.
        force: overwrite what is there. ConfigError otherwise.
    """
    files = {group: folder / group / f"{name}.yaml" for group in GROUPS}
    taken = [file for file in files.values() if file.exists()]
    if taken and not force:
        raise ConfigError(f"{taken[0]} exists; plan it anew with force=true, or type name=<other>")
    for group, file in files.items():
        mine = [choice for choice in choices if choice.file == group]
        text = _experiment(mine, name, about) if group == "experiment" else _option(mine, name)
        with aside(file) as scratch:
            scratch.write_text(text, encoding="utf-8")
    return list(files.values())


def _option(choices: Sequence[Choice], name: str) -> str:
    """A choice of a group: what it starts from, and what is set otherwise."""
    base = next(choice for choice in choices if choice.key == "base")
    lines = [f"# Planned for {name}.", "defaults:", *_line(f"  - {base.value}", base.why)]
    if base.file == "data":
        lines.append(f"  - override /transforms@_global_.transforms: {name}")
    lines.append("  - _self_")
    return "\n".join([*lines, *_lines([c for c in choices if c is not base])]) + "\n"


def _experiment(choices: Sequence[Choice], name: str, about: Sequence[str]) -> str:
    groups = [choice for choice in choices if "." not in choice.key and choice.key != "metric"]
    head = [
        "# @package _global_",
        f"# Planned for {about[0]}.",
        f"# Run: python -m medlight experiment={name}",
        "# Takes: not measured",
        "# Reaches: not measured",
        *(f"# {line}" for line in about[1:]),
        "defaults:",
        *(f"  - override /{group}: {name}" for group in ("data", "model")),
    ]
    for choice in groups:
        head += _line(f"  - override /{choice.key}: {choice.value}", choice.why)
    rest = [choice for choice in choices if choice not in groups]
    return "\n".join([*head, f"name: {name}", *_lines(rest)]) + "\n"


def _lines(choices: Sequence[Choice]) -> list[str]:
    """Nested keys, each with its reason."""
    tree: Tree = {}
    for choice in choices:
        *path, last = choice.key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = choice
    return _nested(tree, "")


def _nested(tree: Tree, indent: str) -> list[str]:
    lines = []
    for key, node in tree.items():
        if isinstance(node, Choice):
            lines += _line(f"{indent}{key}: {json.dumps(node.value)}", node.why)
        else:
            lines += [f"{indent}{key}:", *_nested(node, f"{indent}  ")]
    return lines


def _line(text: str, why: str) -> list[str]:
    """The reason beside the value, or above it where that would be too wide."""
    if len(text) + len(why) + 3 <= WIDE:
        return [f"{text} # {why}"]
    indent = " " * (len(text) - len(text.lstrip()))
    return [*(f"{indent}# {line}" for line in textwrap.wrap(why, WIDE - len(indent) - 2)), text]
