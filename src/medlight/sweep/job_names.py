"""What a job is called: the overrides that set it apart, as short as they are clear."""

from collections import Counter
from collections.abc import Iterable, Sequence


def override_values(overrides: Sequence[str]) -> dict[str, str]:
    """Key to value.

    >>> override_values(["optimizer.lr=1e-3", "+data.x=a=b"])
    {'optimizer.lr': '1e-3', 'data.x': 'a=b'}
    """
    pairs = (word.partition("=") for word in overrides)
    return {key.lstrip("+~"): value for key, _, value in pairs}


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Each key to its last part, where no other ends alike.

    >>> short_keys(["optimizer.lr", "data.fold", "sgd.lr"])
    {'optimizer.lr': 'optimizer.lr', 'data.fold': 'fold', 'sgd.lr': 'sgd.lr'}
    """
    keys = list(dict.fromkeys(keys))
    ends = Counter(key.rpartition(".")[2] for key in keys)
    return {k: k if ends[k.rpartition(".")[2]] > 1 else k.rpartition(".")[2] for k in keys}


def hyperparameters(overrides: Sequence[str]) -> dict[str, int | float | str]:
    """Short names to values, of which numbers are numbers.

    >>> hyperparameters(["optimizer.lr=1e-3", "model.channels=[4,8]", "seed=2"])
    {'lr': 0.001, 'channels': '[4,8]', 'seed': 2}
    """
    found = override_values(overrides)
    return {name: _number(found[key]) for key, name in short_keys(found).items()}


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def job_label(overrides: Sequence[str]) -> str:
    """Of one job.

    >>> job_label(["optimizer.lr=1e-3", "seed=2"])
    'lr=1e-3 seed=2'
    """
    pairs = override_values(overrides)
    names = short_keys(pairs)
    return " ".join(f"{names[key]}={value}" for key, value in pairs.items()) or "as it stands"
