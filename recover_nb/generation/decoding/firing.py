"""When an operator fires: prospective scores against what the failed rollouts of a problem showed.

Source: docs/method.md#firing-threshold.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.generation.decoding.settings import Settings

#: Traces at least this long count as "hundreds of tokens".
LONG_TRACE = 100
LONG_QUANTILE, LONG_WARMUP = 0.99, 20
#: Below this the coverage of a problem is constant: its z-score says nothing and is taken as 0.
LEAST_SD = 1e-8


@dataclass(frozen=True)
class Calibration:
    """What P problems' failed ``none`` rollouts say about firing and replaying.

    Made by `calibrate`.

    Attributes
    ----------
    threshold : (P,) float64
        A score above it fires; inf (never) for a problem that did not fail.
    coverage_mean, coverage_sd : (P,) float64
        Of `coverage_deformation` over all tokens of the failed rollouts.
    warmup : (P,) int64
        First position that may fire.
    median_length : (P,) float64
        Of the failed rollouts, in tokens.
    n_failed : (P,) int64
    failed_token_id : (P, F, token) int32
        The failed traces, first to last, for replay; -1 elsewhere. F is the largest `n_failed`.
    junction : (P, F) int64
        Their junctions, argmax of J_t.
    junction_is_coverage : (P, F) bool
        Whether the coverage score was the larger there.
    """

    threshold: np.ndarray
    coverage_mean: np.ndarray
    coverage_sd: np.ndarray
    warmup: np.ndarray
    median_length: np.ndarray
    n_failed: np.ndarray
    failed_token_id: np.ndarray
    junction: np.ndarray
    junction_is_coverage: np.ndarray

    def take(self, problems: np.ndarray) -> "Calibration":
        """Return the calibration of some problems: places or a mask."""
        return Calibration(*(getattr(self, field.name)[problems] for field in fields(self)))

    def rows(
        self, problem: np.ndarray, rollout: np.ndarray, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """Return every field for rows of (problem, rollout number), tensors (B, ...).

        Attempt r replays the problem's failed rollout r mod `n_failed`.
        """
        place = rollout % np.maximum(self.n_failed[problem], 1)
        per_trace = ("failed_token_id", "junction", "junction_is_coverage")
        arrays = {
            field.name: getattr(self, field.name)[
                (problem, place) if field.name in per_trace else problem
            ]
            for field in fields(self)
        }
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in arrays.items()
        }
        return {name: tensor.to(device) for name, tensor in tensors.items()}


def firing_score(
    path_score: torch.Tensor,
    coverage_deformation: torch.Tensor,
    coverage_mean: torch.Tensor | float,
    coverage_sd: torch.Tensor | float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the score of candidates, and whether it is of the coverage type.

    Parameters
    ----------
    path_score : (B,) float
        max(0, (r - mu_r) / sd_r), as `recover_nb.features.signals` computes it.
    coverage_deformation : (B,) float
    coverage_mean, coverage_sd : (B,) float or float
        Of the problem's failed rollouts. An sd of 0 makes the coverage score 0.

    Returns
    -------
    score : (B,) float64
        The larger of path and coverage score; higher means further from the ancestor.
    is_coverage : (B,) bool
        A tie is of the path type.
    """
    mean, sd = (torch.as_tensor(each, dtype=torch.float64) for each in (coverage_mean, coverage_sd))
    z = (coverage_deformation.double() - mean) / sd.clamp(min=LEAST_SD)
    coverage = torch.where(sd > LEAST_SD, z, torch.zeros_like(z)).clamp(min=0)
    path = path_score.double()
    return torch.maximum(path, coverage), coverage > path


def firing_quantile(median_length: float) -> float:
    """Return q: 0.99 for traces of hundreds of tokens, else 1 - 2 / median length.

    It stays within [0, 0.99].
    """
    if median_length >= LONG_TRACE:
        return LONG_QUANTILE
    return float(np.clip(1 - 2 / max(median_length, 1), 0, LONG_QUANTILE))


