"""Rows, scores and predictions against independent arithmetic, in one process and in two."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import pytorch_lightning as pl
from PIL import Image
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score

from medlight.callbacks.results import Results, rows_to_csv, scores_to_json
from medlight.callbacks.selective import Selective
from medlight.jobs.calibration import test as run_test
from medlight.metrics.bootstrap import Interval
from medlight.metrics.names import CASE_METRICS, COUNTS, METRICS
from medlight.report.score_table import MAX_WIDTH, score_table
from medlight.tasks.multiclass_outcome import MulticlassOutcome
from medlight.tasks.segmentation_outcome import SegmentationOutcome


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum()) if (a | b).any() else math.nan


def test_volumes(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("volumes", tmp_path, [Results(run_dir=tmp_path)])
    run.test()
    found = rows(tmp_path)
    assert list(found[0]) == [
        "case", "patient", "fold", "stage", "class", *CASE_METRICS, "n_reference", "n_predicted",
        "uncertainty",
    ]  # fmt: skip
    expected = [(case, organ) for case in run.data.split.test for organ in ("liver", "spleen")]
    assert [(row["case"], row["class"]) for row in found] == expected
    scores: dict[str, list[float]] = {"liver": [], "spleen": []}
    for row in found:
        assert row["patient"] == run.data.cases[row["case"]].patient
        assert (row["fold"], row["stage"]) == ("0", "test")
        label = ("liver", "spleen").index(row["class"]) + 1
        written = nib.load(tmp_path / "predictions" / f"{row['case'].replace('/', '__')}.nii.gz")
        predicted = np.asarray(written.dataobj) == label
        truth = run.data.sample(row["case"])["mask"][0].numpy() == label
        np.testing.assert_allclose(
            written.affine, run.data.sample(row["case"])["source_grid"].affine
        )
        assert int(row["n_reference"]) == truth.sum()
        assert int(row["n_predicted"]) == predicted.sum()
        assert float(row["dice"]) == pytest.approx(dice(predicted, truth), nan_ok=True)
        scores[row["class"]].append(float(row["dice"]))
    means = {organ: np.nanmean(values) for organ, values in scores.items()}
    assert np.isnan(scores["spleen"]).sum() == 1
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert list(summary) == sorted(summary)
    assert summary["test/dice/spleen"] == pytest.approx(means["spleen"])
    assert summary["test/dice"] == pytest.approx(np.mean(list(means.values())))
    assert summary["test/not_scored/spleen"] == 1


def test_images_become_pngs_of_label_numbers(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("images", tmp_path, [Results(run_dir=tmp_path)])
    run.test()
    case = run.data.split.test[0]
    written = np.asarray(Image.open(tmp_path / "predictions" / f"{case.replace('/', '__')}.png"))
    image = run.data.sample(case)["image"][0].numpy()
    np.testing.assert_array_equal(written, np.clip(np.rint(image), 0, 2))


def test_no_predictions_where_none_are_asked_for(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    new_run("images", tmp_path, [Results(run_dir=tmp_path, predictions=False)]).test()
    assert (tmp_path / "cases.csv").exists()
    assert not (tmp_path / "predictions").exists()


def test_classes(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("classes", tmp_path, [Results(run_dir=tmp_path)])
    run.test()
    found = rows(tmp_path)
    assert list(found[0]) == [
        "case", "patient", "fold", "stage", "truth", "prediction", "p_Hand", "p_Chest", "p_Head",
        "uncertainty",
    ]  # fmt: skip
    truth, guess = ([row[side] for row in found] for side in ("truth", "prediction"))
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 < summary["test/accuracy"] < 1
    assert summary["test/accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert summary["test/f1"] == pytest.approx(f1_score(truth, guess, average="macro"))


def test_calibration_is_fitted_on_validation_and_applied_on_request(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    found = {}
    for apply in (False, True):
        folder = tmp_path / str(apply)
        run = new_run("classes", folder, [Results(run_dir=folder)])
        run_test(run.task, run.data, run.trainer, folder, checkpoint=None, calibrate=apply)
        found[apply] = json.loads((folder / "calibration.json").read_text())
        assert (folder / "panels" / "reliability.png").is_file()
        summary = json.loads((folder / "metrics.json").read_text())
        side = "after" if apply else "before"
        for score in ("ece", "brier", "log_loss"):
            assert found[apply]["test"][side][score] == pytest.approx(summary[f"test/{score}"])
    for key in ("temperature", "fitted_on", "val"):
        assert found[True][key] == found[False][key]
    assert found[True]["test"]["before"] == pytest.approx(found[False]["test"]["before"], abs=1e-6)
    # 2 of 3 validation cases are right at a confidence of 0.8: at T they are right 2 times of 3.
    temperature = found[True]["temperature"]
    assert 0.8 ** (1 / temperature) / (0.8 ** (1 / temperature) + 2 * 0.1 ** (1 / temperature)) == (
        pytest.approx(2 / 3, abs=1e-3)
    )


def test_the_most_uncertain_cases_come_first(
    new_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run("classes", tmp_path, [Selective(run_dir=tmp_path, show=2)]).test()
    with (tmp_path / "look_first.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["case"][-2:] for line in lines] == ["13", "12", "11", "10", "09"]
    assert [line["risk"] for line in lines] == ["0.0", "0.0", "1.0", "0.0", "0.0"]
    shown = capsys.readouterr().out
    assert "Look at these first (AURC 0." in shown
    assert "case_12" in shown
    assert "case_11" not in shown


def test_scores_reach_the_loggers_and_the_trainer(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    logger = pl.loggers.CSVLogger(tmp_path, name="logs", version="")
    run = new_run("classes", tmp_path, [Results(run_dir=tmp_path)], [logger])
    run.test()
    expected = json.loads((tmp_path / "metrics.json").read_text())["test/accuracy"]
    assert float(run.trainer.callback_metrics["test/accuracy"]) == pytest.approx(expected)
    with (tmp_path / "logs" / "metrics.csv").open(newline="") as file:
        assert float(next(csv.DictReader(file))["test/accuracy"]) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:It is recommended to use .self.log")  # of all ranks already
@pytest.mark.parametrize("kind", ["volumes", "classes"])
def test_two_processes_write_what_one_writes(
    kind: str, new_run: Callable[..., Any], tmp_path: Path
) -> None:
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        watching = [each(run_dir=folder) for each in (Results, Selective)]
        new_run(kind, folder, watching, devices=devices).test()
    one, two = (
        {
            str(path.relative_to(tmp_path / devices)): path.read_bytes()
            for path in (tmp_path / devices).rglob("*")
            if path.is_file()
        }
        for devices in ("1", "2")
    )
    assert one == two
    assert len([name for name in one if name.startswith("predictions")]) == 5 * (kind == "volumes")
    assert {"look_first.csv", "panels/risk_coverage.png"} < set(one)


def test_the_table_has_a_line_for_each_class_and_one_for_all(
    new_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run("volumes", tmp_path, [Results(run_dir=tmp_path)]).test()
    summary = json.loads((tmp_path / "metrics.json").read_text())
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    spleen = next(line for line in lines if line[:1] == ["spleen"])
    assert spleen[1] == f"{summary['test/dice/spleen']:.4f}"
    assert spleen[-1] == "4"
    assert ["1", "left", "out"] in [line[-3:] for line in lines]
    assert next(line for line in lines if line[:1] == ["all"])[1] == f"{summary['test/dice']:.4f}"
    assert "one empty: Dice 0, distance = image diagonal; NSD at 1 mm" in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("kind", ["volumes", "classes"])
def test_every_number_of_metrics_json_follows_from_cases_csv(
    kind: str, new_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = new_run(kind, tmp_path, [Results(run_dir=tmp_path)])
    run.test()
    found = [
        {key: text if key in WORDS else float(text) for key, text in row.items()}
        for row in rows(tmp_path)
    ]
    again = {f"test/{name}": value for name, value in run.task.outcome.summarise(found).items()}
    for name, between in run.task.outcome.intervals(found).items():
        metric, slash, label = name.partition("/")
        again[f"test/{metric}_low{slash}{label}"] = between.low
        again[f"test/{metric}_high{slash}{label}"] = between.high
    again = {name: None if math.isnan(value) else value for name, value in again.items()}
    assert json.loads((tmp_path / "metrics.json").read_text()) == pytest.approx(again)
    for name in again:
        metric = name.split("/")[1].removesuffix("_low").removesuffix("_high")
        assert metric in METRICS or metric in COUNTS, name


WORDS = ("case", "patient", "fold", "stage", "class", "truth", "prediction")


def test_what_has_no_number() -> None:
    scores = {"accuracy": 0.5, "f1": math.nan, "f1/a": math.nan, "f1/b": 1.0}
    table = score_table(MulticlassOutcome(("a", "b")).spec, scores)
    assert table.title == "Test: accuracy 0.5000"
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    dash = "\N{EN DASH}"
    assert cells == [["a", "b", "all"], [dash, "1.0000", dash], [dash] * 3]
    assert json.loads(scores_to_json({"test/f1": math.nan, "test/a": 1})) == {
        "test/a": 1,
        "test/f1": None,
    }
    assert rows_to_csv([{"case": "x", "dice": math.nan}]) == "case,dice\nx,nan\n"


def test_long_names_and_large_numbers_stay_within_the_width() -> None:
    metrics = ("dice", "hd95_mm", "assd_mm", "nsd", "volume_ml_error", "detected")
    names = ("left_ventricular_myocardium_scar", "b")
    scores = {f"{m}/{name}": 123.456 for m in metrics for name in names}
    scores |= dict.fromkeys(metrics, 123.456) | {f"cases/{name}": 12345 for name in names}
    scores |= {f"{count}/{name}": 12345 for count in COUNTS for name in names}
    between = {name: Interval(123.456, 100.1, 140.2, 9) for name in scores}
    out = io.StringIO()
    policy = "both empty: left out; one empty: Dice 0, distance = image diagonal; NSD at 1 mm"
    spec = SegmentationOutcome(names, policy=policy, labels=("background", *names)).spec
    Console(file=out, width=140).print(score_table(spec, scores, between))
    assert max(map(len, out.getvalue().splitlines())) == MAX_WIDTH
    assert "100.1\N{EN DASH}140.2" in out.getvalue()
    assert policy in out.getvalue()
