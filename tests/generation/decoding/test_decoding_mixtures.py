"""The two mixtures on three tokens, with numbers worked by hand."""

import numpy as np
import pytest
import torch

from recover_nb.core.labels import Mixture
from recover_nb.generation.decoding.mixtures import MIXTURES, mix_rows

P_S, P_A = [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]
Z_S, Z_A = (torch.tensor(np.log(p), dtype=torch.float32) for p in (P_S, P_A))


# path, T=1: p_S^.7 p_A^.3 = (.3905, .2, .1793), sum .7698; T=.5: its squares (.1525, .04, .0321),
# sum .2246. coverage, T=1: .7 p_S + .3 p_A; T=.5: tempered first, p_S^2 = (.49, .04, .01) / .54 and
# so on.
@pytest.mark.parametrize(
    ("mixture", "temperature", "expected"),
    [
        (Mixture.PATH, 1.0, [0.5073, 0.2598, 0.2329]),
        (Mixture.PATH, 0.5, [0.6789, 0.1781, 0.1431]),
        (Mixture.COVERAGE, 1.0, [0.52, 0.2, 0.28]),
        (Mixture.COVERAGE, 0.5, [0.6407, 0.0741, 0.2852]),
    ],
)
def test_mixtures_by_hand(mixture, temperature, expected):
    mixed = MIXTURES[mixture](Z_S, Z_A, 0.7, temperature).exp()
    np.testing.assert_allclose(mixed, expected, atol=2e-4)


@pytest.mark.parametrize("mixture", list(Mixture))
def test_weights_at_the_ends_give_one_model(mixture):
    for alpha, p in ((1.0, P_S), (0.0, P_A)):
        np.testing.assert_allclose(MIXTURES[mixture](Z_S, Z_A, alpha, 1.0).exp(), p, atol=1e-6)


@pytest.mark.parametrize("mixture", list(Mixture))
def test_shifting_logits_changes_nothing_and_inputs_stay(mixture):
    before = Z_S.clone(), Z_A.clone()
    shifted = MIXTURES[mixture](Z_S + 5, Z_A - 3, 0.7, 0.6)
    torch.testing.assert_close(shifted, MIXTURES[mixture](Z_S, Z_A, 0.7, 0.6), atol=1e-5, rtol=0)
    assert torch.equal(Z_S, before[0])
    assert torch.equal(Z_A, before[1])


@pytest.mark.parametrize("mixture", list(Mixture))
def test_impossible_tokens_make_no_nan(mixture):
    impossible = torch.tensor([0.0, -torch.inf, -torch.inf])
    for alpha in (0.0, 0.7, 1.0):
        mixed = MIXTURES[mixture](
            impossible, torch.tensor([-torch.inf, 0.0, -torch.inf]), alpha, 0.6
        )
        assert not mixed.isnan().any()
        assert mixed.argmax() == (1 if alpha == 0 else 0)


def test_only_the_path_mixture_vetoes_what_the_ancestor_thinks_impossible():
    # coverage .7 * .6 + .3 * .001 = .4203 > .333; path .6^.7 * .001^.3 = .088 < .39^.7 * .2^.3 =
    # .319.
    z_s, z_a = (torch.tensor(np.log([p] * 2)) for p in ([0.6, 0.39, 0.01], [0.001, 0.2, 0.799]))
    mixed = mix_rows(z_s, z_a, torch.tensor([False, True]), 0.7, 1.0)
    assert mixed.argmax(-1).tolist() == [1, 0]
