"""`medlight compare ...`: works on finished runs, and takes ordinary options."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from medlight.cli.options import colour
from medlight.core.errors import ConfigError, MedlightError

VERB = "compare"
OUTPUT = Path("outputs/compare")
EXPERIMENTS = Path("experiments")
USES = """\
  medlight compare outputs/seg_unet3d/<run> outputs/seg_segresnet/<run>
  medlight compare outputs/sweeps/lr --reference lr=0.001 --metric dice
  medlight compare push outputs/sweeps/lr          the statistics as a run at W&B
  medlight compare record outputs/seg_unet3d/<run> file a run under experiments/
  medlight compare table                           bring the tables there up to date"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (medlight compare --help)")


def _compare_parser(name: str = "compare") -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"medlight {name}",
        description="Runs beside each other: what differs, by how much, and how sure that is. "
        "The first run is the reference. Runs that differ in seed and fold only are one.",
        epilog=USES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or a folder of them")
    parser.add_argument("--reference", metavar="RUN", help="directory or name; default: the first")
    parser.add_argument("--metric", action="append", default=[], help="only this; may be repeated")
    parser.add_argument("--fold", action="append", default=[], help="only runs of this fold")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap (10000)")
    return parser


def main(words: Sequence[str]) -> int:
    """Exit status: 0, or 1 where the runs cannot be compared."""
    try:
        verb = words[0] if words and words[0] in _VERBS else None
        return _VERBS[verb](words[1:]) if verb else _compare(words)
    except MedlightError as error:
        red = colour("error:", "1;31", stream_is_tty=sys.stderr.isatty())
        print(f"{red} {error}", file=sys.stderr)
        return 1


def _compare(words: Sequence[str]) -> int:
    parser = _compare_parser()
    parser.add_argument("--no-images", action="store_true", help="leave images out of the page")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder ({OUTPUT})")
    args = parser.parse_args(list(words))
    found = compared(args)

    from rich import get_console

    from medlight.compare.files import save
    from medlight.compare.page import PAGE, save_page
    from medlight.compare.tables import show

    show(found, get_console())
    save(found, args.output)
    save_page(found, args.output / PAGE, no_files if args.no_images else files_of(found))
    get_console().print(f"Everything lies in {args.output}", soft_wrap=True, highlight=False)
    return 0


def compared(args: argparse.Namespace) -> Any:
    """The comparison that the options ask for."""
    from medlight.compare.comparison import compare
    from medlight.compare.groups import grouped
    from medlight.compare.runs import read_runs

    if args.draws < 100:
        raise ConfigError(f"--draws {args.draws}: an interval needs at least 100")
    runs, skipped = read_runs(args.runs)
    if args.fold:
        kept = [run for run in runs if run.fold in args.fold]
        if not kept:
            folds = ", ".join(sorted({run.fold for run in runs}))
            raise ConfigError(f"--fold {' '.join(args.fold)}: the runs are of fold {folds}")
        runs = kept
    groups = grouped(runs)
    return compare(
        groups,
        reference=_reference(args.reference, groups),
        metrics=args.metric,
        draws=args.draws,
        skipped=skipped,
    )


def no_files(case: str) -> dict[str, Path]:
    return {}


def files_of(found: Any) -> Callable[[str], dict[str, Path]]:
    """Finds the files of a test case through the run's own data settings, where the data are."""
    from medlight.cli.launch import data_of_run

    sources = [
        (set(run.cases.ids), data)
        for run in {run.fold: run for run in found.reference.runs}.values()
        if (data := data_of_run(run.path)) is not None
    ]

    def files(case: str) -> dict[str, Path]:
        for ids, data in sources:
            if case in ids and case in data.cases.ids:
                return dict(data.cases[case].files)
        return {}

    return files


def _reference(asked: str | None, groups: Sequence[Any]) -> int:
    if asked is None:
        return 0
    for i, group in enumerate(groups):
        if asked == group.name or any(
            Path(asked).resolve() == run.path.resolve() for run in group.runs
        ):
            return i
    names = ", ".join(repr(group.name) for group in groups)
    raise ConfigError(f"--reference {asked}: is none of the runs; they are {names}")


def _record(words: Sequence[str]) -> int:
    parser = _Parser(prog="medlight compare record", description="File a run on record.")
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help="the ledger")
    args = parser.parse_args(list(words))

    from medlight.compare.ledger import record

    print(f"On record in {record(args.run, args.experiments)}; medlight compare table shows it")
    return 0


def _table(words: Sequence[str]) -> int:
    parser = _Parser(
        prog="medlight compare table", description="Make the tables of the ledger anew."
    )
    parser.add_argument("--experiments", type=Path, default=EXPERIMENTS, help="the ledger")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="front page")
    args = parser.parse_args(list(words))

    from medlight.compare.ledger import refresh

    changed = refresh(args.experiments, args.readme)
    print("\n".join(f"{path}: brought up to date" for path in changed) or "All tables are current")
    return 0


def _push(words: Sequence[str]) -> int:
    parser = _compare_parser("compare push")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder ({OUTPUT})")
    parser.add_argument("--project", default="medlight", help="at W&B (medlight)")
    parser.add_argument("--name", help="of the run; default: what is compared")
    parser.add_argument("--group", help="of the run; default: that of the reference")
    parser.add_argument("--tag", action="append", default=[], help="may be repeated")
    parser.add_argument("--offline", action="store_true", help="even where a key is configured")
    parser.add_argument("--share", action="store_true", help="case ids of private data, too")
    args = parser.parse_args(list(words))
    found = compared(args)

    from medlight.callbacks.wandb_panels import hash_key, hashed
    from medlight.compare.anonymous import without_names
    from medlight.compare.files import as_dict, rows
    from medlight.compare.page import page
    from medlight.compare.wandb_push import JOB_TYPE, send_comparison
    from medlight.loggers.wandb import RunLogger

    key = hash_key()
    sent = found if args.share else without_names(found, lambda case: hashed(case, key))
    group = args.group or found.reference.runs[0].config.get("name")
    logger = RunLogger(
        run_dir=args.output,
        project=args.project,
        name=args.name or " | ".join(group.name for group in found.groups[:6]),
        group=group,
        tags=args.tag,
        job_type=JOB_TYPE,
        offline=True if args.offline else "auto",
    )
    told = as_dict(sent)
    send_comparison(
        logger,
        rows=rows(sent),
        page=page(sent).html(),
        config={k: told[k] for k in ("reference", "metric", "cases", "patients", "differences")},
        scores={
            f"{name}/{metric}/{label or 'all'}": score.mean
            for name, scores in sent.scores.items()
            for (metric, label), score in scores.items()
        },
    )
    print(f"Sent, or kept in {args.output / 'wandb'} for `wandb sync`")
    return 0


_VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "push": _push,
    "record": _record,
    "table": _table,
}
