"""docs/performance.md says what the committed results say, and nothing else."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RENDER = runpy.run_path(str(ROOT / "benchmarks" / "render.py"))


def test_the_page_is_what_the_results_give() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text == RENDER["page"](), "type: python benchmarks/render.py"


def test_a_table_that_a_gpu_would_fill_says_so_once() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "gpu.json").read_text())
    without = [row | {"value": None} for row in result["rows"] if "instead" not in row]
    for rows in (without, result["rows"]):
        text = RENDER["section"](result | {"rows": rows})
        assert text.lower().count("not measured") <= 1
    assert "| |" not in RENDER["section"](result | {"rows": without})
    few = [result["rows"][0] | {"value": 1.0, "unit": "s"}, without[1]]
    assert f"Not measured: {without[1]['what']}." in RENDER["section"](result | {"rows": few})


def test_every_result_tells_how_it_came_about() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        result = json.loads(path.read_text())
        assert {"name", "command", "date", "versions", "hardware", "rows"} <= result.keys(), path
        assert result["name"] == path.stem


@pytest.mark.parametrize(
    ("wanted", "value", "reached"),
    [
        ("", 0, True),
        (">= 2", 2, True),
        (">= 2", 1.9, False),
        ("<= 0.001 of the range", 2, False),
        (">= 90 %", None, True),  # not measured
    ],
)
def test_bounds(wanted: str, value: float | None, reached: bool) -> None:
    assert RENDER["reached"]({"wanted": wanted, "value": value}) is reached
