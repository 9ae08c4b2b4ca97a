"""Which constructors the configuration of a run may name: a fixed list, and what the user trusts.

A run directory may be somebody else's, and a `_target_` in it would be called like any function.
What the user types or keeps in ./conf is theirs, and is not asked about.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medlight.core.errors import ConfigError
from medlight.transforms.monai_steps import NAMES

TRUST_VARIABLE = "MEDLIGHT_TRUST"
"""Modules or constructors that the user trusts, with commas between them."""

CONSTRUCTORS: Mapping[str, str] = {
    "datetime": "timedelta",
    "medlight.augment.augment": "Augment",
    "medlight.augment.intensity": "Brightness Contrast Gamma GaussianNoise",
    "medlight.augment.resolution": "Blur LowResolution",
    "medlight.augment.spatial": "Affine Elastic Flip",
    "medlight.callbacks.curves": "CurvesLogger LearningRate",
    "medlight.callbacks.determinism": "Determinism",
    "medlight.callbacks.ema": "EMA",
    "medlight.callbacks.last_checkpoint": "LastCheckpoint",
    "medlight.callbacks.panels": "Panels",
    "medlight.callbacks.progress": "Progress",
    "medlight.callbacks.provenance": "Provenance",
    "medlight.callbacks.rescale_schedule": "RescaleSchedule",
    "medlight.callbacks.reseed": "Reseed",
    "medlight.callbacks.results": "Results",
    "medlight.callbacks.selective": "Selective",
    "medlight.callbacks.wandb_panels": "WandbPanels",
    "medlight.datasets.decathlon": "DecathlonDataModule",
    "medlight.datasets.mednist": "MedNISTDataModule",
    "medlight.datasets.nnunet": "NNUNetDataModule",
    "medlight.datasets.phantom": (
        "PhantomDataModule Phantom2DDataModule PhantomMasksDataModule"
    ),
    "medlight.inference.sliding_window": "SlidingWindow",
    "medlight.io.store.store": "Store",
    "medlight.jobs.check": "check",
    "medlight.jobs.evaluate": "evaluate",
    "medlight.jobs.evaluate_files": "evaluate_files",
    "medlight.jobs.export": "export",
    "medlight.jobs.fit": "fit",
    "medlight.jobs.plan": "plan_settings",
    "medlight.jobs.postprocess": "postprocess",
    "medlight.jobs.predict": "predict",
    "medlight.jobs.prepare": "prepare",
    "medlight.jobs.profile": "profile",
    "medlight.jobs.reproduce": "reproduce",
    "medlight.loggers.local": "MLflow TensorBoard",
    "medlight.loggers.wandb": "WandbRunLogger",
    "medlight.losses.cross_entropy": "CrossEntropy MaskedBCE",
    "medlight.losses.dice": "DiceBCE DiceCE DiceFocal GeneralisedDice SoftDice Tversky",
    "medlight.nets.resnet_fast": "ResNetFast",
    "medlight.nets.transformers": "UNETR ViT",
    "medlight.tasks.classification": "ClassificationTask",
    "medlight.tasks.multilabel": "MultilabelTask",
    "medlight.tasks.muon": "Muon",
    "medlight.tasks.schedule": "OneCycle warmup_constant warmup_cosine warmup_poly",
    "medlight.tasks.segmentation": "SegmentationTask",
    "medlight.transforms.monai": "Pipeline RandomSteps",
    "medlight.transforms.radiograph": "Radiograph",
    "medlight.transforms.volume": "Volume",
    "medlight.transforms.workshop": "Workshop",
    "monai.losses": (
        "AsymmetricUnifiedFocalLoss DiceCELoss DiceFocalLoss DiceLoss FocalLoss "
        "GeneralizedDiceFocalLoss GeneralizedDiceLoss HausdorffDTLoss LogHausdorffDTLoss "
        "MaskedDiceLoss SoftclDiceLoss TverskyLoss"
    ),
    "monai.networks.nets": (
        "AttentionUnet BasicUNet BasicUNetPlusPlus DenseNet DenseNet121 DenseNet169 DenseNet201 "
        "DenseNet264 DynUNet EfficientNetBN HighResNet ResNet SegResNet SegResNetDS SwinUNETR "
        "UNETR UNet ViT VNet"
    ),
    "monai.transforms": " ".join(NAMES.values()),
    "pytorch_lightning": "Trainer",
    "pytorch_lightning.callbacks": (
        "DeviceStatsMonitor EarlyStopping GradientAccumulationScheduler LearningRateMonitor "
        "ModelCheckpoint ModelSummary RichModelSummary RichProgressBar StochasticWeightAveraging "
        "Timer TQDMProgressBar"
    ),
    "pytorch_lightning.strategies": "DDPStrategy FSDPStrategy",
    "torch.nn": (
        "BCEWithLogitsLoss CrossEntropyLoss HuberLoss KLDivLoss L1Loss MSELoss NLLLoss "
        "SmoothL1Loss"
    ),
    "torch.optim": "Adagrad Adam Adamax AdamW LBFGS NAdam RAdam RMSprop SGD",
}  # fmt: skip
"""Constructors that any run directory may name: module to names."""

ALLOWED = frozenset(
    f"{home}.{name}" for home, names in CONSTRUCTORS.items() for name in names.split()
)

ENVIRONMENT = ("MEDLIGHT_DATA", "MEDLIGHT_CACHE", "HOME")
"""Variables that a saved configuration may start a path with: where files are."""
_OWN_TEXTS = {"logger.mlflow.tracking_uri": re.compile(r"\$\{oc\.env:MLFLOW_TRACKING_URI,[^$]*\}")}
_REFERENCE = re.compile(r"\$\{[\w.\[\]-]*\}")
_START = re.compile(rf"\$\{{oc\.env:({'|'.join(ENVIRONMENT)})(,[^${{}}]*)?\}}")
_TARGET_LINE = re.compile(r"^[^#\n]*_target_[\"']?\s*[:=]\s*[\"']?([\w.,]+)", re.MULTILINE)


def take_trust(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `trust=[...]` from the words of a command.

    Returns:
        The other words, and what the user trusts.
    """
    kept = [word for word in words if not word.startswith("trust=")]
    given = [word.partition("=")[2].strip("[]") for word in words if word.startswith("trust=")]
    return kept, [name.strip(" '\"") for text in given for name in text.split(",") if name.strip()]


