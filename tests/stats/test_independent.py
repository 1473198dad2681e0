"""The same figures by others' code (statsmodels, scipy, scikit-learn) or loops over the definition.

Where both sides draw at random the tolerance is that of the draws, and stated.
"""

from itertools import combinations, product

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import rel_entr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

import recover_nb as rnb
from recover_nb.clustering.algorithms import REG_COVAR, bic, silhouette
from recover_nb.clustering.stability import cluster_jaccard, consensus, pac
from recover_nb.core.schema import cell_names
from recover_nb.features.reliability import needed_rollouts
from recover_nb.features.signals import signals_from_logits
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.policy import PUBLISHED
from recover_nb.routing.rescue import proportion_interval
from recover_nb.routing.routers.replay import missed
from recover_nb.stats.agreement import cohen_kappa
from recover_nb.stats.classification import (
    cliffs_delta,
    fold_scores,
    grouped_folds,
    predict_out_of_fold,
)
from recover_nb.stats.resampling import (
    bootstrap_ratio,
    bootstrap_weights,
    exceedance,
    holm,
    permuted_sums,
)
from recover_nb.stats.scaling import standardise

#: Resamples of either side of a comparison of bootstraps.
N_RESAMPLES = 20_000


# --- resampling
# ------------------------------------------------------------------------------------------


def test_holm_is_statsmodels():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 5, 8, 13, 21, 40):
        # Rounded: ties, zeros and ones occur.
        p = np.round(rng.beta(0.5, 2, size=size), 2)
        reject, adjusted, _, _ = multipletests(p, alpha=0.05, method="holm")
        assert holm(p) == pytest.approx(adjusted, rel=0, abs=1e-15)
        # statsmodels decides on p against alpha / (m - i), we on the adjusted p: the same but for a
        # last bit.
        sure = np.abs(adjusted - 0.05) > 1e-12
        assert ((holm(p) <= 0.05) == reject)[sure].all()


def quantile_tolerance(draws, level):
    """Return 4 standard errors of the gap of two bootstrap quantiles of `N_RESAMPLES` draws."""
    density = stats.gaussian_kde(draws)(np.quantile(draws, level))[0]
    return 4 * np.sqrt(2 * level * (1 - level) / N_RESAMPLES) / density


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("cluster_size", [1, 3])
def test_interval_of_a_ratio_is_scipys(method, cluster_size):
    """A skewed ratio of sums over 40 clusters: scipy draws whole clusters, as rows of sums."""
    rng = np.random.default_rng(cluster_size)
    weight = rng.exponential(size=(40, cluster_size)) + 0.2
    gain = (
        weight * rng.lognormal(sigma=0.8, size=weight.shape) * (1 + rng.exponential(size=(40, 1)))
    )
    clusters = np.repeat(np.arange(40), cluster_size)
    drawn = bootstrap_weights(clusters, np.zeros(len(clusters)), N_RESAMPLES, rng)
    ours = bootstrap_ratio(gain.reshape(-1, 1), weight.reshape(-1, 1), drawn)
    theirs = stats.bootstrap(
        (gain.sum(axis=1), weight.sum(axis=1)),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=N_RESAMPLES,
        method={"percentile": "percentile", "bca": "BCa"}[method],
        rng=rng,
    )
    assert ours.value[0] == pytest.approx(gain.sum() / weight.sum())
    ends = zip(getattr(ours, method)[:, 0], theirs.confidence_interval, (0.025, 0.975), strict=True)
    for mine, other, level in ends:
        assert mine == pytest.approx(
            other, abs=quantile_tolerance(theirs.bootstrap_distribution, level)
        )
    # The two methods differ by far more than that here, so that one cannot pass for the other.
    assert np.abs(ours.percentile - ours.bca).max() > 2 * quantile_tolerance(
        theirs.bootstrap_distribution, 0.025
    )


def test_standard_error_of_a_mean_is_statsmodels():
    """A bootstrap's sd is the plug-in standard error, sd / sqrt(n), to within 4 / sqrt(2 B)."""
    x = np.random.default_rng(0).gamma(2.0, size=60)
    drawn = bootstrap_weights(np.arange(60), np.zeros(60), N_RESAMPLES, np.random.default_rng(1))
    sd = (drawn.weights @ x / drawn.weights.sum(axis=1)).std()
    plug_in = DescrStatsW(x, ddof=0).std_mean * np.sqrt(59 / 60)
    assert sd == pytest.approx(plug_in, rel=4 / np.sqrt(2 * N_RESAMPLES))


