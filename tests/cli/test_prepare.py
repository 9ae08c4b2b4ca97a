"""`medlight prepare` as a user meets it: no net, no trainer, said once what was done."""

from pathlib import Path

import pytest

from medlight.io.store.case_file import read_case_header

PHANTOM = ("data=phantom", "data.n_cases=6", "paths.cache=cache")


def entries() -> list[Path]:
    return sorted(Path("cache/store").glob("??/*.case"))


def test_prepare_fills_the_store_once(run_cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_trainer(*args: object, **options: object) -> None:
        raise AssertionError("a verb on data alone builds no trainer")

    monkeypatch.setattr("medlight.cli.launch.pl.Trainer.__init__", no_trainer)
    answer = run_cli("prepare", *PHANTOM)
    assert answer.code == 0, answer.err
    assert "Phantom: preparing 6 of 6 cases (6 new)" in answer.out
    assert "Phantom: 6 cases are prepared" in answer.out
    before = {path: path.read_bytes() for path in entries()}
    assert len(before) == 6
    again = run_cli("prepare", *PHANTOM, "job.check=true")
    assert "preparing" not in again.out
    assert {path: path.read_bytes() for path in entries()} == before


def test_another_spacing_is_named_and_kept_beside(run_cli) -> None:
    run_cli("prepare", *PHANTOM)
    answer = run_cli("prepare", *PHANTOM, "transforms.spacing_mm=[2,2,2]", "store.dtype=float16")
    assert "6 store.dtype changed" in answer.out
    assert "transforms.spacing_mm changed from null to [2.0, 2.0, 2.0]" in answer.out
    assert len(entries()) == 12
    kinds = {read_case_header(path).arrays["image"].dtype.str for path in entries()}
    assert kinds <= {"<i2", "<f2", "|u1"}


def test_who_withdrew_leaves_the_store(run_cli) -> None:
    run_cli("prepare", *PHANTOM)
    case = read_case_header(entries()[0]).metadata["case"]
    Path("gone.txt").write_text(f"{case}\n")
    answer = run_cli("prepare", *PHANTOM, "data.withdrawn=gone.txt")
    assert answer.code == 0, answer.err
    assert "Withdrawn: 1 prepared copies were removed from the store" in answer.out
    assert case not in {read_case_header(path).metadata["case"] for path in entries()}
    assert len(entries()) == 5
    assert case not in "".join(path.read_text() for path in Path("cache").rglob("sets/*.json"))
    assert (
        "Withdrawn: 1 prepared" not in run_cli("prepare", *PHANTOM, "data.withdrawn=gone.txt").out
    )


def test_a_damaged_case_is_mended(run_cli) -> None:
    run_cli("prepare", *PHANTOM)
    path = entries()[0]
    good = path.read_bytes()
    path.write_bytes(good[:-5] + b"wrong")
    answer = run_cli("prepare", *PHANTOM, "job.check=true")
    assert "(1 damaged)" in answer.out
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["store.codec=zip"], "store.codec must be one of none, blosc2, got 'zip'"),
        (["store.max_gb=0.00001"], "type a larger store.max_gb"),
        (["transforms.orientation=RAX"], "transforms.orientation must hold one of L R"),
        (["store.fodler=x"], "fodler"),
    ],
)
def test_slips_get_one_line(run_cli, words: list[str], told: str) -> None:
    answer = run_cli("prepare", *PHANTOM, *words)
    assert answer.code == 1
    assert told in answer.err
    assert "Traceback" not in answer.err
