"""Mended masks, and who chooses what is mended."""

import numpy as np
import pytest
from scipy import ndimage

from medlight.inference.postprocess import (
    CandidateMeans,
    CandidateScores,
    Postprocessing,
    PostprocessStep,
    candidates,
    postprocess_class,
    select_postprocessing,
)

NAMES = ("background", "liver", "tumour")
MM = (1.0, 2.0, 5.0)  # a voxel is 0.01 mL


def drawn() -> np.ndarray:
    labels = np.zeros((20, 16, 12), np.uint8)
    labels[2:10, 2:10, 2:10] = 1  # 512 voxels
    labels[5:7, 5:7, 5:7] = 0  # a hole
    labels[4, 4, 4] = 2  # a tumour inside
    labels[14:16, 12:14, 5] = 1  # 4 voxels, touching
    labels[16, 14, 6] = 1  # ... a corner
    labels[12, 2, 2] = 1
    return labels


def test_parts_and_holes() -> None:
    labels = drawn()
    body = labels[:10, :10, :10] == 1
    for step, far, hole in (
        (PostprocessStep(), 6, 8),
        (PostprocessStep(keep_largest=True), 0, 8),
        (PostprocessStep(min_size=0.02), 5, 8),
        (PostprocessStep(min_size=0.05), 5, 8),
        (PostprocessStep(min_size=0.06), 0, 8),
        (PostprocessStep(fill_holes=True), 6, 0),
        (PostprocessStep(keep_largest=True, fill_holes=True), 0, 0),
        (PostprocessStep(min_size=100), 0, 8),
    ):
        processed = labels.copy()
        postprocess_class(processed, 1, step, MM)
        if step.min_size < 100:
            kept = ndimage.binary_fill_holes(labels > 0) if not hole else labels > 0
            assert (processed[:10, :10, :10] == 1).sum() == body.sum() + 8 - hole, step
            assert (processed[:10, :10, :10] > 0).sum() == kept[:10, :10, :10].sum()
            assert (processed[10:] == 1).sum() == far, step
        else:
            assert not (processed == 1).any()
        assert (processed == 2).sum() == 1  # nobody else's voxels are touched


def test_a_class_that_is_not_there_and_an_image() -> None:
    labels = np.zeros((5, 5), np.uint8)
    postprocess_class(labels, 1, PostprocessStep(keep_largest=True, fill_holes=True), (1.0, 1.0))
    assert not labels.any()
    labels[0, 0] = labels[2, 2:4] = 1
    postprocess_class(
        labels, 1, PostprocessStep(min_size=2), (0.1, 0.1)
    )  # pixels, whatever they measure
    assert labels.sum() == 2
    assert len({step.name for step in candidates(3)}) == len(candidates(3)) == 18


def evidence(noise: int) -> CandidateMeans:
    """Cases whose liver has `noise` false parts, and whose tumour is as it should be."""
    found = CandidateScores(NAMES, 3)
    for case in range(4):
        truth = np.zeros((20, 20, 20), np.uint8)
        truth[3 : 10 + case, 3:12, 3:12] = 1
        truth[15:18, 15:18, 15:18] = 2
        predicted = truth.copy()
        for number in range(noise):
            predicted[2 * number, 19, 0] = 1
        found.add(predicted, truth, (1.0, 1.0, 1.0))
    return CandidateMeans(3, found.means())


def test_validation_chooses_what_helps_and_nothing_else() -> None:
    chosen = select_postprocessing([evidence(9)])
    assert chosen.steps == {
        "liver": PostprocessStep(min_size=0.01)
    }  # the plainest of those that do it
    assert select_postprocessing([evidence(0)]).steps == {}
    assert Postprocessing.from_dict(chosen.as_dict()) == chosen
    assert CandidateMeans.from_dict(evidence(9).as_dict()) == evidence(9)


def test_runs_of_an_ensemble_are_asked_together() -> None:
    assert select_postprocessing([evidence(0), evidence(9)]).steps == {
        "liver": PostprocessStep(min_size=0.01)
    }
    assert (
        select_postprocessing([evidence(0)] * 9 + [evidence(1)]).steps == {}
    )  # too little to gain over all


def test_what_is_rightly_empty_counts_for_removing() -> None:
    found = CandidateScores(NAMES, 3)
    empty = np.zeros((9, 9, 9), np.uint8)
    false = empty.copy()
    false[1, 1, 1] = 1
    found.add(false, empty, (1.0, 1.0, 1.0))
    means = found.means()["liver"]["dice"]
    assert (means["unchanged"], means["largest"], means["at least 0.01"]) == (0, 0, 1)
    assert found.means()["tumour"]["dice"]["unchanged"] == 1


def test_labels_without_steps_are_left_alone() -> None:
    labels = drawn()
    assert Postprocessing({})(labels, NAMES, MM) is labels
    processed = Postprocessing({"liver": PostprocessStep(keep_largest=True)})(labels, NAMES, MM)
    assert (processed != labels).sum() == 6
    assert (labels == drawn()).all()
    with pytest.raises(TypeError):
        Postprocessing.from_dict({"liver": {"largets": True}})


@pytest.mark.parametrize("ignore", [3, 255])
def test_ignored_voxels_have_no_say(ignore: int) -> None:
    """False parts where nobody marked anything made `postprocess` remove small parts."""
    names = [*NAMES, "ignore"] if ignore == len(NAMES) else NAMES
    found = CandidateScores(names, 3, ignore=ignore)
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[3:10, 3:12, 3:12], truth[:, 19] = 1, ignore
    predicted = truth * (truth != ignore)
    predicted[::2, 19, 0] = 1
    found.add(predicted, truth, (1.0, 1.0, 1.0))
    means = CandidateMeans(3, found.means())
    assert set(means.means) == {"liver", "tumour"}
    assert means.means["liver"]["dice"]["unchanged"] == 1
    assert select_postprocessing([means]).steps == {}
