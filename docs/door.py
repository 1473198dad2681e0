"""What the front door shows, recorded; and the page that ``make html`` and ``make lab`` open.

``make door`` draws the thumbnails with the package's own charts and works out the figures, and
writes ``data/front_door.json``. Without words, axes and legends a chart is small enough to be a
picture of itself.
"""

import argparse
import base64
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import vl_convert
import xarray as xr
from nbformat.sign import NotebookNotary

import recover_nb as rnb
from recover_nb.core.places import placed
from recover_nb.pages.front_door import RECORDED, VIEWS, Links

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
#: The notebook that is the front door.
START = "start.ipynb"
#: Pixels of a thumbnail, at twice the size that it is shown in.
WIDE, TALL = 400, 260
#: Colours of a thumbnail: it is a few kilobytes then.
COLOURS = 24
PLAIN: dict[str, Any] = {
    "view": {"stroke": None},
    "axis": {each: False for each in ("labels", "ticks", "domain", "grid", "title")},
    "legend": {"disable": True},
    "header": {"labels": False, "title": None},
}


def charts(ds: xr.Dataset) -> dict[str, Callable[[], Any]]:
    """Return how each view is drawn: from the study, as its notebook does."""
    fewer = {"n_bootstrap": 200, "n_permutations": 99, "n_null": 20, "n_splits": 20}
    evaluation = rnb.evaluate_routing(ds, **fewer)
    method = rnb.topography(ds, n_repeats=2, n_permutations=20)
    stability = rnb.cluster_stability(ds, k=3, n_resamples=20, agreement=False)
    problem = rnb.story().stories[0]["problem"]
    return {
        "inspector": lambda: rnb.plot_signals(
            rnb.tables.trace_signals(ds, problem, 0), signals=["demotion_pressure", "entropy"]
        ),
        "regimes": lambda: rnb.plot_regimes(ds),
        "rescue": lambda: rnb.plot_rescue(ds),
        "value": lambda: rnb.plot_value(rnb.recorded_value(ds, problem)),
        "features": lambda: rnb.plot_features(ds),
        "clusters": lambda: rnb.plot_clusters(stability, ds),
        "stability": lambda: rnb.plot_stability(stability),
        "estimators": lambda: rnb.plot_estimators(evaluation),
        "budget": lambda: rnb.plot_budget(evaluation),
        "effects": lambda: rnb.plot_effects(method),
        "confusion": lambda: rnb.plot_confusion(method),
        "reading": lambda: rnb.plot_reading(rnb.reading(ds, n_repeats=1)),
    }


def thumbnail(chart: Any) -> str:
    """Return a chart without words as a small picture, as a data address."""
    spec = wordless(chart.to_dict())
    drawn = vl_convert.vegalite_to_svg(spec).partition(">")[0]
    wide = float(drawn.partition(' width="')[2].partition('"')[0])
    tall = float(drawn.partition(' height="')[2].partition('"')[0])
    scale = min(WIDE / wide, TALL / tall)
    small = encode(decode(vl_convert.vegalite_to_png(spec, scale=scale)))
    return f"data:image/png;base64,{base64.b64encode(small).decode()}"