def test_permutation_p_is_scipys():
    """Routes of seven problems permuted: all 5040 by scipy, 20,000 at random by us."""
    rng = np.random.default_rng(4)
    rate, decision = rng.random((7, 4)), rng.integers(4, size=7)
    exact = stats.permutation_test(
        (decision,),
        lambda made: rate[np.arange(7), made.astype(int)].sum(),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=False,
    )
    kernel = rate[:, decision]
    drawn = permuted_sums(
        kernel[None], np.arange(len(kernel))[None], 20_000, np.random.default_rng(5)
    )
    p = exceedance(float(np.trace(kernel)), drawn)
    assert 0.05 < exact.pvalue < 0.95
    assert p == pytest.approx(
        exact.pvalue, abs=4 * np.sqrt(exact.pvalue * (1 - exact.pvalue) / 20_000)
    )


# --- the estimators, by loops over their definitions
# -----------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated():
    cells = (("qwen3", "sft", "arithmetic"), ("neox", "grpo", "program"))
    return rnb.make_study(effect="tied", size=0.3, n_problems=40, cells=cells, seed=3)


@pytest.fixture(scope="module")
def evaluation(simulated):
    return evaluate_routing(
        simulated, populations=["failed"], n_permutations=4000, n_bootstrap=50, n_null=2, n_splits=2
    )


def plainly_routed(ds, chosen):
    """Return the operator of each chosen problem, cell by cell: scipy's z-scores and a loop."""
    names, features = cell_names(ds), ds["features"].values
    routes = {}
    for cell in np.unique(names):
        rows = [i for i in chosen if names[i] == cell]
        for i, z in zip(rows, stats.zscore(features[rows], axis=0) if rows else [], strict=True):
            best = int(np.argmax(z))
            routes[i] = (
                list(PUBLISHED.operators.values())[best] if z[best] > 0 else PUBLISHED.fallback
            )
    return routes


def plainly_hard(ds):
    arms = sorted({*PUBLISHED.interventions})
    rates = ds["rescue_rate"].to_pandas()
    gain = rates[arms].max(axis=1) - rates["retry"]
    return [
        i
        for i in range(len(rates))
        if gain[i] >= 0.05 - 1e-9 and 1 - rates["retry"][i] >= 0.5 - 1e-9
    ]


def test_published_and_all_by_loops(simulated, evaluation):
    rates = simulated["rescue_rate"].to_pandas()
    failed = [i for i in range(len(rates)) if not np.isnan(simulated["features"].values[i]).any()]
    hard = [i for i in plainly_hard(simulated) if i in failed]
    assert 10 < len(hard) < len(failed)
    for name, chosen in (("published", hard), ("all", failed)):
        routes = plainly_routed(simulated, chosen)
        lift = np.mean([rates.loc[i, routes[i]] - rates.loc[i, "retry"] for i in chosen])
        found = evaluation.lift(name)
        assert float(found["n"]) == len(chosen)
        assert float(found["lift"]) == pytest.approx(lift, abs=1e-12)
        oracle = np.mean(
            [
                rates.loc[i, routes[i]] - rates.loc[i, list(PUBLISHED.interventions)].max()
                for i in chosen
            ]
        )
        assert float(evaluation.lift(name, "oracle")["lift"]) == pytest.approx(oracle, abs=1e-12)


def test_permutation_of_routes_within_cells_is_scipys(simulated, evaluation):
    """The pipeline's p-value of each cell, 4000 permutations, against scipy's, 4000 others."""
    names, rates = cell_names(simulated), simulated["rescue_rate"].to_pandas()
    routes = plainly_routed(simulated, plainly_hard(simulated))
    cells = evaluation.dataset["cell"].values[1:].tolist()
    assert cells == sorted(set(names))
    for cell in cells:
        rows = [i for i in routes if names[i] == cell]
        table = rates.loc[rows].to_numpy()
        decision = np.array([rates.columns.get_loc(routes[i]) for i in rows])
        p = stats.permutation_test(
            (decision,),
            lambda made, table=table: table[np.arange(len(table)), made.astype(int)].sum(),
            permutation_type="pairings",
            alternative="greater",
            n_resamples=4000,
            vectorized=False,
            rng=np.random.default_rng(0),
        ).pvalue
        assert float(evaluation.lift("published", cell=cell)["p"]) == pytest.approx(
            p, abs=4 * np.sqrt(2 * max(p * (1 - p), 1 / 4000) / 4000)
        )


