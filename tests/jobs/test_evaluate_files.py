"""Anyone's masks: pairs, names, refusals, and the same numbers as arithmetic on the arrays."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medlight.core.errors import ConfigError, DataError, DataNotFoundError
from medlight.core.grid import Grid
from medlight.io.nifti import write_nifti
from medlight.io.write import write_mask
from medlight.jobs.evaluate_files import evaluate_files
from medlight.jobs.mask_pairs import mask_pairs
from medlight.metrics.segmentation_cases import SegmentationScorer

GRID = Grid((12, 14, 9), np.array([[0, -1.5, 0, 3], [0.75, 0, 0, 4], [0, 0, 4, 5], [0, 0, 0, 1]]))
DECATHLON = {"0": "background", "1": "liver", "2": "tumour"}
NNUNET = {"background": 0, "whole": [1, 2], "tumour": 2, "ignore": 3}


def masks(seed: int, top: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, GRID.shape).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three references and their predictions, and what nnU-Net leaves beside them."""
    for side, shift in (("labelsTs", 0), ("predicted", 10)):
        (tmp_path / side).mkdir()
        for number in range(3):
            name = f"case_{number}.nii.gz"
            write_mask(tmp_path / side / name, masks(number + shift), GRID)
    (tmp_path / "predicted" / "plans.json").write_text("{}")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": DECATHLON}))
    return tmp_path


