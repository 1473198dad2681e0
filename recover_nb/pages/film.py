"""The film of training: a dot a problem, and where it is at each step."""

import html
from pathlib import Path
from typing import Any

from recover_nb.core.theme import INK, REGIME_COLOURS
from recover_nb.core.visible import AS_TEXT
from recover_nb.pages.page import look, part, save_page, script

#: Pixels from dot to dot, dots above one another in a band, and room around bands and groups.
PITCH, ROWS, GAP, HEAD, SIDE = 7, 18, 40, 44, 20
_RADIUS = 2.6


class TrainingFilm:
    """Problems moving as training goes on, with a slider and a button that plays.

    As the last line of a cell it shows itself, and goes on doing so without a kernel.

    Attributes
    ----------
    told : dict
        What is shown, as plain data: `tables.training_film`.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told | _layout(told)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        page = f'<div class="recover-nb-page"><style>{look()}</style>{self.html()}</div>'
        return {"text/html": page, "text/plain": self.told["sentences"][-1]}

    def save(self, path: str | Path, *, replace: bool = False) -> Path:
        """Write a page of its own, which opens without a network.

        Raises
        ------
        InputError
            Something is at `path` already.
        """
        body = self._repr_mimebundle_()["text/html"]
        return save_page(path, "Which failures does training on fix?", body, replace=replace)

    def html(self) -> str:
        """Return the film at its last step, to stand in an element of ``recover-nb-page``."""
        told, last = self.told, len(self.told["steps"]) - 1
        head = (
            '<div class="film-head"><h2>Which failures does training on fix?</h2>'
            '<div class="film-controls"><button type="button" class="film-play">Play</button>'
            f'<input type="range" min="0" max="{last}" value="{last}"'
            ' aria-label="step of training">'
            f'<span class="film-step">after <b>{told["steps"][last]}</b> steps</span></div></div>'
        )
        said = html.escape(told["sentences"][last])
        return (
            f'<style>{part("film.css")}</style><section class="recover-nb-film {AS_TEXT}"'
            f' aria-label="Which failures does training on fix?">{head}'
            f'<p class="film-said" aria-live="polite">{said}</p>{self._drawing(last)}'
            '<p class="film-one">Point at a dot to read its problem.</p>'
            f'<p class="film-fine">One dot is one problem of one model, {html.escape(told["of"])};'
            " columns are what it needed before training went on.</p>"
            f"</section>{script('film', told)}"
        )

    def _drawing(self, at: int) -> str:
        told = self.told
        parts = []
        for group in told["groups"]:
            name, key = html.escape(group["name"]), f"{html.escape(group['key'])}, "
            # What has no other name has it once.
            key = "" if group["key"] == group["name"].replace(" ", "_") else key
            parts.append(
                f'<text class="film-group" x="{group["x"]}" y="14">{name}</text>'
                f'<text class="film-key" x="{group["x"]}" y="30">{key}{group["n"]:,}</text>'
            )
        for name, base in zip(told["bands"], told["bases"], strict=True):
            top = base - ROWS * PITCH
            parts.append(
                f'<text class="film-band" x="0" y="{top - 4}">{html.escape(name)}</text>'
                f'<line x1="0" x2="{told["width"]}" y1="{base + 3}" y2="{base + 3}"/>'
            )
        for (group, band), n in counts(told, at).items():
            x, y = told["groups"][group]["x"], told["bases"][band] + 16
            parts.append(f'<text class="film-n" x="{x}" y="{y}">{n:,}</text>')
        for dot, (x, y) in zip(told["dots"], places(told, at), strict=True):
            group = told["groups"][dot["group"]]
            parts.append(
                f'<circle r="{_RADIUS}" fill="{group["colour"]}"'
                f' style="transform:translate({x}px,{y}px)"/>'
            )
        return (
            f'<svg class="film-drawing" viewBox="-2 0 {told["width"] + 4} {told["height"]}"'
            f' role="img" aria-label="{html.escape(told["sentences"][at])}">{"".join(parts)}</svg>'
        )


def _layout(told: dict[str, Any]) -> dict[str, Any]:
    """Return where groups and bands are: a band is high enough for all of a group."""
    groups, x = [], 0
    for group in told["groups"]:
        across = max(-(-group["n"] // ROWS), 22)
        colour = REGIME_COLOURS.get(group["key"], INK)
        groups.append(group | {"x": x, "across": across, "colour": colour})
        x += across * PITCH + GAP
    tall = ROWS * PITCH + GAP
    # The best band is on top.
    bases = [HEAD + tall * (3 - at) - SIDE for at in range(3)]
    size = {"width": x - GAP, "height": HEAD + 3 * tall + SIDE}
    return {"groups": groups, "bases": bases, "pitch": PITCH, **size}


def counts(told: dict[str, Any], at: int) -> dict[tuple[int, int], int]:
    """Return how many dots are in each band of each group at a step, groups first."""
    found = {(group, band): 0 for group in range(len(told["groups"])) for band in range(3)}
    for dot in told["dots"]:
        found[dot["group"], dot["band"][at]] += 1
    return found


def places(told: dict[str, Any], at: int) -> list[tuple[int, int]]:
    """Return where each dot is at a step: bands fill up from below, in the order of the dots."""
    taken: dict[tuple[int, int], int] = {}
    found = []
    for dot in told["dots"]:
        key = dot["group"], dot["band"][at]
        slot = taken[key] = taken.get(key, -1) + 1
        group = told["groups"][key[0]]
        column, row = slot % group["across"], slot // group["across"]
        x = group["x"] + column * PITCH + PITCH // 2
        found.append((x, told["bases"][key[1]] - row * PITCH))
    return found
