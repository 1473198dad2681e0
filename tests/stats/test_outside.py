"""The shipped study's headline figures again, in plain numpy: the package only opens the store."""

import numpy as np
import pytest

import recover_nb as rnb

OPERATORS = ("sparse_steer", "sparse_steer_random", "local_temperature", "dense_steer")
#: What each feature calls for, in their order, and what is done if none stands out.
CALLED = ("dense_steer", "sparse_steer", "local_temperature", "sparse_steer_random")
COUNTS = {"n_bootstrap": 2, "n_permutations": 2, "n_null": 2}
N_SPLITS = 400
FIRSTS = {"failed": 0, "failed_first_1": 1, "failed_first_5": 5}


class Plain:
    """The study as arrays of numbers."""

    def __init__(self):
        ds = rnb.load_study()
        names = [str(name) for name in ds["intervention"].values]
        correct = ds["correct"].transpose("problem", "rollout", "intervention").values
        arms = [names.index(each) for each in ("retry", *OPERATORS)]
        self.observed = correct[:, :, names.index("none")]
        # Wrong, and not for being cut off.
        ended = ds["ended"].transpose("problem", "rollout", "intervention").values
        self.failed = (self.observed == 0) & (ended[:, :, names.index("none")] != 0)
        self.attempts = correct[:, :, arms]
        self.names = [names[place] for place in arms]
        labels = (ds[name].values.astype(str) for name in ("family", "method", "task"))
        self.cell = np.array(["|".join(each) for each in zip(*labels, strict=True)])
        self.features = ds["features"].transpose("problem", "feature").values
        self.stored = ds["route"].values.astype(str)
        few = {"rollout": slice(5)}
        self.pressure, self.variance = (
            ds[name].isel(few).transpose("problem", "rollout", "token").values.astype(float)
            for name in ("demotion_pressure", "logit_variance")
        )
        length = ds["n_tokens"].transpose("problem", "rollout", "intervention")
        self.length = length.values[:, :5, names.index("none")]
        self.regime = ds["regime"].values.astype(str)
        tried = (self.attempts >= 0).sum(1)
        with np.errstate(invalid="ignore"):
            self.rate = (self.attempts == 1).sum(1) / tried

    def population(self, m):
        chosen = self.failed[:, :m].all(1) if m else self.failed.any(1)
        return np.flatnonzero(chosen)

    def route(self, features, cell):
        """Return the place of each problem's operator among the arms."""
        found = np.zeros(len(cell), int)
        for name in set(cell):
            rows = np.flatnonzero(cell == name)
            some = features[rows]
            spread = some.std(0)
            z = (some - some.mean(0)) / np.where(spread > 0, spread, np.inf)
            lead = np.where(z.max(1) > 0, z.argmax(1), 3)
            found[rows] = [self.names.index(CALLED[each]) for each in lead]
        return found

    def first_features(self, rows, m):
        """Return the three features of the first m answers of each problem."""
        found = np.zeros((len(rows), m, 3))
        for i, row in enumerate(rows):
            for r in range(m):
                n = self.length[row, r]
                pressure, variance = self.pressure[row, r, :n], self.variance[row, r, :n]
                t = int(pressure.argmax())
                near = variance[max(t - 8, 0) : t + 9]
                peak = pressure.max() / max(pressure.mean(), 1e-8)
                found[i, r] = (
                    (pressure > 0).mean(),
                    np.log10(max(peak, 1e-8)),
                    np.log10(max(near.mean(), 1e-8)),
                )
        return found.mean(1)


@pytest.fixture(scope="module")
def plain():
    return Plain()


@pytest.fixture(scope="module")
def told():
    parts = ["published", "split", "all"]
    return rnb.evaluate_routing(rnb.load_study(), only=parts, n_splits=N_SPLITS, **COUNTS)


def is_hard(rate):
    best = np.where(np.isnan(rate[:, 1:]), -1, rate[:, 1:]).max(1)
    return (best - rate[:, 0] >= 0.05 - 1e-9) & (1 - rate[:, 0] >= 0.5 - 1e-9)


def dealt(score, route, cell):
    """Return the mean score under routes dealt out at random within each cell."""
    total = 0.0
    for name in set(cell):
        rows = cell == name
        total += score[rows].mean(0)[route[rows]].sum()
    return total / len(cell)


def best_elsewhere(score, cell, rng, n=N_SPLITS):
    """Score the operator best on one half of a cell's problems on the other half, n times."""
    draws = []
    for _ in range(n):
        half, total = rng.random(len(cell)) < 0.5, 0.0
        for name in set(cell):
            rows = cell == name
            for mine in (half & rows, ~half & rows):
                other = rows & ~mine
                pick = 1 + (score[other, 1:].sum(0).argmax() if other.any() else 0)
                total += score[mine, pick].sum()
        draws.append(total / len(cell))
    return np.mean(draws), np.std(draws) / np.sqrt(n)


