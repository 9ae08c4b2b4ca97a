"""A small residual net that is trained in seconds."""

from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn


class ResNetFast(nn.Module):
    """ResNet-9 after Page's "How to train your ResNet" (2018), for images and volumes.

    A stem, then three stages that double the channels, the first and the last with a residual
    block; the maximum over the image; a linear layer. Stem and stages halve the image, by strides
    where Page has pooling: a seventh of the arithmetic.

    Args:
        width: channels of the stem.
    """

    def __init__(
        self, *, spatial_dims: int, in_channels: int, out_channels: int, width: int = 32
    ) -> None:
        super().__init__()
        wide = [width * 2**stage for stage in range(4)]
        self.features = nn.Sequential(
            conv_norm_relu(spatial_dims, in_channels, wide[0], stride=2),
            conv_norm_relu(spatial_dims, wide[0], wide[1], stride=2),
            Residual(spatial_dims, wide[1]),
            conv_norm_relu(spatial_dims, wide[1], wide[2], stride=2),
            conv_norm_relu(spatial_dims, wide[2], wide[3], stride=2),
            Residual(spatial_dims, wide[3]),
        )
        self.pool = Pool[Pool.ADAPTIVEMAX, spatial_dims](1)
        self.head = nn.Linear(wide[3], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, *S) to (B, K) logits."""
        logits: Tensor = self.head(self.pool(self.features(image)).flatten(1))
        return logits


class Residual(nn.Module):
    """x + two units of x."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            conv_norm_relu(spatial_dims, channels, channels),
            conv_norm_relu(spatial_dims, channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.inner(x)
        return changed


def conv_norm_relu(
    spatial_dims: int, in_channels: int, out_channels: int, *, stride: int = 1
) -> nn.Sequential:
    """Build a 3-wide convolution, batch normalisation and ReLU.

    Args:
        spatial_dims: 2 or 3.
        in_channels, out_channels: of the convolution.
        stride: of the convolution.
    """
    return nn.Sequential(
        Conv[Conv.CONV, spatial_dims](in_channels, out_channels, 3, stride, padding=1, bias=False),
        Norm[Norm.BATCH, spatial_dims](out_channels),
        nn.ReLU(inplace=True),
    )
