"""P(step right) of the steps of a study's own answers. Needs torch.

docs/method.md#19-steps.
"""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import text
from recover_nb.core.stored_json import json_part
from recover_nb.core.token_text import pieces_at, pieces_of
from recover_nb.features.step_table import check_steps
from recover_nb.features.steps import STEP_ENDS, StepLabel
from recover_nb.generation.decoding import Pair, Settings
from recover_nb.generation.step_rows import rows_of
from recover_nb.io.steps import load_steps
from recover_nb.prediction.steps import learned_scorer


@takes_study()
@checks.takes(
    pair=checks.PAIR,
    by=checks.one_of(STEP_ENDS),
    n_rollouts=checks.ROLLOUTS,
    temperature=checks.POSITIVE,
)
def step_scores(
    ds: xr.Dataset,
    pair: Pair,
    *,
    steps: xr.Dataset | None = None,
    by: str | None = None,
    n_rollouts: int = 8,
    temperature: float | None = None,
) -> pd.DataFrame:
    """Cut the observed answers of a study into steps, and say of each how likely it is right.

    docs/method.md#19-steps. Both models read each answer once.

    Parameters
    ----------
    ds : Dataset
        Problems of one specialist, with tokens whose text is known.
    pair : Pair
        The models, from `load_pair` or `load_lineage`.
    steps : Dataset, optional
        What the scorer learns from; `load_steps` unless given.
    by : {"space", "line", "sentence"}, optional
        What ends a step. A space for the shipped tasks, else the end of a line.
    n_rollouts : int
        Of each problem, the first ones.
    temperature : float, optional
        At which the models are read: that of the study where it says so, else 0.6.

    Returns
    -------
    DataFrame
        One row for each step: ``problem``, ``rollout``, ``step``, ``start`` and ``tokens`` (first
        token, and how many), ``text``, ``label`` (``right``, ``first wrong``, ``after it`` or ``not
        known``), ``tool`` (a calculator could do it), ``p_right``.

    Raises
    ------
    InputError
        Several specialists, no traces, or tokens whose text or number the models do not have.

    See Also
    --------
    verify_steps : What the scores are worth on the shipped lineage.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(1081, 1082)).load()
    >>> pair = rnb.load_lineage(ds["family"].item(), ds["method"].item())
    >>> found = rnb.step_scores(ds, pair, n_rollouts=1)
    >>> found[["text", "label", "tool"]].values.tolist()[0][0][:2]
    'a:'
    """
    learned = load_steps() if steps is None else check_steps(steps)
    made_by = sorted({*zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)})
    if len(made_by) > 1:
        shown = ", ".join("|".join(each) for each in made_by)
        raise InputError(f"the problems are of several specialists ({shown}); choose those of one")
    if temperature is None:
        stored = json_part(ds.attrs, "config_json", "settings")
        temperature = float(stored.get("temperature") or Settings().temperature)
    scorer = learned_scorer(learned)
    rows = rows_of(ds, pair, n_rollouts=n_rollouts, by=by, temperature=temperature)
    token_id = ds["token_id"].sel(intervention=Intervention.NONE.value)
    token_id, pieces = token_id.transpose("problem", "rollout", "token").values, pieces_at(ds)
    said = [
        "".join(pieces_of(token_id[p, r, start : start + n], pieces))
        for p, r, start, n in zip(rows.problem, rows.rollout, rows.start, rows.tokens, strict=True)
    ]
    columns = {name: getattr(rows, name) for name in ("problem", "rollout", "step", "start")}
    return pd.DataFrame(
        columns
        | {
            "tokens": rows.tokens,
            "text": said,
            "label": [StepLabel(code).words for code in rows.label],
            "tool": rows.tool.astype(bool),
            "p_right": scorer.p_right(rows.numbers.astype(np.float64)),
        }
    )
