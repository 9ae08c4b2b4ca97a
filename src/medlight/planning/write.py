"""Planned settings as yaml that a person can read, keep and change."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medlight.core.errors import ConfigError
from medlight.io.atomic import atomic_path
from medlight.planning.rules import PlanFile, PlannedSetting

OPTIONS: tuple[PlanFile, ...] = ("data", "transforms", "model")
GROUPS: tuple[PlanFile, ...] = (*OPTIONS, "experiment")
MAX_WIDTH = 100
Tree = dict[str, Any]


def write_plan(
    settings: Sequence[PlannedSetting],
    *,
    name: str,
    summary_lines: Sequence[str],
    folder: Path,
    force: bool,
) -> list[Path]:
    """Write `<group>/<name>.yaml` for each group into a configuration folder.

    Args:
        summary_lines: what was measured; a comment at the head of the experiment.
        force: overwrite what is there. ConfigError otherwise.
    """
    files = {group: folder / group / f"{name}.yaml" for group in GROUPS}
    taken = [file for file in files.values() if file.exists()]
    if taken and not force:
        raise ConfigError(f"{taken[0]} exists; plan it again with force=true, or type name=<other>")
    for group, file in files.items():
        mine = [setting for setting in settings if setting.file == group]
        text = (
            _experiment(mine, name, summary_lines) if group == "experiment" else _option(mine, name)
        )
        with atomic_path(file) as scratch:
            scratch.write_text(text, encoding="utf-8")
    return list(files.values())


def _option(settings: Sequence[PlannedSetting], name: str) -> str:
    """A choice of a group: what it starts from, and what is set otherwise."""
    base = next(setting for setting in settings if setting.key == "base")
    lines = [f"# Planned for {name}.", "defaults:", *_line(f"  - {base.value}", base.reason)]
    if base.file == "data":
        lines.append(f"  - override /transforms@_global_.transforms: {name}")
    lines.append("  - _self_")
    return "\n".join([*lines, *_lines([c for c in settings if c is not base])]) + "\n"


def _experiment(settings: Sequence[PlannedSetting], name: str, summary_lines: Sequence[str]) -> str:
    groups = [setting for setting in settings if "." not in setting.key and setting.key != "metric"]
    head = [
        "# @package _global_",
        f"# Planned for {summary_lines[0]}.",
        f"# Run: python -m medlight experiment={name}",
        "# Takes: not measured",
        "# Reaches: not measured",
        *(f"# {line}" for line in summary_lines[1:]),
        "defaults:",
        *(f"  - override /{group}: {name}" for group in ("data", "model")),
    ]
    for setting in groups:
        head += _line(f"  - override /{setting.key}: {setting.value}", setting.reason)
    rest = [setting for setting in settings if setting not in groups]
    return "\n".join([*head, f"name: {name}", *_lines(rest)]) + "\n"


def _lines(settings: Sequence[PlannedSetting]) -> list[str]:
    """Nested keys, each with its reason."""
    tree: Tree = {}
    for setting in settings:
        *path, last = setting.key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = setting
    return _nested(tree, "")


def _nested(tree: Tree, indent: str) -> list[str]:
    lines = []
    for key, node in tree.items():
        if isinstance(node, PlannedSetting):
            lines += _line(f"{indent}{key}: {json.dumps(node.value)}", node.reason)
        else:
            lines += [f"{indent}{key}:", *_nested(node, f"{indent}  ")]
    return lines


def _line(text: str, reason: str) -> list[str]:
    """The reason beside the value, or above it where that would be too wide."""
    if len(text) + len(reason) + 3 <= MAX_WIDTH:
        return [f"{text} # {reason}"]
    indent = " " * (len(text) - len(text.lstrip()))
    return [
        *(f"{indent}# {line}" for line in textwrap.wrap(reason, MAX_WIDTH - len(indent) - 2)),
        text,
    ]
