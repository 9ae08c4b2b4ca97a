"""`medlight --help` and `medlight <verb> --help`: one screen, read from the folders of conf/."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from medlight.cli.options import GROUP_OF_VERBS, colour, groups, settings, stated, summary

USAGE = """\
  medlight [verb] [key=value ...] [options]     (python -m medlight is the same)"""
EXAMPLES = """\
  medlight experiment=seg_unet3d_quick data=phantom       a demo, no data needed
  medlight experiment=seg_unet3d model=segresnet optimizer.lr=3e-3 data.fold=1
  medlight evaluate run=outputs/seg_unet3d/<run>          test a finished run again
  medlight resume=outputs/seg_unet3d/<run>                go on where it stopped
  medlight -m experiment=seg_unet3d_quick seed=0,1,2      one run for each value"""
OPTIONS = """\
  --cfg job     print the configuration and stop      -m         run every combination
  --info        where the configuration comes from    --version  print the version
  --config-dir  another folder of configs, beside ./conf
  tab completion: eval "$(medlight -sc install=bash)\""""


def help_screen(dirs: Sequence[Path], *, tty: bool) -> str:
    tree = groups(dirs)
    experiments = tree.pop("experiment", {})
    known = tree.pop(GROUP_OF_VERBS, {})

    def head(title: str) -> str:
        return "\n" + colour(title, "1;36", stream_is_tty=tty)

    lines = [
        colour("medlight", "1", stream_is_tty=tty)
        + " trains, sweeps and compares deep-learning models on medical images.",
        head("Usage"), USAGE,
        head("Verbs") + "  (medlight <verb> --help: its settings)",
        *_rows({name: summary(file) for name, file in known.items()}),
        *_rows({"compare": "Runs beside each other, with statistics (medlight compare --help)",
                "dataset": "Versions: snapshot, verify, diff (medlight dataset --help)"}),
        head("Experiments") + "  (experiment=...)",
        *_rows({name: _promise(file) for name, file in experiments.items()}),
        head("Groups") + "  (group=option, group.key=value)",
        *_rows({group: _offered(options) for group, options in tree.items() if _offered(options)}),
        head("Examples"), EXAMPLES,
        head("Options"), OPTIONS,
        "", "README.md and docs/ tell the rest; --cfg job shows every key there is.",
    ]  # fmt: skip
    return "\n".join(lines)


def verb_screen(verb: str, dirs: Sequence[Path], *, tty: bool) -> str:
    """What a verb does, in each of its forms, and the settings that it has to itself."""
    forms = groups(dirs)[GROUP_OF_VERBS]
    lines = []
    for name, file in forms.items():
        if name == verb or name.startswith(f"{verb}_"):
            lines += [colour(summary(file), "1", stream_is_tty=tty)]
            lines += _rows({
                f"{key}=" if value == "???" else f"{key}={value}":
                f"needed: {why}" if value == "???" else why
                for key, (value, why) in settings(file).items()
            })  # fmt: skip
            lines.append("")
    return "\n".join([*lines, "Settings of data, trainer and all else: medlight --help"])


def _promise(file: Path) -> str:
    reaches = stated(file, "Reaches")
    return f"{summary(file)} Reaches {reaches}" if len(reaches) > 1 else summary(file)


def _offered(options: dict[str, Path]) -> str:
    return "  ".join(name for name, file in options.items() if summary(file))


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
