"""Every loss in conf/loss against arithmetic of its own, in NumPy."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from monai.losses import GeneralizedDiceLoss
from sklearn.utils.class_weight import compute_class_weight

from medlight.cli.config import register
from medlight.cli.options import conf_dir, groups
from medlight.core.data_spec import DataSpec, NeedsSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.losses.cross_entropy import CrossEntropy, MaskedBCE
from medlight.losses.dice import GeneralisedDice

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(2, 3, 5, 4, 6)) * 2
MASK = RANDOM.integers(0, 3, size=(2, 1, 5, 4, 6))
CLASSES = Labels(("a", "b", "c"), "multiclass")
MASKS = Labels(("a", "b"), "mask")


@cache
def loss(name: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"loss={name}", *overrides])
    return instantiate(cfg.loss, _convert_="all")


def value(name: str, *overrides: str, mask: np.ndarray = MASK) -> float:
    return float(loss(name, *overrides)(torch.from_numpy(LOGITS), torch.from_numpy(mask)))


def softmax(logits: np.ndarray = LOGITS) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def sums(mask: np.ndarray = MASK) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each label over the batch: overlap, predicted, true."""
    p, truth = softmax(), mask == np.arange(3)[None, :, None, None, None]
    axes = (0, 2, 3, 4)
    return (p * truth).sum(axes), p.sum(axes), truth.sum(axes).astype(float)


def dice() -> float:
    both, predicted, true = sums()
    return float((1 - (2 * both + 1e-5) / (predicted + true + 1e-5))[1:].mean())


def surprise() -> np.ndarray:
    return -np.log(np.take_along_axis(softmax(), MASK, axis=1))


def test_dice_ce() -> None:
    assert value("dice_ce") == pytest.approx(dice() + surprise().mean())


def test_dice_bce() -> None:
    """Of two regions, the second within the first."""
    regions = np.concatenate([MASK > 0, MASK > 1], axis=1)
    logits = LOGITS[:, :2]
    p, axes = 1 / (1 + np.exp(-logits)), (0, 2, 3, 4)
    both, sides = (p * regions).sum(axes), (p + regions).sum(axes)
    dice_part = 1 - ((2 * both + 1e-5) / (sides + 1e-5)).mean()
    bce = -(regions * np.log(p) + (1 - regions) * np.log(1 - p)).mean()
    for weight in (1.0, 0.25):
        got = loss("dice_bce", f"loss.lambda_bce={weight}")(
            torch.tensor(logits), torch.tensor(regions)
        )
        assert float(got) == pytest.approx(dice_part + weight * bce)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_dice_focal(gamma: float) -> None:
    focal = ((1 - np.exp(-surprise())) ** gamma * surprise()).mean()
    assert value("dice_focal", f"loss.gamma={gamma}") == pytest.approx(dice() + focal)
    assert value("dice_focal", "loss.lambda_focal=0.5") < value("dice_focal")
    if gamma == 0:
        assert value("dice_focal", "loss.gamma=0.0") == pytest.approx(value("dice_ce"))


def test_tversky() -> None:
    both, predicted, true = sums()
    ratio = (both + 1e-5) / (both + 0.3 * (predicted - both) + 0.7 * (true - both) + 1e-5)
    assert value("tversky") == pytest.approx(float((1 - ratio[1:]).mean()))
    assert value("tversky", "loss.alpha=0.5", "loss.beta=0.5") == pytest.approx(dice(), rel=1e-5)


@pytest.mark.parametrize("absent", [False, True])
def test_generalised_dice(absent: bool) -> None:
    mask = MASK % 2 if absent else MASK
    both, predicted, true = sums(mask)
    weight = np.where(true > 0, 1 / np.maximum(true, 1) ** 2, 0)
    weight = np.where(true > 0, weight, weight.max()) / weight.max()
    wanted = 1 - (2 * (weight * both).sum() + 1e-5) / ((weight * (predicted + true)).sum() + 1e-5)
    assert value("generalised_dice", mask=mask) == pytest.approx(float(wanted))


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("weight", ["square", "simple", "uniform"])
def test_generalised_dice_is_monais_without_smoothing(weight: str, absent: bool) -> None:
    mask = torch.from_numpy(MASK % 2 if absent else MASK)
    theirs = GeneralizedDiceLoss(
        to_onehot_y=True, softmax=True, batch=True, w_type=weight, smooth_nr=0, smooth_dr=0
    )
    wanted = theirs(torch.from_numpy(LOGITS), mask).item()
    assert value("generalised_dice", f"loss.w_type={weight}", mask=mask.numpy()) == pytest.approx(
        wanted, abs=1e-5
    )