def test_pass_at_1_and_regimes(plain):
    told = rnb.tables.problems_by_cell(rnb.load_study(), total=True).set_index("cell")
    for name in sorted(set(plain.cell)):
        rows = plain.cell == name
        assert told.loc[name, "pass_at_1"] == pytest.approx((plain.observed[rows] == 1).mean())
    assert told.loc["all", "pass_at_1"] == pytest.approx((plain.observed == 1).mean(), abs=1e-12)
    rows = plain.population(0)
    rate = plain.rate[rows]
    regime = np.where(rate[:, 1:].max(1) == 0, "beyond_reach", "resample")
    regime = np.where(is_hard(rate), "steerable_hard", regime)
    assert (regime == plain.regime[rows]).all()


def test_the_stored_routes_are_those_of_the_rule(plain):
    rows = plain.population(0)
    route = plain.route(plain.features[rows], plain.cell[rows])
    assert [plain.names[each] for each in route] == plain.stored[rows].tolist()


@pytest.mark.parametrize("population", FIRSTS)
def test_all_published_and_permuted(plain, told, population):
    rows = plain.population(FIRSTS[population])
    rate, cell, here = plain.rate[rows], plain.cell[rows], told.of(population)
    route = np.array([plain.names.index(each) for each in plain.stored[rows]])
    mine = rate[np.arange(len(rows)), route]
    lift = float(here.lift("all")["lift"])
    assert int(here.lift("all")["n"]) == len(rows)
    assert lift == pytest.approx((mine - rate[:, 0]).mean(), abs=1e-12)
    permuted = float(here.lift("all", "permuted")["rate"])
    assert permuted == pytest.approx(dealt(rate, route, cell), abs=1e-12)
    # As published: selected and standardised by the attempts that score.
    hard = is_hard(rate)
    rows, rate, cell = rows[hard], rate[hard], cell[hard]
    route = plain.route(plain.features[rows], cell)
    mine = rate[np.arange(len(rows)), route]
    found = here.lift("published")
    assert float(found["n"]) == len(rows)
    assert float(found["lift"]) == pytest.approx((mine - rate[:, 0]).mean(), abs=1e-12)
    permuted = float(here.lift("published", "permuted")["rate"])
    assert permuted == pytest.approx(dealt(rate, route, cell), abs=1e-12)


@pytest.mark.parametrize("population", FIRSTS)
def test_best_fixed(plain, told, population):
    rows = plain.population(FIRSTS[population])
    rng = np.random.default_rng(1)
    wanted, error = best_elsewhere(plain.rate[rows], plain.cell[rows], rng)
    found = float(told.of(population).lift("all", "best_fixed")["rate"])
    assert found == pytest.approx(wanted, abs=5 * np.sqrt(2) * error)


@pytest.mark.parametrize("population", FIRSTS)
def test_split(plain, told, population):
    """Halves of rollouts, drawn for each problem; dense_steer is scored whole and never selects."""
    rows, rng = plain.population(FIRSTS[population]), np.random.default_rng(2)
    right, run = plain.attempts[rows] == 1, plain.attempts[rows] >= 0
    whole, sums = plain.names.index("dense_steer"), []
    for _ in range(200):
        order = rng.permuted(np.tile(np.arange(20), (len(rows), 1)), axis=1)
        first = np.zeros(right.shape[:2], bool)
        np.put_along_axis(first, order[:, :10], True, axis=1)
        for select in (first, ~first):
            halves = []
            for side in (select, ~select):
                chosen = run & side[..., None]
                with np.errstate(invalid="ignore"):
                    halves.append((right & chosen).sum(1) / chosen.sum(1))
            halves[0][:, whole] = np.nan
            halves[1][:, whole] = plain.rate[rows, whole]
            hard = is_hard(halves[0])
            route = plain.route(plain.features[rows[hard]], plain.cell[rows[hard]])
            gain = halves[1][hard][np.arange(hard.sum()), route] - halves[1][hard, 0]
            sums.append((gain.sum(), hard.sum()))
    gain, n = np.array(sums).T
    wanted = gain.sum() / n.sum()
    found = told.of(population).lift("split")
    error = np.std(gain / n) / np.sqrt(len(n)) * np.sqrt(2)
    assert float(found["lift"]) == pytest.approx(wanted, abs=5 * error)
    assert float(found["n"]) == pytest.approx(n.mean(), rel=0.02)


def test_the_populations_of_the_command(plain, told):
    """`evaluate --json`: the stored routes, and those of the first answers alone."""
    found = told.to_dict()["populations"]
    assert list(found) == ["failed_first_1", "failed_first_5"]
    for name, one in found.items():
        rows = plain.population(FIRSTS[name])
        rate, place = plain.rate[rows], np.arange(len(rows))
        stored = np.array([plain.names.index(each) for each in plain.stored[rows]])
        own = plain.route(plain.first_features(rows, FIRSTS[name]), plain.cell[rows])
        assert one["n"] == len(rows)
        wanted = [(rate[place, route] - rate[:, 0]).mean() for route in (stored, own)]
        assert [one["lift"], one["lift_own_features"]] == pytest.approx(wanted, abs=1e-9)
        assert (stored != own).any()
