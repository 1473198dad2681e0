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


def logits_of(kind, vocabulary):
    """Return 40 rows (40, vocabulary) float32 of a kind that draws could come out wrong for."""
    random = torch.Generator().manual_seed(6)
    logits = 4 * torch.randn(40, vocabulary, generator=random)
    if kind == "ties":
        return logits.round()
    if kind == "bfloat16":
        return logits.bfloat16().float()
    if kind == "peaked":
        return logits.index_fill_(-1, torch.tensor([vocabulary - 2]), 200.0)
    if kind == "flat":
        return logits.mul_(1e-4)
    if kind == "impossible":
        return logits.masked_fill_(torch.rand(logits.shape, generator=random) < 0.999, -torch.inf)
    return logits


@pytest.mark.parametrize("grid", [0.0, 2**-10])
@pytest.mark.parametrize("kind", ["plain", "ties", "bfloat16", "peaked", "flat", "impossible"])
def test_rows_by_rows_the_same_tokens_are_drawn(kind, grid):
    logits = logits_of(kind, sampling.WIDE + 700)
    mass = temper(logits, 0.6, grid)
    # Uniforms at the very edges of tokens, and right beside them: the last bit decides.
    random = torch.Generator().manual_seed(7)
    token = torch.randint(mass.shape[-1], (40, 1), generator=random)
    cdf = mass.cumsum(-1)
    edge = (cdf.gather(-1, token) / cdf[:, -1:]).squeeze(-1).clamp(0, 1)
    ends = torch.zeros_like(edge), torch.ones_like(edge)
    for u in (edge, *(edge.nextafter(end) for end in ends), *ends):
        drawn = sampling.draw_tempered(logits, 0.6, u, grid)
        assert torch.equal(drawn, inverse_cdf(mass, u))


def test_pieces_are_a_few_rows_and_come_back_in_order(monkeypatch):
    monkeypatch.setattr(sampling, "_AT_ONCE", 25)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    pieces = []

    def first(z, row):
        pieces.append(len(z))
        return z[:, 0] + 10 * row

    z, row = torch.arange(50.0).reshape(5, 10), torch.arange(5)
    # Two rows of ten are within 25; column 0 of z is 0, 10, ..., 40, and ten times the row is too.
    assert sampling.by_rows(first, z, row).tolist() == [0, 20, 40, 60, 80]
    assert pieces == [2, 2, 1]
    # Rows wider than a piece go one by one.
    assert sampling.by_rows(first, torch.zeros(2, 30), row[:2]).tolist() == [0, 10]
    assert pieces[3:] == [1, 1]
    sampling.by_rows(first, z.to("meta"), row.to("meta"))
    assert pieces[5:] == [5]


# The largest is at one place and the next at another: same block, other block, the rest beyond
# whole blocks, in either order.
@pytest.mark.parametrize("largest", [0, 3, 511, 512, 9000, sampling.WIDE + 1])
@pytest.mark.parametrize("other", [1, 510, 513, 16_000, sampling.WIDE, sampling.WIDE + 2])
def test_the_two_largest_of_a_wide_row(largest, other):
    score = torch.full((2, sampling.WIDE + 3), -3.0)
    score[0, largest], score[0, other] = 5.0, 4.0
    score[1, largest], score[1, other] = 7.0, 7.0
    top, best, second = mixtures._two_largest(score)
    assert top.tolist() == [[5.0], [7.0]] and second.tolist() == [[4.0], [7.0]]
    assert best[0].item() == largest and best[1].item() in (largest, other)


def test_the_two_largest_of_narrow_rows():
    top, best, second = mixtures._two_largest(torch.tensor([[1.0, 3.0, 2.0]]))
    assert (top.item(), best.item(), second.item()) == (3.0, 1, 2.0)
    top, best, second = mixtures._two_largest(torch.tensor([[4.0]]))
    assert (top.item(), best.item(), second.numel()) == (4.0, 0, 0)


@pytest.mark.parametrize("vocabulary", [1, sampling.WIDE, sampling.WIDE + 300])
@pytest.mark.parametrize("scale", [1e-13, 1e-3, 4.0])
def test_the_argmax_of_wide_rows_is_that_of_float64(vocabulary, scale, mixed_in_float64):
    logits = pairs(40, vocabulary, scale, seed=8, grid=0.0)
    is_coverage = torch.arange(40) % 2 == 1
    expected = mix_rows(*logits, is_coverage, 0.7, 0.6).argmax(-1)
    assert torch.equal(best_of_rows(*logits, is_coverage, 0.7, 0.6), expected)
    if scale == 4.0:
        assert sum(mixed_in_float64) <= 1
    if scale == 1e-13 and vocabulary > 1:
        # Float64 too rounds at this distance: only its own word counts.
        assert sum(mixed_in_float64) == 40


def test_what_mixes_rounds_to_the_grid_itself():
    logits_s, logits_a = pairs(40, sampling.WIDE, 4.0, seed=9, grid=0.0)
    is_coverage, grid = torch.arange(40) % 2 == 1, 0.5
    rounded = to_grid(logits_s, grid), to_grid(logits_a, grid)
    mixed = mix_rows(*rounded, is_coverage, 0.7, 0.6)
    best = best_of_rows(logits_s, logits_a, is_coverage, 0.7, 0.6, grid)
    assert torch.equal(best, mixed.argmax(-1))
    rows = mixtures.mix_by_rows(logits_s, logits_a, is_coverage, 0.7, 0.6, grid)
    assert torch.equal(rows, mixed)
