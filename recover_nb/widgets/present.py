"""The notebook for the beamer: large text, code folded, hands counted."""

from functools import cache
from pathlib import Path
from typing import Any

from recover_nb.core import checks
from recover_nb.core.theme import colours_css
from recover_nb.widgets.parts.classroom import CLASSROOM


class Presentation:
    """What makes the notebook around it one for the beamer, or takes that back.

    Attributes
    ----------
    on : bool
    """

    def __init__(self, on: bool) -> None:
        self.on = on

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # A cell that ran again, or a later one, decides: each output says what holds from now on.
        code = _part("js").replace("export function", "function")
        place = "document.currentScript.previousElementSibling"
        page = (
            f'<style>{colours_css()}{_part("css")}</style><div class="recover-nb-presentation">'
            f"</div><script>(() => {{ {code} present({place}, {str(self.on).lower()}); }})();"
            "</script>"
        )
        said = "for the beamer" if self.on else "as it was"
        return {"text/html": page, "text/plain": f"the notebook {said}"}


@checks.takes(on=checks.FLAG)
def present(on: bool = True) -> Presentation:
    """Make the notebook one for the beamer: text of 18 px or more, code folded, hands counted.

    The last line of a cell. A bar at the bottom shows the code again, and goes from idea to idea.
    In JupyterLab, Notebook 7 and Voila; no host is asked for anything.

    Parameters
    ----------
    on : bool
        False takes it back.

    Returns
    -------
    Presentation

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.present().on
    True
    >>> rnb.present(False).on
    False
    """
    CLASSROOM.counting = bool(on)
    return Presentation(bool(on))


@cache
def _part(kind: str) -> str:
    return Path(__file__).with_name(f"present.{kind}").read_text("utf-8")
