"""Logistic regression on many columns, on arrays: character n-grams or embedding dimensions."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from recover_nb.core.errors import InputError
from recover_nb.stats.scaling import standardise

#: Inverse ridge of the n-gram model: weaker than the features' (1), so that it may use what many
#: n-grams say together.
NGRAM_C = 3.0
#: Commonest n-grams of the training folds that are used: bounds the time of a fit on long traces.
MAX_NGRAMS = 20_000
_MIN_TEXTS = 2


def count_ngrams(texts: Sequence[str], ngrams: tuple[int, int]) -> csr_matrix:
    """Count character n-grams, case kept: (text, n-gram), those in two texts or more.

    Raises
    ------
    InputError
        If no n-gram is in two texts.
    """
    counter = CountVectorizer(
        analyzer="char", ngram_range=ngrams, lowercase=False, min_df=_MIN_TEXTS
    )
    try:
        return counter.fit_transform(texts).tocsr()
    except ValueError:
        raise InputError(
            f"no {ngrams[0]}- to {ngrams[1]}-gram occurs in two of the {len(texts)} texts, so there"
            " is nothing to learn; allowed: texts that share some"
        ) from None


def predict_wide(
    x: np.ndarray | csr_matrix, code: np.ndarray, fold: np.ndarray, n_classes: int
) -> np.ndarray:
    """Predict each unit from the units of the other folds, by logistic regression on many columns.

    Parameters
    ----------
    x : sparse matrix of counts or float array, shape (n, column)
        Counts of n-grams are weighed by TF-IDF (sublinear: the better reader), all else is
        standardised; either way by the training folds alone.
    code, fold : int arrays, shape (n,)
        Class and fold of each unit, from 0.
    n_classes : int
        Classes.

    Returns
    -------
    float64 array, shape (n, class)
        Probability of each class.

    Notes
    -----
    docs/method.md#12-not-by-reading. As a pipeline of scikit-learn's ``TfidfVectorizer`` fitted on
    each training fold.
    """
    out = np.zeros((len(code), n_classes))
    for train, test in _splits(fold):
        seen, count = np.unique(code[train], return_counts=True)
        one, other = _weigh(x, train, test) if issparse(x) else _scale(x, train, test)
        if len(seen) < 2 or not one.shape[1]:
            # Nothing to tell classes apart by: their shares.
            out[np.ix_(test, seen)] = count / count.sum()
            continue
        model = LogisticRegression(C=NGRAM_C if issparse(x) else 1.0, max_iter=2000)
        out[np.ix_(test, seen)] = model.fit(one, code[train]).predict_proba(other)
    return out


def _splits(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for each in range(int(fold.max()) + 1):
        yield np.flatnonzero(fold != each), np.flatnonzero(fold == each)


def _weigh(
    counts: csr_matrix, train: np.ndarray, test: np.ndarray
) -> tuple[csr_matrix, csr_matrix]:
    """Return the TF-IDF of training and test texts.

    N-grams and their document frequencies are those of the training texts.
    """
    inside = counts[train]
    keep = np.flatnonzero(inside.getnnz(axis=0) >= _MIN_TEXTS)
    if len(keep) > MAX_NGRAMS:
        total = np.asarray(inside[:, keep].sum(axis=0)).ravel()
        keep = np.sort(keep[np.argsort(-total, kind="stable")[:MAX_NGRAMS]])
    if not len(keep):
        return inside[:, keep], counts[test][:, keep]
    weigher = TfidfTransformer(sublinear_tf=True)
    return weigher.fit_transform(inside[:, keep]), weigher.transform(counts[test][:, keep])


def _scale(x: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = standardise(x, population=np.isin(np.arange(len(x)), train))
    return z[train], z[test]
