"""What a monitor sees of a trace after each token, and how sure it is that the trace ends wrong.

docs/method.md#20-cues.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import Cue

CUES = tuple(Cue)
#: Places of the cues in `CUES`, as `load_cued` stores them.
DOUBT = CUES.index(Cue.DOUBT)


@dataclass(frozen=True)
class Traces:
    """Traces one after the other, padded on the right.

    Attributes
    ----------
    right : (trace,) bool
    n_tokens : (trace,) int
    entropy, kl : (trace, token) float
    cue : (trace, token) int
        Place in `CUES`, -1 for other tokens and past the end.
    cell, question : (trace,) str
        What is fitted together, and what is resampled together.
    """

    right: np.ndarray
    n_tokens: np.ndarray
    entropy: np.ndarray
    kl: np.ndarray
    cue: np.ndarray
    cell: np.ndarray
    question: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Which places hold a token, (trace, token) bool."""
        return np.arange(self.entropy.shape[1]) < self.n_tokens[:, None]

    def take(self, rows: np.ndarray) -> "Traces":
        """Return some of the traces."""
        return Traces(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def features_of(traces: Traces, *, cues: bool) -> np.ndarray:
    """Return what is known after each token, (trace, token, feature) float.

    Position; entropy and KL divergence of the token, their means and maxima so far. With `cues`:
    how many cues and how many doubtful ones came so far, which cue the token is, and how long ago
    the last one was.
    """
    place = np.arange(traces.entropy.shape[1])
    n = np.broadcast_to(place + 1.0, traces.entropy.shape)
    seen = [n, np.log(n)]
    for signal in (traces.entropy, traces.kl):
        values = np.log1p(np.maximum(signal, 0).astype(float))
        seen += [values, values.cumsum(axis=1) / n, np.maximum.accumulate(values, axis=1)]
    if cues:
        is_cue = traces.cue >= 0
        last = np.maximum.accumulate(np.where(is_cue, place, -1), axis=1)
        seen += [is_cue.cumsum(axis=1), (traces.cue == DOUBT).cumsum(axis=1), place - last]
        seen += [traces.cue == each for each in range(len(CUES))]
    return np.stack(seen, axis=-1).astype(float)


@dataclass(frozen=True)
class Monitor:
    """A logistic regression for each cell: the chance that a trace ends wrong, after each token.

    Attributes
    ----------
    cues : bool
        Whether it sees cues.
    fitted : mapping of str to pipeline or float
        By cell; the share of wrong traces where all or none were wrong.
    """

    cues: bool
    fitted: Mapping[str, object]

    def score(self, traces: Traces) -> np.ndarray:
        """Return the chance that each trace ends wrong, (trace, token); 0 past the end."""
        features = features_of(traces, cues=self.cues)
        found = np.zeros(traces.entropy.shape)
        for cell in np.unique(traces.cell):
            rows = np.flatnonzero(traces.cell == cell)
            inside = traces.inside[rows]
            model = self.fitted[str(cell)]
            part = np.zeros(inside.shape)
            if isinstance(model, float):
                part[inside] = model
            else:
                part[inside] = model.predict_proba(features[rows][inside])[:, 1]  # type: ignore[attr-defined]
            found[rows] = part
        return found


def fit_monitor(traces: Traces, *, cues: bool) -> Monitor:
    """Learn from traces, each token a row, each trace of equal weight."""
    # Here: the command line knows of monitors, and starts without scikit-learn.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, fitted = features_of(traces, cues=cues), {}
    for cell in np.unique(traces.cell):
        rows = np.flatnonzero(traces.cell == cell)
        wrong, inside = ~traces.right[rows], traces.inside[rows]
        if wrong.all() or not wrong.any():
            fitted[str(cell)] = float(wrong.mean())
            continue
        n = inside.sum(axis=1)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(
            features[rows][inside],
            np.repeat(wrong, n),
            logisticregression__sample_weight=np.repeat(n.mean() / n, n),
        )
        fitted[str(cell)] = model
    return Monitor(cues, fitted)
