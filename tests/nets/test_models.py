"""Every yaml in conf/model, in 2-D and 3-D: it learns from images of an odd size."""

from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor

from medlight.cli.config import register
from medlight.cli.options import conf_dir, groups
from medlight.core.data_spec import DataSpec
from medlight.core.errors import ConfigError
from medlight.core.labels import Labels
from medlight.losses.cross_entropy import CrossEntropy
from medlight.nets.build import enable_gradient_checkpointing
from medlight.runs.environment import forward_flops
from medlight.tasks.base import Task
from medlight.tasks.classification import ClassificationTask
from medlight.tasks.segmentation import SegmentationTask

SMALLER = {
    "resnet50": ["layers=[1,1,1,1]", "block_inplanes=[4,8,8,8]"],
    "resnet18": ["block_inplanes=[8,8,16,16]"],
    "vit": ["hidden_size=24", "mlp_dim=24", "num_layers=2"],
    "resnet_fast": ["width=4"],
    "unetr": ["hidden_size=24", "mlp_dim=24", "num_heads=2", "feature_size=4"],
    "swin_unetr": ["feature_size=12", "depths=[1,1,1,1]", "num_heads=[1,1,1,1]", "window_size=3"],
    "dynunet": ["filters=[4,8,8,8]", "deep_supervision=true"],
    "segresnet": ["init_filters=8", "blocks_down=[1,1,1,1]"],
}
"""Nets of full size take seconds a step."""
MODELS = sorted(groups([conf_dir()])["model"])
CLASSIFIERS = {
    model
    for model in MODELS
    if "# task: classification" in (conf_dir() / "model" / f"{model}.yaml").read_text()
}
ODD = {2: (43, 37), 3: (43, 37, 35)}


def task_for(model: str, spec: DataSpec, *overrides: str, **settings: Any) -> Task:
    register()
    words = [f"model.{word}" for word in (*SMALLER.get(model, []), *overrides)]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        net = instantiate(compose("config", [f"model={model}", *words]).model, _convert_="all")
    kind = ClassificationTask if model in CLASSIFIERS else SegmentationTask
    return kind(net=net, spec=spec, loss=CrossEntropy(), **settings)


def facts_for(model: str, shape: tuple[int, ...]) -> DataSpec:
    labels = Labels(("a", "b", "c"), "multiclass" if model in CLASSIFIERS else "mask")
    return DataSpec(len(shape), 2, labels, shape=shape)


def batch_for(model: str, shape: tuple[int, ...]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    image = torch.rand(2, 2, *shape)
    if model in CLASSIFIERS:
        return {"image": image, "label": torch.tensor([2, 0])}
    return {"image": image, "mask": torch.randint(0, 3, (2, 1, *shape))}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_it_learns_from_images_of_an_odd_size(model: str, ndim: int) -> None:
    shape = ODD[ndim]
    task, batch = task_for(model, facts_for(model, shape)), batch_for(model, shape)
    loss = task.step(batch)
    loss.backward()
    assert torch.isfinite(loss)
    idle = [name for name, weight in task.net.named_parameters() if weight.grad is None]
    assert idle == [], "processes that train together would wait for these"
    with torch.no_grad():
        output = task.eval()(batch["image"][:1])
    assert output.shape == ((1, 3) if model in CLASSIFIERS else (1, 3, *shape))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_its_operations_are_counted(model: str, ndim: int) -> None:
    shape = ODD[ndim]
    task = task_for(model, facts_for(model, shape))
    assert forward_flops(task, (2, *shape))
    assert not any(tensor.is_meta for tensor in task.state_dict().values())


def test_deep_supervision_counts_each_level_half_as_much_as_the_one_above() -> None:
    task = task_for("dynunet", facts_for("dynunet", (24, 24)))
    batch = batch_for("dynunet", (24, 24))
    levels = task.net(batch["image"])
    assert levels.shape == (2, 3, 3, 24, 24)
    each = [task.loss(level, batch["mask"]) for level in levels.unbind(1)]
    wanted = (each[0] + each[1] / 2 + each[2] / 4) / 1.75
    torch.testing.assert_close(task.step(batch), wanted)


@pytest.mark.parametrize("model", ["vit", "unetr"])
def test_a_net_for_one_size_says_so(model: str) -> None:
    labels = facts_for(model, (20, 20)).labels
    with pytest.raises(ConfigError, match=r"one image size.*data.patch=\[64, 64\]"):
        task_for(model, DataSpec(2, 1, labels))
    task = task_for(model, DataSpec(2, 1, labels, shape=(20, 20)))
    with pytest.raises(ConfigError, match=r"built for images of up to .*, got 50x20"):
        task(torch.rand(1, 1, 50, 20))


def test_images_too_small_for_a_classifier_are_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match="DenseNet121 cannot take images of 16x16"):
        task_for("densenet121", facts_for("densenet121", (16, 16)))


CHECKPOINTED = ["densenet121", "dynunet", "efficientnet_b0", "segresnet", "unet2d", "vit"]


def held(task: Task, batch: dict[str, Tensor]) -> tuple[int, Tensor]:
    """Bytes kept for the way back, and the loss."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = task.step(batch)
    return sum(kept.values()), loss


@pytest.mark.parametrize("model", CHECKPOINTED)
def test_gradient_checkpointing_gives_the_same_in_less_memory(model: str) -> None:
    shape, memory, seen = (64, 64), [], []
    for again in (False, True):
        torch.manual_seed(0)
        task = task_for(model, facts_for(model, shape), gradient_checkpointing=again)
        before = {name: tuple(value.shape) for name, value in task.state_dict().items()}
        size, loss = held(task, batch_for(model, shape))
        loss.backward()
        memory.append(size)
        seen.append([loss, *task.net.buffers(), *(p.grad for p in task.net.parameters())])
    assert before == {name: tuple(value.shape) for name, value in task.state_dict().items()}
    assert memory[1] < 0.75 * memory[0]
    for plain, again in zip(*seen, strict=True):
        torch.testing.assert_close(again, plain)


def test_gradient_checkpointing_names_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="does not know the blocks of Sequential"):
        enable_gradient_checkpointing(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)))
