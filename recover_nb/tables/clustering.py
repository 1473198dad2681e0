"""Data frames of a clustering and its stability.

They arrange what `recover_nb.clustering` computed, and no more.
"""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.clustering.preview import Glance
from recover_nb.clustering.result import (
    DISSOLVED,
    FIGURE_WORDS,
    LEFT_OUT,
    STABLE,
    ClusterStability,
    applying,
)
from recover_nb.clustering.stability import FIGURES
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Structure
from recover_nb.core.schema import cell_names, text
from recover_nb.tables.kit import feature_columns

#: Side of the largest consensus matrix that a chart takes.
MAX_SIDE = 70
DATA, NOISE_NAME = "data", "noise"


def cluster_rows(result: ClusterStability | Glance) -> pd.DataFrame:
    """List the clusters with their stability.

    Parameters
    ----------
    result : ClusterStability or Glance

    Returns
    -------
    DataFrame
        One row per cluster: ``cluster`` (text), ``problems``, ``share`` (of those clustered),
        ``jaccard``, for each null ``gaussian_limit`` and ``box_limit`` (95 % limit of its best
        Jaccard), ``reading`` (``stable`` from 0.75, ``doubtful``, ``not a cluster`` below 0.6:
        Jaccard alone) and ``claimed`` (bool: beyond the nulls as well). Empty where none was found.
        A `Glance` has neither limits nor ``reading`` nor ``claimed``.
    """
    high_enough = [result.jaccard >= STABLE, result.jaccard >= DISSOLVED]
    reading = np.select(high_enough, ["stable", "doubtful"], "not a cluster")
    limits = {f"{null}_limit": result.limit("best_jaccard", null) for null in result.nulls}
    return pd.DataFrame(
        {
            "cluster": [str(i) for i in range(result.k)],
            "problems": result.sizes,
            "share": result.sizes / max(result.n, 1),
            "jaccard": result.jaccard,
            **limits,
            **(
                {"reading": reading.astype(object), "claimed": result.claimed}
                if result.nulls
                else {}
            ),
        }
    )


def stability_points(result: ClusterStability | Glance) -> pd.DataFrame:
    """Lay out figures, null draws and limits one by one, to be drawn.

    Parameters
    ----------
    result : ClusterStability

    Returns
    -------
    DataFrame
        ``figure`` (in words, with the direction of stability), ``source`` (``data``, ``gaussian``,
        ``box``), ``kind`` (``value`` of the data, ``draw`` of a null, ``limit``) and ``value``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=2, n_null=19, agreement=False)
    >>> points = rnb.tables.stability_points(result).query("source == 'data'")
    >>> points["figure"].tolist()
    ['mean Jaccard (high is stable)', 'best Jaccard (high is stable)', 'ARI between resamples (high
    is stable)', 'PAC (low is stable)']
    """
    rows = []
    for name in applying(result):
        words = f"{FIGURE_WORDS[name]} ({'high' if FIGURES[name] else 'low'} is stable)"
        rows.append((words, DATA, "value", result.figures[name]))
        for null, figures in result.nulls.items():
            rows += [(words, null, "draw", value) for value in figures[name].tolist()]
            rows.append((words, null, "limit", result.limit(name, null)))
    return pd.DataFrame(rows, columns=["figure", "source", "kind", "value"])


