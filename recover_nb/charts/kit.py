"""What all charts share: checks of a frame, colours, shapes, facets, rules, number formats."""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb.charts.escaping import escaped
from recover_nb.charts.theme import (
    theme,
)
from recover_nb.core.errors import InputError

#: Most rows Vega-Lite draws well; Altair refuses more.
MAX_ROWS = 5000


_SHARE = alt.Scale(domain=[0, 1])


_PERCENT = alt.Axis(format=".0%")


def _checked(frame: pd.DataFrame, needed: tuple[str, ...]) -> pd.DataFrame:
    """Refuse a frame that is not the one the chart draws."""
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(
            f"the frame has no column {', '.join(missing)}; this chart needs {', '.join(needed)} "
            "(the docstring names the function of recover_nb.tables that gives it)"
        )
    if not len(frame):
        raise InputError(
            "the frame has no row, so there is nothing to draw: the study does not store what it"
            " needs"
        )
    if len(frame) > MAX_ROWS:
        raise InputError(
            f"the frame has {len(frame)} rows; a chart takes up to {MAX_ROWS}: choose some cells"
            " first"
        )
    return frame[list(needed)]


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def _zero(rows: pd.DataFrame | None = None) -> alt.Chart:
    """Return a dashed line at x = 0.

    Rows are those of the layers beside it: a facet needs one table under all.
    """
    chart = alt.Chart() if rows is None else alt.Chart(rows)
    return chart.mark_rule(color="currentColor", strokeDash=[4, 3]).encode(x=alt.XDatum(0))


def _order(names: pd.Series) -> list[str]:
    """Names as they first occur: the order of the frame, not of the alphabet."""
    return [str(name) for name in dict.fromkeys(names)]


def _colour(field: str, colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=[str(name) for name in colours], range=list(colours.values()))
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=alt.Legend(orient="top"))


def _shape(field: str, shapes: dict[str, str]) -> alt.Shape:
    scale = alt.Scale(domain=[str(name) for name in shapes], range=list(shapes.values()))
    return alt.Shape(f"{field}:N", title=None, scale=scale)


def _tip(field: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:N")


def _percents(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format=".1%") for field in fields]


def _signed(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format="+.1f") for field in fields]


def _finish(
    chart: Any, title: str | alt.Title, width: int | None = None, height: int | None = None
) -> Any:
    """Give a chart its title, size and theme, and let no text in it run where it is shown."""
    size = {} if width is None else {"width": width, "height": height}
    return escaped(chart.properties(title=title, **size).configure(**theme()))


def _faceted(
    layers: alt.LayerChart,
    frame: pd.DataFrame,
    by: str,
    title: alt.Title,
    width: int,
    step: int,
    rows: str,
    columns: int,
) -> alt.LayerChart | alt.FacetChart:
    """Draw one chart, or a panel a group if there are several, `step` pixels a row of `rows`."""
    height = step * frame[rows].nunique()
    if frame[by].nunique() == 1:
        return _finish(layers, title, width, height)
    group = alt.Facet(f"{by}:N", title=None, sort=_order(frame[by]))
    return _finish(
        layers.properties(width=width, height=height).facet(group, columns=columns), title
    )


def _by_part(
    layers: list[alt.Chart], frame: pd.DataFrame, title: str, width: int, height: int, columns: int
) -> alt.LayerChart | alt.FacetChart:
    """Layers over one table as one chart, or a panel a part where there are several.

    The table and all properties are given as a chart is made: one with layers is built anew by each
    that is added.
    """
    rows, size = _rows(frame), {"width": width, "height": height}
    if frame["part"].nunique() == 1:
        return escaped(alt.LayerChart(data=rows, layer=layers, **size, **_top(title)))
    part = alt.Facet("part:N", title=None, sort=_order(frame["part"]))
    panels = alt.LayerChart(layer=layers, **size)
    return escaped(
        alt.FacetChart(data=rows, spec=panels, facet=part, columns=columns, **_top(title))
    )


def _top(title: str | alt.Title) -> dict[str, object]:
    """Title and theme, as keywords of a chart."""
    return {"title": title, "config": alt.Config(**theme())}
