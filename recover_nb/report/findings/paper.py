"""The paper's five claims: which figures carry each, and what they are held to, in a few words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recover_nb.core.titles import named
from recover_nb.prediction.baselines import COMMONEST, WORDS
from recover_nb.tables.kit import interval

Figures = Mapping[str, Any]
#: One row of a picture: see `charts.findings.plot_claim`.
Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A claim's figure on one source, with what it is held to.

    Attributes
    ----------
    population, figure, null, baselines : str
    rows : list of dict
        Of the picture.
    """

    population: str
    figure: str
    null: str
    baselines: str
    rows: Sequence[Row] = ()


@dataclass(frozen=True)
class PaperClaim:
    """One of the paper's claims.

    Attributes
    ----------
    name, title, paper : str
        ``paper`` is its figure there.
    lead : str
        Name of the `judge.CLAIMS` that says whether it stands as stated.
    also : tuple of str
        Those that say what it means.
    axis : str
        Of the picture.
    tell : callable
        From the figures of a source to `Told`, or None where its sections are missing.
    """

    name: str
    title: str
    paper: str
    lead: str
    also: tuple[str, ...]
    axis: str
    tell: Callable[[Figures], Told | None]


def _row(label: str, value: float, *, judged: bool = True, **more: Any) -> Row:
    """Return a row of the picture; an interval is given as ``ends``, ``apart`` or ``band``."""
    row: Row = {"label": label, "kind": "judged" if judged else "held to", "value": value}
    for name, keys in (
        ("ends", ("low", "high")),
        ("apart", ("low_checkpoints", "high_checkpoints")),
        ("band", ("band_low", "band_high")),
    ):
        pair = more.get(name) or (None, None)
        row |= dict(zip(keys, pair, strict=True))
    return row | {"at": more.get("at")}


def picture_rows(told: Told) -> pd.DataFrame:
    """Return the rows of a picture as numbers, NaN where there is none."""
    frame = pd.DataFrame(list(told.rows))
    numbers = [str(name) for name in frame if name not in ("label", "kind")]
    return frame.astype(dict.fromkeys(numbers, float))


def _have(figures: Figures, *sections: str) -> bool:
    return all(name in figures and "missing" not in figures[name] for name in sections)


def _regimes(figures: Figures) -> Told | None:
    if not _have(figures, "grid_pooled", "grid_ranks", "clusters"):
        return None
    pooled, ranks, views = figures["grid_pooled"], figures["grid_ranks"], figures["clusters"]
    rows = []
    words = {"pooled": "all cells pooled", "within": "within cells", "ranks": "within, by ranks"}
    for name, view in views["views"].items():
        found = view["figures"]["mean_jaccard"]
        limits = found["limits"]
        top = max(limits.values())
        band = (min(limits.values()), top)
        rows.append(_row(words.get(name) or name, found["value"], band=band, at=top))
    others = views["views"]["pooled"]["alignment"]
    named_there = ", ".join(
        f"{name} {value:.2f}"
        for name, value in others.items()
        if name != "regime" and value is not None
    )
    regime = others.get("regime")
    return Told(
        named(pooled["population"]) if "population" in pooled else "",
        f"{len(pooled['claimed'])} of {pooled['clusterings']} clusterings; by ranks within cells"
        f" {len(ranks['claimed'])}",
        f"one Gaussian and a uniform box, least p {pooled['least_p']:.2g}",
        f"ARI with the regimes {'unknown' if regime is None else format(regime, '.2f')}; with"
        f" {named_there}",
        rows,
    )


def _without_signal(one: Figures) -> str:
    return ", ".join(
        f"{WORDS[name]} {x['auc']:.2f}"
        for name, x in one["baselines"].items()
        if name in WORDS and name != COMMONEST
    )


def _fingerprint(figures: Figures) -> Told | None:
    if not _have(figures, "fingerprint"):
        return None
    population, one = next(iter(figures["fingerprint"]["pooled"]["populations"].items()))
    rows = [_row("three features", one["auc"], at=one["auc_permuted"])]
    rows += [
        _row(WORDS[name], x["auc"], judged=False)
        for name, x in one["baselines"].items()
        if name in WORDS and name != COMMONEST
    ]
    rows.append(_row("permuted labels", one["auc_permuted"], judged=False))
    return Told(
        named(population),
        f"accuracy {one['accuracy']:.1%}, AUC {one['auc']:.2f}",
        f"permuted labels {one['permuted']:.1%}, AUC {one['auc_permuted']:.2f}",
        f"commonest method {one['majority']:.1%}; AUC of {_without_signal(one) or 'none known'}",
        rows,
    )


#: Findings of routing that its picture shows, in words.
_ROUTING = {
    "all": "every problem, over retry",
    "split": "split halves, over retry",
    "published": "as published, over retry",
    "choice": "over the best single operator",
    "permutation": "over its own routes, shuffled",
    "budget_forward_passes": "over retry at equal cost",
}


