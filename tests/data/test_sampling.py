"""The order of cases is a function of (seed, epoch, draw) alone."""

from collections import Counter

import pytest

from medlight.data.sampling import EvalSampler, PaddingRow, SampleIndex, TrainBatchSampler, rng_of


def draws_of(batches: TrainBatchSampler, epoch: int) -> list[list[SampleIndex]]:
    batches.set_epoch(epoch)
    return list(batches)


@pytest.mark.parametrize(("cases", "samples", "batch"), [(10, None, 4), (7, 30, 5), (100, 12, 4)])
def test_every_case_is_seen_equally_often(cases: int, samples: int | None, batch: int) -> None:
    batches = TrainBatchSampler(cases, batch_size=batch, samples=samples, seed=3)
    epochs = 40
    seen = Counter(d.row for e in range(epochs) for b in draws_of(batches, e) for d in b)
    assert len(seen) == cases
    assert max(seen.values()) - min(seen.values()) <= 1


def test_batches_are_full_and_draws_number_the_epoch() -> None:
    batches = TrainBatchSampler(10, batch_size=4, samples=22, seed=0)
    drawn = draws_of(batches, 5)
    assert len(drawn) == len(batches) == round(22 / 4)
    assert all(len(batch) == 4 for batch in drawn)
    assert [d.position for batch in drawn for d in batch] == list(range(4 * len(drawn)))
    assert {d.epoch for batch in drawn for d in batch} == {5}


def test_epochs_and_seeds_differ_and_repeat() -> None:
    batches = TrainBatchSampler(20, batch_size=5, seed=1)
    first = draws_of(batches, 0)
    assert draws_of(batches, 1) != first
    assert draws_of(batches, 0) == first
    assert draws_of(TrainBatchSampler(20, batch_size=5, seed=2), 0) != first


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_sees(world_size: int) -> None:
    whole = draws_of(TrainBatchSampler(25, batch_size=4 * world_size, seed=7), 2)
    parts = [
        draws_of(TrainBatchSampler(25, batch_size=4, seed=7, rank=r, world_size=world_size), 2)
        for r in range(world_size)
    ]
    together = [[d for part in batch for d in part] for batch in zip(*parts, strict=True)]
    assert together == whole


@pytest.mark.parametrize(("cases", "world_size"), [(5, 2), (8, 3), (1, 4), (9, 1)])
def test_every_case_is_evaluated_once(cases: int, world_size: int) -> None:
    parts = [list(EvalSampler(cases, rank=r, world_size=world_size)) for r in range(world_size)]
    rows = [row for part in parts for row in part if not isinstance(row, PaddingRow)]
    assert sorted(rows) == list(range(cases))
    assert all(parts), "ranks do their steps together"


def test_a_draw_has_its_own_random_numbers() -> None:
    assert rng_of(1, 2, 3).random() == rng_of(1, 2, 3).random()
    others = {rng_of(*key).random() for key in [(1, 2, 3), (0, 2, 3), (1, 3, 2), (1, 2, 4)]}
    assert len(others) == 4
