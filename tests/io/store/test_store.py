"""Each case is made once, and again only when what it is made from changes."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlight.core.errors import DataError, DataNotFoundError
from medlight.io.store.build import Quota, StoreFullError
from medlight.io.store.store import STORE_VERSION, Store
from medlight.io.store.stored_cases import InMemoryCases, memory_bytes

New = Callable[..., Store]
Numbers = Any
RECIPE = {"transforms.spacing_mm": None}


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="medlight.io.store")


def ids(numbers: Numbers) -> list[str]:
    return [case.id for case in numbers.cases]


def test_what_is_read_is_what_was_prepared(numbers: Numbers, store: New) -> None:
    stored = numbers.open(store())
    for row, case in enumerate(numbers.cases):
        image, mask = numbers.whole(stored, row)
        made = numbers.build(case)
        bound = np.ptp(made.image) / 130_000 + 1e-6  # half a step of int16, and float32's own
        np.testing.assert_allclose(image, made.image, rtol=0, atol=bound)
        np.testing.assert_array_equal(mask, made.mask)
        source_grid, grid = stored.grids(row)
        assert source_grid == made.source_grid
        assert grid == made.grid
        np.testing.assert_allclose(
            stored.statistics.mean[row], made.image.mean((1, 2, 3)), atol=1e-6
        )
        np.testing.assert_allclose(stored.statistics.std[row], made.image.std((1, 2, 3)), rtol=1e-5)


def test_a_window_is_that_part_of_the_whole(numbers: Numbers, store: New) -> None:
    stored = numbers.open(store())
    window = (slice(1, 4), slice(0, 6), slice(2, 3))
    first = [part.start for part in window]
    for source, place in ((stored, window), (InMemoryCases(stored, min_shape=None), first)):
        image, mask = np.empty((2, 3, 6, 1), np.float32), np.empty((1, 3, 6, 1), np.int64)
        source.read(2, place, image, mask)
        made = numbers.build(numbers.cases[2])
        np.testing.assert_array_equal(mask, made.mask[(slice(None), *window)])
        spatial = (-1, 1, 1, 1)
        seen = image * stored.scale[2].reshape(spatial) + stored.shift[2].reshape(spatial)
        np.testing.assert_allclose(seen, made.image[(slice(None), *window)], atol=1e-4)


def test_nothing_is_made_twice(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture
) -> None:
    numbers.open(store())
    assert sorted(numbers.built) == ids(numbers)
    assert "preparing 6 of 6 cases (6 new)" in caplog.text
    caplog.clear()
    numbers.open(store())
    assert numbers.built == []
    assert caplog.text == ""


def test_a_new_case_rebuilds_nothing_else(numbers: Numbers, store: New) -> None:
    numbers.open(store())
    numbers.add(77)
    numbers.open(store())
    assert numbers.built == ["case_77"]


def test_a_folder_that_moved_rebuilds_nothing(numbers: Numbers, store: New, tmp_path: Path) -> None:
    numbers.open(store())
    moved = numbers.elsewhere(tmp_path / "elsewhere")
    moved.open(store())
    assert moved.built == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transforms.spacing_mm": [1, 1, 2]}, "spacing_mm changed from null to [1, 1, 2]"),
        (
            {"transforms.spacing_mm": None, "transforms.flip": True},
            "transforms.flip changed from null to true",
        ),
    ],
)
def test_a_changed_transform_is_named(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture, change: dict, told: str
) -> None:
    numbers.open(store())
    caplog.clear()
    numbers.open(store(), change)
    assert sorted(numbers.built) == ids(numbers)
    assert f"6 {told if told.startswith('tr') else 'transforms.' + told}" in caplog.text
    numbers.open(store())
    assert numbers.built == [], "what was made before is still there"


@pytest.mark.parametrize("option", [{"dtype": "float16"}, {"codec": "blosc2"}])
def test_a_changed_store_is_named(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture, option: dict[str, str]
) -> None:
    if "codec" in option:
        pytest.importorskip("blosc2")
    numbers.open(store())
    caplog.clear()
    numbers.open(store(**option))
    assert len(numbers.built) == 6
    assert f"6 store.{next(iter(option))} changed from" in caplog.text


def test_a_changed_version_is_named(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers.open(store())
    monkeypatch.setattr("medlight.io.store.store.STORE_VERSION", 99)
    numbers.open(store())
    assert f"store.version changed from {STORE_VERSION} to 99" in caplog.text


def test_a_changed_file_is_named(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture
) -> None:
    numbers.open(store())
    numbers.add(3, np.zeros((2, 5, 6, 4)))
    caplog.clear()
    stored = numbers.open(store())
    assert numbers.built == ["case_3"]
    assert "1 the image file changed" in caplog.text
    assert numbers.whole(stored, 3)[0].max() == 0


@pytest.mark.parametrize("damage", ["empty", "short", "long", "head", "magic"])
def test_a_damaged_case_is_made_again(
    numbers: Numbers, store: New, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = numbers.open(store()).paths[2]
    good = path.read_bytes()
    bad = {
        "empty": b"",
        "short": good[:-7],
        "long": good + b"x",
        "head": good[:60] + bytes([good[60] ^ 1]) + good[61:],
        "magic": b"NIFTI" + good[5:],
    }
    path.write_bytes(bad[damage])
    caplog.clear()
    stored = numbers.open(store())
    assert numbers.built == ["case_2"]
    assert str(path) in caplog.text
    assert "1 damaged" in caplog.text
    assert stored.paths[2].read_bytes() == good


def test_a_flipped_bit_is_found_when_it_is_looked_for(numbers: Numbers, store: New) -> None:
    path = numbers.open(store()).paths[2]
    good = path.read_bytes()
    path.write_bytes(good[:-9] + bytes([good[-9] ^ 1]) + good[-8:])
    numbers.open(store(), check=True)
    assert numbers.built == ["case_2"]
    assert path.read_bytes() == good


def test_a_lost_ledger_costs_nothing_but_time(numbers: Numbers, store: New) -> None:
    ledger = Path(store().folder) / "sets" / "numbers.json"
    numbers.open(store())
    for content in (None, b"", b"{", b"[]", b'{"cases": 3}'):
        ledger.unlink() if content is None else ledger.write_bytes(content)
        numbers.open(store())
        assert numbers.built == []


def test_bad_cases_are_all_named_and_the_good_ones_kept(numbers: Numbers, store: New) -> None:
    numbers.add(1, np.full((2, 5, 6, 4), np.nan))
    numbers.cases[4].files["image"].path.unlink()  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"(?s)2 of 6 .*case_4.*no such file.*case_1.*nan"):
        numbers.open(store())
    numbers.add(1)
    numbers.add(4)
    numbers.open(store())
    assert numbers.built == ["case_1", "case_4"] or numbers.built == ["case_4", "case_1"]


def test_one_bad_case_keeps_its_kind_of_error(numbers: Numbers, store: New) -> None:
    numbers.cases[4].files["image"].path.unlink()  # type: ignore[union-attr]
    with pytest.raises(DataNotFoundError, match="case_4"):
        numbers.open(store())


def test_other_shapes_of_channels_are_refused(numbers: Numbers, store: New) -> None:
    numbers.add(1, np.zeros((3, 5, 6, 4)))
    with pytest.raises(DataError, match=r"'case_1'.*\(3, 5, 6, 4\).*'case_0'"):
        numbers.open(store())


def test_what_was_used_longest_ago_leaves_first(numbers: Numbers, store: New) -> None:
    old = numbers.open(store())
    size = sum(path.stat().st_size for path in old.paths)
    for age, path in enumerate(old.paths):
        os.utime(path, (1000 + age, 1000 + age))
    tight = store(max_gb=1.5 * size / 2**30)
    new = numbers.open(tight, {"transforms.spacing_mm": [1, 1, 1]})
    assert all(path.is_file() for path in new.paths)
    left = [path.is_file() for path in old.paths]
    assert not all(left)
    assert any(left)
    assert left == sorted(left), "the older ones went"


def test_what_is_being_written_does_not_leave(tmp_path: Path) -> None:
    for name in ("old.case", ".0123abcd-new.case"):
        path = tmp_path / "ab" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
    Quota(tmp_path, 150 / 2**30).reserve(100)
    assert [path.name for path in (tmp_path / "ab").iterdir()] == [".0123abcd-new.case"]


def test_too_small_a_store_is_refused(numbers: Numbers, store: New) -> None:
    with pytest.raises(StoreFullError, match=r"store\.max_gb=.*type a larger store\.max_gb"):
        numbers.open(store(max_gb=3000 / 2**30))


def test_a_patient_may_be_forgotten(numbers: Numbers, store: New) -> None:
    one = numbers.open(store()).paths
    other = numbers.open(store(dtype="float16")).paths
    assert store().delete("numbers", {"case_2", "case_5", "case_x"}) == 4
    for paths in (one, other):
        assert [path.exists() for path in paths] == [True, True, False, True, True, False]
    text = (Path(store().folder) / "sets" / "numbers.json").read_text()
    assert "case_2" not in text
    assert "case_1" in text
    one[2].write_bytes(one[1].read_bytes())  # not looked at again: they are known to be gone
    assert store().delete("numbers", {"case_2", "case_5", "case_x"}) == 0
    one[2].unlink()
    numbers.open(store())  # they came back, and go again
    assert store().delete("numbers", {"case_2"}) == 1
    (Path(store().folder) / "sets" / "numbers.json").unlink()
    assert store().delete("numbers", {"case_1"}) == 2, "without the ledger, too"


def test_memory_is_shared_out(numbers: Numbers, store: New) -> None:
    stored = numbers.open(store())
    one = store(memory_gb=1.5 * memory_bytes(stored, None) / 2**30)
    assert one.load_into_memory(stored, (8, 8, 8)) is None, "what surrounds a case counts, too"
    assert one.load_into_memory(stored) is not None
    assert one.load_into_memory(stored) is None, "there was room for one"


def test_a_case_in_memory_is_surrounded(numbers: Numbers, store: New) -> None:
    stored = numbers.open(store())
    held = InMemoryCases(stored, min_shape=(5, 9, 5))
    assert held.shapes[0].tolist() == [5, 9, 5]
    assert held.pad_before[0].tolist() == [0, 1, 0]
    image, mask = np.empty((2, 5, 9, 5), np.float32), np.empty((1, 5, 9, 5), np.int64)
    held.read(0, [-m for m in held.pad_before[0].tolist()], image, mask)
    inner = np.empty((2, 5, 6, 4), np.float32)
    stored.read(0, (slice(0, 5), slice(0, 6), slice(0, 4)), inner, None)
    np.testing.assert_array_equal(image[:, :, 1:7, :4], inner)
    for channel in range(2):
        assert (image[channel, :, [0, 7, 8]] == inner[channel].min()).all()
        assert (image[channel, ..., 4] == inner[channel].min()).all()
    assert not mask[:, :, [0, 7, 8]].any()


@pytest.mark.parametrize(
    ("option", "told"),
    [({"codec": "zip"}, "store.codec must be one of none, blosc2"), ({"dtype": "f4"}, "int16")],
)
def test_settings_that_do_not_exist(store: New, option: dict[str, str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        store(**option)


def test_the_recipe_is_part_of_the_key(numbers: Numbers, store: New) -> None:
    one = numbers.open(store()).paths
    other = numbers.open(store(), {**RECIPE, "x": 1}).paths
    assert not {*one} & {*other}
