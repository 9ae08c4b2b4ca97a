"""`medlight compare ...`: works on finished runs, and takes ordinary options."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from medlight.cli.options import OptionParser, print_error
from medlight.core.errors import ConfigError, MedlightError
from medlight.core.file_ref import FileRef

VERB = "compare"
OUTPUT = Path("outputs/compare")
EXPERIMENTS = Path("experiments")
EPILOG = """\
  medlight compare outputs/seg_unet3d/<run> outputs/seg_segresnet/<run>
  medlight compare outputs/sweeps/lr --reference lr=0.001 --metric dice
  medlight compare push outputs/sweeps/lr          send the statistics to W&B as a run
  medlight compare record outputs/seg_unet3d/<run> record a run under experiments/
  medlight compare table                           update the tables there"""


def _compare_parser(name: str = "compare") -> argparse.ArgumentParser:
    parser = OptionParser(
        prog=f"medlight {name}",
        description="Compare finished runs: what differs, by how much, and with what certainty. "
        "The first run is the reference. Runs that differ only in seed or fold count as one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or a folder of them")
    parser.add_argument("--reference", metavar="RUN", help="directory or name; default: the first")
    parser.add_argument(
        "--metric", action="append", default=[], help="only this, may be repeated; all: every table"
    )
    parser.add_argument("--fold", action="append", default=[], help="only runs of this fold")
    parser.add_argument(
        "--n-resamples", type=int, default=10_000, help="bootstrap resamples (10000)"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Return the exit status: 0, or 1 if the runs cannot be compared."""
    try:
        verb = argv[0] if argv and argv[0] in _SUBCOMMANDS else None
        return _SUBCOMMANDS[verb](argv[1:]) if verb else _compare(argv)
    except MedlightError as error:
        print_error(str(error))
        return 1


def _compare(argv: Sequence[str]) -> int:
    parser = _compare_parser()
    parser.add_argument("--no-images", action="store_true", help="leave images out of the page")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder ({OUTPUT})")
    args = parser.parse_args(list(argv))
    comparison = compute_comparison(args)

    from rich import get_console

    from medlight.compare.files import save
    from medlight.compare.page import PAGE, save_page
    from medlight.compare.tables import show

    show(comparison, get_console(), args.metric)
    save(comparison, args.output)
    save_page(
        comparison,
        args.output / PAGE,
        no_case_files if args.no_images else case_file_lookup(comparison),
    )
    get_console().print(f"Results saved to {args.output / PAGE}", soft_wrap=True, highlight=False)
    return 0


def compute_comparison(args: argparse.Namespace, hashed: Callable[[str], str] | None = None) -> Any:
    """Compare the runs that the options name.

    Args:
        args: the options.
        hashed: what the cases in settings, by which groups are named, are called; None: as saved.

    Raises:
        ConfigError: an option fits none of the runs.
        DataError: the runs cannot be compared.
    """
    from medlight.compare.comparison import compare
    from medlight.compare.groups import group_runs
    from medlight.compare.runs import read_runs
    from medlight.runs.private import hash_settings

    if args.n_resamples < 100:
        raise ConfigError(f"--n-resamples {args.n_resamples}: an interval needs at least 100")
    runs, skipped = read_runs(args.runs)
    if args.fold:
        kept = [run for run in runs if run.fold in args.fold]
        if not kept:
            folds = ", ".join(sorted({run.fold for run in runs}))
            raise ConfigError(f"--fold {' '.join(args.fold)}: the runs are of fold {folds}")
        runs = kept
    if hashed is not None:
        runs = [replace(run, config=hash_settings(run.config, hashed)) for run in runs]
    groups = group_runs(runs)
    return compare(
        groups,
        reference=_reference(args.reference, groups),
        metrics=[] if "all" in args.metric else args.metric,
        n_resamples=args.n_resamples,
        skipped=skipped,
    )


def no_case_files(case: str) -> dict[str, FileRef]:
    return {}


