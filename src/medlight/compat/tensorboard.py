"""What tensorboard's writer of events names its files by."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def no_host_in_file_names() -> Iterator[None]:
    """Keep the name of this machine out of the files that begin in this block.

    `event_file_writer.socket`: the writer asks it for the host, and takes no name instead.
    """
    from tensorboard.summary.writer import event_file_writer as writer

    real, writer.socket = writer.socket, SimpleNamespace(gethostname=lambda: "run")
    try:
        yield
    finally:
        writer.socket = real
