"""What a trial of Optuna does not say in public."""

from typing import Any


def trial_id(trial: Any) -> int:
    """Return the number by which the storage knows a trial.

    `Trial._trial_id`: another process reports to the trial through the storage, and `number`
    counts within the study only.
    """
    return int(trial._trial_id)