def grid_lines(grid: pd.DataFrame) -> pd.DataFrame:
    """Lay out a grid of clusterings, to be drawn.

    The limits of the nulls are lines of their own.

    Parameters
    ----------
    grid : DataFrame
        From `clustering.stability_grid`.

    Returns
    -------
    DataFrame
        ``algorithm``, ``k``, ``figure`` (in words), ``source`` (``data``, or ``gaussian`` and
        ``box`` for their 95 % limits), ``value``, ``verdict`` and ``p_family``.

    Raises
    ------
    InputError
        If a column is missing.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> grid = rnb.stability_grid(ds, algorithms=["ward"], ks=[2], n_resamples=5, n_null=19)
    >>> lines = rnb.tables.grid_lines(grid)
    >>> lines[["algorithm", "k", "figure", "source"]].head(3)
      algorithm  k                 figure source
    0      ward  2           mean Jaccard   data
    1      ward  2           best Jaccard   data
    2      ward  2  ARI between resamples   data
    """
    sources = {DATA: "value", "gaussian": "gaussian_limit", "box": "box_limit"}
    kept = ["algorithm", "k", "figure", "verdict", "p_family"]
    missing = [name for name in (*kept, *sources.values()) if name not in grid.columns]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)}; grid_lines takes the frame of stability_grid"
        )
    parts = [
        grid[kept].assign(source=source, value=grid[column]) for source, column in sources.items()
    ]
    lines = pd.concat(parts, ignore_index=True)
    lines["figure"] = lines["figure"].map(FIGURE_WORDS)
    return lines[["algorithm", "k", "figure", "source", "value", "verdict", "p_family"]]


def consensus_cells(result: ClusterStability | Glance, *, side: int = MAX_SIDE) -> pd.DataFrame:
    """Lay out the consensus matrix one pair a row, to be drawn.

    Parameters
    ----------
    result : ClusterStability
    side : int
        Most problems along a side, at least 2: of more, as many are taken at even distances in the
        matrix's order, which keeps each cluster's share.

    Returns
    -------
    DataFrame
        ``row``, ``column`` (places in the matrix drawn), ``consensus`` (NaN where never drawn
        together), ``row_problem``, ``column_problem`` (places in the study), ``row_cluster`` and
        ``column_cluster`` (text).

    Raises
    ------
    InputError
        If `side` is below 2.
    """
    if side < 2:
        raise InputError(f"side is {side}; allowed: a whole number of at least 2")
    n = len(result.consensus_problem)
    chosen = np.linspace(0, n - 1, min(side, n)).round().astype(int)
    problem = result.consensus_problem[chosen]
    names = _cluster_names(result.labels.values[problem])
    row, column = (each.ravel() for each in np.indices((len(chosen), len(chosen))))
    return pd.DataFrame(
        {
            "row": row,
            "column": column,
            "consensus": result.consensus[np.ix_(chosen, chosen)].ravel(),
            "row_problem": problem[row],
            "column_problem": problem[column],
            "row_cluster": names[row],
            "column_cluster": names[column],
        }
    )


@takes_study()
def cluster_points(result: ClusterStability | Glance, ds: xr.Dataset) -> pd.DataFrame:
    """List the problems clustered, with their features.

    Parameters
    ----------
    result : ClusterStability
    ds : Dataset
        The study it was made from.

    Returns
    -------
    DataFrame
        ``cell``, ``problem`` (its place in the study), ``problem_id``, the three features (not
        standardised) and ``cluster`` (text; ``noise`` for none). ``cell`` and ``problem_id`` are
        empty where the study has none.

    Raises
    ------
    InputError
        If the study has another number of problems than the result.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=2, n_null=19, agreement=False)
    >>> points = rnb.tables.cluster_points(result, ds)
    >>> points.groupby("cluster")["spread"].agg(["size", "mean"]).round(2)
             size  mean
    cluster
    0          30 -0.47
    1          10  0.75
    """
    if ds.sizes["problem"] != result.labels.size:
        raise InputError(
            f"the study has {ds.sizes['problem']} problems and the result {result.labels.size};"
            " allowed: the study that was clustered"
        )
    kept = np.flatnonzero(result.labels.values != LEFT_OUT)
    blank = np.full(ds.sizes["problem"], "", dtype=object)
    has_cells = "cell" in ds.coords or {"family", "method", "task"} <= set(ds.coords)
    return pd.DataFrame(
        {
            "cell": (cell_names(ds) if has_cells else blank)[kept],
            "problem": kept,
            "problem_id": (text(ds["problem_id"]) if "problem_id" in ds.coords else blank)[kept],
            **feature_columns(ds, kept),
            "cluster": _cluster_names(result.labels.values[kept]),
        }
    )