def firing_warmup(median_length: float) -> int:
    """Return the first position that may fire: 20, or a fifth of a short trace (rounded down)."""
    return LONG_WARMUP if median_length >= LONG_TRACE else int(median_length // 5)


def calibrate(decoded, failed: np.ndarray, settings: Settings) -> Calibration:
    """Learn thresholds and junctions from the recorded ``none`` rollouts.

    Parameters
    ----------
    decoded : Decoded
        Of ``decode(..., "none", settings, record=True)``: P problems, R rollouts.
    failed : (P, R) bool
        Which rollouts the checker says are wrong. Only these are used.
    settings : Settings
        `quantile`, `warmup` and `threshold` are read. ``threshold="authors"`` takes the quantile of
        raw J_t, though what is compared with it is a z-score, as the published toolkit does.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        Nothing was recorded, or `failed` has another shape.
    """
    failed = np.asarray(failed, dtype=bool)
    if decoded.signals is None:
        raise InputError("these rollouts carry no signals; decode them with record=True")
    if failed.shape != decoded.n_tokens.shape:
        shape = decoded.n_tokens.shape
        raise InputError(f"failed has shape {failed.shape}; allowed: one bool per rollout, {shape}")
    failed = failed & (decoded.n_tokens > 0)
    most = max(int(failed.sum(1).max(initial=0)), 1)
    problems = [
        _calibrate_one(decoded, p, np.flatnonzero(failed[p]), settings, most)
        for p in range(len(failed))
    ]
    if not problems:
        raise InputError("no problem was given; calibrate needs the rollouts of at least one")
    return Calibration(
        *(np.stack([each[field.name] for each in problems]) for field in fields(Calibration))
    )


def _calibrate_one(
    decoded, problem: int, failed: np.ndarray, settings: Settings, most: int
) -> dict:
    """Return the fields of `Calibration` for one problem, traces padded to `most`."""
    n_positions = decoded.token_id.shape[-1]
    traces = {
        "failed_token_id": np.full((most, n_positions), -1, np.int32),
        "junction": np.zeros(most, np.int64),
        "junction_is_coverage": np.zeros(most, bool),
    }
    if not len(failed):
        nothing = {
            "threshold": np.inf,
            "coverage_mean": 0.0,
            "coverage_sd": 0.0,
            "median_length": 0.0,
        }
        return (
            traces
            | {name: np.float64(value) for name, value in nothing.items()}
            | {
                "warmup": np.int64(0),
                "n_failed": np.int64(0),
            }
        )
    lengths = decoded.n_tokens[problem, failed]
    inside = np.arange(n_positions) < lengths[:, None]
    path, coverage, pressure = (
        decoded.signals[name][problem, failed].astype(np.float64)
        for name in ("path_score", Signal.COVERAGE_DEFORMATION, Signal.DEMOTION_PRESSURE)
    )
    mean, sd = coverage[inside].mean(), coverage[inside].std()
    score, is_coverage = firing_score(torch.from_numpy(path), torch.from_numpy(coverage), mean, sd)
    junction = np.where(inside, pressure, -np.inf).argmax(1)
    traces["failed_token_id"][: len(failed)] = decoded.token_id[problem, failed]
    traces["junction"][: len(failed)] = junction
    traces["junction_is_coverage"][: len(failed)] = is_coverage.numpy()[
        np.arange(len(failed)), junction
    ]

    median = float(np.median(lengths))
    q = firing_quantile(median) if settings.quantile is None else settings.quantile
    compared = pressure if settings.threshold == "authors" else score.numpy()
    return traces | {
        "threshold": np.float64(np.quantile(compared[inside], q)),
        "coverage_mean": np.float64(mean),
        "coverage_sd": np.float64(sd),
        "warmup": np.int64(firing_warmup(median) if settings.warmup is None else settings.warmup),
        "median_length": np.float64(median),
        "n_failed": np.int64(len(failed)),
    }
