"""Large vocabularies: the shortcuts choose the tokens that the plain computations choose."""

import pytest
import torch

from recover_nb.generation.decoding import mixtures, sampling
from recover_nb.generation.decoding.mixtures import best_of_rows, mix_rows
from recover_nb.generation.decoding.sampling import inverse_cdf, temper, to_grid

KINDS = torch.tensor([False, True])


def pairs(n, vocabulary, scale, seed, grid=2**-10):
    """Return logits of a specialist and a relative of it, on the grid."""
    random = torch.Generator().manual_seed(seed)
    logits_s = scale * torch.randn(n, vocabulary, generator=random)
    logits_a = logits_s + 0.3 * scale * torch.randn(n, vocabulary, generator=random)
    return to_grid(logits_s, grid), to_grid(logits_a, grid)


@pytest.fixture
def mixed_in_float64(monkeypatch):
    """Count the rows that were mixed in float64."""
    counts = []

    def counted(logits_s, *rest):
        counts.append(len(logits_s))
        return mix_rows(logits_s, *rest)

    monkeypatch.setattr(mixtures, "mix_rows", counted)
    return counts


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("temperature", [0.05, 0.6, 5.0])
@pytest.mark.parametrize("scale", [1e-3, 0.5, 4.0, 40.0])
def test_the_argmax_from_float32_is_that_of_float64(alpha, temperature, scale):
    logits = pairs(200, 3_000, scale, seed=int(10 * alpha) + int(100 * scale))
    is_coverage = torch.arange(200) % 2 == 1
    expected = mix_rows(*logits, is_coverage, alpha, temperature).argmax(-1)
    assert torch.equal(best_of_rows(*logits, is_coverage, alpha, temperature), expected)


def test_hardly_any_row_needs_float64(mixed_in_float64):
    logits = pairs(400, 3_000, 4.0, seed=1)
    best_of_rows(*logits, torch.arange(400) % 2 == 1, 0.7, 0.6)
    assert sum(mixed_in_float64) <= 4


# .7 z_S + .3 z_A: tokens 1 and 2 are level (.7 * 10 + .3 * 3 = .7 * 7 + .3 * 10 = 7.9), token 0
# is below. For coverage, two equal tokens.
@pytest.mark.parametrize(
    ("is_coverage", "logits_s", "logits_a"),
    [(False, [9.0, 10.0, 7.0], [3.0, 3.0, 10.0]), (True, [0.0, 2.0, 2.0], [1.0, 3.0, 3.0])],
)
def test_ties_are_settled_in_float64(is_coverage, logits_s, logits_a, mixed_in_float64):
    row = torch.tensor([logits_s]), torch.tensor([logits_a])
    kind = torch.tensor([is_coverage])
    expected = mix_rows(*row, kind, 0.7, 0.6).argmax(-1)
    assert torch.equal(best_of_rows(*row, kind, 0.7, 0.6), expected)
    assert mixed_in_float64 == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda z: z.index_fill(-1, torch.tensor([0, 5]), -torch.inf),
        lambda z: z.index_fill(-1, torch.tensor([3]), -5000.0),
        lambda z: z + 1e6,
        lambda z: z.double(),
    ],
    ids=["impossible tokens", "below the floor", "far from zero", "float64"],
)
def test_rows_that_float32_cannot_settle(change, mixed_in_float64):
    logits_s, logits_a = pairs(6, 50, 3.0, seed=2)
    given = change(logits_s), logits_a.to(change(logits_s).dtype)
    kinds = KINDS.repeat(3)
    expected = mix_rows(*given, kinds, 0.7, 0.6).argmax(-1)
    assert torch.equal(best_of_rows(*given, kinds, 0.7, 0.6), expected)
    assert sum(mixed_in_float64) >= 3


def test_a_sure_row_by_hand(mixed_in_float64):
    # path .7 * (3, 2) + .3 * (0, 4) = (2.1, 2.6): token 1. coverage at T = 1: .7 * (.731, .269) +
    # .3 * (.018, .982) = (.517, .483): token 0.
    logits = torch.tensor([[3.0, 2.0]] * 2), torch.tensor([[0.0, 4.0]] * 2)
    assert best_of_rows(*logits, KINDS, 0.7, 1.0).tolist() == [1, 0]
    assert mixed_in_float64 == []


def test_logits_that_were_given_stay_as_they_are():
    logits = pairs(4, 100, 2.0, seed=3)
    before = [each.clone() for each in logits]
    best_of_rows(*logits, KINDS.repeat(2), 0.7, 0.6)
    mix_rows(*logits, KINDS.repeat(2), 0.7, 0.6)
    for grid in (0.0, 2**-10):
        temper(logits[0], 0.6, grid)
        temper(logits[1].double(), 0.6, grid)
        to_grid(logits[0], grid)
    assert torch.equal(logits[0], before[0]) and torch.equal(logits[1], before[1])


@pytest.mark.parametrize("vocabulary", [sampling.WIDE, sampling.WIDE + 1, sampling.WIDE + 700])
@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_blocks_find_the_token_that_a_running_sum_finds(vocabulary, scale):
    mass = temper(pairs(300, vocabulary, scale, seed=4)[0], 0.6)
    u = torch.rand(300, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    cdf = mass.cumsum(-1)
    expected = torch.searchsorted(cdf, u[:, None] * cdf[:, -1:], right=True).squeeze(-1)
    assert torch.equal(inverse_cdf(mass, u), expected)


# Masses at tokens 700, 701 and the last one, .25, .5 and .25: u = .25 is the first beyond .25.
@pytest.mark.parametrize("vocabulary", [sampling.WIDE, sampling.WIDE + 1])
def test_tokens_of_a_wide_vocabulary_by_hand(vocabulary):
    mass = torch.zeros(6, vocabulary)
    mass[:, 700], mass[:, 701], mass[:, -1] = 1.0, 2.0, 1.0
    u = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1.0])
    last = vocabulary - 1
    assert inverse_cdf(mass, u).tolist() == [700, 700, 701, 701, last, last]


@pytest.mark.parametrize("place", [0, 511, 512, sampling.WIDE - 1, sampling.WIDE + 299])
@pytest.mark.parametrize("u", [0.0, 0.5, 1.0])
def test_the_only_token_with_mass_is_found(place, u):
    mass = torch.zeros(1, sampling.WIDE + 300)
    mass[0, place] = 1e-3
    assert inverse_cdf(mass, torch.tensor([u])).tolist() == [place]
