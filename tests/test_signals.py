"""Signals: three-token cases by hand, both array libraries, both routes, invariants."""

import numpy as np
import pytest

from recover_nb.labels import Signal
from recover_nb.signals import PATH_SCORE, signals_from_logits

LOG = np.log
KEYS = [*(signal.value for signal in Signal), PATH_SCORE]


def test_by_hand_at_temperature_one():
    # p_S = (1/2, 1/4, 1/4), p_A = (1/4, 1/4, 1/2), x = 0, K = V = 3, coverage set {2}.
    got = signals_from_logits(
        LOG(np.array([2.0, 1.0, 1.0])), LOG(np.array([1.0, 1.0, 2.0])), np.array(0), temperature=1.0
    )
    assert list(got) == KEYS
    # log(1/2 / 1/4) = log 2; coverage log(1/2 / 1/4) = log 2; J their sum.
    assert got["path_deformation"] == pytest.approx(LOG(2))
    assert got["coverage_deformation"] == pytest.approx(LOG(2), abs=1e-7)
    assert got["demotion_pressure"] == pytest.approx(2 * LOG(2), abs=1e-7)
    # z_S is log 2 with weight 1/2, else 0: variance log(2)^2 / 4.
    assert got["logit_variance"] == pytest.approx(LOG(2) ** 2 / 4)
    # 1/2 log 2 + 1/4 log 1 + 1/4 log 1/2 = 1/4 log 2.
    assert got["kl_divergence"] == pytest.approx(LOG(2) / 4)
    # 1/2 log 2 + 1/2 log 4 = 3/2 log 2.
    assert got["entropy"] == pytest.approx(1.5 * LOG(2))
    # r = (1, 0, -1) log 2: mean 1/4, variance 3/4 - 1/16 = 11/16; (3/4) / sqrt(11/16) = 3/sqrt(11).
    assert got["path_score"] == pytest.approx(3 / np.sqrt(11))
