"""A version of a data set: what makes it another, and what does not."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medlight.core.errors import DataError
from medlight.core.index import Index, Source
from medlight.core.labels import Labels
from medlight.core.manifest import Manifest, diff_manifests, latest_manifest
from medlight.io.manifest import snapshot, verify_manifest

NAMES = ("cat", "dog")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 50)
    return tmp_path / "data"


def indexed(root: Path) -> Index:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    return Index(
        labels=Labels(NAMES, "multiclass"),
        sources=[Source("pets", root)],
        ids=[name.removesuffix(".png") for name in names],
        patients=[f"p{name[0]}" for name in names],
        files={"image": names},
        tags=np.array([[float(name.startswith(k)) for k in NAMES] for name in names], "f4"),
    )


def taken(root: Path, version: str = "1.0") -> Manifest:
    return snapshot(indexed(root), version=version)


def test_it_notes_every_file(root: Path) -> None:
    manifest = taken(root)
    assert [entry.path for entry in manifest.entries] == [
        "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"
    ]  # fmt: skip
    first = manifest.entries[0]
    data = (root / "cat" / "1.png").read_bytes()
    assert first.sha256 == hashlib.sha256(data).hexdigest()
    assert (first.size, first.case, first.patient, first.label) == (250, "cat/1", "pc", "cat")
    name, version = manifest.id.split("+")[0].split("@")
    assert (name, version, len(manifest.id.split("+")[1])) == ("pets", "1.0", 12)


def test_the_id_is_of_the_contents_alone(root: Path, tmp_path: Path) -> None:
    before = taken(root).id
    shutil.copytree(root, tmp_path / "moved")
    os.utime(tmp_path / "moved" / "cat" / "1.png", (0, 0))
    assert taken(tmp_path / "moved").id == before
    assert taken(root, "1.1").hash == taken(root).hash
    (root / "cat" / "1.png").write_bytes(b"x" * 250)
    assert taken(root).id != before


def test_saved_loaded_and_never_changed(root: Path) -> None:
    manifest, path = taken(root), root / "manifest_1.0.jsonl"
    manifest.save(path)
    assert Manifest.load(path) == manifest
    manifest.save(path)  # the same again
    (root / "cat" / "2.png").unlink()
    with pytest.raises(DataError, match=r"holds pets@1\.0\+\w{12}.*--version="):
        taken(root).save(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="edited or cut short"):
        Manifest.load(path)
    path.write_text("no manifest")
    with pytest.raises(DataError, match=r"manifest_1\.0\.jsonl: not a manifest"):
        Manifest.load(path)


def test_verify_fast_and_full(root: Path) -> None:
    manifest, file = taken(root), root / "cat" / "1.png"
    found = verify_manifest(manifest, [root])
    assert (found.verified, found.n_hashed) == (True, 0)
    os.utime(file, (1, 1))
    found = verify_manifest(manifest, [root])
    assert (found.verified, found.n_hashed) == (True, 1)
    manifest = taken(root)
    file.write_bytes(b"x" * 250)
    os.utime(file, (1, 1))  # the same size and time: only reading it tells
    assert verify_manifest(manifest, [root]).verified
    found = verify_manifest(manifest, [root], full=True)
    assert ([entry.case for entry in found.changed], found.n_hashed) == (["cat/1"], 4)
    file.write_bytes(b"longer" * 60)
    assert [entry.case for entry in verify_manifest(manifest, [root]).changed] == ["cat/1"]
    file.unlink()
    found = verify_manifest(manifest, [root])
    assert [entry.case for entry in found.missing] == ["cat/1"]
    assert not found.verified


def test_a_file_that_is_not_there_is_named(root: Path) -> None:
    index = indexed(root)
    (root / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match=r"dog/1\.png: cannot be read .*medlight check"):
        snapshot(index, version="1")


def test_versions_are_part_of_a_file_name(root: Path) -> None:
    with pytest.raises(DataError, match="letters, digits"):
        taken(root, "1/2")
    paths = [Path(f"manifest_{version}.jsonl") for version in ("1.9", "1.10", "1.2")]
    assert latest_manifest(paths) == paths[1]
    assert latest_manifest([]) is None


def test_difference(root: Path) -> None:
    old = taken(root)
    assert not diff_manifests(old, old)
    (root / "dog" / "1.png").rename(root / "cat" / "3.png")  # another class: relabelled
    (root / "dog" / "2.png").rename(root / "dog" / "7.png")
    (root / "cat" / "1.png").write_bytes(b"other")
    (root / "cat" / "2.png").unlink()
    (root / "cat" / "9.png").write_bytes(b"new")
    found = diff_manifests(old, taken(root, "2.0"))
    assert found.added == ("cat/9",)
    assert found.removed == ("cat/2",)
    assert found.changed == ("cat/1",)
    assert found.relabelled == ("dog/1 -> cat/3",)
    assert found.renamed == ("dog/2 -> dog/7",)


def test_masks_tags_and_patients_tell_versions_apart(root: Path) -> None:
    old = taken(root)
    first, *rest = old.entries
    mask = replace(first, role="mask", sha256="0" * 64, path="m/1.png")
    with_mask = replace(old, entries=(first, mask, *rest))
    other_mask = replace(old, entries=(first, replace(mask, sha256="1" * 64), *rest))
    assert diff_manifests(with_mask, other_mask).relabelled == ("cat/1",)
    other_patient = replace(old, entries=(replace(first, patient="px"), *rest))
    assert diff_manifests(old, other_patient).patient_changed == ("cat/1",)
    assert other_patient.id != old.id
    renamed = replace(old, labels=("kitten", "dog"))
    assert diff_manifests(old, renamed).labels == (("cat", "dog"), ("kitten", "dog"))
    assert diff_manifests(old, renamed)


def test_tags_of_findings(tmp_path: Path) -> None:
    index = Index(
        labels=Labels(("mass", "edema"), "multilabel"),
        sources=[Source("x", tmp_path)],
        ids=["a"],
        patients=["a"],
        files={"image": ["a.png"]},
        tags=np.array([[-1, np.nan]], "f4"),
    )
    (tmp_path / "a.png").write_bytes(b"a")
    manifest = snapshot(index, version="1")
    assert manifest.entries[0].label == "mass=-1"
    manifest.save(tmp_path / "ä.jsonl")
    assert json.loads((tmp_path / "ä.jsonl").read_text().splitlines()[0])["id"] == manifest.id
