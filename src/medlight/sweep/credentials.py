"""A database's password goes to jobs by the environment: launchers write to files what they pass on
in other ways."""

import os

from medlight.core.errors import ConfigError

PASSWORD_VARIABLE = "MEDLIGHT_STORAGE_PASSWORD"


def hide_password(url: str) -> str:
    """The address without its password, which from now on stands in the environment.

    >>> hide_password("postgresql+psycopg://me:secret@localhost/sweeps")
    'postgresql+psycopg://me@localhost/sweeps'

    Raises:
        ConfigError: it is no address; it is not shown, as it may hold the password.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "sweep.storage is no address of a database; type it as in "
            "sweep.storage=sqlite:////folder/study.db"
        ) from None
    if parsed.password is None:
        os.environ.pop(PASSWORD_VARIABLE, None)
        return url
    os.environ[PASSWORD_VARIABLE] = str(parsed.password)
    return parsed._replace(password=None).render_as_string(hide_password=False)


def with_password(url: str, password: str | None) -> str:
    """The address with the password, where there is one."""
    from sqlalchemy.engine import make_url

    if password is None:
        return url
    return make_url(url).set(password=password).render_as_string(hide_password=False)
