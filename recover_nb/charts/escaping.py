"""Text and charts in HTML: no name, token or answer can end the script that holds it.

Altair writes the JSON of a chart into a script as it is, and there ``</script>`` in a name would
end the script and begin another. The charts here write such characters by their code, as JSON
allows; every reader takes it for the same. Control characters are written out.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from recover_nb.core.visible import visible
from recover_nb.pages.escaping import ScriptSafe, script_safe


class Escaped:
    """What this package's charts add to Altair's: as HTML, their JSON is script-safe.

    Charts that are put together with ``|``, ``&`` and ``+``, and copies with other properties, stay
    so. In a chart that Altair's own functions put together, texts that could end a script are
    broken by a character that is not seen.
    """

    @property
    def data(self) -> Any:
        """The data: another object each time.

        Altair takes data that two charts share out of both, into one around them that is its own
        and does not escape.
        """
        found = self.__dict__["_kwds"].get("data", alt.Undefined)
        return found.copy(deep=False) if isinstance(found, pd.DataFrame) else found

    def to_html(self, *arguments: Any, **options: Any) -> str:
        """Return a page, as Altair's method does."""
        return super().to_html(*arguments, **_safe(options))

    def save(self, *arguments: Any, **options: Any) -> None:
        """Write a file, as Altair's method does."""
        super().save(*arguments, **_safe(options))

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> Any:
        """Return what a notebook shows, by whichever renderer is chosen."""
        renderer = alt.renderers.get()
        if renderer is None:
            return super()._repr_mimebundle_(*arguments, **options)
        spec = self.to_dict(context={"pre_transform": False})
        if alt.renderers.active == "default":
            from recover_nb.charts.showing import output

            return output(spec)
        if alt.renderers.active in _BY_TEMPLATE:
            return renderer(spec, **_safe({}))
        found = renderer(spec)
        bundle = found[0] if isinstance(found, tuple) else found
        if isinstance(bundle, dict) and isinstance(bundle.get("text/html"), str):
            plain = json.dumps(spec)
            bundle["text/html"] = bundle["text/html"].replace(plain, script_safe(plain))
        return found

    def to_dict(
        self, *arguments: Any, context: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Return the specification, as Altair's method does."""
        context = {} if context is None else context
        if context.get("top_level", True):
            context = {**context, _SAFE: True}
        spec = super().to_dict(*arguments, context=context, **options)
        change = _seen if context.get(_SAFE) else _broken
        datasets = context.get("datasets", {})
        # All of them: one that was there may have been written anew.
        datasets.update({name: _changed(each, change) for name, each in datasets.items()})
        return _changed(spec, change)

    def __and__(self, other: Any) -> Any:
        """Put one chart above another."""
        return escaped(super().__and__(other))

    def __or__(self, other: Any) -> Any:
        """Put one chart beside another."""
        return escaped(super().__or__(other))

    def __add__(self, other: Any) -> Any:
        """Draw one chart over another."""
        return escaped(super().__add__(other))

    def facet(self, *arguments: Any, **options: Any) -> Any:
        """Draw one panel for each value, as Altair's method does."""
        return escaped(super().facet(*arguments, **options))

    def repeat(self, *arguments: Any, **options: Any) -> Any:
        """Draw one panel for each field, as Altair's method does."""
        return escaped(super().repeat(*arguments, **options))


#: Renderers that fill a template, and take arguments for the JSON in it.
_BY_TEMPLATE = ("html", "colab", "kaggle", "zeppelin", "olli", "browser")
#: In the context of a specification: the chart around this one escapes its JSON.
_SAFE = "recover_nb_escaped"
#: No XML holds these, and the converter to pictures ends the whole process over one. The last two
#: end a line within Vega's expressions, into which it writes names.
_UNDRAWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff\u2028\u2029]")
#: What ends a script, or opens something in it that hides its end.
_ENDING = re.compile(r"<(?=/?script|!--)", re.IGNORECASE)


def _safe(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "json_kwds": {"cls": ScriptSafe, **(options.get("json_kwds") or {})}}


def _seen(text: str) -> str:
    """Return a text that can be drawn: what cannot be is written out."""
    return _UNDRAWN.sub(lambda found: visible(found[0]), text)


def _broken(text: str) -> str:
    """Return a text that ends no script: an unseen word joiner follows the bracket."""
    return _ENDING.sub("<\u2060", _seen(text))


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of JSON with all of its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): _changed(each, change) for name, each in value.items()}
    return [_changed(each, change) for each in value] if isinstance(value, list) else value


_KINDS = {
    kind: type(kind.__name__, (Escaped, kind), {"__doc__": kind.__doc__, "__module__": __name__})
    for kind in (
        alt.Chart,
        alt.LayerChart,
        alt.HConcatChart,
        alt.VConcatChart,
        alt.ConcatChart,
        alt.FacetChart,
        alt.RepeatChart,
    )
}


def escaped(chart: Any) -> Any:
    """Return a chart as one that is `Escaped`, equal to it in everything else."""
    kind = _KINDS.get(type(chart))
    if kind is None:
        return chart
    chart = chart.copy(deep=False)
    # Altair's own way of setting attributes would make this a part of the specification.
    object.__setattr__(chart, "__class__", kind)
    return chart