def test_rescue_at_k_by_every_subset():
    for n in range(1, 8):
        for c, k in product(range(n + 1), range(1, n + 1)):
            outcomes = [True] * c + [False] * (n - c)
            subsets = list(combinations(outcomes, k))
            expected = sum(any(each) for each in subsets) / len(subsets)
            found = 1 - missed(np.array(c), np.array(n), np.array(float(k)))
            assert float(found) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("c", "n"), [(0, 20), (1, 20), (13, 20), (20, 20), (3, 5)])
def test_wilson_is_statsmodels(c, n):
    theirs = proportion_confint(c, n, method="wilson")
    assert proportion_interval(c, n) == pytest.approx(theirs, abs=1e-12)


# --- signals and features
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top_k", [100, 4])
def test_signals_are_scipys(top_k):
    rng = np.random.default_rng(top_k)
    z_s, z_a = rng.normal(scale=3, size=(2, 50, 12))
    token = rng.integers(12, size=50)
    found = signals_from_logits(z_s, z_a, token, temperature=0.6, top_k=top_k, k_cov=3)
    for i in range(50):
        p, q = (np.exp(z / 0.6) / np.exp(z / 0.6).sum() for z in (z_s[i], z_a[i]))
        kept = np.argsort(-p)[:top_k]
        weight = p[kept] / p[kept].sum()
        assert found["entropy"][i] == pytest.approx(stats.entropy(weight))
        assert found["kl_divergence"][i] == pytest.approx(
            max(rel_entr(weight, q[kept]).sum(), 0), abs=1e-12
        )
        if top_k > 12:
            assert found["kl_divergence"][i] == pytest.approx(stats.entropy(p, q))
        described = DescrStatsW(z_s[i][kept], weights=weight)
        assert found["logit_variance"][i] == pytest.approx(described.var)
        scores = np.log(p[kept] / q[kept])
        path = np.log(p[token[i]] / q[token[i]])
        described = DescrStatsW(scores, weights=weight)
        assert found["path_score"][i] == pytest.approx(
            max((path - described.mean) / described.std, 0)
        )
        cover = np.argsort(-q)[:3]
        coverage = np.log((q[cover].sum() + 1e-8) / (p[cover].sum() + 1e-8))
        assert found["demotion_pressure"][i] == pytest.approx(max(path, 0) + max(coverage, 0))


def test_z_scores_are_scipys():
    x = np.random.default_rng(0).lognormal(size=(30, 3))
    assert standardise(x) == pytest.approx(stats.zscore(x, axis=0))
    some = np.arange(30) < 12
    assert standardise(x, population=some) == pytest.approx(stats.zmap(x, x[some], axis=0))


def test_split_half_correlation_is_scipys():
    """Two failed rollouts a problem, one per half: pearsonr over random swaps, 400 a side."""
    rng = np.random.default_rng(6)
    values = rng.normal(size=(25, 1, 3)) * [1.0, 0.5, 2.0] + rng.normal(size=(25, 2, 3))
    coords = {"family": "f", "method": "m", "task": "t"}
    coords = {name: ("problem", [each] * 25) for name, each in coords.items()}
    coords["problem_id"] = ("problem", [f"p{i}" for i in range(25)])
    coords["feature"] = ["spread", "concentration", "logit_dispersion"]
    ds = xr.Dataset({"rollout_features": (("problem", "observed", "feature"), values)}, coords)
    found = needed_rollouts(ds, (1,), n_splits=400, n_bootstrap=1, seed=1)
    found = found["reliability"].sel(scope="pooled", size=1)
    for place in range(3):
        draws = []
        for _ in range(400):
            swap = rng.integers(2, size=25)
            halves = (values[np.arange(25), each, place] for each in (swap, 1 - swap))
            draws.append(stats.pearsonr(*halves).statistic)
        r = float(found[place])
        assert r == pytest.approx(np.mean(draws), abs=4 * np.std(draws) * np.sqrt(2 / 400))


# --- clustering
# ------------------------------------------------------------------------------------------


def test_silhouette_by_loops():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(40, 3)), rng.integers(-1, 3, size=40)
    known = [i for i in range(40) if labels[i] >= 0]
    scores = []
    for i in known:
        mean = {}
        for each in range(3):
            others = [j for j in known if labels[j] == each and j != i]
            mean[each] = np.mean([np.linalg.norm(points[i] - points[j]) for j in others])
        own = mean.pop(labels[i])
        scores.append((min(mean.values()) - own) / max(own, min(mean.values())))
    assert silhouette(points, labels) == pytest.approx(np.mean(scores))