def _routing(figures: Figures) -> Told | None:
    if not _have(figures, "routing"):
        return None
    found = figures["routing"]
    rows = []
    for name, words in _ROUTING.items():
        figure = found[name]["figure"]
        value = figure.get("lift_points")
        if value is None:
            continue
        more: dict[str, Any] = {"ends": figure["interval"], "apart": figure["checkpoints"]}
        nulls = figure.get("nulls", {})
        if nulls:
            one = next(iter(nulls.values()))
            half = 1.96 * one["sd_points"]
            more["band"] = (one["mean_points"] - half, one["mean_points"] + half)
        judged = name in ("all", "split", "published")
        rows.append(_row(words, value, judged=judged, at=0.0, **more))
    lead, published = found["all"]["figure"], found["published"]["figure"]
    null = next(iter(published["nulls"].values()), None)
    choice, permuted = found["choice"]["figure"], found["permutation"]["figure"]
    return Told(
        named(found["all"]["population"]),
        f"{_points(lead)}; as published {_points(published)}",
        "0; as published "
        + ("unknown" if null is None else f"{null['mean_points']:+.1f} +- {null['sd_points']:.1f}"),
        f"over the best single operator {_points(choice)}; over shuffled routes"
        f" {_points(permuted)}",
        rows,
    )


def _points(figure: Figures) -> str:
    value = figure.get("lift_points")
    if value is None:
        return "not known"
    return f"{value:+.1f} {interval(figure['interval'])}"


def _transfer(figures: Figures) -> Told | None:
    if not _have(figures, "transfer"):
        return None
    found = figures["transfer"]
    population, one = next(iter(found["populations"].items()))
    rows, said, halves = [], [], []
    for x in one["directions"]:
        lift = x["permuted"]
        ends, apart = (
            [None if end is None else 100 * end for end in lift[name]]
            for name in ("ci95", "checkpoints")
        )
        words = f"{x['source']} to {x['target']}"
        if lift["lift"] is None:
            continue
        rows.append(_row(words, 100 * lift["lift"], ends=ends, apart=apart, at=0.0))
        said.append(f"{words} {100 * lift['lift']:+.1f}")
        halves.append(f"{x['frozen']:.2f} ({x['halves']:.2f})")
    return Told(
        named(population),
        f"routing, over the target's shuffled routes: {'; '.join(said)} points",
        "0",
        f"clusters: ARI with the target's own {', '.join(halves)} (two halves of the target)",
        rows,
    )


def _reading(figures: Figures) -> Told | None:
    if not _have(figures, "reading"):
        return None
    population, one = next(iter(figures["reading"]["pooled"]["populations"].items()))
    readers = one["readers"]
    rows = [
        _row(WORDS.get(name, name), x["auc"], judged=name == "features")
        for name, x in readers.items()
        if name != COMMONEST
    ]
    plain = [name for name in ("level", "prompt_length", "failures") if name in readers]
    text = readers.get("ngrams")
    return Told(
        named(population),
        f"AUC of the features {readers['features']['auc']:.2f}, of the text "
        + ("unknown" if text is None else f"{text['auc']:.2f}"),
        "0.50",
        "AUC of "
        + (", ".join(f"{WORDS.get(x, x)} {readers[x]['auc']:.2f}" for x in plain) or "none known"),
        rows,
    )


PAPER: tuple[PaperClaim, ...] = (
    PaperClaim(
        "regimes",
        "Failures fall into stable regimes.",
        "stable clusters, called by what rescues them",
        "clusters",
        ("clusters_robust", "aligned"),
        "cluster-wise Jaccard, mean",
        _regimes,
    ),
    PaperClaim(
        "fingerprint",
        "Three numbers of the failures fingerprint the post-training method.",
        "84.3 +- 4.3 %, +20 points over the commonest",
        "fingerprint",
        (),
        "AUC, out of fold",
        _fingerprint,
    ),
    PaperClaim(
        "routing",
        "They route each failure to what rescues it, where retrying is not enough.",
        "+12.2 points; ten routed rollouts match fifty retries",
        "published",
        (
            "all",
            "split",
            "choice",
            "permutation",
            "mapping",
            "budget_attempts",
            "budget_forward_passes",
            "tells",
            "predicts",
            "steering",
            "more_than_ancestor",
            "place",
            "mixture",
        ),
        "points",
        _routing,
    ),
    PaperClaim(
        "transfer",
        "What is fitted on one family holds on another.",
        "two cross-family probes",
        "routing_transfers",
        ("clusters_transfer",),
        "points",
        _transfer,
    ),
    PaperClaim(
        "reading",
        "Reading the failed answers would not tell.",
        "the title",
        "not_by_reading",
        ("not_by_reading_cell", "not_by_reading_first"),
        "AUC, out of fold",
        _reading,
    ),
)
