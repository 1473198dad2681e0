"""What `transfer` returns (docs/method.md#11-transfer)."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Verdict
from recover_nb.core.result import Labelled
from recover_nb.core.titles import named, p_value
from recover_nb.prediction.baselines import SIGNIFICANT, capitalised
from recover_nb.routing.result import both_verdict

ESTIMATORS = ("published", "split", "all")
#: Routes held to the same routes permuted within the target's cells.
HELD = tuple(
    f"permuted{end}"
    for end in ("", "_lift", "_low", "_high", "_low_checkpoints", "_high_checkpoints", "_p")
)
#: Directions that a sentence names one by one.
_SAID = 6


class Transfer(Labelled):
    """Every direction from one part of a study to another: made by `transfer`.

    Attributes
    ----------
    dataset : Dataset
        By ``population`` and ``direction``: ``source`` and ``target`` (``not TARGET`` is every unit
        but the target's), ``n_source`` and ``n_target`` (failed units); ``shift`` and ``scale``
        (feature): mean of the target in sd of the source from its mean, and ratio of the sds
        (target over source); ``ari`` (assigned), the adjusted Rand index with the target's own
        clusters of the source's centroids under the source's scaler (``frozen``) and under the
        target's (``refitted``), and of clusters fitted on a random half of the target's problems
        (``halves``, a mean), what a perfect transfer can be expected to reach; ``share``
        (assignment, cluster) of the units in each cluster. Routing by whose mean and sd the
        target's features are standardised, the source's (``frozen``), the target's own
        (``refitted``) or its cells' own (``by_cell``, as published), shape (direction,
        standardisation, estimator): ``n``, ``routed``, ``retry`` (rates) and the ``lift`` over
        retry with ``low`` and ``high`` (questions), ``low_checkpoints`` and ``high_checkpoints``.
        What transfer is judged by: ``permuted``, the rate of the same routes permuted within the
        target's cells, ``permuted_lift`` of routing over it with both intervals (``permuted_low``,
        ``permuted_high``, ``permuted_low_checkpoints``, ``permuted_high_checkpoints``), and the
        one-sided ``permuted_p`` of that permutation. ``excess`` of the published estimator over its
        null: ``excess_low``, ``excess_high``, one-sided ``excess_p``, ``null_mean``, ``null_sd``.
        ``lost`` (direction, estimator): routing frozen less refitted on the same problems, with
        ``lost_low`` and ``lost_high``; ``same_routes``, the share of the target's steerable_hard
        problems routed alike by both. ``split`` is NaN where attempts are not stored.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> moved.dataset["direction"].values.tolist()
    ['qwen3 to neox', 'neox to qwen3']
    """

    title = "Does what is fitted on one part hold on another?"
    chart = "plot_transfer_routing"
    following = (
        "rnb.plot_transfer_clusters(moved)",
        "moved.to_dataframe()  # routing under each standardisation",
        "moved.dataset  # all of it, labelled",
    )

    @property
    def estimator(self) -> str:
        """The estimator that transfer is judged by: ``split`` where attempts are stored."""
        stored = bool(self.dataset["n"].sel(estimator="split").notnull().any())
        return "split" if stored else "all"

    @property
    def verdict(self) -> Verdict:
        """Whether routing transfers: frozen routes beat the target's permuted routes.

        Supported if they do in every direction, by both intervals and by permutation;
        contradicted if they do worse in every direction. Over the first population.
        """
        frozen = self.dataset.isel(population=0).sel(
            standardisation="frozen", estimator=self.estimator
        )
        verdicts = set()
        for place in range(frozen.sizes["direction"]):
            one = frozen.isel(direction=place)
            found = both_verdict(one, "permuted")
            sure = found != Verdict.SUPPORTED or float(one["permuted_p"]) < SIGNIFICANT
            verdicts.add(found if sure else Verdict.NOT_SHOWN)
        return verdicts.pop() if len(verdicts) == 1 else Verdict.NOT_SHOWN

    @property
    def sentence(self) -> str:
        """What frozen routes do beside permuted ones, what freezing costs, and the clusters."""
        found = self.dataset
        said = [
            self._say(one, place == 0)
            for place in range(found.sizes["population"])
            for one in [found.isel(population=place)]
        ]
        left_out = self.settings.get("left_out", {})
        said += [f"Left out: {named(name)} ({reason})." for name, reason in left_out.items()]
        return " ".join(said)

    def _say(self, found: xr.Dataset, whole: bool) -> str:
        """Say what one population gives; if `whole`, what freezing costs too."""
        directions = [found.isel(direction=place) for place in range(found.sizes["direction"])]
        if len(directions) > _SAID:
            return self._summary(found)
        routes = "; ".join(map(self._routes, directions))
        words = f"{capitalised(named(found['population'].item()))}: {routes}."
        return " ".join([words, *(self._cost(one) for one in directions if whole)])

    def _summary(self, found: xr.Dataset) -> str:
        """Say of many directions in how many frozen routes do better than permuted ones."""
        frozen = found.sel(standardisation="frozen", estimator=self.estimator)
        better = (frozen["permuted_low"] > 0) & (frozen["permuted_p"] < SIGNIFICANT)
        worse = int((frozen["permuted_high"] < 0).sum())
        lift = 100 * frozen["permuted_lift"]
        return (
            f"{capitalised(named(found['population'].item()))}: in {int(better.sum())} of"
            f" {found.sizes['direction']} directions routes on the source's scale rescue more"
            f" than the same routes shuffled within cells, and in {worse} less"
            f" ({float(lift.min()):+.1f} to"
            f" {float(lift.max()):+.1f} points)."
        )

    def _routes(self, one: xr.Dataset) -> str:
        frozen = one.sel(standardisation="frozen", estimator=self.estimator)
        ends = ("lift", "low", "high", "low_checkpoints", "high_checkpoints")
        value, low, high, *others = (100 * float(frozen[f"permuted_{end}"]) for end in ends)
        words = (
            f"{one['direction'].item()}, routes on the source's scale rescue {value:+.1f} points"
            f" [{low:+.1f}, {high:+.1f}]"
        )
        if not np.isnan(others[0]):
            words += f", over checkpoints [{others[0]:+.1f}, {others[1]:+.1f}],"
        p = p_value(float(frozen["permuted_p"]), self.settings["n_permutations"])
        return f"{words} compared with the same routes shuffled within cells ({p})"

    def _cost(self, one: xr.Dataset) -> str:
        lost = one.sel(estimator="all")
        value, low, high = (100 * float(lost[name]) for name in ("lost", "lost_low", "lost_high"))
        ari = {name: float(one["ari"].sel(assigned=name)) for name in ("frozen", "halves")}
        return (
            f"{one['direction'].item()}: routing on the source's scale rescues"
            f" {value:+.1f} points [{low:+.1f}, {high:+.1f}] compared with the target's own. The"
            f" source's clusters agree with the target's by an ARI of {ari['frozen']:.2f}; half"
            f" of the target reaches {ari['halves']:.2f}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return what routing gains on the target under each standardisation.

        Returns
        -------
        DataFrame
            One row for each population, direction, standardisation and estimator: ``population``,
            ``direction``, ``source``, ``target``, ``standardisation``, ``estimator``, ``n``
            (problems), ``routed`` and ``retry`` (rescue rates; NaN for excess), ``points`` (routed
            minus retry, or the excess: published less its null) with its 95 % interval
            ``low_points``, ``high_points``, and the excess's one-sided ``p``; ``permuted`` (the
            rate of the same routes permuted within the target's cells), ``permuted_lift_points``
            of routing over it with its 95 % intervals ``permuted_low_points``,
            ``permuted_high_points`` (questions), ``permuted_low_checkpoints_points``,
            ``permuted_high_checkpoints_points``, and its one-sided ``permuted_p``. ``split`` is
            missing where attempts are not stored.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=20)
        >>> table = moved.to_dataframe().query("population == 'failed' and estimator == 'all'")
        >>> table[["direction", "standardisation", "routed", "retry"]].round(2)
                direction standardisation  routed  retry
        27  qwen3 to neox          frozen    0.49   0.49
        31  qwen3 to neox        refitted    0.52   0.49
        35  qwen3 to neox         by_cell    0.53   0.49
        39  neox to qwen3          frozen    0.53   0.48
        43  neox to qwen3        refitted    0.52   0.48
        47  neox to qwen3         by_cell    0.51   0.48
        """
        found = self.dataset
        names = {"lift": "points", "low": "low_points", "high": "high_points"}
        excess = {"excess": "points", "excess_low": "low_points", "excess_high": "high_points"}
        excess["excess_p"] = "p"
        measured = found[["n", "routed", "retry", *names, *HELD]].rename(names)
        taken = found[list(excess)].rename(excess)
        taken["n"] = found["n"].sel(estimator="published", drop=True)
        taken = taken.expand_dims(estimator=["excess"])
        order = ["published", "excess", *ESTIMATORS[1:]]
        both = xr.concat([measured, taken], "estimator", join="outer", data_vars="all")
        both = both.sel(estimator=order)
        both = both.assign(source=found["source"], target=found["target"])
        dims = ("population", "direction", "standardisation", "estimator")
        frame = both.to_dataframe(dim_order=dims).reset_index()
        frame = frame[frame["n"].notna()].copy()
        points = [name for name in HELD[1:-1]]
        frame[["points", "low_points", "high_points", *points]] *= 100
        named_points = {name: f"{name}_points" for name in points}
        frame = frame.rename(columns=named_points)
        columns = ["population", "direction", "source", "target", "standardisation", "estimator"]
        columns += ["n", "routed", "retry", "points", "low_points", "high_points", "p", "permuted"]
        return frame[[*columns, *named_points.values(), "permuted_p"]].reset_index(drop=True)