def say_glance(result: Glance) -> str:
    """Say what a glance shows, and that it settles nothing.

    Parameters
    ----------
    result : Glance

    Returns
    -------
    str
    """
    if not result.k:
        return f"{result.algorithm} on {result.n} problems finds no cluster: everything is noise."
    sizes = ", ".join(map(str, result.sizes.tolist()))
    said = (
        f"{result.algorithm} cuts {result.n} problems into {result.k} clusters ({sizes} problems)"
    )
    if result.n_resamples:
        jaccard = ", ".join(f"{value:.2f}" for value in result.jaccard)
        said += f", which come back with Jaccard {jaccard} in {result.n_resamples} resamples"
    return (
        f"{said}. Not judged yet: any data can be cut like this. Compare with data"
        f" without clusters."
    )


def say_null(result: ClusterStability, figure: str = "ari") -> str:
    """Say what data without clusters reach in a figure, and the data.

    Parameters
    ----------
    result : ClusterStability
    figure : str
        A name of `clustering.stability.FIGURES`.

    Returns
    -------
    str

    Raises
    ------
    InputError
        For another figure.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=5, n_null=19, agreement=False)
    >>> print(rnb.tables.paragraphs(rnb.tables.say_null(result), width=80))
    ARI between resamples is 0.59 in the data; in the median draw of data without
    clusters 0.49 (gaussian; 0.83 at the 95 % limit) and 0.46 (box; 0.86 at the 95 %
    limit).
    """
    if figure not in FIGURES:
        raise InputError(f"no figure {figure!r}; allowed: {', '.join(FIGURES)}")
    reached = " and ".join(
        f"{np.median(figures[figure]):.2f} ({null}; {result.limit(figure, null):.2f} at the 95 %"
        " limit)"
        for null, figures in result.nulls.items()
    )
    value = result.figures[figure]
    return (
        f"{FIGURE_WORDS[figure]} is {value:.2f} in the data; in the median draw of data without"
        f" clusters {reached}."
    )


def say_alignment(result: ClusterStability) -> str:
    """Say which name that problems carry already the clusters repeat most; empty if there is none.

    Parameters
    ----------
    result : ClusterStability

    Returns
    -------
    str
    """
    if not result.alignment:
        return ""
    name = max(result.alignment, key=result.alignment.__getitem__)
    listed = ", ".join(f"{each} {value:.2f}" for each, value in result.alignment.items())
    return (
        f"Of the names that problems already have, the clusters agree most with {name} (ARI:"
        f" {listed})."
    )


def say_grid(grid: pd.DataFrame) -> str:
    """Say how many clusterings are claimed, each by itself and all together.

    Parameters
    ----------
    grid : DataFrame
        From `clustering.stability_grid`.

    Returns
    -------
    str

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> grid = rnb.stability_grid(ds, algorithms=["ward"], ks=[2, 3], n_resamples=5, n_null=19)
    >>> print(rnb.tables.paragraphs(rnb.tables.say_grid(grid), width=80))
    Tried alone, 0 of 2 clusterings would count as real. Corrected for trying all 2,
    0 still are.
    """
    first = grid.drop_duplicates(["algorithm", "k"])
    alone, held = ((first[name] == Structure.CLUSTERS) for name in ("verdict", "family_verdict"))
    which = ", ".join(
        f"{row.algorithm} {row.k} (p = {row.p_family:.2f})" for row in first[held].itertuples()
    )
    return (
        f"Tried alone, {alone.sum()} of {len(first)} clusterings would count as real. Corrected"
        f" for trying all {len(first)}, {held.sum()} still"
        f" {'is' if held.sum() == 1 else 'are'}{': ' + which if which else ''}."
    )


def _cluster_names(labels: np.ndarray) -> np.ndarray:
    return np.array([NOISE_NAME if label < 0 else str(label) for label in labels], dtype=object)
