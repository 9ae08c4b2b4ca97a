"""A net is asked which sizes it takes."""

from functools import partial

import pytest
from monai.networks.nets import AttentionUnet, DynUNet, SegResNet, UNet

from medlight.nets.input_size import InputSize

DYNUNET = {"kernel_size": [3] * 3, "upsample_kernel_size": [2] * 2, "filters": [4, 8, 8]}


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (partial(UNet, channels=(4, 8, 16), strides=(2, 2)), (4, 4, 4)),
        (partial(UNet, channels=(4, 8, 16), strides=((2, 2, 1), 2)), (4, 4, 2)),
        (partial(UNet, channels=(4, 8, 16), strides=(2, (1, 2, 1))), (2, 4, 2)),
        (partial(SegResNet, init_filters=8), (8, 8, 8)),
        (partial(AttentionUnet, channels=(4, 8, 16, 16), strides=(2, 2, 2)), (8, 8, 8)),
        (partial(DynUNet, strides=[1, 2, 2], **DYNUNET), (4, 4, 4)),
    ],
)
def test_the_divisor_is_what_the_net_needs(net: partial, expected: tuple[int, ...]) -> None:
    built = net(spatial_dims=3, in_channels=1, out_channels=2)
    assert InputSize.probe(built, channels=1, spatial_dims=3).divisor == expected
    assert built.training


def test_an_instance_norm_is_never_left_with_one_voxel() -> None:
    net = DynUNet(2, 1, 2, strides=[1, 2, 2], **DYNUNET)
    sizes = InputSize.probe(net, channels=1, spatial_dims=2)
    assert sizes == InputSize((4, 4), (8, 8))
    assert [sizes.round_up(shape) for shape in [(3, 4), (5, 4), (9, 9)]] == [
        (8, 8),
        (8, 4),
        (12, 12),
    ]