def wordless(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the first panel of a chart without title, axes, legend and ground."""
    for name in ("hconcat", "vconcat"):
        if name in spec:
            (panel, *_) = spec.pop(name)
            spec = {**spec, **panel}
    bare = _stripped(spec)
    config = {**PLAIN, "mark": bare.get("config", {}).get("mark", {})}
    if "facet" not in bare:
        bare |= {"width": WIDE // 2, "height": TALL // 2}
    return {**bare, "config": config, "background": "transparent", "padding": 4}


def _stripped(part: Any) -> Any:
    """Return a part of a chart without what puts words on it."""
    if isinstance(part, list):
        return [_stripped(each) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {name: value for name, value in part.items() if name not in ("title", "params")}
    for channel in ("x", "y", "color", "shape", "strokeDash", "size", "opacity", "row", "column"):
        definition = kept.get("encoding", {}).get(channel)
        if isinstance(definition, dict) and ("field" in definition or "aggregate" in definition):
            silent = {"axis": None} if channel in ("x", "y") else {"legend": None}
            kept["encoding"] = {**kept["encoding"], channel: {**definition, **silent}}
    if "layer" in kept:
        kept["layer"] = [each for each in kept["layer"] if _mark(each) != "text"]
    return {
        name: value if name in ("data", "datasets") else _stripped(value)
        for name, value in kept.items()
    }


def _mark(part: dict[str, Any]) -> str:
    mark = part.get("mark", "")
    return mark["type"] if isinstance(mark, dict) else mark


def decode(png: bytes) -> np.ndarray:
    """Return the pixels of a PNG of eight bits with alpha, (row, column, 4)."""
    place, packed, wide, tall = 8, b"", 0, 0
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            wide, tall = struct.unpack(">II", body[:8])
        packed += body if kind == b"IDAT" else b""
        place += size + 12
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(tall, 1 + 4 * wide)
    out = np.zeros((tall + 1, wide + 1, 4), np.int64)
    for row, line in enumerate(lines, 1):
        kind, values = line[0], line[1:].reshape(wide, 4).astype(np.int64)
        for column, value in enumerate(values, 1):
            left, up, corner = out[row, column - 1], out[row - 1, column], out[row - 1, column - 1]
            if kind == 4:
                guess = left + up - corner
                far = np.abs(np.stack([left, up, corner]) - guess)
                nearest = np.where(far[1] <= far[2], up, corner)
                value = value + np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, nearest)
            else:
                value = value + (0, left, up, (left + up) // 2)[kind]
            out[row, column] = value % 256
    return out[1:, 1:].astype(np.uint8)


def encode(pixels: np.ndarray) -> bytes:
    """Return pixels as a PNG with a palette of their commonest colours."""
    tall, wide, _ = pixels.shape
    # No colour is seen where nothing is drawn.
    flat = np.where(pixels[..., 3:] < 8, 0, pixels).reshape(-1, 4) & 0xF0
    colours, index, count = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    best = np.argsort(-count)[:COLOURS]
    palette = colours[best].astype(np.int64)
    far = ((colours[:, None].astype(np.int64) - palette) ** 2).sum(-1)
    used = far.argmin(1)[index.ravel()].astype(np.uint8).reshape(tall, wide)
    lines = np.concatenate([np.zeros((tall, 1), np.uint8), used], axis=1).tobytes()
    full = np.where(palette > 0, palette | 0x0F, 0).astype(np.uint8)
    head = struct.pack(">IIBBBBB", wide, tall, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", head),
        (b"PLTE", full[:, :3].tobytes()),
        (b"tRNS", full[:, 3].tobytes()),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def record() -> None:
    """Work out what the front door shows of the bundled study, and write it down."""
    ds = rnb.load_study()
    drawn = charts(ds)
    story = rnb.story(ds)
    told = {
        "dial": rnb.tables.cost_dial(ds),
        "story": {"stories": story.stories, "overall": story.overall},
        "views": {view.key: thumbnail(drawn[view.key]()) for view in VIEWS},
    }
    path = ROOT / "data" / RECORDED
    text = json.dumps(told, ensure_ascii=False, indent=None, separators=(",", ":"))
    with placed(path, replace=True) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    sizes = {key: len(address) for key, address in told["views"].items()}
    print(f"{path.relative_to(ROOT)}: {len(text):,} characters, thumbnails {sum(sizes.values()):,}")


def main() -> None:
    """Record, or write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="renew what is recorded first")
    parser.add_argument("--out", type=Path, default=ROOT / "runs", help="folder for the pages")
    given = parser.parse_args()
    if given.record:
        record()
        return
    print(write_page(given.out))
    print(write_notebook(given.out))


def write_page(out: Path) -> Path:
    """Write ``index.html``; its links lead to the site of ``make docs`` where that is beside it."""
    site = (out / "docs" / "notebooks").is_dir()
    links = Links("docs/notebooks/{}.html", "docs/{}.html") if site else None
    return rnb.front_door().save(out / "index.html", links=links, replace=True)


def write_notebook(out: Path) -> Path:
    """Write ``start.ipynb``: the door as it is after its cell has run, for JupyterLab to open.

    It is signed, so that JupyterLab lets its script run.
    """
    up = os.path.relpath(NOTEBOOKS, out)
    door = rnb.front_door()
    html = door.html(Links(f"{up}/{{}}.ipynb", f"{up}/../docs/{{}}.md"))
    notebook = nbformat.read(NOTEBOOKS / START, as_version=4)
    (cell,) = (each for each in notebook.cells if each.cell_type == "code")
    data = {"text/html": html, "text/plain": f"{door}"}
    cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    cell.execution_count = 1
    cell.metadata["jupyter"] = {"source_hidden": True}
    path = out / START
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    NotebookNotary().sign(notebook)
    return path


if __name__ == "__main__":
    main()
