"""The statistics of a comparison, as a run at Weights & Biases beside the runs it compares."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from medlight.loggers.wandb import finish_runs

JOB_TYPE = "compare"


def send_comparison(
    logger: WandbLogger,
    *,
    rows: Sequence[Mapping[str, Any]],
    page: str,
    config: Mapping[str, Any],
    scores: Mapping[str, float],
) -> None:
    """Send a table, a page of HTML, settings and the scores of a summary, and end the run.

    The caller sees to it that nothing names a patient.

    Args:
        logger: of the run that is made for it.
        rows: of the table, all with the same keys.
        page: HTML.
        config: settings.
        scores: name to number.
    """
    import wandb

    try:
        run = logger.experiment
        run.config.update(dict(config))
        columns: list[str | int] = list(rows[0])
        lines = [[_plain(row[str(column)]) for column in columns] for row in rows]
        table = wandb.Table(columns=columns, data=lines)
        run.log({"compare/table": table, "compare/report": wandb.Html(page, inject=False)})
        run.summary.update(dict(scores))
    finally:
        finish_runs([logger])


def _plain(value: Any) -> Any:
    """Nothing where a run has no such value: W&B wants one type a column."""
    return None if value == "" else value
