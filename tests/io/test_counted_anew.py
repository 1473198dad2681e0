"""A study whose outcomes were regraded: what was counted from them is dropped, and counted anew."""

import numpy as np
import pytest
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io import store

FAILED = 1
COUNTED = ["rescue_rate", "attempts", "regime", "route"]


@pytest.fixture
def regraded():
    ds = tiny_study()
    correct = ds["correct"].copy()
    # Every attempt of one failed problem under retry was wrong, and is right now.
    retry = {"problem": FAILED, "intervention": list(ds["intervention"].values).index("retry")}
    assert (correct[retry] == 0).any()
    correct[retry] = np.where(correct[retry] >= 0, 1, -1)
    return ds.assign(correct=correct)


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip", ".nc"])
def test_a_store_counts_what_was_dropped(regraded, tmp_path, suffix):
    path = tmp_path / f"s{suffix}"
    with pytest.raises(InputError, match=r"have it computed anew with ds\.drop_vars"):
        store.save_study(regraded, path)
    assert not path.exists()
    dropped = regraded.drop_vars([name for name in COUNTED if name in regraded])
    again = rnb.open_study(store.save_study(dropped, path), load=True)
    assert float(again["rescue_rate"].sel(intervention="retry")[FAILED]) == 1
    assert set(COUNTED) <= set(again.data_vars)


def test_lines_count_what_was_dropped(regraded, tmp_path):
    dropped = regraded.drop_vars([name for name in COUNTED if name in regraded])
    again = rnb.from_jsonl(rnb.to_jsonl(dropped, tmp_path / "s.jsonl"))
    assert float(again["rescue_rate"].sel(intervention="retry")[FAILED]) == 1