def case_file_lookup(comparison: Any) -> Callable[[str], dict[str, FileRef]]:
    """Find the files of a test case through the run's own data settings, if the data are here."""
    from medlight.cli.build import load_run_data

    sources = [
        (set(run.cases.ids), data)
        for run in {run.fold: run for run in comparison.reference.runs}.values()
        if (data := load_run_data(run.path)) is not None
    ]

    def files(case: str) -> dict[str, FileRef]:
        for ids, data in sources:
            if case in ids and case in data.cases.ids:
                return dict(data.cases[case].files)
        return {}

    return files


def _reference(name: str | None, groups: Sequence[Any]) -> int:
    if name is None:
        return 0
    for i, group in enumerate(groups):
        if name == group.name or any(
            Path(name).resolve() == run.path.resolve() for run in group.runs
        ):
            return i
    names = ", ".join(repr(group.name) for group in groups)
    raise ConfigError(f"--reference {name}: not one of the runs, which are {names}")


def _record(argv: Sequence[str]) -> int:
    parser = OptionParser(prog="medlight compare record", description="Record a run.")
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument(
        "--experiments", type=Path, default=EXPERIMENTS, help="folder of recorded runs"
    )
    args = parser.parse_args(list(argv))

    from medlight.compare.recorded import record_run

    print(f"Recorded in {record_run(args.run, args.experiments)}; now type medlight compare table")
    return 0


def _table(argv: Sequence[str]) -> int:
    parser = OptionParser(
        prog="medlight compare table", description="Update the tables of recorded runs."
    )
    parser.add_argument(
        "--experiments", type=Path, default=EXPERIMENTS, help="folder of recorded runs"
    )
    parser.add_argument(
        "--readme", type=Path, default=Path("README.md"), help="page with the table"
    )
    args = parser.parse_args(list(argv))

    from medlight.compare.recorded import update_tables

    changed = update_tables(args.experiments, args.readme)
    print("\n".join(f"{path}: updated" for path in changed) or "All tables are up to date")
    return 0


def _push(argv: Sequence[str]) -> int:
    parser = _compare_parser("compare push")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder ({OUTPUT})")
    parser.add_argument("--project", default="medlight", help="W&B project (medlight)")
    parser.add_argument("--name", help="name of the W&B run; default: what is compared")
    parser.add_argument("--group", help="group of the W&B run; default: that of the reference")
    parser.add_argument("--tag", action="append", default=[], help="may be repeated")
    parser.add_argument("--offline", action="store_true", help="even if an API key is configured")
    parser.add_argument("--share", action="store_true", help="send case ids of private data, too")
    args = parser.parse_args(list(argv))

    from medlight.callbacks.wandb_panels import hash_case_id, hash_key
    from medlight.compare.files import anonymise, as_dict, rows
    from medlight.compare.page import page
    from medlight.compare.wandb_push import JOB_TYPE, send_comparison
    from medlight.loggers.wandb import WandbRunLogger

    hashed = None if args.share else partial(hash_case_id, key=hash_key())
    comparison = compute_comparison(args, hashed)
    sent = comparison if hashed is None else anonymise(comparison, hashed)
    group = args.group or comparison.reference.runs[0].config.get("name")
    logger = WandbRunLogger(
        run_dir=args.output,
        project=args.project,
        name=args.name or " | ".join(group.name for group in comparison.groups[:6]),
        group=group,
        tags=args.tag,
        job_type=JOB_TYPE,
        offline=True if args.offline else "auto",
    )
    summary = as_dict(sent)
    send_comparison(
        logger,
        rows=rows(sent),
        page=page(sent).html(),
        config={k: summary[k] for k in ("reference", "metric", "cases", "patients", "differences")},
        scores={
            f"{name}/{metric}/{label or 'all'}": score.mean
            for name, scores in sent.scores.items()
            for (metric, label), score in scores.items()
        },
    )
    print(f"Sent to W&B, or kept in {args.output / 'wandb'} for `wandb sync`")
    return 0


_SUBCOMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "push": _push,
    "record": _record,
    "table": _table,
}
