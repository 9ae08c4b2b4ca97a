"""Which of several masks a case is learnt and scored by: those of one annotator, say."""

from medlight.core.case import MASK_ROLE, is_mask_role
from medlight.core.errors import ConfigError
from medlight.core.index import Index


def choose_target(index: Index, target: str | None) -> Index:
    """Make one of several roles of masks the mask.

    Args:
        index: whose cases have masks under `mask`, `mask/anna`, `mask/ben`.
        target: "anna"; None: `mask`, or the only other one.

    Returns:
        The same cases; where the role is not `mask`, it alone is left of the masks, under `mask`.

    Raises:
        ConfigError: there is no such role, or nothing says which of several.
    """
    roles = [role for role in index.files if is_mask_role(role)]
    names = [role.partition("/")[2] for role in roles if role != MASK_ROLE]
    if target is None and (MASK_ROLE in roles or not roles):
        return index
    if target is None and len(names) == 1:
        target = names[0]
    if target is None:
        raise ConfigError(
            f"{index.name} has masks of {', '.join(names)}; type data.target=<the one to learn>"
        )
    if target not in names:
        has = f"only of {', '.join(names)}" if names else "of one kind"
        raise ConfigError(f"data.target={target}: {index.name} has masks {has}")
    chosen = index.with_mask(f"{MASK_ROLE}/{target}")
    lacking = [
        case for case, text in zip(index.ids, chosen.files[MASK_ROLE], strict=True) if not text
    ]
    if lacking:
        raise ConfigError(
            f"{len(lacking)} of {len(index)} cases have no mask of {target}, such as {lacking[0]}; "
            f"name them in data.exclude=<a file of names>"
        )
    return chosen
