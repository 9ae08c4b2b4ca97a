"""The role of each key of a configuration: what changing it means for a run.

Saving, resuming, the identity of a sweep's jobs, grouping in comparisons and the noise band of
`reproduce` all read this table.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any


class Role(Enum):
    """What a key stands for.

    Attributes:
        LOCATION: where files are, and what runs the job: the results are the same.
        BOOKKEEPING: how a run is named, logged and shown: the results are the same.
        REPEAT: another repeat of the same experiment, such as another seed.
        ARITHMETIC: whatever changes the numbers, which makes it another experiment.
    """

    LOCATION = "location"
    BOOKKEEPING = "bookkeeping"
    REPEAT = "repeat"
    ARITHMETIC = "arithmetic"


KEY_ROLES = {
    Role.LOCATION: (
        "paths", "launcher", "trainer.accelerator", "trainer.default_root_dir",
        "data.root", "data.cache", "data.download", "data.num_workers",
        "data.store",  # refers to `store`, which stands at the root
        "store.folder", "store.codec", "store.max_gb", "store.memory_gb", "store.num_workers",
        "callbacks.checkpoint.dirpath",
    ),
    Role.BOOKKEEPING: (
        "name", "group", "tags", "experiment", "job", "run", "resume", "overwrite", "sweep",
        "logger",
        "data.check", "data.manifest",
        "trainer.log_every_n_steps", "trainer.enable_model_summary",
        "callbacks.determinism", "callbacks.last_checkpoint", "callbacks.learning_rate",
        "callbacks.panels", "callbacks.progress", "callbacks.provenance", "callbacks.results",
        "callbacks.selective", "callbacks.wandb",
    ),
    Role.REPEAT: ("seed", "data.seed", "data.fold", "callbacks.reseed.seed"),
    Role.ARITHMETIC: ("job.calibrate",),
}  # fmt: skip
"""Dotted keys, each with all keys below it; the longest that fits decides. All other keys are
arithmetic."""

RERUN_GROUPS = ("inference", "trainer", "logger", "paths", "callbacks")
RERUN_KEYS = (*RERUN_GROUPS, "compile", "gradient_checkpointing")
"""What `run=` and `resume=` may change besides locations, groups and single keys: a run may be
continued for longer, or tested with other windows."""

CASE_INDEPENDENT_DATA_KEYS = (
    "transforms", "augment", "slices", "patch", "batch_size", "eval_batch_size", "epoch_samples",
    "fold", "folds", "val_fraction", "num_workers", "store", "seed", "manifest", "check",
)  # fmt: skip
"""Keys of `data` that do not decide which cases a data set has."""

_ROLE_OF = {key: role for role, keys in KEY_ROLES.items() for key in keys}


def key_role(key: str) -> Role:
    """Give the role of a dotted key.

    >>> key_role("callbacks.progress.metric"), key_role("callbacks.ema.decay")
    (<Role.BOOKKEEPING: 'bookkeeping'>, <Role.ARITHMETIC: 'arithmetic'>)
    """
    while key:
        if key in _ROLE_OF:
            return _ROLE_OF[key]
        key = key.rpartition(".")[0]
    return Role.ARITHMETIC


def may_change_on_rerun(key: str) -> bool:
    """Say whether `run=` and `resume=` accept another value of a dotted key."""
    return key_role(key) is Role.LOCATION or key.partition(".")[0] in RERUN_KEYS


def select_settings(
    config: Mapping[str, Any], roles: Collection[Role], prefix: str = ""
) -> dict[str, Any]:
    """Keep the settings of these roles.

    Args:
        config: a nested configuration, or the part of one below `prefix`.
        roles: what to keep.
        prefix: dotted key of `config` with a dot at the end; empty at the root.

    Returns:
        The nested settings; mappings of which nothing is left are left out.
    """
    kept = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            if inner := select_settings(value, roles, f"{prefix}{key}."):
                kept[key] = inner
        elif key_role(f"{prefix}{key}") in roles:
            kept[key] = value
    return kept
