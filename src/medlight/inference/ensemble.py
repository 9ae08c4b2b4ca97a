"""Several answers for one window: those of several nets, and of mirrored windows.

Shapes: B windows, C channels, K classes, *S spatial axes. Averages are taken window by window, so
that an ensemble needs the memory of one net.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from medlight.inference.heads import Head, SoftmaxHead, entropy
from medlight.inference.sliding_window import Predictor, Slabs


def ensemble_predictor(
    nets: Sequence[Predictor],
    mirror_axes: Sequence[int] = (),
    *,
    head: Head = SoftmaxHead(),  # noqa: B008  # it is frozen
    with_entropy: bool = False,
) -> Predictor:
    """One net in the place of many: the mean of their probabilities, given as logits.

    Args:
        nets: (B, C, *S) to (B, K, *S) logits each, such as those of folds and seeds.
        mirror_axes: spatial axes; each net also answers for every reflection along them.
        head: that of all nets.
        with_entropy: append a channel, (B, K+1, *S): the mean entropy of the single answers, in
            nats. The entropy of the mean exceeds it by what the answers disagree about (mutual
            information, Houlsby et al. 2011).
    """
    flips = [
        [axis + 2 for axis in some]
        for count in range(len(mirror_axes) + 1)
        for some in itertools.combinations(mirror_axes, count)
    ]
    answers = len(nets) * len(flips)

    def answer(windows: Tensor) -> Tensor:
        mean, entropies = windows.new_zeros(0), windows.new_zeros(0)
        for number, (net, flip) in enumerate(itertools.product(nets, flips)):
            logits = net(windows.flip(flip)).flip(flip) if flip else net(windows)
            if answers == 1 and not with_entropy:
                return logits
            log_probs = head.log_probs(logits.float(), dim=1)
            mean = torch.logaddexp(mean, log_probs) if number else log_probs
            if with_entropy:
                own = entropy(log_probs, dim=1, keepdim=True)
                entropies = entropies + own if number else own
        mean = head.logits(mean - math.log(answers), dim=1)
        return torch.cat([mean, entropies / answers], 1) if with_entropy else mean

    return answer


def merge_slabs(
    streams: Sequence[tuple[Slabs, float]],
    *,
    head: Head = SoftmaxHead(),  # noqa: B008
    with_entropy: bool = False,
) -> Slabs:
    """The mean of several passes over one image, such as those of nets with other windows.

    Args:
        streams: parts along one and the same axis, and the share of each in the mean.
        with_entropy: as in `ensemble_predictor`; the streams' last channels are averaged as they
            are.
    """
    axis = streams[0][0].axis

    def parts() -> Iterator[Tensor]:
        sources = [(part.clone() for part in slabs.parts) for slabs, _ in streams]
        weights = [share for _, share in streams]
        held = [next(source) for source in sources]
        while True:
            count = min(part.shape[axis + 1] for part in held)
            some = [part.narrow(axis + 1, 0, count) for part in held]
            held = [part.narrow(axis + 1, count, part.shape[axis + 1] - count) for part in held]
            yield _mean(some, weights, len(some[0]) - int(with_entropy), head)
            for number, part in enumerate(held):
                if not part.shape[axis + 1]:
                    following = next(sources[number], None)
                    if following is None:
                        return
                    held[number] = following

    return Slabs(axis, parts())


def _mean(parts: Sequence[Tensor], weights: Sequence[float], classes: int, head: Head) -> Tensor:
    """Of probabilities, as logits; of further channels, as they are."""
    weighted = [
        head.log_probs(p[:classes]) + math.log(s) for p, s in zip(parts, weights, strict=True)
    ]
    rest = [p[classes:] * s for p, s in zip(parts, weights, strict=True)]
    mean = head.logits(torch.stack(weighted).logsumexp(0))
    return torch.cat([mean, torch.stack(rest).sum(0)])
