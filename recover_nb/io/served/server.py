"""Signals and features of a study from the log-probabilities of two served models.

The models are reached at two endpoints.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Reply, Signal
from recover_nb.core.schema import (
    INTERVENTION,
    MODELS,
    TOKEN,
    VARIABLES,
    failed_rollouts,
    text,
)
from recover_nb.core.validation import validate
from recover_nb.features.features import (
    DEFAULT_WINDOW,
    junction,
    problem_features,
    rollout_features,
)
from recover_nb.io.lines import LARGEST
from recover_nb.io.logprobs.topk import check_own
from recover_nb.io.rows import MISSING_MASS, SIGNALS
from recover_nb.io.served.asking import (
    RETOKENISED,
    SURPRISAL,
    TOO_LONG,
    UNANSWERED,
    UNLISTED,
    answers,
    score_trace,
)
from recover_nb.io.served.caller import Caller
from recover_nb.io.served.completions import Sent
from recover_nb.io.served.endpoint import ENDPOINT, PATIENCE, Clock, Endpoint, Patience
from recover_nb.routing.derive import derive

#: Attribute that says what became of the traces.
COUNTS = "server_counts_json"


@takes_study()
@checks.takes(
    tokenizer=checks.ENCODES,
    specialist=ENDPOINT,
    ancestor=ENDPOINT,
    partial=checks.PATH,
    temperature=checks.POSITIVE,
    top_k=checks.COUNT,
    k_cov=checks.COUNT,
    vocab_size=checks.COUNT,
    window=checks.DRAWS,
    patience=PATIENCE,
    progress=checks.FLAG,
)
def score_with_server(
    ds: xr.Dataset,
    specialist: Endpoint,
    ancestor: Endpoint,
    *,
    tokenizer: Any = None,
    partial: str | Path | None = None,
    temperature: float = 0.6,
    top_k: int = 100,
    k_cov: int | None = None,
    vocab_size: int | None = None,
    window: int = DEFAULT_WINDOW,
    patience: Patience | None = None,
    clock: Clock | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Compute signals and features of failed rollouts from two served models.

    Each trace is sent to both endpoints once, behind its prompt, or in parts where it is too long
    for one request; nothing is generated.

    Parameters
    ----------
    ds : Dataset
        A study, such as an importer returns: `prompt`, `correct`, and the traces as `token_id`
        (with `tokenizer`) or as `generated_text`.
    specialist, ancestor : Endpoint
        The model that failed, and the one it was trained from. They must share a tokenizer.
    tokenizer : optional
        The models' own, with ``encode(text, add_special_tokens=...)``: prompts and traces are sent
        as token ids, so that the server cannot cut them up otherwise, and the end-of-sequence token
        is scored too. Without it, text is sent.
    partial : path, optional
        File of what has been scored (JSON lines), which a second call goes on with. Never holds a
        key.
    temperature : float
        At which the rollouts were sampled; the servers' log-probabilities are taken to be at 1.
    top_k, k_cov, vocab_size
        See `signals_from_topk`. ``k_cov``: 20, but no more than the ancestor's list, unless
        `vocab_size` gives another.
    window : int
        Of the junction, in tokens to either side.
    patience : Patience, optional
    clock : Clock, optional
    progress : bool
        Show a bar on standard error.

    Returns
    -------
    Dataset
        `ds` with `features`, `n_failed_rollouts`, regimes and routes; where it stores tokens also
        with the six signals, `missing_mass` and `missing_mass_ancestor` (problem, rollout, token)
        float32, `has_signals` and `junction`. A trace has no signals and does not count that the
        server cuts into other tokens (or that fits its answer in two ways), that it refuses as too
        long even in parts (`Endpoint`), that lacks a log-probability, or that got no answer; how
        many there are is in the attribute ``server_counts_json``.

    Raises
    ------
    InputError
        The study has no traces that can be sent; a server refuses, offers no log-probabilities,
        stops answering, or asks to wait longer than `patience` allows (what is scored is kept in
        `partial`, as it is after Ctrl-C, which ends the call at once).

    Notes
    -----
    Source: docs/method.md#top-k-lists. Probability beyond the lists is `missing_mass`: look
    at it first.
    """
    traces = dict(_traces(ds, tokenizer))
    if not traces:
        raise InputError(
            "no failed rollout of the study has a trace to send; score a study whose rollouts have"
            " generated_text, or token_id with tokenizer=, and of which some failed"
        )
    constants = {
        "temperature": temperature,
        "top_k": top_k,
        "k_cov": k_cov,
        "vocab_size": vocab_size,
    }
    patience = patience or Patience()
    callers = [
        Caller(each, patience, clock, seed) for seed, each in enumerate((specialist, ancestor))
    ]
    keys = {place: _key(sent, (specialist, ancestor), constants) for place, sent in traces.items()}
    # Easy problems fail the same way again and again: a trace is asked for once.
    sent = {keys[place]: each for place, each in traces.items()}
    kept = _Kept(partial)
    found = {key: kept.known[key] for key in sent if key in kept.known}
    counts = Counter(kept_from_before=sum(key in found for key in keys.values()))

    def score(key: str) -> dict[str, list[float]] | str:
        return score_trace(callers, sent[key], constants)

    bar = tqdm(
        total=len(sent),
        initial=len(found),
        desc="scoring",
        unit="trace",
        file=sys.stderr,
        disable=not progress,
        dynamic_ncols=True,
    )
    with kept, bar:
        todo = [key for key in sent if key not in found]
        for key, result in answers(score, todo, patience.concurrent, callers):
            bar.update()
            found[key] = result
            if len(found) == ENOUGH_TRACES:
                _check(found.values(), specialist)
            if result != UNANSWERED:
                kept.add(key, result)
    _check(found.values(), specialist)
    results = {place: found[key] for place, key in keys.items()}
    tally = Counter(result if isinstance(result, str) else "scored" for result in results.values())
    counts.update({"scored": 0, RETOKENISED: 0, UNANSWERED: 0} | tally)
    for caller, role in zip(callers, MODELS, strict=True):
        counts.update({f"{role} {reason}": n for reason, n in caller.faults.items()})
    signals = {place: result for place, result in results.items() if not isinstance(result, str)}
    return _with_signals(ds, signals, window, counts, (specialist, ancestor), constants)


