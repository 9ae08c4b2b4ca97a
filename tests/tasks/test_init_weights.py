"""A net starts from what fits of another run's weights, and says what that was."""

from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet

from medlight.core.errors import ConfigError, DataNotFoundError
from medlight.tasks.init_weights import load_initial_weights


def unet(classes: int, channels: int = 1) -> UNet:
    return UNet(2, channels, classes, (4, 8), (2,), num_res_units=1, norm="batch")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory whose best and last checkpoints differ."""
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("last", "best"):
        state = {f"net.{key}": value for key, value in unet(3).state_dict().items()}
        torch.save({"state_dict": state, "epoch": 3}, folder / f"{name}.ckpt")
    return tmp_path / "run"


def weights(run: Path, name: str = "best") -> dict[str, torch.Tensor]:
    held = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return {key.removeprefix("net."): value for key, value in held.items()}


def test_a_run_gives_its_best_weights(run: Path) -> None:
    net = unet(3)
    started = load_initial_weights(net, run)
    torch.testing.assert_close(dict(net.state_dict()), weights(run))
    assert (started.reinitialised, started.unused) == ({}, ())
    assert (
        started.summary()
        == f"{len(weights(run))} of {len(weights(run))} tensors start from "
        + str(run / "checkpoints" / "best.ckpt")
    )
    load_initial_weights(net, run / "checkpoints" / "last.ckpt")
    torch.testing.assert_close(dict(net.state_dict()), weights(run, "last"))
    (run / "checkpoints" / "best.ckpt").unlink()
    assert load_initial_weights(net, run).source.name == "last.ckpt"


def test_other_classes_keep_what_they_drew_and_it_is_said(run: Path) -> None:
    net = unet(2)
    reinitialised = {name: value.clone() for name, value in net.state_dict().items()}
    started = load_initial_weights(net, run)
    there = weights(run)
    for name, value in net.state_dict().items():
        same = there[name] if name in started.loaded else reinitialised[name]
        torch.testing.assert_close(value, same)
    assert started.reinitialised
    assert all("2" in why and "there" in why for why in started.reinitialised.values())
    assert set(started.loaded) | set(started.reinitialised) == set(reinitialised)
    assert "model.2.1.conv.unit0.conv.weight (2x2x3x3 here, 3x3x3x3 there)" in started.summary()
    assert started.details().count("\n") == len(reinitialised)


def test_a_plain_state_dict_and_what_it_has_too_much(tmp_path: Path) -> None:
    state = unet(3).state_dict()
    torch.save({**state, "extra.weight": torch.zeros(2)}, tmp_path / "mine.pt")
    started = load_initial_weights(unet(3), tmp_path / "mine.pt")
    assert len(started.loaded) == len(state)
    assert started.unused == ("extra.weight",)
    assert "not used: extra.weight" in started.summary()


def test_what_cannot_be_started_from(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="init=nowhere: it does not exist"):
        load_initial_weights(unet(3), "nowhere")
    with pytest.raises(DataNotFoundError, match=r"holds no checkpoints/best.ckpt"):
        load_initial_weights(unet(3), tmp_path)
    with pytest.raises(ConfigError, match=r"nothing in best.ckpt fits Linear.*model.0"):
        load_initial_weights(torch.nn.Linear(2, 2), run)
    torch.save(unet(3), tmp_path / "whole.pt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name in ("whole.pt", "text.ckpt"):
        with pytest.raises(ConfigError, match="weights alone, or damaged"):
            load_initial_weights(unet(3), tmp_path / name)
