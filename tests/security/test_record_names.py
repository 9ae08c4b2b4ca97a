"""A run that is put on record stays below experiments/, whatever its config says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medlight.compare import recorded
from medlight.core.errors import ConfigError


@pytest.mark.parametrize("name", ["../../../x", "/abs", "a/b", "..", "", "a\nb"])
def test_record_writes_nowhere_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Any] = {"code.commit": "0123456789ab", "times.started": "2026-11-28T08:00:00"}
    run = SimpleNamespace(path=tmp_path, config={"name": name}, get=facts.get)
    monkeypatch.setattr(recorded, "read_run", lambda _: run)
    with pytest.raises(ConfigError, match="cannot name a folder"):
        recorded.record_run(tmp_path, tmp_path / "experiments")
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("code.commit", "../../../x"), ("times.started", "../../../x")]
)
def test_record_takes_date_and_commit_for_what_they_are(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: dict[str, Any] = {"code.commit": "0123456789ab", "times.started": "2026-11-28T08:00:00"}
    run = SimpleNamespace(path=tmp_path, config={"name": "x"}, get={**facts, key: value}.get)
    monkeypatch.setattr(recorded, "read_run", lambda _: run)
    with pytest.raises(ConfigError, match=key):
        recorded.record_run(tmp_path, tmp_path / "experiments")