def evaluate(folder: Path, **options: object) -> list[dict[str, str]]:
    sides = {"predictions": folder / "predicted", "labels": folder / "labelsTs"}
    evaluate_files(run_dir=folder / "out", **(sides | options))  # type: ignore[arg-type]
    with (folder / "out" / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_tables_and_pictures(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = evaluate(folders, tolerance_mm=2, max_cases=2)
    scorer = SegmentationScorer(3, {"liver": (1,), "tumour": (2,)}, 2)
    expected = [
        row for n in range(3) for row in scorer.rows(f"case_{n}", masks(n + 10), masks(n), GRID)
    ]
    assert len(rows) == len(expected) == 6
    for row, other in zip(rows, expected, strict=True):
        assert {key: row[key] for key in other} == {key: str(v) for key, v in other.items()}
    summary = json.loads((folders / "out" / "metrics.json").read_text())
    mean = np.mean([row["dice"] for row in expected if row["class"] == "tumour"])
    assert summary["test/dice/tumour"] == pytest.approx(mean)
    assert summary["test/dice_low/tumour"] < mean < summary["test/dice_high/tumour"]
    record = json.loads((folders / "out" / "provenance.json").read_text())
    assert record["policy"] == scorer.policy
    assert str(folders) not in json.dumps(record)
    pictures = sorted(path.name for path in (folders / "out" / "panels").iterdir())
    assert len(pictures) == 3
    shown = capsys.readouterr().out
    assert "3 cases" in shown
    assert "NSD at 2 mm" in shown


def test_regions_and_ignored_voxels_as_nnunet_states_them(folders: Path) -> None:
    (folders / "dataset.json").write_text(json.dumps({"labels": NNUNET}))
    for number in range(3):
        path = folders / "labelsTs" / f"case_{number}.nii.gz"
        path.unlink()
        write_mask(path, masks(number, top=4), GRID)
    rows = evaluate(folders)
    regions = {"whole": (1, 2), "tumour": (2,)}
    (whole, tumour) = SegmentationScorer(4, regions, ignore=3).rows(
        "x", masks(10), masks(0, top=4), GRID
    )
    assert [row["class"] for row in rows[:2]] == ["whole", "tumour"]
    assert [row["dice"] for row in rows[:2]] == [str(whole["dice"]), str(tumour["dice"])]


def test_a_missing_prediction_is_refused_or_a_miss(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "predicted" / "case_1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 of 3 references have no prediction: case_1.*missing="):
        evaluate(folders)
    rows = evaluate(folders, missing="empty")
    lost = [row for row in rows if row["case"] == "case_1"]
    assert [row["dice"] for row in lost] == ["0.0", "0.0"]
    assert [float(row["hd95_mm"]) for row in lost] == pytest.approx([GRID.diagonal_mm] * 2)
    assert "1 without a prediction, counted as empty" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigError, match="error or empty"):
        evaluate(folders, missing="drop")


@pytest.mark.parametrize(
    ("grid", "reason"),
    [
        (Grid((12, 14, 8), GRID.affine), r"shapes \(12, 14, 8\) and \(12, 14, 9\)"),
        (
            Grid(GRID.shape, GRID.affine + np.eye(4, k=3) * 2),
            "positions in space.*up to 2 mm apart",
        ),
        (Grid(GRID.shape, np.diag([1.0, 1, 1, 1])), "RAS at 1x1x1 mm and"),
    ],
)
def test_masks_that_lie_elsewhere_are_refused(folders: Path, grid: Grid, reason: str) -> None:
    path = folders / "predicted" / "case_2.nii.gz"
    path.unlink()
    write_mask(path, np.zeros(grid.shape, np.uint8), grid)
    with pytest.raises(DataError, match=rf"(?s)1 of 3 cases cannot.*case_2.*{reason}"):
        evaluate(folders)
    assert not (folders / "out" / "metrics.json").exists()


def test_what_else_is_refused(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels from 0 to 2, but 2 are named"):
        evaluate(folders, class_names=["background", "liver"])
    with pytest.raises(DataNotFoundError, match=r"predictions=.*is not a folder"):
        evaluate(folders, predictions=folders / "nowhere")
    for path in (folders / "predicted").glob("*.nii.gz"):
        path.rename(path.with_name("x" + path.name))
    with pytest.raises(DataError, match="no file of"):
        evaluate(folders)
    (folders / "dataset.json").write_text("[]")
    with pytest.raises(DataError, match=r"dataset.json: expected labels"):
        evaluate(folders)
    (folders / "dataset.json").unlink()
    with pytest.raises(ConfigError, match="type class_names="):
        evaluate(folders)


def test_predictions_without_a_reference_are_told(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_mask(folders / "predicted" / "case_9.nii.gz", masks(1), GRID)
    assert len(evaluate(folders)) == 6
    assert "1 predictions have no reference: case_9" in caplog.text


def test_labels_above_255_are_told_apart(tmp_path: Path) -> None:
    """1041 is 17 in eight bits: what was wholly wrong had a Dice of 1."""
    truth = np.zeros((20, 20, 20), np.int16)
    truth[2:8, 2:8, 2:8], truth[10:16, 10:16, 10:16] = 17, 1041
    for side, values in (("labelsTs", truth), ("predicted", np.where(truth == 1041, 17, truth))):
        (tmp_path / side).mkdir()
        write_nifti(tmp_path / side / "a.nii.gz", values.astype(np.int16), Grid(truth.shape))
    named = {"background": 0, "hippocampus": 17, "parcel": 1041}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": named}))
    rows = {row["class"]: row for row in evaluate(tmp_path)}
    assert list(rows) == ["hippocampus", "parcel"]  # and none that nobody named
    assert {name: row["n_reference"] for name, row in rows.items()} == dict.fromkeys(rows, "216")
    assert float(rows["hippocampus"]["dice"]) == pytest.approx(2 / 3)
    assert float(rows["parcel"]["dice"]) == 0
    named.pop("parcel")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": named}))
    with pytest.raises(DataError, match=r"named .0, 17., not 1041; type"):
        evaluate(tmp_path)


def test_an_ignored_number_needs_no_name(folders: Path) -> None:
    for number in range(3):
        reference = masks(number).copy()
        reference[reference == 2] = 255
        write_mask(folders / "labelsTs" / f"case_{number}.nii.gz", reference, GRID)
    rows = evaluate(folders, class_names=["background", "liver", "tumour"], ignore=255)
    assert {row["class"] for row in rows} == {"liver", "tumour"}
    first = next(row for row in rows if row["case"] == "case_0" and row["class"] == "liver")
    reference, predicted = masks(0), masks(10)
    counted = reference != 2
    both = ((predicted == 1) & (reference == 1)).sum()
    sizes = ((predicted == 1) & counted).sum() + (reference == 1).sum()
    assert float(first["dice"]) == pytest.approx(2 * both / sizes)
    with pytest.raises(DataError, match=r"not 255; type .*ignore=255"):
        evaluate(folders)


def test_headers_that_rounding_parted_lie_on_each_other(folders: Path) -> None:
    """Up to a tenth of a voxel, as in training; further apart is refused."""
    moved = GRID.affine.copy()
    moved[:3, 3] += 0.02
    write_mask(folders / "predicted" / "case_1.nii.gz", masks(11), Grid(GRID.shape, moved))
    assert len(evaluate(folders)) == 6
    moved[:3, 3] += 0.1
    write_mask(folders / "predicted" / "case_1.nii.gz", masks(11), Grid(GRID.shape, moved))
    with pytest.raises(DataError, match="positions in space"):
        evaluate(folders)


def test_references_that_cannot_be_read_are_named(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("x.mnc", "y.mnc", "z.img", "._case.nii.gz", "dataset.json"):
        (folders / "labelsTs" / name).write_text(json.dumps({"labels": DECATHLON}))
    assert len(mask_pairs(folders / "predicted", folders / "labelsTs")) == 3
    assert any(line.endswith("labelsTs: 2 .mnc, z.img") for line in caplog.messages)


@pytest.mark.parametrize("ignore", [99, -1, 0, 2**31, 1.5, True, "255"])
def test_a_number_to_ignore_that_no_mask_holds_is_refused(folders: Path, ignore: object) -> None:
    """A slip passed without a word, and -1 scored the background as a class."""
    with pytest.raises(ConfigError, match="ignore"):
        evaluate(folders, ignore=ignore)
    assert not (folders / "out").exists()


def test_masks_in_sub_folders_are_scored_as_predict_writes_them(
    folders: Path, tmp_path: Path
) -> None:
    flat = evaluate(folders)
    for side in ("labelsTs", "predicted"):
        for number, name in enumerate(("a", "b", "b/c")):
            (folders / side / name).mkdir(exist_ok=True)
            file = folders / side / f"case_{number}.nii.gz"
            file.rename(folders / side / name / file.name)
    (folders / "predicted" / "entropy" / "a").mkdir(parents=True)
    shutil.copy(folders / "predicted/a/case_0.nii.gz", folders / "predicted/entropy/a")
    rows = evaluate(folders)
    assert [row["case"] for row in rows][::2] == ["a/case_0", "b/c/case_2", "b/case_1"]
    assert sorted(row["dice"] for row in rows) == sorted(row["dice"] for row in flat)
