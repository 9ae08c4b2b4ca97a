"""Muon: steps along orthogonalised momentum."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

A, B, C = 3.4445, -4.7750, 2.0315
"""Of X <- A X + B (X X^T) X + C (X X^T)^2 X, by Jordan: steep where singular values are small."""
ITERATIONS = 5
UPDATE_RMS = 0.2
"""Root mean square of a step, in units of the rate: that of AdamW (Liu et al. 2025)."""
NORM_EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for kernels and matrices; AdamW for biases and norms.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", with the scale of
    Liu et al. 2025 (arXiv:2502.16982), so that rates and decays for AdamW are near what is right.
    `torch.optim.Muon` takes matrices only; a kernel (out, in, d, h, w) is here the matrix
    (out, in d h w).

    Args:
        params: weights; those that are no matrix (biases, norms, single tokens) go to AdamW.
        lr: rate of both.
        weight_decay: decoupled, of both.
        momentum: Nesterov's, of the matrices.
        betas, eps: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-2,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "betas": tuple(betas),
                "eps": eps,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for weight in filter(is_matrix, weights):
                self._muon_step(weight, group)
            self._adamw_step([weight for weight in weights if not is_matrix(weight)], group)
        return loss

    def _muon_step(self, weight: Tensor, group: dict[str, Any]) -> None:
        state, rate, momentum = self.state[weight], group["lr"], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        state["momentum_buffer"] = match_strides(state["momentum_buffer"], weight)
        average, flat = as_matrix(state["momentum_buffer"]), as_matrix(weight)
        assert weight.grad is not None
        grad = as_matrix(match_strides(weight.grad, weight))
        average.lerp_(grad, 1 - momentum)
        ahead = grad.lerp(average, momentum)
        scale = rate * UPDATE_RMS * math.sqrt(max(flat.shape))
        factor = newton_schulz_factor(ahead).to(flat.dtype)
        pair = (factor, ahead) if len(factor) == len(ahead) else (ahead, factor)
        torch.addmm(flat, *pair, beta=1 - rate * group["weight_decay"], alpha=-scale, out=flat)

    def _adamw_step(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = torch.zeros_like(weight)
                state["exp_avg_sq"] = torch.zeros_like(weight)
        if not weights:
            return
        states = [self.state[weight] for weight in weights]
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def is_matrix(weight: Tensor) -> bool:
    """Whether it maps several numbers to several: no bias, no norm, no single token. In memory its
    rows follow each other, as with channels last."""
    several = weight.ndim > 1 and 1 < weight.shape[0] < weight.numel()
    return several and weight.stride(0) == weight[0].numel()


def match_strides(tensor: Tensor, weight: Tensor) -> Tensor:
    """The same numbers, in the order that the weight has in memory."""
    if tensor.stride() == weight.stride():
        return tensor
    return torch.empty_like(weight).copy_(tensor)


def as_matrix(weight: Tensor) -> Tensor:
    """A view (out, all the rest) of a kernel; the order of columns is nothing to an orthogonal
    matrix."""
    return weight.as_strided((weight.shape[0], weight[0].numel()), (weight[0].numel(), 1))


def newton_schulz_factor(matrix: Tensor) -> Tensor:
    """The matrix that makes nearly U V^T of U S V^T, multiplied from its shorter side.

    Singular values end between 0.7 and 1.2. The iteration runs on the Gram matrix of the shorter
    side, which halves its work: with P = A + B G + C G^2, each step is X <- P X and G <- P G P.
    """
    x = matrix.float()
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    size = gram.trace().sqrt() + NORM_EPS
    gram = gram / size**2
    gathered = torch.eye(len(gram), device=x.device) / size
    for step in range(ITERATIONS):
        p = torch.addmm(gram, gram, gram, beta=B, alpha=C)
        p.diagonal().add_(A)
        gathered = p @ gathered
        if step < ITERATIONS - 1:
            gram = p @ gram @ p
    return gathered
