"""Several runs tested together, by one process and by two."""

from pathlib import Path

from test_ranks import DDP, RUN, one, run

__all__ = ["one"]  # the fixture


def test_an_ensemble_is_that_of_one_process(
    one: Path,  # noqa: F811
    tmp_path: Path,
    shared_cache: Path,
) -> None:
    """Two seeds that were tested on the same cases answer together: by one rank, by two, and by
    `predict`, far from the data."""
    other = [*RUN, "data.batch_size=4", "seed=1", "trainer.max_epochs=2", "hydra.run.dir=other"]
    run([tmp_path], shared_cache, [*other, "trainer.check_val_every_n_epoch=1"])
    both = f"run=[{one / 'run'},{tmp_path / 'other'}]"
    words = ["evaluate", both, "hydra.run.dir=run"]
    run([tmp_path], shared_cache, words)
    ranks = [tmp_path / "0", tmp_path / "1"]
    run(ranks, shared_cache, [*words, *DDP])
    for name in ("metrics.json", "cases.csv", "look_first.csv"):
        assert (ranks[0] / "run" / name).read_text() == (tmp_path / "run" / name).read_text(), name
        assert not (ranks[1] / "run" / name).exists()
    assert "2 runs were tested on the same cases" in (tmp_path / "screen.txt").read_text()
    assert "Each run" not in (ranks[1] / "screen.txt").read_text()
    images = next(shared_cache.glob("phantoms/PhantomMasks*-30-*/slices/images"))
    run([tmp_path], shared_cache, ["predict", both, f"input={images}", "output=out"])
    masks = {path.name: path.read_bytes() for path in (tmp_path / "run/predictions").iterdir()}
    alone = {name: (one / "run/predictions" / name).read_bytes() for name in masks}
    assert masks != alone
    for name, content in masks.items():
        assert (tmp_path / "out" / name).read_bytes() == content, name
