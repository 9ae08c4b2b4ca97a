"""Spacing, patch and strides: laws for any data set, and the one that nnU-Net published."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medlight.planning.geometry import (
    MIN_EDGE_VOXELS,
    PatchPlan,
    choose_patch,
    pooling_strides,
    resampled_shape,
    target_spacing,
)

shapes = st.tuples(*[st.integers(8, 600)] * 3)
spacings = st.tuples(*[st.floats(0.3, 8.0)] * 3)


@given(shapes, spacings, st.integers(16, 128))
@settings(max_examples=200, deadline=None)
def test_a_patch_fits_and_its_strides_divide_it(
    shape: tuple[int, ...], spacing: tuple[float, ...], edge: int
) -> None:
    def fits(patch: PatchPlan) -> bool:
        return bool(np.prod(patch.shape) <= edge**3)

    patch = choose_patch(shape, spacing, fits)
    divisor = np.prod(np.array(patch.strides or [(1, 1, 1)]), axis=0)
    assert (np.array(patch.shape) % divisor == 0).all()
    assert fits(patch)
    assert (np.array(patch.shape) < np.array(shape) + divisor).all()


@given(shapes, spacings)
@settings(deadline=None)
def test_coarse_axes_are_halved_later_and_voxels_end_up_alike(
    shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    size, voxel = np.array(shape, float), np.array(spacing)
    for stride in pooling_strides(shape, spacing):
        halved = np.array(stride) == 2
        assert halved.any()
        assert (size[halved] >= 2 * MIN_EDGE_VOXELS).all()
        large = size >= 2 * MIN_EDGE_VOXELS
        assert (voxel[halved] < 2 * voxel[large].min()).all()
        size, voxel = np.where(halved, size // 2, size), voxel * np.array(stride)
    assert (size < 2 * MIN_EDGE_VOXELS).all()


def test_hippocampus_is_planned_as_by_nnunet() -> None:
    """Patch 40 x 56 x 40 at 1 mm (Isensee et al. 2021, supplement, Task04)."""
    patch = choose_patch((36, 50, 35), (1.0, 1.0, 1.0), lambda patch: True)
    assert patch == PatchPlan((40, 56, 40), ((2, 2, 2),) * 3)


def test_spacing_is_the_median_unless_one_axis_is_coarse() -> None:
    alike = np.array([[1.0, 1.0, 1.2], [1.0, 1.2, 1.2], [0.8, 1.0, 1.4]])
    cubes = np.full((3, 3), 200)
    assert target_spacing(alike, cubes) == ((1.0, 1.0, 1.2), False)
    thick = np.array([[0.8, 0.8, z] for z in (1.5, 5.0, 5.0, 5.0, 5.0)])
    slabs = np.array([[512, 512, 60]] * 5)
    spacing, coarse = target_spacing(thick, slabs)
    assert coarse
    assert spacing == (0.8, 0.8, float(f"{np.percentile(thick[:, 2], 10):.4g}"))
    assert resampled_shape(slabs, thick, spacing)[2] == round(60 * 5 / spacing[2])
