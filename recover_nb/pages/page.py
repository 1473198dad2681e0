"""What pages share: files that lie beside this one, scripts with their data, a page of its own."""

import html
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from recover_nb.core.places import check_free, placed
from recover_nb.core.theme import colours_css
from recover_nb.pages.escaping import ScriptSafe


def script(name: str, told: Any) -> str:
    """Return a script that calls the function of ``name.js`` on the element before it."""
    return call(part(f"{name}.js"), name, told)


def call(code: str, name: str, told: Any) -> str:
    """Return a script that calls a function of some code on the element before it, with data."""
    code = code.replace("export function", "function")
    data = json.dumps(told, cls=ScriptSafe, ensure_ascii=False, separators=(",", ":"))
    place = "document.currentScript.previousElementSibling"
    return f"<script>(() => {{ {code} {name}({place}, {data}); }})();</script>"


def look() -> str:
    """Return the styles that every page shares."""
    return colours_css() + part("look.css")


def save_page(path: str | Path, title: str, body: str, *, replace: bool = False) -> Path:
    """Write a page that asks no host for anything.

    Raises
    ------
    InputError
        Something is at `path` already.
    """
    path = Path(path)
    check_free(path, replace=replace)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title></head>"
        '<body style="margin:0;padding:clamp(16px,3vw,36px);background:Canvas;'
        'color:CanvasText"><main style="max-width:1120px;'
        f'margin:auto">{body}</main></body></html>'
    )
    with placed(path, replace=replace) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


@cache
def part(name: str) -> str:
    """Return a file that lies beside this one."""
    return resources.files("recover_nb").joinpath("pages", name).read_text("utf-8")
