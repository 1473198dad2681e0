"""Model cards: what a checkpoint was trained on, how it went, and what it can do on dev."""

import dataclasses
import json
import os
from pathlib import Path

import altair as alt
import pandas as pd

from recover_nb.core.checkpoints import WEIGHTS, checkpoint_hash
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Method, Task
from recover_nb.core.sealed import replace_file

#: What a checkpoint trained here says of itself.
RECORD = "training.json"
#: The same while it is written.
_NEW = f"{RECORD}.new"


def curve_frame(curve: list[dict]) -> pd.DataFrame:
    """Return the learning curve in long form: step, series, value."""
    rows = [{"step": point["step"], "series": "loss", "value": point["loss"]} for point in curve]
    for point in curve:
        rates = point.get("pass_at_1") or {
            task: sum(levels.values()) / len(levels)
            for task, levels in point.get("greedy_exact", {}).items()
        }
        rows += [{"step": point["step"], "series": task, "value": v} for task, v in rates.items()]
    return pd.DataFrame(rows)


def curve_chart(frame: pd.DataFrame) -> alt.Chart:
    """Draw a learning curve: training loss, and the share of dev problems solved by task."""
    dash = alt.StrokeDash("series:N", legend=None)
    return (
        alt.Chart(frame, width=420, height=220)
        .mark_line()
        .encode(x="step:Q", y="value:Q", color=alt.Color("series:N", title=None), strokeDash=dash)
    )


def _level_table(by_level: dict) -> str:
    levels = sorted(next(iter(by_level.values())))
    head = "| task | " + " | ".join(f"level {level}" for level in levels) + " |"
    rule = "|---" * (len(levels) + 1) + "|"
    rows = [
        f"| {task} | " + " | ".join(f"{by_level[task][level]:.2f}" for level in levels) + " |"
        for task in Task
    ]
    return "\n".join([head, rule, *rows])


def check_folder(folder: Path) -> None:
    """Refuse a folder for a checkpoint that holds something else than a checkpoint trained here.

    Raises
    ------
    InputError
        What to do instead.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and all(each.name == _NEW for each in folder.iterdir()):
        return
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        record = None
    if (
        folder.is_symlink()
        or not isinstance(record, dict)
        or not {"family", "method"} <= record.keys()
    ):
        raise InputError(
            f"{folder} holds something that recover-nb train did not write (it has no {RECORD} of"
            " it), and is left alone; choose another --out, or move it away"
        )


def mark(folder: Path, family: str, method: str) -> None:
    """Begin a checkpoint's record, so that one interrupted while written is known as ours."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(folder, {"family": family, "method": method})


def is_finished(folder: Path) -> bool:
    """Whether a checkpoint is whole: its record is written last, and has the hash of its weights.

    One that came from elsewhere, without a record, has to be whole.
    """
    if not (folder / WEIGHTS).is_file():
        return False
    if not (folder / RECORD).is_file():
        return True
    record = json.loads((folder / RECORD).read_text("utf-8"))
    return record.get("sha256") == checkpoint_hash(folder)


def _write_record(folder: Path, record: dict) -> None:
    content = json.dumps(record, indent=1) + "\n"
    replace_file(folder / RECORD, content.encode(), folder / _NEW)


def write_card(folder: Path, family: str, method: str, facts: dict) -> None:
    """Write `README.md`, `curve.svg` and `training.json` beside a saved checkpoint.

    Parameters
    ----------
    facts : dict
        `data` (a sentence), `recipe` (a dataclass or dict), `steps`, `seed`, `curve`, `dev`
        (`dev_figures`), `n_parameters`.
    """
    folder = Path(folder)
    recipe = facts["recipe"]
    if dataclasses.is_dataclass(recipe):
        recipe = dataclasses.asdict(recipe)
    digest = checkpoint_hash(folder)
    curve_chart(curve_frame(facts["curve"])).save(str(folder / "curve.svg"))
    record = {**facts, "recipe": recipe, "family": family, "method": method, "sha256": digest}
    dev = facts["dev"]
    measure = "greedy exact traces" if method == Method.ANCESTOR else "pass@1"
    (folder / "README.md").write_text(f"""# {family} / {method}

A {facts["n_parameters"]:,}-parameter {family} model trained from scratch for `recover_nb`: small \
enough to ship, real
enough to fail.

- **Data.** {facts["data"]}
- **Steps.** {facts["steps"]} optimiser steps, seed {facts["seed"]}. Recipe and curve: \
`training.json`.
- **Made by.** `recover-nb train --family {family} --method {method}`
- **Weights.** `{WEIGHTS}`, float32, sha256 `{digest}`
- **Parseable.** {dev["parseable"]:.1%} of sampled dev traces end by themselves in a well-formed \
answer.

## pass@1 on dev, temperature 0.6

Mean over tasks: {dev["mean_pass_at_1"]:.3f}.

{_level_table(dev["pass_at_1_by_level"])}

Level 5 asks for what pretraining shows rarely (a two-digit product modulo 97, a backward hop). \
The test split is not
used in training.

## Learning curve

Training loss, and {measure} on dev by task.

![Learning curve](curve.svg)
""")
    _write_record(folder, record)
