"""Data of a `TopographyExplorer`: predictions, transfer and reading of the last settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL
from recover_nb.core.schema import text
from recover_nb.prediction.reading import reading
from recover_nb.prediction.reading_result import Reading
from recover_nb.prediction.targets import PARTITIONS, TARGETS, populations_of, unit_names
from recover_nb.prediction.topography import topography
from recover_nb.prediction.topography_result import Topography
from recover_nb.prediction.transfer import ALLOWED, transfer
from recover_nb.prediction.transfer_result import Transfer
from recover_nb.tables.kit import interval, matching

Found = Topography | Transfer | Reading

#: Counts of a first look, few enough to follow a control; `resample` takes the functions' own.
ROUGH = {
    "topography": {"n_repeats": 2, "n_permutations": 9},
    "transfer": {"n_null": 20, "n_splits": 10, "n_bootstrap": 200, "n_permutations": 200},
    "reading": {"n_repeats": 1},
}
#: What each is called while it is waited for.
DOING = {
    "topography": "Predicting from the features",
    "transfer": "Transferring",
    "reading": "Reading",
}
#: Results that are kept.
KEPT = 32
UNIT = ("family", "method", "task", "problem_id")


@dataclass(frozen=True)
class Panel:
    """One thing to look at.

    Attributes
    ----------
    kind : str
        What it is computed from: ``topography``, ``transfer`` or ``reading``.
    frame : callable
        From the result to a data frame.
    plot : callable
        From the data frame to a chart.
    """

    kind: str
    frame: Callable[[Any], pd.DataFrame]
    plot: Callable[..., Any]


PANELS = {
    "fingerprints": Panel("topography", tables.feature_quantiles, charts.plot_feature_quantiles),
    "effects": Panel("topography", tables.effect_sizes, charts.plot_effects),
    "scores": Panel("topography", tables.score_lines, charts.plot_scores),
    "confusion": Panel("topography", tables.confusion_cells, charts.plot_confusion),
    "coefficients": Panel("topography", tables.coefficient_spans, charts.plot_coefficients),
    "clusters": Panel("transfer", tables.transfer_agreement, charts.plot_transfer_clusters),
    "routing": Panel("transfer", Transfer.to_dataframe, charts.plot_transfer_routing),
    "reading": Panel("reading", Reading.to_dataframe, charts.plot_reading),
}
#: Panels of one part at a time; the others show all parts, or those of the whole.
OF_ONE = ("fingerprints", "effects", "coefficients")


@dataclass(frozen=True)
class Settings:
    """What the results depend on; each on some of it.

    Attributes
    ----------
    target, within : str
        As in `topography`; empty `within` = pooled.
    features : tuple of str
        Empty = the three published ones.
    by : str
        As in `transfer`.
    rollouts : str
        As in `reading`.
    seed : int
    population : str
        Which failures; empty = the study's headline.
    """

    target: str = "method"
    within: str = ""
    features: tuple[str, ...] = ()
    by: str = "family"
    rollouts: str = "all"
    seed: int = 0
    population: str = ""

    def arguments(self, kind: str) -> dict[str, Any]:
        """Return the keywords of one kind of result."""
        some = {"seed": self.seed, "populations": (self.population,) if self.population else None}
        if kind == "transfer":
            return {"by": self.by, **some}
        rest = {"rollouts": self.rollouts} if kind == "reading" else {}
        chosen = {"features": self.features or None, "within": self.within or None}
        return {"target": self.target, **chosen, **rest, **some}


class TopographyData:
    """Results under changing settings; each is computed once.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    counts : dict of str to dict, optional
        Keywords of `resample`, by ``topography``, ``transfer`` and ``reading``.

    Raises
    ------
    InputError
        If the study has no features.
    """

    def __init__(self, ds: xr.Dataset, *, counts: dict[str, dict[str, int]] | None = None) -> None:
        if "features" not in ds:
            raise InputError(
                "the study has no variable 'features'; compute it with compute_features first"
            )
        self.ds = ds
        self.features = tuple(map(str, ds["feature"].values))
        self.targets, self.partitions, self.sources = (
            self._able(names) for names in (TARGETS, PARTITIONS, ALLOWED)
        )
        self.populations = tuple(populations_of(ds, None))
        self._counts = dict(counts or {})
        self._held: dict[tuple, tuple[Found, bool]] = {}

    def _able(self, allowed: Sequence[str]) -> tuple[str, ...]:
        """Return the labels this study holds."""
        able = []
        for name in allowed:
            try:
                unit_names(self.ds, name, "name", tuple(allowed))
            except InputError:
                continue
            able.append(name)
        return tuple(able)

    def known(self, kind: str, settings: Settings) -> bool:
        """Say whether a result is there already."""
        return _key(kind, settings) in self._held

    def exact(self, kind: str, settings: Settings) -> bool:
        """Say whether a result was computed with all resamples."""
        return self._held.get(_key(kind, settings), (None, False))[1]

    def result(
        self,
        kind: str,
        settings: Settings,
        *,
        exact: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Found:
        """Return a result: the one kept, or a new one.

        Parameters
        ----------
        kind : {"topography", "transfer", "reading"}
        settings : Settings
        exact : bool
            Compute with all resamples, unless that was done before.
        progress : callable, optional
            Called after each step; see `steps`.
        """
        key = _key(kind, settings)
        found, done = self._held.pop(key, (None, False))
        if found is None or (exact and not done):
            counts = self._counts.get(kind, {}) if exact else ROUGH[kind]
            compute = {"topography": topography, "transfer": transfer, "reading": reading}[kind]
            found, done = (
                compute(self.ds, **settings.arguments(kind), **counts, progress=progress),
                exact,
            )
        # The last used is the last to be forgotten.
        self._held[key] = found, done
        while len(self._held) > KEPT:
            del self._held[next(iter(self._held))]
        return found

    def steps(self, kind: str, settings: Settings, *, exact: bool = False) -> int:
        """Return about how often `result` calls its progress."""
        if kind == "transfer":
            n = len(self._names(settings.by))
            return n if settings.by == "cell" else n * (n - 1)
        counts = self._counts.get(kind, {}) if exact else ROUGH[kind]
        each = counts.get("n_repeats", 10 if kind == "topography" else 5)
        each += counts.get("n_permutations", 100) if kind == "topography" else 0
        return each * (len(self._names(settings.within)) if settings.within else 1)

    def _names(self, by: str) -> set[str]:
        return set(unit_names(self.ds, by, "by", ALLOWED).tolist()) if by in ALLOWED else {by}

    def parts(self, settings: Settings) -> tuple[str, ...]:
        """Return the parts that are predicted apart; none where nothing is."""
        return tuple(name for name in self.result("topography", settings).parts if name != ALL)

    def frame(self, panel: str, settings: Settings, part: str = "") -> pd.DataFrame:
        """Return what a panel draws of one part (empty = all, or the first if it shows one)."""
        found = self.result(PANELS[panel].kind, settings)
        if panel == "confusion" and not part:
            return (
                tables.confusion_total(found)
                if len(found.parts) > 1
                else tables.confusion_cells(found)
            )
        frame = PANELS[panel].frame(found)
        if panel in OF_ONE and not part:
            part = next(iter(found.parts))
        return (
            frame[frame["part"] == part].reset_index(drop=True)
            if part and "part" in frame
            else frame
        )

    def problems(
        self,
        settings: Settings,
        part: str = "",
        cell: tuple[str, str] = ("", ""),
        among: Sequence[int] = (),
    ) -> pd.DataFrame:
        """Return the units of one part and confusion cell (empty = any), among some places.

        With no places given, all are meant.
        """
        frame = tables.unit_predictions(self.result("topography", settings))
        frame = matching(frame, among, part=part, true=cell[0], predicted=cell[1])
        frame = frame.drop(columns="part").reset_index(drop=True)
        rows = frame["problem"].to_numpy()
        units = {
            name: text(self.ds[name])[rows]
            for name in UNIT
            if name in self.ds.coords and name != settings.target
        }
        values = self.ds["features"].transpose("problem", "feature").to_numpy()[rows]
        return frame.assign(**units, **dict(zip(self.features, values.T, strict=True)))

    def classes(self, settings: Settings, part: str = "") -> list[str]:
        """Return the classes of one part (empty = of all)."""
        found = self.result("topography", settings).parts
        return sorted(
            {name for each, item in found.items() if part in ("", each) for name in item.classes}
        )

    def said(self, panel: str, settings: Settings) -> list[str]:
        """Say in sentences what a panel shows."""
        kind = PANELS[panel].kind
        found = self.result(kind, settings)
        said = [found.sentence]
        if isinstance(found, Transfer):
            said += _say_losses(tables.transfer_losses(found))
        left_out = getattr(found, "left_out", {})
        if left_out:
            name, reason = next(iter(left_out.items()))
            said.append(f"Left out: {len(left_out)}, such as {name} ({reason}).")
        return said


def _key(kind: str, settings: Settings) -> tuple:
    return (kind, *settings.arguments(kind).values())


def _say_losses(losses: pd.DataFrame) -> list[str]:
    """Say what the source's scale costs, by an estimator that selects nothing on what it scores."""
    name = "split" if "split" in set(losses["estimator"]) else "all"
    return [
        f"{row.source} to {row.target}: routed by the source's scale less by its own,"
        f" {row.points:+.1f} points {interval((row.low_points, row.high_points))} ({name});"
        f" {100 * row.same_routes:.0f} % of steerable_hard problems are routed alike."
        for row in losses[losses["estimator"] == name].itertuples()
    ]
