"""What all charts share: checks of a frame, colours, shapes, facets, intervals, number formats."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import altair as alt
import pandas as pd
import xarray as xr

from recover_nb.charts.escaping import escaped
from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature
from recover_nb.core.result import Result
from recover_nb.core.theme import FEATURE_TITLES, INK, heat, theme
from recover_nb.core.titles import named_all
from recover_nb.core.titles import title as column_title

#: Most rows Vega-Lite draws well; Altair refuses more.
MAX_ROWS = 5000

#: Letters side by side in a legend above a chart.
LETTERS = 84
#: Scale and axis of a share of 1.
SHARE, PERCENT = alt.Scale(domain=[0, 1]), alt.Axis(format=".0%")


def frame_of(data: Any, table: Callable[[Any], pd.DataFrame] | None = None) -> pd.DataFrame:
    """Return what a chart draws: a frame as it is, anything else as `table` lays it out.

    Without a table, a result as its own `to_dataframe` does.

    Raises
    ------
    InputError
        A study, where the chart draws what a function makes of one.
    """
    if isinstance(data, pd.DataFrame):
        return data
    if not is_study(data):
        return _laid_out(data, table)
    try:
        # A table of results would spread a whole study out, number by number.
        if table is not None and next(iter(signature(table).parameters)) == "ds":
            return table(data)
    except (AttributeError, KeyError):
        # What is read of a result is not in a study.
        pass
    raise wrong_kind()


def _laid_out(data: Any, table: Callable[[Any], pd.DataFrame] | None) -> pd.DataFrame:
    """Return a result as a frame; anything that is none is refused."""
    if isinstance(data, xr.Dataset) and not data.sizes:
        raise wrong_kind("a Dataset without dimensions")
    try:
        return data.to_dataframe() if table is None else table(data)
    except (AttributeError, KeyError, TypeError):
        if isinstance(data, Result):
            raise wrong_kind(f"{type(data).__name__} of another function") from None
        kind = "None" if data is None else f"a {type(data).__name__}"
        raise wrong_kind(kind) from None


#: What gives each result that a chart draws.
_GIVES = {
    "Ablation": "rnb.ablate(study)",
    "Audit": "rnb.audit(outcomes)",
    "Changes": "rnb.what_changed(study)",
    "ClusterStability": "rnb.cluster_stability(study)",
    "Controls": "rnb.controls(study)",
    "Dataset": "rnb.load_study() or rnb.open_study(path)",
    "Evaluation": "rnb.evaluate_routing(study)",
    "Reading": "rnb.reading(study)",
    "RemapSurvival": "rnb.remap_survival(study, remapped, redrawn)",
    "RouterComparison": "rnb.compare_routers(study)",
    "StepVerifier": "rnb.verify_steps(rnb.load_steps())",
    "Topography": "rnb.topography(study)",
    "MonitorResult": "rnb.monitor(rnb.load_cued())",
    "TrainingGain": "rnb.training_gain(study, onward)",
    "Transfer": "rnb.transfer(study)",
}


def drawn(*names: str) -> checks.Kind:
    """Return the kind of what a chart draws: a frame, or one of the named results.

    A study where none is drawn has a sentence of its own, `wrong_kind`.
    """
    gives = " or ".join(_GIVES[name] for name in names)

    def read(value: Any) -> Any:
        known = {each.__name__ for each in type(value).__mro__}
        if not known & {"DataFrame", *names} and not is_study(value):
            raise checks.Wrong(f"give what comes from {gives}" if gives else "")
        return value

    said = [f"{'an' if name[0] in 'AE' else 'a'} {name}" for name in (*names, "DataFrame")]
    return checks.Kind(" or ".join(said), read)


def is_study(data: Any) -> bool:
    """Whether something is a study, rather than what was found in one."""
    return "schema_version" in getattr(data, "attrs", ()) or (
        isinstance(data, xr.Dataset) and bool({"family", "correct"} & set(data.variables))
    )


def wrong_kind(given: str = "a study") -> InputError:
    """Return the error for a study, or something else, that is given to a chart of a result."""
    return InputError(
        f"this chart draws a result and data is {given}; give it what the function that its"
        " docstring names returns, such as rnb.evaluate_routing(study)"
    )


def checked(frame: pd.DataFrame, needed: tuple[str, ...]) -> pd.DataFrame:
    """Refuse a frame that is not the one the chart draws."""
    if is_study(frame):
        raise wrong_kind()
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


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first population, where a frame has several."""
    if "population" not in frame or not len(frame):
        return frame
    return frame[frame["population"] == frame["population"].iloc[0]]


def rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without an index, which a chart would not draw."""
    return frame.reset_index(drop=True)


def order(names: pd.Series) -> list[str]:
    """Names as they first occur: the order of the frame, not of the alphabet."""
    return [str(name) for name in dict.fromkeys(names)]


def in_turn(names: Sequence[str], looks: Sequence[Any]) -> dict[str, Any]:
    """Give each name the next of some looks, from the first again after the last."""
    return {name: looks[i % len(looks)] for i, name in enumerate(names)}


def called(names: Iterable[object], also: Mapping[str, str] | None = None) -> str:
    """Return what a label's text is: what people read for a name, which stays in the data.

    Parameters
    ----------
    names : iterable of str
        Names that may occur.
    also : mapping of str to str, optional
        Other words for some of them.

    Returns
    -------
    str
        An expression for ``labelExpr`` of an axis, a legend or a header.
    """
    words = {**named_all(dict.fromkeys(names)), **(also or {})}
    told = {name: word for name, word in words.items() if name != word}
    return f"({json.dumps(told)})[datum.value] || (datum.label)" if told else "datum.label"


def names_axis(names: Iterable[object], **options: Any) -> alt.Axis:
    """Axis of named things, in the words of people."""
    return alt.Axis(labelExpr=called(names), **options)


def names_legend(names: Iterable[object], **options: Any) -> alt.Legend:
    """Legend of named things above a chart, in as many columns as its width has room for."""
    names = list(names)
    letters = max(map(len, named_all(names).values()), default=0)
    columns = max(1, min(len(names), LETTERS // (letters + 4)))
    options = {"orient": "top", "columns": columns, **options}
    return alt.Legend(labelExpr=called(names), **options)


def colour_by(field: str, colours: Mapping[str, str], **options: Any) -> alt.Color:
    """Colour of a named thing, with its legend on top; options are the legend's."""
    scale = alt.Scale(domain=[str(name) for name in colours], range=list(colours.values()))
    legend = names_legend(colours, **options)
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def shape_by(field: str, shapes: Mapping[str, str], **options: Any) -> alt.Shape:
    """Shape of a named thing, beside its colour; options are the legend's."""
    scale = alt.Scale(domain=[str(name) for name in shapes], range=list(shapes.values()))
    legend = names_legend(shapes, **options)
    return alt.Shape(f"{field}:N", title=None, scale=scale, legend=legend)


def dash_by(field: str, dashes: Mapping[str, Any], **options: Any) -> alt.StrokeDash:
    """Dash of a named line, in the legend of its colour or shape."""
    scale = alt.Scale(domain=[str(name) for name in dashes], range=list(dashes.values()))
    legend = names_legend(dashes, **options)
    return alt.StrokeDash(f"{field}:N", title=None, scale=scale, legend=legend)


def share_colour(name: str, field: str = "share") -> alt.Color:
    """Shade of a share: none is the colour of the page, all of it the fullest.

    Text of the page is read on every shade.
    """
    scale = alt.Scale(domain=[0, 1], range=[heat(0), heat(1)], interpolate="rgb")
    legend = alt.Legend(format=".0%", values=[0, 0.5, 1], orient="top")
    return alt.Color(f"{field}:Q", title=name, scale=scale, legend=legend)


def tip(field: str) -> alt.Tooltip:
    """Show a name on hovering."""
    return alt.Tooltip(f"{field}:N", title=column_title(field))


def numbers(form: str, *fields: str) -> list[alt.Tooltip]:
    """Show numbers on hovering, written as `form` says."""
    return [alt.Tooltip(f"{field}:Q", format=form, title=column_title(field)) for field in fields]


def counts(*fields: str) -> list[alt.Tooltip]:
    """Show numbers of things on hovering, without digits behind the point."""
    return numbers(",.0f", *fields)


def p_tip(field: str = "p") -> alt.Tooltip:
    """Show a p-value on hovering, and what it cannot be less than."""
    name = f"{column_title(field)}, not below 1 / (permutations + 1)"
    return alt.Tooltip(f"{field}:Q", format=".3f", title=name)


def percents(*fields: str) -> list[alt.Tooltip]:
    """Show shares on hovering, in percent."""
    return numbers(".1%", *fields)


def signed(*fields: str) -> list[alt.Tooltip]:
    """Show differences on hovering, with their sign."""
    return numbers("+.1f", *fields)


def heading(text: str) -> alt.Title:
    """Title of one panel among several."""
    return alt.Title(text, fontSize=12, fontWeight="normal", offset=4)


def zero_line() -> alt.Chart:
    """Draw a dashed line at x = 0."""
    chart = alt.Chart().mark_rule(color=INK, strokeDash=[4, 3])
    return chart.encode(x=alt.XDatum(0))


