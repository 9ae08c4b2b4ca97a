"""Damage of all kinds to files that are read, with fixed seeds."""

import json
import resource
import signal
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import yaml

from medlight.core.errors import MedlightError

SECONDS, MEMORY = 5.0, 2**30
DEEP = 3000
Read = Callable[[Path], Any]
Fuzz = Callable[..., list[str]]


class Hangs(BaseException):
    """Raised within a reader that takes too long; nothing catches it."""


@pytest.fixture(params=[200, pytest.param(5000, marks=pytest.mark.slow)], ids=["few", "many"])
def rounds(request: pytest.FixtureRequest) -> int:
    """How many damaged files a reader gets."""
    return int(request.param)


def hostile(random: np.random.Generator) -> Any:
    """A value that nobody expects."""
    values: list[Any] = [
        None, True, False, -1, 0, 3, 10**12, 10**400, 1.5, -1e308, float("inf"), float("nan"), "",
        "1e999", "\ud800", "../../x", "/etc", "a\x1b[2Jb", "=cmd|' /C calc'!A0", "x" * 5000, [], {},
        [None], [1, "a"], {"": None}, {"a": {"b": []}}, [[[[[[]]]]]], "${oc.env:HOME}", "???", "é",
        [0] * 1000,
    ]  # fmt: skip
    return values[random.integers(len(values))]


def damaged_tree(tree: Any, random: np.random.Generator) -> Any:
    """A copy with a value, chosen at random, replaced, removed, doubled or added."""
    if not isinstance(tree, dict | list) or not tree or random.random() < 0.12:
        return hostile(random)
    copy: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    keys = list(copy) if isinstance(copy, dict) else list(range(len(copy)))
    key = keys[random.integers(len(keys))]
    match random.integers(8):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[str(hostile(random))[:40]] = copy[key]
        case 1:
            copy.append(copy[key])
        case _:
            copy[key] = damaged_tree(copy[key], random)
    return copy


def damaged_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """Cut short, bits flipped, bytes overwritten, a piece doubled, a token replaced, or deep."""
    broken = bytearray(content)
    start, length = int(random.integers(len(broken) + 1)), int(random.integers(1, 16))
    match random.integers(7):
        case 0:
            return bytes(broken[:start])
        case 1 if start < len(broken):
            broken[start] ^= 1 << int(random.integers(8))
        case 2:
            broken[start : start + length] = random.bytes(length)
        case 3:
            broken[start:start] = broken[start : start + 50 * length]
        case 4:
            tokens = [b"\0", b"\xff\xfe", b"\n", b",", b'"', b"1e999", b"{", b"null", b"-1", b"nan"]
            broken[start : start + length] = tokens[random.integers(len(tokens))]
        case 5 if random.random() < 0.2:
            return b'{"a":' * DEEP if random.random() < 0.5 else b"[" * DEEP
        case _:
            for _ in range(length):
                broken[random.integers(len(broken))] = int(random.integers(256))
    return bytes(broken)


def damaged(content: bytes, form: str, random: np.random.Generator) -> bytes:
    """Content of a form, "json", "jsonl", "yaml" or "bytes", with one thing wrong."""
    if form == "bytes" or random.random() < 0.4:
        return damaged_bytes(content, random)
    if form == "jsonl":
        lines = content.splitlines()
        place = int(random.integers(len(lines)))
        lines[place] = json.dumps(damaged_tree(json.loads(lines[place]), random)).encode()
        return b"\n".join(lines) + b"\n"
    if form == "yaml":
        tree = damaged_tree(yaml.safe_load(content), random)
        return yaml.safe_dump(tree, allow_unicode=False).encode("utf-8", "replace")
    return json.dumps(damaged_tree(json.loads(content), random)).encode()


@pytest.fixture
def alarm() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = {number: signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    yield
    allow(0)
    for number, handler in before.items():
        signal.signal(number, handler)


def allow(seconds: float) -> None:
    """So much of the processor's time, on a machine that does other work too; 0: as much as is
    wanted."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 12 * seconds)  # what waits takes none


@pytest.fixture
def fuzz(rounds: int, alarm: None) -> Fuzz:
    """Read a file damaged in many ways; gives what was neither an answer nor an error in one line
    that names the file."""

    def run(path: Path, form: str, read: Read) -> list[str]:
        good = path.read_bytes()
        read(path)
        random = np.random.default_rng(zlib.crc32(path.name.encode()))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failures: dict[str, str] = {}
        for _ in range(rounds):
            path.write_bytes(content := damaged(good, form, random))
            allow(SECONDS)
            try:
                read(path)
            except MedlightError as error:
                text = str(error)
                if "\n" in text or not (path.name in text or path.parent.name in text):
                    failures.setdefault("line", f"{text!r} of {content[:500]!r}")
            except (Exception, Hangs) as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{type(error).__name__}: {error} in {place.name}, {place.filename}"
                failures.setdefault(f"{where}:{place.lineno}", f"{content[:500]!r}")
            finally:
                allow(0)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if grown * 1024 >= MEMORY:
            failures["memory"] = f"{grown * 1024} bytes"
        return [f"{what}\n   {content}" for what, content in failures.items()]

    return run
