"""The launchers, each with real processes; and what one says that is not installed."""

import pytest

from medlight.core.errors import MissingExtraError
from medlight.sweep import command
from medlight.sweep.command import LAUNCHER_PACKAGES, is_installed


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["launcher=joblib"], ["launcher=submitit_local", "launcher.timeout_min=10"],
     ["launcher=ray"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_launcher_runs_every_job_in_its_directory(typed, words: list[str]) -> None:
    if not is_installed(LAUNCHER_PACKAGES[words[0].partition("=")[2]]):
        pytest.skip("not installed")
    code, out = typed("seed=0,1", *words)
    assert code == 0, out
    statuses = typed.statuses()
    assert [each["state"] for each in statuses.values()] == ["done", "done"]
    for key in statuses:
        assert (typed.sweep / key / "metrics.json").is_file()
    code, out = typed("seed=0,1", *words)
    assert (code, "2 jobs in outputs/sweeps/s: 2 done" in out) == (0, True)


@pytest.mark.parametrize("name", LAUNCHER_PACKAGES)
def test_what_is_not_installed_says_what_to_type(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "is_installed", lambda package: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'medlight\[\w+\]'"):
        command.check_launcher(name)


@pytest.mark.slow
def test_another_sweeper_of_hydras_gives_each_job_a_process_too(typed) -> None:
    words = [word for word in typed.tiny if not word.startswith("sweep.")]
    place = ["hydra.sweep.dir=outputs/sweeps/s"]
    code, out = typed(*words, *place, "hydra/sweeper=basic", "seed=0,1", tiny=False)
    assert code == 0, out
    assert [each["state"] for each in typed.statuses().values()] == ["done", "done"]
