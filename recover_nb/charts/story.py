"""One failure in four steps, as a card that needs no kernel and asks no host."""

from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb import tables
from recover_nb.charts.showing import picture
from recover_nb.charts.value import plot_value
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.visible import visible
from recover_nb.features.value import recorded_value
from recover_nb.pages.page import save_page
from recover_nb.pages.story import story_card
from recover_nb.tables.story import overall_sentence, stories


class Story:
    """Failures told in four steps: it fails; where; one token; was it luck.

    As the last line of a cell it shows itself, and goes on doing so without a kernel.

    Attributes
    ----------
    stories : list of dict
        What is told, as plain data: `tables.story.stories`.
    overall : str
        What holds over every failure.
    """

    def __init__(self, ds: xr.Dataset, problem: int | None = None) -> None:
        self.stories = stories(ds, problem)
        self.overall = overall_sentence(ds)
        # Readers without scripts see where the first was lost.
        chart = plot_value(tables.value_rows(recorded_value(ds, self.stories[0]["problem"])))
        self._picture = picture(chart.to_dict())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": visible(self.stories[0]["headline"])}

    def save(self, path: str | Path, *, replace: bool = False) -> Path:
        """Write a page of its own, which opens without a network.

        Raises
        ------
        InputError
            Something is at `path` already.
        """
        title = "One failure in four steps"
        head = f'<h1 style="font:600 24px/1.3 system-ui,sans-serif;margin:0 0 12px">{title}</h1>'
        return save_page(path, title, head + self.html(), replace=replace)

    def html(self) -> str:
        """Return the card, to stand in a page."""
        return story_card(self.stories, self.overall, self._picture)


@takes_study()
@checks.takes(problem=checks.DRAWS)
def story(ds: xr.Dataset | None = None, *, problem: int | None = None) -> Story:
    """Tell one failure in four steps, from what a study recorded.

    Parameters
    ----------
    ds : Dataset, optional
        A study with value maps; the bundled one unless given.
    problem : int, optional
        Place along `problem` of the one failure to tell.

    Returns
    -------
    Story
        Failures of six kinds, as far as the study has them, one of each, by a written rule
        (`tables.story.choose_stories`).

    Raises
    ------
    InputError
        The study stores no value map, or none of this problem.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> [each["kind"] for each in rnb.story().stories]
    ['one token', 'every token', 'bad luck', 'a sum', 'forgotten', 'nothing helps']
    """
    if ds is None:
        from recover_nb.io.store import load_study

        ds = load_study()
    return Story(ds, problem)
