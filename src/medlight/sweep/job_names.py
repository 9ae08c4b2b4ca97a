"""What a job is called: the overrides that set it apart, as short as they are clear."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

SettingColumns = tuple[list[str], list[list[str]]]


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


def setting_columns(settings: Sequence[Mapping[str, str]], *, room: int) -> SettingColumns:
    """Lay out settings as columns of a table: names, and the cells of each row.

    Args:
        settings: key to value, one for each row.
        room: characters; a column for each key if they fit, else one for all of them.

    >>> setting_columns([{"optimizer.lr": "1e-3", "seed": "2"}], room=8)
    (['setting'], [['lr=1e-3 seed=2']])
    """
    names = short_keys(key for setting in settings for key in setting)
    needed = sum(
        max(len(name), *(len(setting.get(key, "")) for setting in settings)) + 2
        for key, name in names.items()
    )
    if needed <= room or len(names) < 2:
        return list(names.values()), [[each.get(key, "") for key in names] for each in settings]
    joined = (" ".join(f"{names[key]}={value}" for key, value in s.items()) for s in settings)
    return ["setting"], [[text] for text in joined]


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
    """Name one job.

    >>> job_label(["optimizer.lr=1e-3", "seed=2"])
    'lr=1e-3 seed=2'
    """
    pairs = override_values(overrides)
    names = short_keys(pairs)
    return " ".join(f"{names[key]}={value}" for key, value in pairs.items()) or "as it stands"