def interval(
    base: alt.Chart,
    columns: tuple[str, str, str],
    *,
    size: int,
    colour: str | None = None,
    rule: str | None = None,
    looks: Mapping[str, Any] | None = None,
    **axis: Any,
) -> list[alt.Chart]:
    """Draw a rule from the low end to the high one, and a point at the value over it.

    Parameters
    ----------
    base : Chart
        With what both share, such as their rows on the other axis.
    columns : tuple of (str, str, str)
        Low end, value, high end.
    size : int
        Of the point.
    colour, rule : str, optional
        Colour of both where no encoding gives it; of the rule, if it has another.
    looks : mapping of str to encoding, optional
        Further encodings of the point, such as its shape.
    **axis
        Of the x axis: its title, scale, axis.
    """
    low, value, high = columns
    drawn: dict[str, Any] = {"color": rule or colour} if rule or colour else {}
    spans = base.mark_rule(strokeWidth=2, **drawn)
    drawn = {"color": colour} if colour else {}
    points = base.mark_point(filled=True, size=size, opacity=1, **drawn)
    return [
        spans.encode(x=alt.X(f"{low}:Q", **axis), x2=alt.X2(f"{high}:Q")),
        points.encode(x=alt.X(f"{value}:Q"), **(looks or {})),
    ]


def over_checkpoints(base: alt.Chart, columns: tuple[str, str], **axis: Any) -> alt.Chart:
    """Draw a dotted line from the low to the high end of an interval over checkpoints.

    Parameters
    ----------
    base : Chart
        With what it shares with the figure, such as its row on the other axis.
    columns : tuple of (str, str)
        Low end, high end.
    **axis
        Of the x axis: its title, scale, axis.
    """
    low, high = columns
    dotted = base.mark_rule(strokeWidth=1, strokeDash=[2, 2])
    return dotted.encode(x=alt.X(f"{low}:Q", **axis), x2=alt.X2(f"{high}:Q"))


def feature_axes(x: str, y: str) -> dict[str, Any]:
    """Two features as axes, in units of the feature."""
    return {
        "x": alt.X(f"{x}:Q", title=FEATURE_TITLES[x], scale=alt.Scale(zero=False)),
        "y": alt.Y(f"{y}:Q", title=FEATURE_TITLES[y], scale=alt.Scale(zero=False)),
    }


def feature_pairs(marks: alt.Chart, width: int) -> alt.HConcatChart:
    """Draw the same marks by the three features, two at a time."""
    first, second, third = (name.value for name in Feature)
    pairs = ((first, second), (first, third), (second, third))
    return alt.hconcat(
        *(
            marks.encode(**feature_axes(*pair)).properties(width=width, height=width)
            for pair in pairs
        )
    )


def finish(
    chart: Any,
    title: str | alt.Title,
    width: int | None = None,
    height: int | None = None,
    *,
    says: str,
) -> Any:
    """Give a chart its title, size and theme, and let no text in it run where it is shown.

    `says` is what it shows, for those who hear it: see `recover_nb.tables.saying`.
    """
    size = {} if width is None else {"width": width, "height": height}
    chart = chart.properties(title=title, description=sentence(title, says), **size)
    return escaped(chart.configure(**theme()))


def sentence(title: str | alt.Title, says: str) -> str:
    """Say what a chart is and what it shows, for those who hear it."""
    parts = [title] if isinstance(title, str) else [title.text, title.subtitle]
    texts = [" ".join(part) if isinstance(part, list) else part for part in parts]
    said = [str(text) for text in texts if text and text is not alt.Undefined]
    # The point first, after the title; how to read it last.
    return ". ".join(part for part in ("Chart: " + said[0], says, *said[1:]) if part) + "."


def panels_by(field: str, frame: pd.DataFrame, **header: Any) -> Any:
    """Give each name a panel, in the order of the frame, headed by the words of people."""
    names = order(frame[field])
    heads = alt.Header(labelExpr=called(names), **header)
    return alt.Facet(f"{field}:N", title=None, sort=names, header=heads)


def facet(
    layers: Sequence[alt.Chart],
    frame: pd.DataFrame,
    by: str | Mapping[str, alt.Facet],
    title: str | alt.Title,
    *,
    width: int,
    height: int,
    says: str,
    **options: Any,
) -> Any:
    """Draw layers over one table: one chart, or a panel a group where there are several.

    Parameters
    ----------
    layers : sequence of Chart
        Without data of their own: a facet needs one table under all.
    frame : DataFrame
    by : str, or mapping of ``row`` and ``column`` to Facet
        Column of the groups, one of which gives no panels; or what a grid of panels is laid out by.
    title : str or Title
    width, height : int
        Pixels of a panel.
    says : str
        What it shows, for those who hear it.
    **options
        Of the faceted chart: ``columns``, ``resolve``.
    """
    # All properties are given as a chart is made: one with layers is built anew by each that is
    # added, and a facet much faster than as many charts side by side.
    panel: dict[str, Any] = {"layer": list(layers), "width": width, "height": height}
    top: dict[str, Any] = {
        "data": rows(frame),
        "title": title,
        "description": sentence(title, says),
        "config": alt.Config(**theme()),
    }
    panels: Any = by
    if not isinstance(by, str):
        panels = alt.FacetMapping(**panels)
    elif frame[by].nunique() == 1:
        return escaped(alt.LayerChart(**panel, **top))
    else:
        panels = panels_by(by, frame)
    return escaped(alt.FacetChart(spec=alt.LayerChart(**panel), facet=panels, **top, **options))
