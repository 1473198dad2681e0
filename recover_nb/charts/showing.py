"""What a chart leaves in a notebook: a picture, and beside it what makes it live.

Nothing is asked of a host. The output is HTML: an image that every reader shows, and a script that
draws the chart in its place where scripts run (JupyterLab, Voila, VS Code, a page). The drawing
library is in the first output of a kernel that shows a chart; the others wait for it.
"""

import base64
import gzip
import html
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import altair as alt
import vl_convert

from recover_nb.charts.escaping import ScriptSafe
from recover_nb.core.visible import AS_TEXT, visible

#: Vega-Lite, as the converter names it: ``v6.4.1`` is ``6.4``.
_VERSION = alt.SCHEMA_VERSION.lstrip("v").rpartition(".")[0]
#: Bytes of a drawing above which an image of points is smaller.
LARGE = 150_000
#: Points of an image for each pixel of the chart.
SCALE = 1.5
#: Pixels around an image.
ROOM = 20
#: Light on every page: a picture does not know the theme, and its text is black.
_LOOK = "max-width:100%;height:auto;background:#fff;border-radius:4px"
#: The cells of this kernel whose output carries the library: the first that showed a chart.
_carriers: list[str | None] = []


def output(spec: dict[str, Any]) -> dict[str, str]:
    """Return what a notebook keeps of a chart, by mime type.

    Parameters
    ----------
    spec : dict
        A specification of Vega-Lite.

    Returns
    -------
    dict of str to str
        ``text/html``, and ``text/plain`` for a terminal.
    """
    ask = (
        "(window.recoverCharts = window.recoverCharts || []).push("
        f"[document.currentScript.previousElementSibling, {json.dumps(spec, cls=ScriptSafe)}]);"
    )
    scripts = [ask, *([library()] if _carries() else [])]
    written = "".join(f"<script>{each}</script>" for each in scripts)
    place = f'<div class="recover-nb-chart {AS_TEXT}" style="max-width:100%">{picture(spec)}</div>'
    return {"text/html": place + written, "text/plain": visible(f"chart: {name_of(spec)}")}


def picture(spec: dict[str, Any]) -> str:
    """Return a chart as an HTML image that holds its own data.

    A drawing where that is small, else an image of points.
    """
    # Without words for each mark, which an image cannot say: they are most of a drawing.
    # Room around it, because letters of the reader's own font may be wider.
    quiet = {**spec, "padding": ROOM, "config": {**spec.get("config", {}), "aria": False}}
    kind, data = "svg+xml", vl_convert.vegalite_to_svg(quiet, vl_version=_VERSION).encode()
    if len(data) > LARGE:
        kind = "png"
        data = vl_convert.vegalite_to_png(quiet, vl_version=_VERSION, scale=SCALE)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    said = spec.get("description") or name_of(spec)
    return f'<img alt="{html.escape(said)}" src="{source}" style="{_LOOK}">'


def name_of(spec: dict[str, Any]) -> str:
    """Return title and subtitle of a chart as one text."""
    return ". ".join(_texts(spec.get("title")))


def _texts(title: Any) -> Iterator[str]:
    if isinstance(title, dict):
        for part in ("text", "subtitle"):
            yield from _texts(title.get(part))
    elif isinstance(title, list):
        yield " ".join(map(str, title))
    elif title:
        yield str(title)


def fitting() -> str:
    """Return the script that draws charts at the width of their place; Vega comes before it."""
    return resources.files("recover_nb.charts").joinpath("showing.js").read_text("utf-8")


@cache
def library() -> str:
    """Return the script that draws charts: Vega, Vega-Lite and `showing.js`, packed."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VERSION)
    code = f"{bundle}\n{fitting()}".encode()
    packed = base64.b64encode(gzip.compress(code, 9, mtime=0)).decode()
    return (
        "if (!window.recoverVega) { window.recoverVega = true; (async () => {"
        f' const packed = Uint8Array.from(atob("{packed}"), (c) => c.charCodeAt(0));'
        ' const unpack = new DecompressionStream("gzip");'
        " const read = new Response(new Blob([packed]).stream().pipeThrough(unpack));"
        ' const script = document.createElement("script"); script.type = "module";'
        " script.textContent = await read.text(); document.head.append(script); })(); }"
    )


def _carries() -> bool:
    """Say whether this output is to carry the library: the first that shows a chart, also anew."""
    cell = _cell()
    if not _carriers or (cell is not None and cell == _carriers[0]):
        _carriers[:] = [cell]
        return True
    return False


def _cell() -> str | None:
    """Return the id of the cell that runs, where the notebook's page says it."""
    try:
        from IPython import get_ipython

        parent = get_ipython().get_parent()
        return parent["metadata"].get("cellId")
    except (ImportError, AttributeError, KeyError, TypeError):
        return None