def test_bic_by_the_formula():
    """One Gaussian, and two that share no point: -2 log L + parameters log n, by scipy."""
    rng = np.random.default_rng(1)
    one = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 3))
    two = np.concatenate([one[:30] - 500, one[30:] + 500])
    for points, groups in ((one, [one]), (two, [two[:30], two[30:]])):
        likelihood = sum((np.log(len(g) / 80) + _gaussian(g).logpdf(g)).sum() for g in groups)
        parameters = len(groups) * (3 + 6) + len(groups) - 1
        expected = -2 * likelihood + parameters * np.log(80)
        assert bic(points, len(groups), 0) == pytest.approx(expected, rel=1e-6)


def _gaussian(points):
    covariance = np.cov(points.T, ddof=0) + REG_COVAR * np.eye(3)
    return stats.multivariate_normal(points.mean(axis=0), covariance)


@given(st.integers(0, 10_000))
def test_jaccard_consensus_and_pac_by_sets(seed):
    rng = np.random.default_rng(seed)
    labels, resampled = rng.integers(-1, 3, size=12), rng.integers(-2, 3, size=(5, 12))
    labels[:3] = range(3)
    found = cluster_jaccard(labels, resampled)
    for each in range(3):
        best = []
        for row in resampled:
            drawn = {i for i in range(12) if row[i] != -2}
            own = {i for i in drawn if labels[i] == each}
            groups = [{i for i in drawn if row[i] == g} for g in range(3)]
            if own:
                best.append(max((len(own & g) / len(own | g) for g in groups if g), default=0.0))
        assert found[each] == pytest.approx(np.mean(best) if best else 0.0)
    matrix = consensus(resampled)
    ambiguous = []
    for i, j in combinations(range(12), 2):
        both = [row for row in resampled if row[i] != -2 and row[j] != -2]
        share = np.mean([row[i] == row[j] != -1 for row in both]) if both else np.nan
        assert matrix[i, j] == pytest.approx(share, nan_ok=True)
        if both:
            ambiguous.append(0.1 < share < 0.9)
    assert pac(matrix, (0.1, 0.9)) == pytest.approx(
        np.mean(ambiguous) if ambiguous else np.nan, nan_ok=True
    )


# --- prediction and agreement
# ----------------------------------------------------------------------------------------


def test_folds_of_logistic_regression_are_cross_val_scores():
    rng = np.random.default_rng(2)
    code = rng.integers(3, size=240)
    x = rng.normal(size=(240, 3)) * [1, 10, 0.1] + code[:, None] * [0.6, 4.0, 0.0]
    fold = grouped_folds(code, np.arange(240) // 2, 5, rng)
    probability, _ = predict_out_of_fold(x, code, fold, 3)
    accuracy, auc = fold_scores(code, probability, fold)
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=5000))
    for ours, scoring in ((accuracy, "accuracy"), (auc, "roc_auc_ovr")):
        theirs = cross_val_score(model, x, code, cv=PredefinedSplit(fold), scoring=scoring)
        assert ours == pytest.approx(theirs, abs=1e-6)


@given(st.integers(0, 10_000))
def test_cliffs_delta_is_mann_whitneys_u(seed):
    """Delta is 2 U / (m n) - 1, ties counting half; with whole numbers there are many."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(6, size=9).astype(float), rng.integers(6, size=14).astype(float)
    u = stats.mannwhitneyu(a, b, method="asymptotic").statistic
    assert cliffs_delta(a, b)[0] == pytest.approx(2 * u / (9 * 14) - 1)


def test_cliffs_delta_of_gaussians_is_cohens_d():
    """For two normal samples of equal variance, delta is 2 Phi(d / sqrt 2) - 1, d being Cohen's."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 2.0, 4000), rng.normal(0.0, 2.0, 4000)
    pooled = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    d = (a.mean() - b.mean()) / pooled
    assert d == pytest.approx(0.4, abs=4 * np.sqrt(2 / 4000))
    assert cliffs_delta(a, b)[0] == pytest.approx(2 * stats.norm.cdf(d / np.sqrt(2)) - 1, abs=0.01)


def test_kappa_is_scikit_learns_and_statsmodels():
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=200)
    second = np.where(rng.random(200) < 0.6, first, rng.integers(3, size=200))
    table = np.zeros((3, 3))
    np.add.at(table, (first, second), 1)
    assert float(cohen_kappa(table)) == pytest.approx(cohen_kappa_score(first, second))
    assert float(cohen_kappa(table)) == pytest.approx(cohens_kappa(table).kappa)
