"""`medlight dataset snapshot|verify|diff|export`: ordinary options, one line for what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medlight.core.index import Index
from medlight.datasets.mednist import MedNISTDataModule
from medlight.io.manifest import snapshot as take


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    MedNISTDataModule.fake(tmp_path / "data", cases=24)
    monkeypatch.setenv("MEDLIGHT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MEDLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data" / "MedNIST"


def test_snapshot_verify_diff(run_cli, folder: Path) -> None:
    code, out, err = run_cli("dataset", "snapshot", "--version", "1.0", "data=mednist")
    assert (code, err) == (0, "")
    manifest = folder / "manifest_1.0.jsonl"
    assert out.startswith("MedNIST@1.0+")
    assert f"24 files in {manifest}" in out
    for options in ([], ["--full"]):
        code, out, err = run_cli("dataset", "verify", str(manifest), *options)
        assert (code, err) == (0, "")
        assert "whole: MedNIST@1.0+" in out

    (folder / "Hand" / "000000.jpeg").rename(folder / "CXR" / "000777.jpeg")
    (folder / "CXR" / "000000.jpeg").unlink()
    code, out, err = run_cli("dataset", "verify", str(manifest))
    assert code == 1
    assert "missing: 2" in out
    assert "CXR/000000.jpeg (CXR/000000)" in out
    assert err.startswith("error: ")
    assert err.count("\n") == 1

    again = ["dataset", "snapshot", "data=mednist", "--version=1.0", f"data.root={folder}"]
    code, _, err = run_cli(*again)
    assert code == 1
    assert "type --version=<a new one>" in err
    newer = folder.parent / "2.jsonl"
    assert run_cli(*again[:3], "--version=2.0", f"--output={newer}", again[-1]).code == 0
    code, out, err = run_cli("dataset", "diff", str(manifest), str(newer))
    assert (code, err) == (0, "")
    assert "removed: 1\n  CXR/000000" in out
    assert "relabelled: 1\n  Hand/000000 -> CXR/000777" in out
    answer = run_cli("dataset", "diff", str(manifest), str(newer), "--json")
    assert json.loads(answer.out)["removed"] == ["CXR/000000"]
    assert run_cli("dataset", "diff", str(newer), str(newer)).out == "no difference\n"


@pytest.mark.parametrize(
    "words",
    [
        "format=nnunet output={}",
        "--format nnunet --output {}",
        "--output={} format=nnunet data.exclude=[phantom_003]",
    ],
)
def test_export(
    run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, shared_cache: Path
) -> None:
    monkeypatch.setenv("MEDLIGHT_CACHE", str(shared_cache))
    place = tmp_path / "my raw" / "Dataset007_Phantom"
    words = [word.format(place) for word in words.split()]
    code, out, err = run_cli("dataset", "export", "data=phantom", "data.n_cases=12", *words)
    assert (code, err) == (0, "")
    assert f"'data.root={place}' data.task=Dataset007_Phantom" in out
    left_out = any("exclude" in word for word in words)
    assert len(list((place / "imagesTr").iterdir())) == 12 - left_out
    code, out, err = run_cli("dataset", "export", "data=phantom", "data.n_cases=12", *words)
    assert (code, out) == (1, "")
    assert "is there already" in err


def test_who_withdrew_is_not_missed(run_cli, folder: Path) -> None:
    assert run_cli("dataset", "snapshot", "--version", "1.0", "data=mednist").code == 0
    (folder / "withdrawn.txt").write_text("Hand/000000\n")
    (folder / "Hand" / "000000.jpeg").unlink()
    code, out, err = run_cli("dataset", "verify", str(folder / "manifest_1.0.jsonl"))
    assert (code, err) == (0, "")
    assert "of patients who withdrew were passed over" in out
    assert run_cli("dataset", "snapshot", "--version", "2.0", "data=mednist").code == 0
    assert "Hand/000000" not in (folder / "manifest_2.0.jsonl").read_text()


def test_files_of_several_folders(run_cli, tmp_path: Path) -> None:
    """A manifest of merged sources is verified below a root for each."""
    records, sources = [], []
    for number, name in enumerate(("one", "two")):
        MedNISTDataModule.fake(tmp_path / name, cases=12)
        index = MedNISTDataModule(root=tmp_path / name, cache=tmp_path / "cache").index()
        sources.append(replace(index.sources[0], name=name))
        records += [
            {
                "id": f"{name}/{case}",
                "patient": f"{name}/{case}",
                "files": {"image": path},
                "tags": tags,
                "source": number,
            }
            for case, path, tags in zip(
                index.ids, index.files["image"], index.tags.tolist(), strict=True
            )
        ]
    merged = Index.from_records(labels=index.labels, sources=sources, records=records)
    manifest = take(merged, version="1")
    manifest.save(tmp_path / "manifest_1.jsonl")
    words = ["dataset", "verify", str(tmp_path / "manifest_1.jsonl")]
    code, _, err = run_cli(*words)
    assert code == 1
    assert "2 folders; type --root <folder of one> --root <folder of two>" in err
    roots = [word for source in merged.sources for word in ("--root", str(source.root))]
    code, out, err = run_cli(*words, *roots, "--full")
    assert (code, err) == (0, "")
    assert "24 files, 24 of them read" in out
    victim = next(iter(merged.sources[1].root.rglob("*.jpeg")))
    victim.write_bytes(b"x" * victim.stat().st_size)
    code, out, _ = run_cli(*words, *roots)
    assert code == 1
    assert "changed: 1" in out
    assert "(two/" in out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "the following arguments are required: verb"),
        ("snapshot data=mednist", "--version"),
        ("snapshot data=mednst --version 1", "did you mean mednist"),
        ("snapshot data=mednist --version 1 --ful", "unknown: --ful"),
        ("verify nowhere.jsonl", "nowhere.jsonl: there is no such manifest"),
        ("verfy x", "invalid choice: 'verfy'"),
        ("export data=mednist output=x", "format= is missing"),
        ("export data=mednist format=nnunet", "output= is missing"),
        ("export data=mednist format=nnunet output=x", "type output=Dataset101_Name"),
        ("export data=mednist format=decathlon output=x", "one label per image, but format"),
    ],
)
def test_mistakes(run_cli, folder: Path, words: str, part: str) -> None:
    code, out, err = run_cli("dataset", *words.split())
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert part in err


def test_help(run_cli) -> None:
    assert "snapshot" in run_cli("dataset", "--help").out
    assert "--full" in run_cli("dataset", "verify", "--help").out
    assert "dataset" in run_cli("--help").out


def test_runs_record_the_version_and_say_when_it_is_none_any_more(run_cli, folder: Path) -> None:
    assert run_cli("dataset", "snapshot", "data=mednist", "--version", "1.0").code == 0
    (folder / "withdrawn.txt").write_text("CXR/000000\n")
    tiny = ["task=classification", "model=densenet121", "loss=cross_entropy", "data=mednist"]
    tiny += ["+model.init_features=4", "+model.block_config=[1,1]", "+model.growth_rate=4"]
    tiny += ["trainer.max_epochs=1", "metric=val/accuracy", "~callbacks.panels"]
    tiny += ["data.exclude=[Hand/000000]"]
    code, _, err = run_cli(*tiny, "hydra.run.dir=one")
    assert code == 0, err
    assert "Data: MedNIST@1.0+" in Path("one/run.log").read_text()
    assert "data.exclude: 1 (Hand/000000); withdrawn: 1" in Path("one/run.log").read_text()
    said = json.loads(Path("one/provenance.json").read_text())["data"]
    assert said["version"]["id"].startswith("MedNIST@1.0+")
    assert said["version"]["verified"] is True
    assert (said["excluded"], said["withdrawn"]) == (["Hand/000000"], 1)
    assert "CXR/000000" not in Path("one/split.json").read_text()

    (folder / "Hand" / "000050.jpeg").write_bytes((folder / "Hand" / "000100.jpeg").read_bytes())
    code, _, err = run_cli(*tiny, "hydra.run.dir=two")
    assert code == 0, err
    assert "The data are no longer MedNIST@1.0+" in Path("two/run.log").read_text()
    said = json.loads(Path("two/provenance.json").read_text())["data"]
    assert (said["version"]["verified"], said["version"]["changed"]) == (False, 1)
