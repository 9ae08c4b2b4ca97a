"""The card of an exported net: what it was made from, how well it did, what it is not for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medlight.core.errors import reading
from medlight.core.outcome import Metric
from medlight.metrics.names import COUNTS
from medlight.runs.directory import PROVENANCE_FILE, RESTORE, RunDirectory
from medlight.tasks.trained_model import TrainedModel

CARD = """\
# {name}

{purpose}

## Intended use

Research on images like those it was trained on. It is not a medical device: it has not been cleared
for diagnosis or treatment, and nothing here replaces a reader.

## Data

{data}

## Scores

{scores}

## Limits

{limits}

## Origin

{origin}
"""


def model_card(run: Path, model: TrainedModel, postprocessing: Mapping[str, Any]) -> str:
    """Markdown, from what the run wrote about itself. What a run lacks is said to be lacking.

    Raises:
        DataError: what it wrote is damaged.
    """
    provenance, scores = RunDirectory(run).provenance(), RunDirectory(run).metrics()
    with reading(run / PROVENANCE_FILE, RESTORE):
        return CARD.format(
            name=model.name,
            purpose=_purpose(model),
            data=_data(provenance) + _pretrained(RunDirectory(run)),
            scores=_partial(run) + _scores(scores, provenance, model.task.outcome.spec.metrics),
            limits=_limits(model, postprocessing),
            origin=_origin(provenance, model),
        )


def _purpose(model: TrainedModel) -> str:
    spec = model.spec
    kind = model.task.outcome.purpose(spec.image_dims)
    channels = ", ".join(spec.modality) or f"{spec.channels} channel(s) of unnamed modality"
    taken = f"{spec.image_dims}-D {channels}"
    seen = f", and sees it in {spec.slices} slices" if spec.slices else ""
    return f"{kind}: {', '.join(spec.labels.foreground)}. Takes {taken}{seen}."


def _data(provenance: Mapping[str, Any]) -> str:
    data, split = provenance.get("data"), provenance.get("split")
    if not data or not split:
        return "The run holds no provenance.json: nothing is known of its data."
    lines = [
        f"- {source['name']} {source['version'] or '(no version named)'}; licence: "
        f"{source['licence'] or 'not named: ask its owner before you pass the weights on'}"
        for source in data["sources"]
    ]
    return "\n".join([
        *lines,
        f"- fingerprint {data['fingerprint']}",
        f"- fold {split['fold']}: {split['train']} cases trained it, {split['val']} chose the "
        f"checkpoint, {split['test']} tested it; patients are on one side only (hash "
        f"{split['hash'][:12]}).",
    ])  # fmt: skip


def _partial(run: Path) -> str:
    left_out = RunDirectory(run).left_out()
    return f"**A partial run, no result**: {', '.join(left_out)}.\n\n" if left_out else ""


def _pretrained(run: RunDirectory) -> str:
    seen = run.pretrained_on()
    leaked = seen & {*run.split().get("test", ())} if seen else seen
    if not leaked:
        return ""
    return (
        f"\n- **{len(leaked)} test cases had trained or chosen the weights it started from: the "
        f"scores are not those of new patients.**"
    )


def _scores(
    scores: Mapping[str, Any], provenance: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> str:
    """A line for each score of the test, with its 95 % bootstrap interval by patient."""
    lines = []
    for key, value in scores.items():
        name, _, label = key.removeprefix("test/").partition("/")
        if (name not in metrics and name not in COUNTS) or value is None:
            continue
        ends = [scores.get(f"test/{name}_{end}" + (f"/{label}" if label else ""))
                for end in ("low", "high")]  # fmt: skip
        known = metrics.get(name)
        title = known.title if known else name.replace("_", " ")
        unit = f" {known.unit}" if known and known.unit else ""
        shown = f"{value:z.4f}{unit}" if known else f"{value:.0f}"
        between = f"{ends[0]:z.4f} to {ends[1]:z.4f}" if None not in ends else ""
        lines.append(f"| {title} | {label or 'all'} | {shown} | {between} |")
    if not lines:
        return "The run was not tested."
    head = "| score | class | test cases | 95 % interval, by patient |\n|---|---|---|---|\n"
    policy = provenance.get("policy")
    return head + "\n".join(lines) + (f"\n\nPolicy: {policy}" if policy else "")


def _limits(model: TrainedModel, postprocessing: Mapping[str, Any]) -> str:
    spec = model.spec
    lines = [
        "- Scores hold for the population, scanners and protocols of the data above; nothing is "
        "known beyond them.",
        "- It answers for any image, also for one that shows none of this: there is no check of "
        "what an image is.",
    ]
    if spec.patch is not None:
        lines.append(f"- It sees {'x'.join(map(str, spec.patch))} voxels at a time.")
    if not spec.modality:
        lines.append("- Its data did not name their modality.")
    if postprocessing:
        lines.append(
            f"- Validation cases chose what is done to its masks: {json.dumps(postprocessing)}."
        )
    return "\n".join(lines)


def _origin(provenance: Mapping[str, Any], model: TrainedModel) -> str:
    code, training, net = (provenance.get(part) or {} for part in ("code", "training", "net"))
    parts = {
        "net": f"{net.get('class')}, {net.get('parameters', 0):,} parameters" if net else None,
        "epochs": training.get("epochs"),
        "commit": code.get("commit"),
        "medlight": code.get("medlight"),
        "checkpoint sha256": model.digest,
    }
    return "\n".join(f"- {name}: {value}" for name, value in parts.items() if value)
