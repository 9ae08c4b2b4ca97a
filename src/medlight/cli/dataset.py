"""`medlight dataset ...`: works on finished files, and takes ordinary options."""

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from medlight.cli.options import OptionParser, print_error
from medlight.core.errors import ConfigError, MedlightError

VERB = "dataset"
EPILOG = """\
  medlight dataset snapshot data=mednist --version 1.0.0   note every file and its hash
  medlight dataset verify <manifest> [--full]              are the files still those?
  medlight dataset diff <old manifest> <new manifest>      cases added, removed, relabelled
  medlight dataset export data=decathlon format=nnunet output=nnUNet_raw/Dataset004_Hippocampus"""


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="medlight dataset", description="Versions and forms of a data set.", epilog=EPILOG
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=OptionParser)
    take = verbs.add_parser("snapshot", help="note every file and its hash in a manifest")
    take.add_argument("overrides", nargs="+", metavar="data=...", help="which data, as for a run")
    take.add_argument("--version", required=True, help="of the data, such as 1.0.0")
    take.add_argument("--name", help="of the data; default: its own")
    take.add_argument("--output", type=Path, help="the file to write; default: beside the data")
    check = verbs.add_parser("verify", help="compare files with their manifest")
    check.add_argument("manifest", type=Path)
    check.add_argument(
        "--root",
        type=Path,
        action="append",
        default=[],
        help="folder of the data, one for each source; default: the manifest's",
    )
    check.add_argument("--full", action="store_true", help="read every file, whatever its time")
    export = verbs.add_parser("export", help="write a segmentation data set in another form")
    export.add_argument("overrides", nargs="+", metavar="data=...", help="which data, as for a run")
    export.add_argument("--format", help="nnunet or decathlon; format=nnunet is as good")
    export.add_argument("--output", help="the folder to make; output=<folder> is as good")
    diff = verbs.add_parser("diff", help="cases added, removed, relabelled")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.add_argument("--json", action="store_true", help="all of it, for programs")
    return parser


def main(argv: Sequence[str]) -> int:
    """Exit status: 0, or 1 where something is wrong or the data are no longer the manifest's."""
    try:
        parser = _parser()
        args, rest = parser.parse_known_args(list(argv))
        if args.verb in ("snapshot", "export"):  # options and overrides in any order
            args.overrides += [word for word in rest if not word.startswith("-")]
            rest = [word for word in rest if word.startswith("-")]
        if rest:
            parser.error(f"unknown: {' '.join(rest)}")
        return _run(args)
    except MedlightError as error:
        print_error(str(error))
        return 1


def _run(args: argparse.Namespace) -> int:
    from medlight.jobs import dataset_versions as dataset

    if args.verb == "snapshot":
        from medlight.cli.build import build_data

        manifest, path = dataset.snapshot(
            build_data(args.overrides), version=args.version, name=args.name, out=args.output
        )
        print(f"{manifest.id}: {len(manifest.entries)} files in {path}")
        return 0
    if args.verb == "export":
        return _export(args)
    if args.verb == "verify":
        found, manifest = dataset.verify(args.manifest, roots=args.root, full=args.full)
        *lines, summary = dataset.format_verification(found, manifest)
        print("\n".join(lines), end="\n" if lines else "")
        if not found.verified:
            print_error(f"{args.manifest}: {summary}")
            return 1
        print(summary)
        return 0
    difference = dataset.diff(args.old, args.new)
    print(
        json.dumps(asdict(difference), indent=1)
        if args.json
        else "\n".join(dataset.format_difference(difference))
    )
    return 0


def _export(args: argparse.Namespace) -> int:
    from medlight.cli.build import build_data
    from medlight.jobs.dataset_export import export_dataset

    typed = {"format": args.format, "output": args.output}
    overrides = []
    for word in args.overrides:
        key, _, value = word.partition("=")
        if key in typed:
            typed[key] = value
        else:
            overrides.append(word)
    for key, value in typed.items():
        if not value:
            raise ConfigError(
                f"{key}= is missing; type format=nnunet output=nnUNet_raw/Dataset101_Name, or "
                f"format=decathlon output=<a folder>"
            )
    folder = Path(str(typed["output"])).expanduser()
    data = build_data(overrides)
    export_dataset(data, form=str(typed["format"]), output=folder)
    train = [f"data={typed['format']}", f"data.root={folder}", f"data.task={folder.name}"]
    print(f"{len(data.cases)} cases in {folder}; train on them: {shlex.join(train)}")
    return 0
