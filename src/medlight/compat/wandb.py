"""What Lightning's `WandbLogger` keeps to itself."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger


def init_arguments(logger: "WandbLogger") -> dict[str, Any]:
    """Return what `wandb.init` will be called with; changes hold for the next run that begins.

    `WandbLogger._wandb_init`: Lightning passes None for an argument that W&B warns of, and a run
    whose server is silent begins again with other settings.
    """
    arguments: dict[str, Any] = logger._wandb_init
    return arguments


def begin_as(logger: "WandbLogger", run_id: str) -> None:
    """Let the next run begin under this id. `WandbLogger._id` and `_wandb_init`."""
    logger._id = run_id
    init_arguments(logger)["id"] = run_id


def finish_run(logger: "WandbLogger", *, exit_code: int) -> None:
    """End the run of a logger, if it has begun one; the logger can begin another.

    `WandbLogger._experiment`: the public `experiment` begins a run to answer.
    """
    if logger._experiment is not None:
        logger._experiment.finish(exit_code=exit_code)
        logger._experiment = None
