"""What pictures show, and how little is held to draw them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from medlight.callbacks.panels import Panels, plot_panels
from medlight.core.case_result import CaseResult
from medlight.core.labels import Labels
from medlight.metrics.point_scores import confusion_counts
from medlight.metrics.segmentation_cases import SegmentationScorer
from medlight.report.mask_figures import PALETTE
from medlight.report.slices import WorstCases, case_slice
from medlight.tasks.segmentation_outcome import SegmentationOutcome

LIVER = SegmentationScorer.from_labels(Labels(("background", "liver"), "mask"))
OUTCOME = SegmentationOutcome(("liver",), policy=LIVER.policy, labels=("background", "liver"))


def result(case: str, dice: float, image: np.ndarray | None = None) -> CaseResult:
    image = np.zeros((1, 8, 8), np.float32) if image is None else image
    mask = np.zeros(image.shape[1:], np.uint8)
    return CaseResult(
        case=case, rows=({"case": case, "class": "liver", "dice": dice},), image=image,
        truth=mask, prediction=mask,
    )  # fmt: skip


def coloured(path: Path, label: int) -> int:
    """Pixels in the pure colour of a label: borders and legend."""
    wanted = [int(PALETTE[label - 1][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    close = abs(matplotlib.image.imread(path)[..., :3] - wanted) < 0.02
    return int(close.all(axis=-1).sum())


def test_worst_cases_come_first_and_the_rest_is_forgotten() -> None:
    worst = WorstCases(3, OUTCOME.score)
    for place, dice in enumerate(np.random.default_rng(0).permutation(50)):
        worst.add(result(f"case_{dice:02}", dice / 50))
        assert len(worst.slices) <= min(place + 1, 3)
    assert [kept.case for kept in worst.slices] == ["case_00", "case_01", "case_02"]


def test_absent_classes_do_not_count_and_unscored_cases_come_last() -> None:
    worst = WorstCases(3, OUTCOME.score)
    for case, dice in (("nothing", float("nan")), ("bad", 0.25), ("good", 0.75)):
        worst.add(result(case, dice))
    assert [kept.case for kept in worst.slices] == ["bad", "good", "nothing"]


def test_volumes_are_shown_as_radiologists_look_at_them() -> None:
    image = np.zeros((1, 6, 8, 4), np.float32)
    image[0, 5, 7, 2] = 9  # far right, far anterior of the patient
    mask = np.zeros(image.shape[1:], np.uint8)
    mask[1:3, 1, 2] = 1
    mask[1, 1, 0] = 1
    rows = LIVER.dice_rows("x", mask, mask)
    case = CaseResult(case="x", rows=rows, image=image, truth=mask, prediction=mask)
    shown = case_slice(case, 1.0)
    assert shown.slice == 2  # holds most foreground
    assert shown.image.shape == (8, 6)
    assert shown.image[0, 0] == shown.image.max()  # upper left
    assert shown.truth is not None
    assert np.argwhere(shown.truth).tolist() == [[6, 3], [6, 4]]


def test_a_constant_image_is_drawn_and_colours_stay_colours(tmp_path: Path) -> None:
    flat = case_slice(result("flat", 0.5, np.full((1, 8, 8), 7, np.float32)), 0.5)
    assert flat.image.max() == 0
    colours = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    assert case_slice(result("rgb", 0.5, colours), 0.5).image.shape == (8, 8, 3)


def test_segmentation_panels(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("volumes", tmp_path, [Panels(run_dir=tmp_path, max_cases=3)])
    run.test()
    names = sorted(path.name for path in (tmp_path / "panels").iterdir())
    assert len(names) == 4
    assert names[0] == "01_ward7__case_09.png"  # the phantom spleen
    assert names[-1] == "overview.png"
    first = tmp_path / "panels" / names[0]
    assert coloured(first, 1) > coloured(first, 2) > 100  # liver; legend and phantom of a spleen


def test_prediction_and_truth_are_drawn_apart(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    mask = np.zeros((16, 16), np.uint8)
    mask[2:9, 3:12] = 1
    pages = []
    for name, prediction in (("right", mask), ("missed", mask * 0)):
        rows = LIVER.dice_rows("x", prediction, mask)
        case = CaseResult(case="x", rows=rows, image=image, truth=mask, prediction=prediction)
        worst = WorstCases(1, OUTCOME.score)
        worst.add(case)
        plot_panels(OUTCOME, worst, rows, tmp_path / name / "panels")
        pages.append(matplotlib.image.imread(tmp_path / name / "panels" / "01_x.png"))
    right, missed = pages
    assert right.shape == missed.shape
    third = right.shape[1] // 3
    body = slice(right.shape[0] // 4, -right.shape[0] // 4)  # without title and legend
    np.testing.assert_array_equal(right[body, : 2 * third - 9], missed[body, : 2 * third - 9])
    assert (right[body, 2 * third :] != missed[body, 2 * third :]).any()


def test_classification_panels(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = new_run("classes", tmp_path, [Panels(run_dir=tmp_path)])
    run.test()
    assert {path.name for path in (tmp_path / "panels").iterdir()} == {
        "confusion.png",
        "mistakes.png",
    }


def test_confusion_counts_like_scikit_learn() -> None:
    truth, guess = (np.random.default_rng(seed).choice(3, 200) for seed in (1, 2))
    expected = sklearn_confusion_matrix(truth, guess, labels=range(3))
    np.testing.assert_array_equal(confusion_counts(truth, guess, 3), expected)


@pytest.mark.parametrize("kind", ["images", "classes"])
def test_two_processes_draw_what_one_draws(
    kind: str, new_run: Callable[..., Any], tmp_path: Path
) -> None:
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        new_run(kind, folder, [Panels(run_dir=folder, max_cases=2)], devices=devices).test()
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / n / "panels").iterdir()}
        for n in ("1", "2")
    )
    assert one == two
