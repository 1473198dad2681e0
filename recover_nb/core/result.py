"""What every statistic returns: labelled data that says and shows what it found.

A `Result` holds an xarray Dataset. As the last line of a cell it shows its sentence, its verdict, a
picture and what to call next.
"""

import html
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.core.plain import plain
from recover_nb.core.theme import colours_css
from recover_nb.core.visible import AS_TEXT, visible

#: What a verdict's chip is coloured as, by `theme.colours_css`; others have the page's own colour.
_CHIPS = {Verdict.SUPPORTED: "var(--rnb-right-text)", Verdict.CONTRADICTED: "var(--rnb-wrong-text)"}


class Result:
    """A statistic of a study.

    Attributes
    ----------
    dataset : Dataset
        Every figure by name, with its labels.
    sentence : str
        What was found, in words.
    verdict : Verdict or None
        What the figures allow to be said of the claim; None where nothing is claimed.
    """

    #: What is shown above the sentence, the public chart of the result, and what to call next.
    title: ClassVar[str] = ""
    chart: ClassVar[str] = ""
    following: ClassVar[tuple[str, ...]] = ()

    settings: Any

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by name, with its labels."""
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        raise NotImplementedError

    @property
    def verdict(self) -> Any:
        """What the figures allow to be said of the claim."""
        return None

    def to_dataframe(self) -> pd.DataFrame:
        """Return the main figures as a table, one row for each comparison."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; NaN and infinities become None."""
        rows = self.to_dataframe().to_dict("records")
        found = {"sentence": self.sentence, "rows": rows, "settings": self.settings}
        if self.verdict is not None:
            found["verdict"] = str(self.verdict)
        return plain(found)

    def plot(self, **options: Any) -> Any:
        """Draw the result: the ``plot_`` function named in `chart`, by its public name."""
        return getattr(import_module(__name__.partition(".")[0]), self.chart)(self, **options)

    def __repr__(self) -> str:
        """Say what was found, as a terminal shows it."""
        return visible(f"{self.title}: {self.sentence}")

    def _repr_html_(self) -> str:
        """Return headline, verdict, picture and what to call next."""
        return f'<div class="{AS_TEXT}">{"".join(self._card())}</div>'

    @property
    def headline(self) -> str:
        """The first thing to know, in a short sentence; empty where `sentence` is short itself."""
        tables = import_module(f"{__name__.partition('.')[0]}.tables")
        try:
            return tables.headline(self)
        except InputError:
            return ""

    def head_html(self) -> str:
        """Return title, verdict and sentence as HTML; below a headline the figures are folded."""
        first, said = html.escape(self.headline), html.escape(self.sentence)
        line = '<p style="margin:.4em 0;line-height:1.45">{}</p>'
        body = line.format(said)
        if first:
            folded = f"<details><summary>all figures, in words</summary>{body}</details>"
            body = line.format(first) + folded
        return (
            f"<style>{colours_css()}</style>"
            '<div class="recover-nb-result" style="max-width:60em;padding:.2em 0">'
            f'<div style="font-weight:600;font-size:1.1em">{html.escape(self.title)}'
            f"{_chip(self.verdict)}</div>{body}</div>"
        )

    def _card(self) -> Iterator[str]:
        yield self.head_html()
        yield self._picture()
        if self.following:
            calls = "".join(f"<li><code>{html.escape(call)}</code></li>" for call in self.following)
            yield (
                '<details class="recover-nb-next" style="margin:.3em 0"><summary>what next'
                f'</summary><ul style="margin:.3em 0">{calls}</ul></details>'
            )

    def _picture(self) -> str:
        try:
            drawn = self.plot() if self.chart else None
        except InputError:  # Nothing to draw.
            drawn = None
        bundle = drawn._repr_mimebundle_() if drawn is not None else {}
        found = bundle[0] if isinstance(bundle, tuple) else bundle
        return (found or {}).get("text/html", "")


class Labelled(Result):
    """A statistic that is its dataset and no more."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by name, with its labels."""
        return self._dataset

    @property
    def settings(self) -> dict[str, Any]:
        """Seed, counts and thresholds the figures were computed with."""
        return json.loads(self.dataset.attrs.get("settings_json", "{}"))


def _chip(verdict: Any) -> str:
    if verdict is None:
        return ""
    colour = _CHIPS.get(verdict, "currentColor")
    words = html.escape(str(verdict).replace("_", " "))
    return (
        f' <span style="margin-left:.6em;padding:.1em .6em;border-radius:1em;font-size:.85em;'
        f'border:1px solid;color:{colour}">'
        f"{words}</span>"
    )


def labelled(
    data: dict[str, tuple[tuple[str, ...], Any]],
    coords: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Return figures as a Dataset, its settings as JSON in an attribute, so that it can be stored.

    Parameters
    ----------
    data : dict of str to (dims, values)
    coords : dict of str to sequence
        Labels of each dimension.
    settings : dict, optional

    Returns
    -------
    Dataset
    """
    # Of no label numpy would make numbers.
    labels = {name: np.array(list(values) or np.array([], str)) for name, values in coords.items()}
    attrs = {"settings_json": json.dumps(plain(settings or {}))}
    return xr.Dataset(data, labels, attrs)
