"""Curves of a run as a table and a picture that need no server."""

import csv
import io
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import DummyExperiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from medlight.report.mask_figures import PALETTE, figure, save_figure
from medlight.runs.directory import CURVES_FILE, CURVES_PICTURE
from medlight.runs.files import write_text

LEADING_COLUMNS = ("epoch", "step", "seconds")
MAX_CURVES = 9


class LearningRate(pl.Callback):
    """Logs `train/lr`, the rate at the end of each epoch.

    Lightning's own monitor refuses to run without a logger, and its names are not
    `<stage>/<metric>`.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("train/lr", trainer.optimizers[0].param_groups[0]["lr"])


class CurvesLogger(pl.loggers.Logger):
    """Writes `curves.csv`, one row per epoch, and `curves.png`.

    A run that resumes keeps the rows before the epoch it resumes in and replaces the later ones.
    Columns are epoch, step, seconds (since the run started, pauses left out) and every
    `train/` and `val/` metric seen so far.

    Args:
        run_dir: where to write.
    """

    def __init__(self, *, run_dir: Path) -> None:
        super().__init__()
        self.run_dir = Path(run_dir)
        self._rows: list[dict[str, str]] | None = None
        self.pending: dict[str, float] = {}
        """Values of an epoch that is not over: of validations within it."""
        self._start_time = time.monotonic()
        self._plotted = True

    @property
    def name(self) -> str:
        return "curves"

    @property
    def version(self) -> str:
        return ""

    @property
    def experiment(self) -> DummyExperiment:
        return DummyExperiment()

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Nothing: settings stand in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        named = {
            name.removesuffix("_epoch"): value
            for name, value in metrics.items()
            if name.startswith(("train/", "val/")) and not name.endswith("_step")
        }
        self.pending |= named
        # Validation comes first, and alone where nothing is trained: an epoch is over, and has a
        # row, when its training values are in.
        if any(name.startswith("train/") for name in named):
            self._add(int(metrics.get("epoch", 0)), step or 0)

    def _add(self, epoch: int, step: int) -> None:
        if self._rows is None:
            self._rows = [row for row in self._read() if int(row["epoch"]) < epoch]
            if self._rows:
                self._start_time -= float(self._rows[-1]["seconds"])
        same = [row for row in self._rows if int(row["epoch"]) == epoch]
        self._rows = [row for row in self._rows if int(row["epoch"]) < epoch]
        seconds = f"{time.monotonic() - self._start_time:.2f}"
        values = {name: f"{value:.6g}" for name, value in self.pending.items()}
        head = {"epoch": str(epoch), "step": str(step), "seconds": seconds}
        self._rows.append({**(same[-1] if same else {}), **head, **values})
        self.pending = {}
        columns = dict.fromkeys([*LEADING_COLUMNS, *(name for row in self._rows for name in row)])
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self.run_dir / CURVES_FILE, text.getvalue())
        self._plotted = False

    def _read(self) -> list[dict[str, str]]:
        path = self.run_dir / CURVES_FILE
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{k: v for k, v in row.items() if v != ""} for row in csv.DictReader(file)]

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._rows and not self._plotted:
            plot_curves(self._rows, self.run_dir / CURVES_PICTURE)
            self._plotted = True


def plot_curves(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Losses on the left, validation metrics on the right, over epochs."""
    names = dict.fromkeys(name for row in rows for name in row)
    losses = [n for n in names if n.partition("/")[2] == "loss"]
    scores = [n for n in names if n.startswith("val/") and n not in losses]
    if len(scores) > MAX_CURVES:  # too many to tell apart: the means alone
        scores = [name for name in scores if _is_mean(name)]
    page = figure(10 if scores else 5.5, 3.8)
    grid = page.subplots(1, 2 if scores else 1, squeeze=False)[0]
    for axes, group, label in zip(grid, (losses, scores), ("loss", "validation"), strict=False):
        for number, name in enumerate(group):
            points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if name in row]
            axes.plot(
                *zip(*points, strict=True),
                label=name,
                color=("#222222", *PALETTE)[number % 16],
                linewidth=2 if _is_mean(name) else 1.3,
                linestyle="-" if _is_mean(name) else "--",
                marker="o" if len(points) < 25 else None,
                markersize=3,
            )
        axes.set_xlabel("epoch")
        axes.set_title(label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if group:
            axes.legend(frameon=False, fontsize=8)
    save_figure(page, path, dpi=110)


def _is_mean(name: str) -> bool:
    return name.count("/") == 1