def test_generalised_dice_sees_what_is_wrong_in_a_large_volume() -> None:
    """MONAI's smoothing hides most of it: with 1 / volume^2 the sums are as small as its terms."""
    mask = torch.zeros(1, 1, 64, 64, 64, dtype=torch.long)
    mask[..., :32] = 1
    wrong = 20.0 * torch.cat([mask == 1, mask == 0], dim=1)
    assert loss("generalised_dice")(wrong, mask).item() > 0.99
    assert GeneralizedDiceLoss(to_onehot_y=True, softmax=True, batch=True)(wrong, mask) < 0.9


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 3.0]])
def test_cross_entropy_of_voxels_and_classes(smoothing: float, weight: list[float] | None) -> None:
    weights = np.array(weight or [1.0, 1.0, 1.0])
    words = [f"loss.label_smoothing={smoothing}", *([f"loss.weight={weight}"] if weight else [])]
    truth = np.eye(3)[MASK[:, 0]].transpose(0, 4, 1, 2, 3)
    target = truth * (1 - smoothing) + smoothing / 3
    each = -(target * np.log(softmax()) * weights[None, :, None, None, None]).sum(axis=1)
    wanted = each.sum() / weights[MASK].sum()
    assert value("cross_entropy", *words) == pytest.approx(wanted, rel=1e-6)
    logits, label = LOGITS[:, :, 0, 0, 0], MASK[:, 0, 0, 0, 0]
    got = float(loss("cross_entropy", *words)(torch.from_numpy(logits), torch.from_numpy(label)))
    each = -(target[:, :, 0, 0, 0] * np.log(softmax(logits)) * weights).sum(axis=1)
    assert got == pytest.approx(each.sum() / weights[label].sum(), rel=1e-6)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    balanced = CrossEntropy(weight="balanced")
    balanced.bind(DataSpec(2, 1, CLASSES, class_counts=(70, 20, 10)))
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced.weight, wanted, rtol=1e-6)
    assert balanced.state_dict() == {}


@pytest.mark.parametrize(
    ("broken", "spec", "says"),
    [
        (
            CrossEntropy(weight="balanced"),
            DataSpec(2, 1, Labels(("a", "b"), "mask")),
            "give a list of 2",
        ),
        (
            CrossEntropy(weight="balanced"),
            DataSpec(2, 1, CLASSES, class_counts=(4, 0, 1)),
            "class 'b'",
        ),
        (CrossEntropy(weight=[1.0]), DataSpec(2, 1, CLASSES), "3 numbers, one for each of a, b, c"),
        (CrossEntropy(), DataSpec(2, 1, Labels(("a",), "multilabel")), "loss=masked_bce"),
        (CrossEntropy(), DataSpec(2, 1, Labels(("age",), "number")), "has numbers"),
        (MaskedBCE(), DataSpec(2, 1, Labels(("age",), "number")), "choose a loss for numbers"),
        (MaskedBCE(), DataSpec(2, 1, CLASSES), "loss=cross_entropy"),
        (MaskedBCE(), DataSpec(2, 1, MASKS), "loss=dice_ce"),
    ],
)
def test_a_loss_refuses_data_it_is_not_for(broken: NeedsSpec, spec: DataSpec, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        broken.bind(spec)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="balanced, a list or null"):
        CrossEntropy(weight="equal")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="label_smoothing"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(ConfigError, match="square, simple, uniform"):
        GeneralisedDice(w_type="volume")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ignore, zeros, ones"):
        MaskedBCE(uncertain="perhaps")  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["ignore", "zeros", "ones"])
def test_masked_bce_counts_what_is_known(policy: str) -> None:
    logits = RANDOM.normal(size=(4, 3))
    nan = float("nan")
    target = np.array([[1, nan, -1], [0, 1, nan], [nan, nan, nan], [-1, 0, 1]], float)
    total, known = 0.0, 0
    for x, y in zip(logits.ravel(), target.ravel(), strict=True):
        if np.isnan(y) or (y == -1 and policy == "ignore"):
            continue
        y = float(policy == "ones") if y == -1 else y
        p = 1 / (1 + np.exp(-x))
        total, known = total - y * np.log(p) - (1 - y) * np.log(1 - p), known + 1
    masked = loss("masked_bce", f"loss.uncertain={policy}")
    output = torch.from_numpy(logits).requires_grad_()
    got = masked(output, torch.from_numpy(target))
    assert got.item() == pytest.approx(total / known)
    got.backward()
    assert (output.grad[torch.from_numpy(np.isnan(target))] == 0).all()
    assert torch.isfinite(output.grad).all()


def test_a_batch_that_nobody_annotated_teaches_nothing() -> None:
    output = torch.zeros(2, 3, requires_grad=True)
    got = MaskedBCE()(output, torch.full((2, 3), float("nan")))
    got.backward()
    assert got.item() == 0
    assert (output.grad == 0).all()


def test_every_loss_is_checked_here() -> None:
    checked = {
        "dice_bce",
        "dice_ce",
        "dice_focal",
        "tversky",
        "generalised_dice",
        "cross_entropy",
        "masked_bce",
    }
    assert set(groups([conf_dir()])["loss"]) == checked