#: Traces after which the specialist is judged for the first time.
ENOUGH_TRACES = 5


def _check(results: Iterable[dict[str, list[float]] | str], endpoint: Endpoint) -> None:
    scored = [each for each in results if not isinstance(each, str) and SURPRISAL in each]
    surprisal, entropy = (
        [each[name] for each in scored] for name in (SURPRISAL, Signal.ENTROPY.value)
    )
    where, ask = f"{endpoint.model!r} at {endpoint.url}", f"ask for reply={Reply.ECHO_LATE.value!r}"
    check_own(surprisal, entropy, where, ask)


def _traces(ds: xr.Dataset, tokenizer: Any) -> Iterator[tuple[tuple[int, int], Sent]]:
    """Yield (problem, rollout) of failed observed rollouts with what is sent for them."""
    needed = (
        "prompt",
        "correct",
        *(("token_id", "n_tokens") if tokenizer is not None else ("generated_text",)),
    )
    missing = [name for name in needed if name not in ds]
    if missing:
        raise InputError(
            f"the study has no {', '.join(missing)}; needed: prompt, correct, and traces as"
            " generated_text, or as token_id with tokenizer="
        )
    observed = ds[[name for name in needed if INTERVENTION in ds[name].dims]].sel(
        intervention=Intervention.NONE.value
    )
    failed = failed_rollouts(ds)
    prompts = text(ds["prompt"]).tolist()
    for p in np.flatnonzero(failed.any(1)).tolist():
        one = observed.isel(problem=p).load()
        ids = (
            None
            if tokenizer is None
            else list(map(int, tokenizer.encode(prompts[p], add_special_tokens=False)))
        )
        for r in np.flatnonzero(failed[p]).tolist():
            if ids is None:
                trace: Any = str(one["generated_text"].values[r])
            else:
                trace = one["token_id"].values[r, : int(one["n_tokens"].values[r])].tolist()
            if len(trace):
                yield (p, r), Sent(prompts[p] if ids is None else ids, trace)


