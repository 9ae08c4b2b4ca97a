"""MONAI's nets with position embeddings, which are made for one image size: any smaller image is
padded to it. Sizes are rounded up to whole patches."""

from collections.abc import Sequence

from monai.networks import nets
from torch import Tensor, nn

from medlight.core.errors import ConfigError
from medlight.nets.input_size import crop_to, pad_to

UNETR_PATCH_SIZE = 16


class ViT(nets.ViT):
    """Vision transformer (Dosovitskiy et al. 2021): (B, C, *S) to (B, K) logits.

    MONAI's ends in a tanh unless told otherwise, and returns hidden states beside the logits.

    Args:
        img_size: S of the training images; medlight tells.
        patch_size: side of a patch.
        hidden_size, mlp_dim, num_layers, num_heads: size of the transformer.
        dropout_rate: of embeddings, attention and perceptrons.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        img_size: Sequence[int],
        patch_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_layers: int = 12,
        num_heads: int = 12,
        dropout_rate: float = 0.0,
    ) -> None:
        self.size = round_up_to_patches(img_size, patch_size)
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            num_classes=out_channels,
            img_size=self.size,
            patch_size=patch_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            dropout_rate=dropout_rate,
            classification=True,
            post_activation=None,
        )
        remove_unused_norms(self)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = super().forward(pad_to_img_size(self, image, self.size))[0]
        return logits


class UNETR(nets.UNETR):
    """UNETR (Hatamizadeh et al. 2022): a ViT with patches of 16 voxels as the encoder of a U-Net.

    Args:
        img_size: S of the training images; medlight tells.
        feature_size: channels of the first level.
        hidden_size, mlp_dim, num_heads: size of the transformer, which has 12 layers.
        norm_name: normalisation of the convolutions.
        dropout_rate: of the transformer.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        img_size: Sequence[int],
        feature_size: int = 16,
        hidden_size: int = 768,
        mlp_dim: int = 3072,
        num_heads: int = 12,
        norm_name: str = "instance",
        dropout_rate: float = 0.0,
    ) -> None:
        self.size = round_up_to_patches(img_size, UNETR_PATCH_SIZE)
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=in_channels,
            out_channels=out_channels,
            img_size=self.size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_dim,
            num_heads=num_heads,
            norm_name=norm_name,
            dropout_rate=dropout_rate,
        )
        remove_unused_norms(self.vit)
        self.divisor = (1,) * spatial_dims

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = super().forward(pad_to_img_size(self, image, self.size))
        return crop_to(logits, image.shape[2:])


def round_up_to_patches(shape: Sequence[int], patch: int) -> tuple[int, ...]:
    """
    >>> round_up_to_patches((40, 56, 32), 16)
    (48, 64, 32)
    """
    return tuple(patch * -(-n // patch) for n in shape)


def remove_unused_norms(vit: nets.ViT) -> None:
    """MONAI's blocks hold the norm of a cross-attention they do not have: processes that train
    together would wait for its gradient."""
    for block in vit.blocks:
        block.norm_cross_attn = nn.Identity()


def pad_to_img_size(net: nn.Module, image: Tensor, size: Sequence[int]) -> Tensor:
    """An image of the one size a net takes. ConfigError where it is larger."""
    shape = tuple(image.shape[2:])
    if any(n > most for n, most in zip(shape, size, strict=True)):
        told = ("x".join(map(str, each)) for each in (size, shape))
        raise ConfigError(
            "{} was built for images of up to {}, got {}; cut images to one shape with "
            "data.patch, or resize them (transforms)".format(type(net).__name__, *told)
        )
    return pad_to(image, size)
