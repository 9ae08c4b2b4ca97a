"""`medlight --help` and `medlight <verb> --help`: one screen, read from the folders of conf/."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from medlight.cli.options import VERB_GROUP, ansi, groups, header_field, yaml_settings, yaml_summary

USAGE = """\
  medlight [verb] [key=value ...] [options]     (python -m medlight is the same)"""
EXAMPLES = """\
  medlight experiment=seg_unet3d_quick data=phantom       a demo, no data needed
  medlight experiment=seg_unet3d model=segresnet optimizer.lr=3e-3 data.fold=1
  medlight evaluate run=outputs/seg_unet3d/<run>          test a finished run again
  medlight resume=outputs/seg_unet3d/<run>                resume where it stopped
  medlight -m experiment=seg_unet3d_quick seed=0,1,2      one run for each value"""
OPTIONS = """\
  --cfg job     print the configuration and stop      -m         run every combination
  --info        where the configuration comes from    --version  print the version
  --config-dir  another folder of configs, before ./conf and those that are shipped
  --no-user-conf  leave ./conf out
  tab completion: eval "$(medlight -sc install=bash)\""""


def help_screen(dirs: Sequence[Path], *, tty: bool) -> str:
    """List verbs, experiments, groups, examples and options; in colour on a terminal."""
    tree = groups(dirs)
    experiments = tree.pop("experiment", {})
    known = tree.pop(VERB_GROUP, {})

    def head(title: str) -> str:
        return "\n" + ansi(title, "1;36", stream_is_tty=tty)

    lines = [
        ansi("medlight", "1", stream_is_tty=tty)
        + " trains, sweeps and compares deep-learning models on medical images.",
        head("Usage"), USAGE,
        head("Verbs") + "  (medlight <verb> --help: its settings)",
        *_rows({name: yaml_summary(file) for name, file in known.items()}),
        *_rows({"compare": "Compare runs, with statistics (medlight compare --help)",
                "dataset": "Snapshot, verify, diff, export (medlight dataset --help)"}),
        head("Experiments") + "  (experiment=...)",
        *_rows({name: _experiment_summary(file) for name, file in experiments.items()}),
        head("Groups") + "  (group=option, group.key=value)",
        *_rows({name: text for name in tree if (text := _option_names(tree[name]))}),
        head("Examples"), EXAMPLES,
        head("Options"), OPTIONS,
        "", "See README.md and docs/; --cfg job shows every key.",
    ]  # fmt: skip
    return "\n".join(lines)


def verb_screen(verb: str, dirs: Sequence[Path], *, tty: bool) -> str:
    """What a verb does, in each of its forms, and the settings that it has to itself."""
    forms = groups(dirs)[VERB_GROUP]
    lines = []
    for name, file in forms.items():
        if name == verb or name.startswith(f"{verb}_"):
            lines += [ansi(yaml_summary(file), "1", stream_is_tty=tty)]
            lines += _rows({
                f"{key}=" if value == "???" else f"{key}={value}":
                f"needed: {why}" if value == "???" else why
                for key, (value, why) in yaml_settings(file).items()
            })  # fmt: skip
            lines.append("")
    return "\n".join([*lines, "Settings of data, trainer and all else: medlight --help"])


def _experiment_summary(file: Path) -> str:
    reaches = header_field(file, "Reaches")
    return f"{yaml_summary(file)} Reaches {reaches}" if len(reaches) > 1 else yaml_summary(file)


def _option_names(options: dict[str, Path]) -> str:
    return "  ".join(name for name, file in options.items() if yaml_summary(file))


def _rows(entries: dict[str, str]) -> list[str]:
    wide = max((len(name) for name in entries), default=0)
    columns = max(60, min(100, shutil.get_terminal_size().columns))
    rows = []
    for name, text in entries.items():
        hanging = " " * (wide + 4)
        rows += textwrap.wrap(
            text, columns, initial_indent=f"  {name:<{wide}}  ", subsequent_indent=hanging,
            break_on_hyphens=False,
        ) or [f"  {name}"]  # fmt: skip
    return rows
