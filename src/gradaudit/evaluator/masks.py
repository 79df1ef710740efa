"""Masks that neither an image nor its label chose: what an evaluator is trained under."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from gradaudit.attributions import Features, kept, kept_count, rank, rank_dtype

MOST = 0.98  # share of the features that the fullest mask keeps
MEMORY = 2**25  # bytes of each kind of drawn rankings
COUNT = (64, 1024)  # how many of each kind there are at least and at most


@dataclass(frozen=True, eq=False)
class PoolRanking:
    """Rankings of images by an attribution, whose masks are shown on other images.

    Args:
        ranks: centred ranks (N, F), possibly memory-mapped.
        fingerprint: of their values.
    """

    ranks: np.ndarray
    fingerprint: str


def mask_shape(shape: tuple[int, int, int], features: Features) -> tuple[int, int, int]:
    """(M, H, W) of a mask of images (C, H, W): M is C where coordinates are kept, 1 where pixels are kept whole."""
    return (shape[0] if features == "coordinates" else 1, *shape[1:])


class MaskPool:
    """A mixture of masks, each drawn without a look at the image or the label that it is shown with.

    A quarter of the masks keeps pixels at random, a quarter the highest or lowest of a smooth random field of some correlation
    length; and half follow the rankings given, each of an image that is drawn at random, so that the masks look like the audited
    ones but for the link to their own image. Levels are log-uniform: most masks that are audited keep few pixels, which masks that
    keep each pixel with probability one half would never show.

    Args:
        shape: (C, H, W) of an image.
        features: what a mask keeps or removes: `"coordinates"` or `"pixels"`.
        lowest: the smallest share of the features that is to be read; masks keep half of it at least.
        seed: of the random rankings.
        rankings: of images by attributions, equally often; none will do.
        device: where the masks go.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        features: Features,
        lowest: float,
        seed: int,
        rankings: Sequence[PoolRanking] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape = mask_shape(shape, features)
        self.count = math.prod(self.shape)
        self.least = max(lowest / 2, 1 / self.count)
        self.device = torch.device(device)
        drawn = [_random_ranks(self.shape, seed), _smooth_ranks(self.shape, seed)]
        others = [torch.from_numpy(np.asarray(one.ranks)) for one in rankings]
        self.kinds = [[one.to(self.device)] for one in drawn] + 2 * ([[one.to(self.device) for one in others]] if others else [])

    def draw(self, count: int) -> Tensor:
        """Which features `count` masks keep, boolean (count, M, H, W) on the device; drawn from torch's own random state."""
        ranks = self._rankings(count)
        shares = torch.exp(torch.empty(count).uniform_(math.log(self.least), math.log(MOST)))
        keep = (shares * self.count).round_().clamp_(1, self.count - 1).to(self.device, ranks.dtype)[:, None]
        top = (torch.rand(count) < 0.5).to(self.device)[:, None]
        lowest = -(self.count // 2)
        mask = torch.where(top, ranks < keep + lowest, ranks >= self.count - keep + lowest)
        return mask.view(count, *self.shape)

    def _rankings(self, count: int) -> Tensor:
        """Ranks (count, F), each of a ranking drawn from the mixture."""
        kinds = torch.randint(len(self.kinds), (count,))
        places = torch.rand(count)
        # 32 bits: of one that keeps all but a few features, 16 would not hold the number.
        ranks = torch.empty(count, self.count, dtype=torch.int32, device=self.device)
        for number, sources in enumerate(self.kinds):
            within = torch.randint(len(sources), (count,))
            for turn, source in enumerate(sources):
                rows = ((kinds == number) & (within == turn)).nonzero()[:, 0]
                at = (places[rows] * len(source)).long()
                ranks[rows.to(self.device)] = source[at.to(self.device)].int()
        return ranks


def random_masks(
    shape: tuple[int, int, int],
    features: Features,
    level: float,
    seed: int,
    ranking: PoolRanking | None = None,
    device: torch.device | str = "cpu",
) -> Callable[[int], Tensor]:
    """Masks of one kind, drawn without a look at the image that they are shown with: from their number to booleans (n, M, H, W).

    Args:
        shape: (C, H, W) of an image.
        features: what a mask keeps or removes.
        level: the share of the features that every mask keeps.
        seed: of the random rankings.
        ranking: whose highest-ranked features are kept, of an image drawn at random; random pixels where it is None.
        device: where the masks go.
    """
    size = mask_shape(shape, features)
    ranks = _random_ranks(size, seed) if ranking is None else torch.from_numpy(np.asarray(ranking.ranks))
    ranks = ranks.to(device)
    keep = kept_count(level, ranks.shape[1])

    def draw(count: int) -> Tensor:
        chosen = ranks[torch.randint(len(ranks), (count,)).to(device)]
        return kept(chosen, keep, "top").view(count, *size)

    return draw


def own_masks(
    ranking: PoolRanking, shape: tuple[int, int, int], features: Features, level: float, device: torch.device | str = "cpu"
) -> Callable[[Tensor], Tensor]:
    """Each image's own mask, its highest-ranked features kept: from indices (n,) to booleans (n, M, H, W); arguments as above."""
    size = mask_shape(shape, features)
    ranks = torch.from_numpy(np.asarray(ranking.ranks)).to(device)
    keep = kept_count(level, ranks.shape[1])
    return lambda where: kept(ranks.index_select(0, where.to(ranks.device)), keep, "top").view(len(where), *size)


def _random_ranks(shape: tuple[int, int, int], seed: int) -> Tensor:
    """Rankings that know nothing."""
    count = math.prod(shape)
    rng = np.random.default_rng([seed, 0])
    orders = rng.permuted(np.tile(np.arange(count, dtype=np.int32), (_how_many(count), 1)), axis=1)
    return torch.from_numpy((orders - count // 2).astype(rank_dtype(count)))


def _smooth_ranks(shape: tuple[int, int, int], seed: int) -> Tensor:
    """Rankings by Gaussian noise, blurred by widths from half a pixel to a quarter of the image, channels more or less alike."""
    rng = np.random.default_rng([seed, 1])
    number = _how_many(math.prod(shape))
    fields = np.empty((number, *shape), dtype=np.float32)
    widths = np.exp(rng.uniform(math.log(0.5), math.log(max(1.0, min(shape[1:]) / 4)), number))
    for field, width in zip(fields, widths, strict=True):
        own, common = rng.standard_normal(shape, dtype=np.float32), rng.standard_normal((1, *shape[1:]), dtype=np.float32)
        share = rng.random(dtype=np.float32)
        gaussian_filter(share * own + (1 - share) * common, (0, width, width), output=field, mode="wrap")
    fields += 1 - fields.min()  # ranks go by magnitude
    return torch.from_numpy(rank(torch.from_numpy(fields), 0, seed))


def _how_many(count: int) -> int:
    return min(max(MEMORY // (count * 4), COUNT[0]), COUNT[1])
