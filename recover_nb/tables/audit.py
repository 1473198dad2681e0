"""What an audit found, in tables and as text for a terminal."""

import numpy as np
import pandas as pd

from recover_nb.core.labels import Verdict
from recover_nb.core.titles import p_cell
from recover_nb.core.visible import visible
from recover_nb.routing.audit import Audit
from recover_nb.tables.text import paragraphs, render_text

#: What the verdict is about.
CLAIM = "the router gains more than the best single arm would"
_EFFECT_SEEN = "the one seen, less a standard error"


def audit_arms(found: Audit) -> pd.DataFrame:
    """Return every arm of an audit.

    Parameters
    ----------
    found : Audit
        What `audit` returned.

    Returns
    -------
    DataFrame
        ``arm`` (the default first), ``rate`` (share of right attempts), ``attempts`` (mean per
        problem), ``chosen`` (share of problems) and ``cost`` (mean of an attempt), where known.

    Examples
    --------
    >>> import pandas as pd
    >>> import recover_nb as rnb
    >>> table = pd.DataFrame({"problem": range(4), "a": [1, 1, 1, 0], "b": [0, 0, 1, 0]})
    >>> rnb.tables.audit_arms(rnb.audit(table, n_null=9))
      arm  rate  attempts
    0   a  0.75       1.0
    1   b  0.25       1.0
    """
    ds = found.dataset
    names = ("rate", "attempts", "chosen", "cost")
    frame = pd.DataFrame({"arm": list(found.arms), **{x: ds[f"arm_{x}"].values for x in names}})
    return frame.dropna(axis=1, how="all")


def audit_needed(found: Audit) -> pd.DataFrame:
    """Return the numbers of problems that tell an effect, a column for each effect.

    Parameters
    ----------
    found : Audit

    Returns
    -------
    DataFrame
        ``comparison``, ``attempts`` ("as there are" or a number) and, for each effect, the number
        of problems; without the rows of which nothing is known.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> arms = ["retry", *sorted({*ds["route"].values.tolist()} - {"", "none", "retry"})]
    >>> found = rnb.audit(ds, arms=arms, n_null=9)
    >>> rnb.tables.audit_needed(found)["attempts"].tolist()[:3]
    ['as there are', '1', '2']
    """
    frame = found.needed()
    frame["effect"] = [
        f"{points:g} points" if points else _EFFECT_SEEN for points in frame["effect_points"]
    ]
    wide = frame.pivot_table(
        index=["comparison", "attempts"],
        columns="effect",
        values="problems",
        aggfunc="first",
        sort=False,
        dropna=False,
    ).reset_index()
    wide = wide.rename_axis(columns=None)
    effects = [name for name in dict.fromkeys(frame["effect"]) if name in wide]
    wide["attempts"] = ["as there are" if not each else str(each) for each in wide["attempts"]]
    return wide[["comparison", "attempts", *effects]].dropna(subset=effects, how="all")


def audit_text(found: Audit) -> str:
    """Write an audit as plain text.

    Parameters
    ----------
    found : Audit

    Returns
    -------
    str
        Verdict, sentence, every figure, the arms, problems needed, and notes.
    """
    frame = found.to_dataframe()
    parts = [f"{str(found.verdict).replace('_', ' ').upper()}: {CLAIM}"]
    if found.verdict is Verdict.NOT_TESTABLE:
        parts = [found.headline]
    parts.append(paragraphs(visible(found.sentence)))
    if len(frame):
        shown = frame.assign(
            points=[_span(row) for row in frame.itertuples()],
            p=[p_cell(value) for value in frame["p"]],
            null=[
                "0" if np.isnan(sd) else f"{mean:+.1f} +- {sd:.1f}"
                for mean, sd in frame[["null_points", "null_sd_points"]].to_numpy(float)
            ],
        )
        shown["compares"] = [visible(each) for each in shown["compares"]]
        parts.append(
            "Gains of the router (points, 95 % interval)\n"
            + render_text(shown[["compares", "n", "points", "null", "p"]])
        )
    arms = audit_arms(found)
    arms["arm"] = [visible(each) for each in arms["arm"]]
    arms = arms.assign(**{x: 100 * arms[x] for x in ("rate", "chosen") if x in arms})
    arms = arms.rename(columns={"rate": "right %", "chosen": "chosen %"})
    parts.append("Arms, the default first\n" + render_text(arms, {"cost": 4}))
    needed = audit_needed(found)
    if len(needed):
        needed = needed.fillna(0).assign(
            **{
                name: [f"{int(each):,}" if each else "-" for each in needed[name].fillna(0)]
                for name in needed.columns[2:]
            }
        )
        parts.append("Problems that tell an effect, four times out of five\n" + render_text(needed))
    parts += [f"note: {visible(note)}" for note in found.notes]
    return "\n\n".join(parts)


def _span(row) -> str:
    return f"{row.points:+.1f} [{row.low_points:.1f}, {row.high_points:.1f}]"