def _with_signals(
    ds: xr.Dataset,
    found: dict[tuple[int, int], dict[str, list[float]]],
    window: int,
    counts: Counter,
    endpoints: tuple[Endpoint, Endpoint],
    constants: dict[str, Any],
) -> xr.Dataset:
    """Put signals into the study, and what follows from them."""
    shape = ds.sizes["problem"], ds.sizes["rollout"]
    longest = max([ds.sizes.get(TOKEN, 0), *(len(each[SIGNALS[0]]) for each in found.values())])
    dense = {name: np.zeros((*shape, longest), np.float32) for name in SIGNALS}
    length = np.zeros(shape, np.int64)
    for place, values in list(found.items()):
        n = len(values[SIGNALS[0]])
        if TOKEN in ds.dims and n != int(ds["n_tokens"].sel(intervention="none").values[place]):
            # As text the end-of-sequence token, or another cut, is lost: positions would be off by
            # some.
            counts["retokenised"] += 1
            counts["scored"] -= 1
            continue
        length[place] = n
        for name in SIGNALS:
            dense[name][(*place, slice(0, n))] = values[name]
    pressure, variance = dense[Signal.DEMOTION_PRESSURE.value], dense[Signal.LOGIT_VARIANCE.value]
    used = length > 0
    values = rollout_features(pressure, variance, length, window=window)
    failed = (
        ds["correct"]
        .sel(intervention=Intervention.NONE.value)
        .transpose("problem", "rollout")
        .values
        == 0
    )
    names = [name.value for name in Feature]
    features = xr.DataArray(
        problem_features(values, used), dims=("problem", "feature"), coords={"feature": names}
    )
    new: dict[str, Any] = {
        "features": features.sel(feature=text(ds["feature"]).tolist()).variable,
        "n_failed_rollouts": ("problem", failed.sum(1).astype(np.int32)),
    }
    if TOKEN in ds.dims:
        new |= {name: (("problem", "rollout", TOKEN), each) for name, each in dense.items()}
        new["has_signals"] = (("problem", "rollout"), used.astype(np.int8))
        new["junction"] = (
            ("problem", "rollout"),
            np.where(used, junction(pressure, length), -1).astype(np.int32),
        )
    new |= {
        f"mean_{name}": (("problem", "rollout"), _means(dense[name], length))
        for name in MISSING_MASS
    }
    ds = derive(ds.assign(new))
    for name in new:
        ds[name].attrs = {"long_name": VARIABLES[name].meaning} if name in VARIABLES else {}
    served = {
        role: {name: getattr(each, name) for name in ("url", "model", "reply", "top")}
        for role, each in zip(MODELS, endpoints, strict=True)
    }
    told = {COUNTS: counts, "server_json": {**served, **constants}}
    return validate(
        ds.assign_attrs({name: json.dumps(each, sort_keys=True) for name, each in told.items()})
    )


def _means(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    return np.where(length > 0, values.sum(-1, dtype=float) / np.maximum(length, 1), np.nan)


def _key(sent: Sent, endpoints: tuple[Endpoint, Endpoint], constants: dict[str, Any]) -> str:
    """Return what a result depends on, hashed: models, constants, prompt and trace.

    Not the environment variable.
    """
    asked = [[each.url, each.model, each.reply, each.top, dict(each.extra)] for each in endpoints]
    whole = json.dumps(
        [asked, constants, {"prompt": sent.prompt, "trace": sent.trace}], sort_keys=True
    )
    return hashlib.sha256(whole.encode()).hexdigest()


def _is_result(result: Any) -> bool:
    """Tell whether a kept result is one that `score_trace` gives."""
    if isinstance(result, str):
        return result in (RETOKENISED, UNLISTED, TOO_LONG)
    columns = [result[name] for name in (SURPRISAL, *SIGNALS)]
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        return False
    numbers = [value for each in columns for value in each]
    return bool(numbers) and all(
        isinstance(value, int | float) and abs(value) <= LARGEST for value in numbers
    )


class _Kept:
    """A file of results, one line each; a line that a kill cut off is not counted."""

    def __init__(self, path: str | Path | None) -> None:
        self.path, self.file = None if path is None else Path(path), None
        self.known: dict[str, Any] = {}
        self._torn = False
        if self.path is None or not self.path.exists():
            return
        if not self.path.is_file():
            raise InputError(f"{self.path} is no file; choose another partial=")
        try:
            # A damaged line is one that is asked for again.
            content = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read: {error.strerror}; choose another partial="
            ) from None
        self._torn = bool(content) and not content.endswith("\n")
        for line in content.splitlines():
            try:
                row = json.loads(line)
                if _is_result(row["result"]):
                    self.known[row["key"]] = row["result"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def __enter__(self) -> "_Kept":
        if self.path is not None:
            try:
                self.file = self.path.open("a", encoding="utf-8")
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be written: {error.strerror}; choose another partial="
                ) from error
            if self._torn:
                self.file.write("\n")
        return self

    def add(self, key: str, result: Any) -> None:
        if self.file is not None:
            self.file.write(json.dumps({"key": key, "result": result}) + "\n")
            self.file.flush()

    def __exit__(self, *_error: object) -> None:
        if self.file is not None:
            self.file.close()