@contextmanager
def trusting(names: Iterable[str]) -> Iterator[None]:
    """Trust these names too, here and in the processes that are started meanwhile."""
    before = os.environ.get(TRUST_VARIABLE)
    trust(names)
    try:
        yield
    finally:
        os.environ.pop(TRUST_VARIABLE, None)
        if before is not None:
            os.environ[TRUST_VARIABLE] = before


def trust(names: Iterable[str]) -> None:
    """Trust these names too, until this process ends."""
    known = [*os.environ.get(TRUST_VARIABLE, "").split(","), *names]
    os.environ[TRUST_VARIABLE] = ",".join(dict.fromkeys(filter(None, known)))


def trusted_names() -> frozenset[str]:
    """Return what the user trusts: names in $MEDLIGHT_TRUST, and those that ./conf uses."""
    named = os.environ.get(TRUST_VARIABLE, "").split(",")
    return frozenset(filter(None, named)) | frozenset(targets_of_folder(Path("conf")))


def targets_of_folder(folder: Path) -> Iterator[str]:
    """The constructors that the yaml files of a folder of configurations name."""
    for file in sorted(folder.rglob("*.yaml")):
        yield from targets_of_text(file.read_text(encoding="utf-8", errors="replace"))


def targets_of_text(text: str) -> Iterator[str]:
    """The constructors that a yaml file, or a word of a command, names."""
    for names in _TARGET_LINE.findall(text):
        yield from filter(None, names.split(","))


def targets_of_config(config: Any) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every `_target_` in a plain nested configuration."""
    for key, value in _leaves(config, ""):
        if key == "_target_" or key.endswith("._target_"):
            yield key, value


def is_trusted(target: str, names: Iterable[str]) -> bool:
    """Return whether a constructor is on the list, or is covered by a name the user trusts."""
    return target in ALLOWED or any(
        target == name or target.startswith(f"{name}.") for name in names
    )


def check_trusted(config: Mapping[str, Any], where: str | Path) -> None:
    """Check that a saved configuration builds nothing but what is allowed, and asks for no secret.

    Args:
        config: as it is saved, references not followed.
        where: the file, for the message.

    Raises:
        ConfigError: it names another constructor, asks for the environment, or names a server.
    """
    names = trusted_names()
    for key, value in targets_of_config(config):
        if not isinstance(value, str) or "${" in value:
            raise ConfigError(f"{where}: {key} must be the name of a constructor, got {value}")
        if not is_trusted(value, names):
            root = value.partition(".")[0]
            word = value if root in _BROAD else root
            raise ConfigError(
                f"{where}: {key} is {value}, which is none of medlight's constructors and may run "
                f"any code; if you know that code, type trust=[{word}]"
            )
    for key, value in _leaves(config, ""):
        if isinstance(value, str):
            _check_text(key, value, where)
    _check_servers(config, where)


_BROAD = frozenset(home.partition(".")[0] for home in CONSTRUCTORS) | {
    "builtins", "functools", "hydra", "importlib", "numpy", "os", "pathlib", "pandas", "shutil",
    "subprocess", "sys",
}  # fmt: skip
"""Packages of which the user is advised to trust a single constructor, not all."""


def _check_text(key: str, text: str, where: str | Path) -> None:
    own = _OWN_TEXTS.get(key)
    if "${" not in text or (own and own.fullmatch(text)):
        return
    rest = _REFERENCE.sub("", _START.sub("", text, count=1) if _START.match(text) else text)
    if "${" in rest or "tracking_uri" in text:
        raise ConfigError(
            f"{where}: {key} is {text}; the configuration of a run may refer to its own keys, and "
            f"begin a path with the variables {', '.join(ENVIRONMENT)}, and nothing else: write "
            f"the value itself there"
        )


def _check_servers(config: Mapping[str, Any], where: str | Path) -> None:
    """No address that data would be sent to, written out or put together by references."""
    from omegaconf import OmegaConf  # `medlight --help` needs none
    from omegaconf.errors import OmegaConfBaseException

    held = OmegaConf.create(dict(config))
    for key, value in _leaves(config, ""):
        if not isinstance(value, str) or (key in _OWN_TEXTS and "${" in value):
            continue
        text = value
        if "${" in value:
            try:
                text = str(OmegaConf.select(held, key))
            except OmegaConfBaseException:
                continue  # a broken reference is an error as soon as it is used
        if "://" in text and not re.match(r"sqlite:///(?!/)", text):
            raise ConfigError(
                f"{where}: {key} is {value}, an address that something would be sent to; remove it "
                f"there, and type it with the command if it is yours"
            )


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            inner = f"{key}.{name}" if key else str(name)
            if name == "_target_":
                yield inner, value
            else:
                yield from _leaves(value, inner)
    elif isinstance(node, list | tuple):
        for place, value in enumerate(node):
            yield from _leaves(value, f"{key}[{place}]")
    else:
        yield key, node
