"""Surface distances against SciPy, the surface-distance package, hand cases and laws."""

import itertools
import math

import numpy as np
import pytest
import surface_distance as published
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from medlight.metrics.surface import SurfaceDistances, surface_distances
from medlight.metrics.surface_elements import neighbour_codes, surface_element_areas

# 2026-11, surface-distance 0.1 on SciPy 1.17:
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is deprecated and will be removed in SciPy 2:DeprecationWarning"
)

CUBOIDS = st.tuples(*(st.integers(2, 6) for _ in range(3)))
MASKS = CUBOIDS.flatmap(lambda shape: st.tuples(*(arrays(bool, shape) for _ in range(2)))).filter(
    lambda pair: pair[0].any() and pair[1].any()
)
SPACING = st.tuples(*(st.sampled_from((0.5, 0.8, 1.0, 3.0)) for _ in range(3)))


def scores(found: SurfaceDistances, tolerance_mm: float = 1.0) -> tuple[float, float, float]:
    return found.hd95_mm, found.assd_mm, found.nsd(tolerance_mm)


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth blobs that overlap."""
    random = np.random.default_rng(seed)
    place = np.indices(shape).reshape(len(shape), -1).T
    pair = []
    for _ in range(2):
        centre = np.array(shape) * random.uniform(0.4, 0.6, len(shape))
        radius = np.array(shape) * random.uniform(0.25, 0.4, len(shape))
        pair.append(((((place - centre) / radius) ** 2).sum(1) < 1).reshape(shape))
    return pair[0], pair[1]


@pytest.mark.parametrize("shape", [(24, 30), (16, 20, 12), (20, 18, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_distances_equal_scipys_on_the_same_elements(seed: int, shape: tuple[int, ...]) -> None:
    spacing = (0.8, 1.3, 5.0)[: len(shape)]
    prediction, reference = blobs(seed, shape)
    found = surface_distances(prediction, reference, spacing)
    sides = [neighbour_codes(mask) for mask in (prediction, reference)]
    inner = [(codes > 0) & (codes < 2**2 ** len(shape) - 1) for codes in sides]
    far = [distance_transform_edt(~cells, sampling=spacing) for cells in inner]
    np.testing.assert_allclose(found.prediction_distances_mm, far[1][inner[0]], atol=1e-9)
    np.testing.assert_allclose(found.reference_distances_mm, far[0][inner[1]], atol=1e-9)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 5.0)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_published_package(seed: int, spacing: tuple[float, ...]) -> None:
    """Elements and distances are the same. Areas are not, and the package's are larger: it cuts
    bent pieces into triangles in a way that depends on how the mask is turned."""
    prediction, reference = blobs(seed, (28, 24, 20))
    ours = surface_distances(prediction, reference, spacing)
    theirs = published.compute_surface_distances(reference, prediction, spacing)
    for side, key in (
        (ours.prediction_distances_mm, "pred_to_gt"),
        (ours.reference_distances_mm, "gt_to_pred"),
    ):
        np.testing.assert_allclose(np.sort(side), np.sort(theirs[f"distances_{key}"]), atol=1e-5)
    expected = ours.prediction_areas.sum()
    assert 1 < theirs["surfel_areas_pred"].sum() / expected < 1.06
    for tolerance in (0.5, 1.0, 2.0):
        nsd = published.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert ours.nsd(tolerance) == pytest.approx(nsd, abs=0.01)
    hd95 = published.compute_robust_hausdorff(theirs, 95)
    assert ours.hd95_mm == pytest.approx(hd95, rel=0.05)
    assert ours.assd_mm == pytest.approx(
        np.mean(published.compute_average_surface_distance(theirs)), rel=0.05
    )


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_published_package_in_two_dimensions(seed: int) -> None:
    prediction, reference = blobs(seed, (40, 30))
    ours = surface_distances(prediction, reference, (0.8, 2.0))
    theirs = published.compute_surface_distances(reference, prediction, (0.8, 2.0))
    assert ours.hd95_mm == pytest.approx(published.compute_robust_hausdorff(theirs, 95))
    for tolerance in (0.5, 1.5):
        nsd = published.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert ours.nsd(tolerance) == pytest.approx(nsd)


def test_two_flat_faces_by_hand() -> None:
    """Slabs through the whole array, moved by two voxels of 1.5 mm: the faces lie 3 mm off; of
    the rim, 6 of 26 parts of the border, two thirds do not."""
    one, two = np.zeros((12, 40, 40), bool), np.zeros((12, 40, 40), bool)
    one[2:6] = two[4:8] = True
    found = surface_distances(one, two, (1.5, 1.0, 1.0))
    assert found.hd95_mm == pytest.approx(3)
    assert np.median(found.prediction_distances_mm) == pytest.approx(3)
    assert found.nsd(3) == 1
    assert 6 / 26 * 2 / 3 < found.nsd(2.9) < 0.3


def test_single_voxels_by_hand() -> None:
    one, two = np.zeros((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    one[1, 1, 1] = two[1, 1, 3] = True
    # Each border has 8 cells: 4 between the voxels that both share, 4 beyond that lie 2 mm off.
    two[1, 1, 3], two[1, 1, 2] = False, True
    found = surface_distances(one, two, (1, 1, 1))
    assert sorted(found.prediction_distances_mm) == [0] * 4 + [1] * 4
    assert scores(found, 0.5) == pytest.approx((1, 0.5, 0.5))
    octahedron = 8 * math.sqrt(3) / 8  # of half a voxel's reach: eight triangles
    assert found.prediction_areas.sum() == pytest.approx(octahedron)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_sizes_of_known_cells(spacing: tuple[float, ...]) -> None:
    sizes = surface_element_areas(spacing)
    x, y, z = spacing
    assert sizes[0] == sizes[255] == 0
    assert sizes[0b00001111] == pytest.approx(y * z)  # the four corners of one side of axis 0
    assert sizes[0b00110011] == pytest.approx(x * z)
    assert sizes[0b01010101] == pytest.approx(x * y)
    corner = np.linalg.norm([x * y, y * z, x * z]) / 8
    singles = [sizes[1 << bit] for bit in range(8)]
    assert singles == pytest.approx([corner] * 8)
    assert (sizes[1:255] > 0).all()


def test_area_of_a_sphere_is_nearer_than_that_of_triangles() -> None:
    place = np.indices((44, 44, 44)) - 21.5
    ball = (place**2).sum(0) < 20**2
    ours = surface_distances(ball, ball, (1, 1, 1)).prediction_areas.sum()
    theirs = published.compute_surface_distances(ball, ball, (1, 1, 1))["surfel_areas_gt"].sum()
    truth = 4 * math.pi * 20**2
    assert abs(ours - truth) < abs(theirs - truth) < 0.1 * truth


@given(MASKS, SPACING)
@settings(max_examples=60, deadline=None)
def test_laws(pair: tuple[np.ndarray, np.ndarray], spacing: tuple[float, ...]) -> None:
    prediction, reference = pair
    plain = scores(surface_distances(prediction, reference, spacing))
    assert 0 <= plain[2] <= 1
    assert plain[0] >= 0
    assert plain[1] >= 0
    # The two masks change places.
    assert scores(surface_distances(reference, prediction, spacing)) == pytest.approx(plain)
    # The masks lie elsewhere in a larger image.
    moved = [np.pad(mask, ((1, 2), (3, 0), (0, 4))) for mask in pair]
    assert scores(surface_distances(*moved, spacing)) == pytest.approx(plain)
    # The image is turned or mirrored.
    for axes in itertools.permutations(range(3)):
        turned = [mask.transpose(axes) for mask in pair]
        assert scores(surface_distances(*turned, [spacing[a] for a in axes])) == pytest.approx(
            plain
        )
    mirrored = [mask[::-1, :, ::-1] for mask in pair]
    assert scores(surface_distances(*mirrored, spacing)) == pytest.approx(plain)
    # Everything is twice as large.
    twice = surface_distances(prediction, reference, [2 * s for s in spacing])
    assert scores(twice, 2.0) == pytest.approx((2 * plain[0], 2 * plain[1], plain[2]))


@given(MASKS, SPACING)
@settings(max_examples=30, deadline=None)
def test_a_mask_is_at_no_distance_from_itself(
    pair: tuple[np.ndarray, np.ndarray], spacing: tuple[float, ...]
) -> None:
    assert scores(surface_distances(pair[0], pair[0], spacing), 0.0) == (0, 0, 1)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no border"):
        surface_distances(np.zeros((3, 3), bool), np.ones((3, 3), bool), (1, 1))
