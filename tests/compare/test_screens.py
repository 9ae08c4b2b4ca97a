"""What `medlight compare` prints and how its page begins: short, whole words, verdict first."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from medlight.compare.comparison import Comparison, compare
from medlight.compare.groups import group_runs
from medlight.compare.page import page
from medlight.compare.runs import read_runs
from medlight.compare.tables import show
from medlight.report.console_table import ELLIPSIS

CLASSES = ("left_ventricle", "right_ventricle", "myocardium")


@pytest.fixture
def comparison_of(new_run: Callable[..., Path], tmp_path: Path) -> Callable[[int], Comparison]:
    """A comparison of so many runs, each a little better than the one before."""

    def made(number: int) -> Comparison:
        base = np.random.default_rng(0).uniform(0.6, 0.9, (12, 3))
        noise = np.random.default_rng(1).normal(0, 0.002, (number, 12, 3))
        for i in range(number):
            folder = new_run(
                tmp_path / f"run{i}", dice=base + 0.01 * i + noise[i], classes=CLASSES,
                config={"model": {"channels_of_the_encoder": f"[{8 + i},{16 + i},{32 + i}]"}},
            )  # fmt: skip
            lines = (folder / "cases.csv").read_text().splitlines()
            spoken = [f"{line},{0.1 + 0.01 * (j % 5) - 0.01 * i}" for j, line in enumerate(lines)]
            text = "\n".join([f"{lines[0]},uncertainty", *spoken[1:]])
            (folder / "cases.csv").write_text(text + "\n")
        runs, skipped = read_runs([tmp_path])
        return compare(group_runs(runs), skipped=skipped, n_resamples=200)

    return made


def printed(comparison: Comparison, width: int, metrics: tuple[str, ...] = ()) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    show(comparison, console, metrics)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("number", [1, 2, 6, 20])
def test_main_metric_verdict_and_cost_stand_on_one_screen(
    number: int, width: int, comparison_of: Callable[[int], Comparison]
) -> None:
    lines = printed(comparison_of(number), width)
    assert len(lines) <= 60
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "Dice" in text
    assert "Cost" in text
    assert "uncertainty" not in text
    assert "What differs" not in text
    assert ("and 12 more, see the page" in text) == (number == 20)
    assert ("patients, a true difference of" in text) == (number > 1)
    words = ("left_", "right_", "ventricle", "myocardium")  # which may stand on two lines
    assert all(word in text for word in words) == (number <= 6)


@pytest.mark.parametrize("width", [80, 120])
def test_all_prints_the_rest(width: int, comparison_of: Callable[[int], Comparison]) -> None:
    found = comparison_of(3)
    lines = printed(found, width, ("all",))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for title in ("What differs", "Rank stability", "Cases that changed most"):
        assert title in text
    assert "channels_of_the_encoder" in text  # folded, not cut
    assert "better" in text
    assert ELLIPSIS not in text


def test_uncertainty_is_a_column_and_not_a_score(
    comparison_of: Callable[[int], Comparison],
) -> None:
    found = comparison_of(2)
    assert not any(metric == "uncertainty" for metric, _ in found.scores[found.reference.name])
    assert {result.key[0] for result in found.results} == {"dice"}


def test_the_page_begins_with_a_forest_plot_that_can_be_read_aloud(
    comparison_of: Callable[[int], Comparison],
) -> None:
    found = comparison_of(6)
    text = page(found).html()
    body = text.partition("<body>")[2]
    assert body.index("<svg") < body.index("<h2>")
    plot = re.search(r"<svg class='chart forest'.*?</svg>", body, re.DOTALL)[0]
    assert plot.count("<circle") == 5
    told = re.search(r"<desc[^>]*>(.*?)</desc>", plot)[1]
    for result in found.results:
        if result.key == ("dice", ""):
            assert f"{result.group}: {result.difference.mean:+.4f}" in told
    assert "role=img" in plot
    assert "better" in told


def test_what_is_wide_stands_behind_a_click(comparison_of: Callable[[int], Comparison]) -> None:
    body = page(comparison_of(6)).html()
    shown = re.sub(r"<details>.*?</details>", "", body, flags=re.DOTALL)
    heads = re.findall(r"<thead><tr>(.*?)</tr>", shown)
    assert max(head.count("<th") for head in heads) <= 7
    assert (
        "channels_<wbr>of_<wbr>the_<wbr>encoder" in body
    )  # a long name may fold, a number may not
    assert "0.<wbr>" not in body
