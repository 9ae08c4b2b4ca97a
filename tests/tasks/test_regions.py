"""Regions that overlap as what a net learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from monai.networks.nets import UNet

from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.datasets.phantom import PhantomMasksDataModule
from medlight.losses.dice import DiceBCE, DiceCE
from medlight.tasks.segmentation import SegmentationTask
from medlight.transforms.radiograph import Radiograph

BRATS = (("whole", (1, 2, 3)), ("core", (1, 3)), ("enhancing", (3,)))
LABELS = Labels(("background", "necrosis", "edema", "enhancing"), "mask")
REGIONS: dict[str, Any] = {"target": "regions", "loss": DiceBCE()}


def net(spatial_dims: int, in_channels: int, out_channels: int) -> UNet:
    return UNet(spatial_dims, in_channels, out_channels, channels=(8, 16), strides=(2,))


def task(spec: DataSpec | None = None, **settings: Any) -> SegmentationTask:
    spec = spec or DataSpec(2, 1, LABELS, regions=BRATS)
    return SegmentationTask(net=net, spec=spec, **{**REGIONS, **settings})


def test_each_region_is_an_output_of_its_own() -> None:
    torch.manual_seed(0)
    made = task()
    batch = {"image": torch.rand(2, 1, 16, 16), "mask": torch.randint(0, 4, (2, 1, 16, 16))}
    logits = made(batch["image"])
    assert logits.shape == (2, 3, 16, 16)
    truth = np.stack([np.isin(batch["mask"][:, 0].numpy(), each) for _, each in BRATS], axis=1)
    wanted = DiceBCE()(logits, torch.from_numpy(truth))
    torch.testing.assert_close(made.step(batch), wanted)


def test_what_is_not_annotated_teaches_nothing() -> None:
    made = task(DataSpec(2, 1, LABELS, regions=BRATS[:1], ignore=2))
    mask = torch.randint(0, 4, (1, 1, 16, 16))
    output = torch.randn(1, 1, 16, 16, requires_grad=True)
    made.loss(*made._loss_inputs(output, mask)).backward()
    assert output.grad is not None
    ignored = mask == 2
    assert (output.grad[ignored] == 0).all()
    assert (output.grad[~ignored] != 0).any()


@pytest.mark.parametrize(
    ("regions", "settings", "says"),
    [
        ((), {}, r"give data\.regions="),
        (BRATS, {"loss": DiceCE()}, "choose loss=dice_bce"),
        (BRATS, {"target": "labels"}, "choose loss=dice_ce"),
        (BRATS, {"target": "masks"}, r"task\.target must be labels or regions"),
        (BRATS[::-1], {}, "name larger regions before the ones they contain"),
    ],
)
def test_what_does_not_fit_is_refused(regions: Any, settings: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        task(DataSpec(2, 1, LABELS, regions=regions), **settings)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_regions_are_learnt_and_painted(shared_cache: Path) -> None:
    """Two organs, and both together; masks come out with labels."""
    pl.seed_everything(0, verbose=False)
    data = PhantomMasksDataModule(
        cache=shared_cache,
        n_cases=30,
        transforms=Radiograph(size=(48, 48)),
        batch_size=4,
        epoch_samples=120,
        regions={"both": (1, 2), "second": (2,)},
    )
    data.setup()
    made = task(data.spec, optimizer=lambda weights: torch.optim.AdamW(weights, lr=1e-2))
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(made, datamodule=data)
    assert float(trainer.callback_metrics["val/dice/both"]) > 0.8
    assert float(trainer.callback_metrics["val/dice/second"]) > 0.8
    [result] = made.eval().infer(next(iter(data.val_dataloader())))  # type: ignore[arg-type]
    assert result.prediction is not None
    assert set(np.unique(result.prediction)) <= {0, 1, 2}
