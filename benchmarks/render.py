"""Write docs/performance.md from the results in this folder: a benchmark is shown by existing."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
IMAGES = PAGE.parent / "images"
MAX_NAMED = 5
"""Rows without a value that are named one by one."""
TICKS = (0.5, 1, 2, 5, 10, 20, 60)
INTRODUCTION = """# Performance

Written by `python benchmarks/render.py` from `benchmarks/results/`, as `make bench` does after it
has measured what is quick. Contenders take turns in one process, after a warm-up; figures are
medians, with minimum and maximum in brackets. Ratios travel between machines, times do not.
"""


def page(results: Path = HERE / "results") -> str:
    """The whole document; one section for each file of results, in the order of their names."""
    found = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    return "\n".join([INTRODUCTION, *(section(result) for result in found)])


def section(result: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    rows = []
    missing = [row["what"] for row in result["rows"] if unmeasured(row)]
    for row in result["rows"]:
        if unmeasured(row):
            continue
        spread = f" ({row['minimum']:.4g} - {row['maximum']:.4g})" if "minimum" in row else ""
        known = row["value"] is not None
        value = f"{number(row['value'])} {row['unit']}".strip() if known else row["instead"]
        met = "" if reached(row) else ": **missed**"
        rows.append(f"| {row['what']} | {value}{spread} | {row['wanted']}{met} |")
    lines = [
        f"## {about(result)}",
        "",
        f"`{result['command']}`, {result['date']}, {result['hardware']}; {versions}.",
    ]
    if rows:
        lines += ["", "| | | wanted |", "|---|---|---|", *rows]
    if missing:
        few = len(missing) <= MAX_NAMED and rows
        shown = "; ".join(missing) if few else f"{len(missing)} figures that need a GPU"

        lines += ["", f"Not measured: {shown}."]
    if curves(result):
        lines += ["", f"![Dice against minutes](images/{result['name']}.png)"]
    return "\n".join([*lines, ""])


def unmeasured(row: Mapping[str, Any]) -> bool:
    """Whether a row has neither a value nor words in its place."""
    return row["value"] is None and "instead" not in row


def curves(result: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Minutes and Dice of each side that was scored on the way."""
    rows = result["rows"]
    return {row["what"].partition(":")[0]: row["curve"] for row in rows if "curve" in row}


def draw(result: Mapping[str, Any]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for side, curve in curves(result).items():
        minutes, dice = zip(*curve, strict=True)
        [line] = axes.plot(minutes, dice, marker="o", markersize=3, label=side)
        axes.annotate(
            f"{side}  {dice[-1]:.3f}", (minutes[-1], dice[-1]), xytext=(0, 12),
            textcoords="offset points", ha="right", color=line.get_color(),
        )  # fmt: skip
    axes.set(xscale="log", xlabel="minutes", ylabel="mean Dice of the test cases", ylim=(0.7, 0.9))
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.savefig(IMAGES / f"{result['name']}.png", dpi=120)


def about(result: Mapping[str, Any]) -> str:
    """The first sentence of a benchmark's docstring, and which of its results this is."""
    script = HERE / Path(result["command"].split()[1]).name
    text = ast.get_docstring(ast.parse(script.read_text())) or script.stem
    which = result["name"].removeprefix(script.stem).strip("_")
    return text.partition("\n\n")[0].replace("\n", " ").rstrip(".") + (which and f" ({which})")


def number(value: float) -> str:
    """Four digits that count, and no exponent where people would not write one."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def reached(row: Mapping[str, Any]) -> bool:
    """Whether a value keeps the bound it should, such as `>= 2` or `<= 0.001 of the range`."""
    if not row["wanted"] or row["value"] is None:
        return True
    sign, bound, *_ = row["wanted"].split()
    value, limit = row["value"], float(bound.rstrip("%"))
    return bool(
        {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}[sign]
    )


def main() -> None:
    for path in (HERE / "results").glob("*.json"):
        if curves(result := json.loads(path.read_text())):
            draw(result)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} is written")


if __name__ == "__main__":
    main()
