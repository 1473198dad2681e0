"""Ask whether one could tell by reading them.

Text of failed rollouts against the three features (docs/method.md#12-not-by-reading).

The same targets in the same folds as `topography`; every reader is compared with the features fold
by fold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES
from recover_nb.core.schema import checkpoint_codes
from recover_nb.prediction.baselines import (
    COMMONEST,
    FEATURES_ALONE,
    NO_SIGNAL,
    known_of,
    no_signal_numbers,
    one_each,
    score_folds,
    score_numbers,
    together,
)
from recover_nb.prediction.ngrams import count_ngrams, predict_wide
from recover_nb.prediction.reading_result import (
    ABOUT,
    EMBEDDING,
    NGRAMS,
    WIDE,
    Reading,
    ReadingPart,
)
from recover_nb.prediction.targets import (
    TARGETS,
    Units,
    over_populations,
    populations_of,
    select_units,
    split_units,
    unit_names,
)
from recover_nb.prediction.transcripts import ROLLOUTS, failed_numbers, failed_text
from recover_nb.routing.populations import SOME_POPULATIONS
from recover_nb.stats.classification import repeated_folds


@takes_study()
@checks.takes(
    embedder=checks.calls(1, "a function from a list of texts to an array"),
    texts=checks.TEXTS,
    ngrams=checks.Kind(
        "two whole numbers, the shortest and the longest",
        checks.several(checks.COUNT, "", n=2).read,
    ),
    prompt=checks.FLAG,
    rollouts=checks.one_of(ROLLOUTS),
    tokenizers=checks.MAPPING,
    features=checks.NAMES,
    n_splits=checks.whole(2),
    n_repeats=checks.COUNT,
    seed=checks.SEED,
    populations=SOME_POPULATIONS,
    progress=checks.TELL,
)
def reading(
    ds: xr.Dataset,
    *,
    target: str = "regime",
    within: str | None = None,
    embedder: Callable[[list[str]], Any] | None = None,
    rollouts: str = "all",
    prompt: bool = False,
    texts: Sequence[str] | None = None,
    tokenizers: Mapping[str, Any] | None = None,
    features: Sequence[str] | None = None,
    ngrams: tuple[int, int] = (1, 4),
    n_splits: int = 5,
    n_repeats: int = 5,
    seed: int = 0,
    populations: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Reading:
    """Predict a label of failed problems from the text of their failed rollouts and their features.

    Parameters
    ----------
    ds : Dataset
        A study with traces, as `topography` takes it; a profile table needs `texts`.
    target, within, features
        As in `topography`. Pooled over cells, a text is read for its task first: use
        ``within="cell"`` to ask whether it says what one problem of a cell needs and another does
        not.
    embedder : callable, optional
        From a list of texts to an array (text, dimension): any sentence embedder that learned
        nothing from this study.
    rollouts : {"all", "first"}
        Read all failed rollouts of a problem, the evidence that the features are means over, or the
        first alone; then the features of that rollout alone are compared too.
    prompt : bool
        Read the prompt too.
    texts : sequence of str, optional
        Texts to read instead, one per problem of `ds`.
    tokenizers : mapping, optional
        See `transcripts.failed_text`.
    ngrams : pair of int
        Shortest and longest character n-gram.
    n_splits, n_repeats, seed : int
        As in `topography`: the folds are the same.
    populations : sequence of str, optional
        As in `topography`.
    progress : callable, optional
        Called with the name of a part for each repeat of it.

    Returns
    -------
    Reading

    Raises
    ------
    InputError
        If there is no text, a name is unknown or not in the study, or `embedder` returns something
        else.

    Notes
    -----
    docs/method.md#12-not-by-reading. n-grams: TF-IDF (sublinear; document frequencies of the
    training folds only) and logistic regression. Numbers (`transcripts.failed_numbers`): the same
    regression as for the features. The text of all failed rollouts also shows how many there are,
    which alone says much about a regime: see the reader ``failures``.

    Examples
    --------
    Texts that give the regime away say more of it than the features do.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
    >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
    >>> print(rnb.tables.paragraphs(result.sentence, width=80))
    regime, first answer failed (37): AUC of the features 0.517; of each reader,
    with the features' lead over it: ngrams 1.000 (-0.483 [-0.698, -0.268]), failed
    rollouts 0.705 (-0.188 [-0.666, +0.289]), all together 0.705 (-0.188 [-0.666,
    +0.289]). Failed at least once (57): AUC of the features 0.658; of each reader,
    with the features' lead over it: ngrams 1.000 (-0.342 [-0.666, -0.018]), failed
    rollouts 0.724 (-0.066 [-0.528, +0.396]), all together 0.724 (-0.066 [-0.528,
    +0.396]).
    """
    _check_ngrams(ngrams)
    names = FEATURES if features is None else features
    read = _given(texts, ds.sizes["problem"])
    if read is None:
        # What is wrong with a name is said before anything is read.
        unit_names(ds, target, "target", TARGETS)
        read = failed_text(ds, rollouts=rollouts, prompt=prompt, tokenizers=tokenizers)
    known, unknown = no_signal_numbers(ds)
    numbers = known | failed_numbers(ds, rollouts)
    folds = {"n_splits": n_splits, "n_repeats": n_repeats, "seed": seed}
    about = {**ABOUT, NGRAMS: _say_ngrams(ngrams, rollouts if texts is None else None, prompt)}
    settings = {
        **folds,
        "features": list(names),
        "ngrams": list(ngrams),
        "given": texts is not None,
        "rollouts": rollouts,
        "prompt": prompt,
    }
    alone = one_each(ds, checkpoint_codes(ds))

    def over(population: str, among: np.ndarray) -> Reading:
        units = select_units(ds, target=target, features=names, within=within, among=among)
        parts, left_out = split_units(units, target, n_splits)
        inputs, missing = _inputs(units, read, numbers, embedder, ngrams)
        found = {}
        for name, part in parts.items():
            rows = np.searchsorted(units.rows, part.rows)
            mine = {each: None if x is None else x[rows] for each, x in inputs.items()}
            found[name] = _score(part, mine, folds, partial(progress or (lambda part: None), name))
        return Reading(
            target,
            within,
            tuple(inputs),
            {each: about[each] for each in inputs},
            found,
            unknown | missing | left_out,
            settings,
            population,
            alone,
        )

    found, few = over_populations(populations_of(ds, populations), over)
    first, *others = found.values()
    return replace(
        first, left_out={**few, **first.left_out}, others={each.population: each for each in others}
    )


def _say_ngrams(ngrams: tuple[int, int], rollouts: str | None, prompt: bool) -> str:
    """Say what the n-grams are of."""
    head = f"character n-grams of {ngrams[0]} to {ngrams[1]}"
    if rollouts is None:
        return f"{head} in the texts passed"
    which = "all failed rollouts" if rollouts == "all" else "the first failed rollout"
    return f"{head} in {which}{' and the prompt' if prompt else ''}"


def _inputs(
    units: Units,
    read: np.ndarray,
    numbers: dict[str, np.ndarray],
    embedder: Callable[[list[str]], Any] | None,
    ngrams: tuple[int, int],
) -> tuple[dict[str, np.ndarray | csr_matrix | None], dict[str, str]]:
    """Return what each reader goes by, one row per unit, and the readers that cannot be used."""
    mine = [str(each) for each in read[units.rows]]
    inputs: dict[str, np.ndarray | csr_matrix | None] = {
        FEATURES_ALONE: units.x,
        NGRAMS: count_ngrams(mine, ngrams),
    }
    known, left_out = known_of(numbers, units.rows)
    inputs |= known
    bare = together(known, len(units.rows))
    if bare.shape[1]:
        inputs[NO_SIGNAL] = bare
    inputs[COMMONEST] = None
    if embedder is not None:
        inputs[EMBEDDING] = _embed(embedder, mine)
    return inputs, left_out


def _score(
    part: Units,
    inputs: Mapping[str, np.ndarray | csr_matrix | None],
    deals: dict[str, int],
    tell: Callable[[], None],
) -> ReadingPart:
    """Score every reader in every fold of one part."""
    classes, code = np.unique(part.label, return_inverse=True)
    folds = np.array(list(repeated_folds(code, part.group, **deals)))
    scores: dict[str, np.ndarray] = {}
    wide: dict[str, tuple[np.ndarray | csr_matrix, list[np.ndarray]]] = {}
    for name, x in inputs.items():
        if x is not None and name in WIDE:
            wide[name] = x, []
        else:
            numbers = None if x is None else np.asarray(x)
            scores[name] = score_numbers(numbers, code, folds, len(classes))
    for fold in folds:
        for x, found in wide.values():
            found.append(predict_wide(x, code, fold, len(classes)))
        tell()
    for name, (_, found) in wide.items():
        scores[name] = score_folds(code, np.array(found), folds)
    auc, accuracy = np.stack([scores[name] for name in inputs], axis=1)
    return ReadingPart(
        classes=tuple(classes.tolist()),
        counts=np.bincount(code),
        n_problems=len(np.unique(part.group)),
        auc=auc,
        accuracy=accuracy,
        checkpoint=int(part.checkpoint[0]) if np.ptp(part.checkpoint) == 0 else -1,
    )


def _embed(embedder: Callable[[list[str]], Any], texts: list[str]) -> np.ndarray:
    """Call the embedder and check what it returns."""
    values = np.asarray(embedder(list(texts)))
    if values.ndim != 2 or len(values) != len(texts) or values.dtype.kind not in "fiub":
        raise InputError(
            f"embedder returned an array of shape {values.shape} and dtype {values.dtype} for"
            f" {len(texts)} texts; allowed: numbers of shape ({len(texts)}, dimension)"
        )
    if not np.isfinite(values.astype(float)).all():
        raise InputError("embedder returned NaN or an infinite number; allowed: finite numbers")
    return values.astype(float)


def _given(texts: Sequence[str] | None, n: int) -> np.ndarray | None:
    if texts is None:
        return None
    if (
        isinstance(texts, str)
        or len(texts) != n
        or not all(isinstance(each, str) for each in texts)
    ):
        shown = "one string" if isinstance(texts, str) else f"{len(texts)} items"
        raise InputError(f"texts is {shown}; allowed: {n} strings, one per problem of the study")
    return np.array(list(texts), dtype=object)


def _check_ngrams(ngrams: tuple[int, int]) -> None:
    whole = len(ngrams) == 2 and all(isinstance(each, int | np.integer) for each in ngrams)
    if not whole or not 1 <= ngrams[0] <= ngrams[1]:
        raise InputError(
            f"ngrams is {ngrams!r}; allowed: two whole numbers, the shortest (at least 1) and the"
            " longest"
        )
