"""Decoding with two models: pairs, interventions, the one loop.

Needs the extra `models` (torch, transformers).
"""

from recover_nb.generation.decoding.batch import Batch, Proposal, Step
from recover_nb.generation.decoding.calculator import Calculator, evaluate
from recover_nb.generation.decoding.firing import Calibration, calibrate, firing_score
from recover_nb.generation.decoding.interventions import FiresOnce
from recover_nb.generation.decoding.loading import check_device
from recover_nb.generation.decoding.loop import Decoded, decode, steps
from recover_nb.generation.decoding.operators import REGISTRY, Operator, find_operator, register
from recover_nb.generation.decoding.pair import Pair, load_pair
from recover_nb.generation.decoding.sampling import (
    Stream,
    inverse_cdf,
    problem_key,
    temper,
    to_grid,
    uniforms,
)
from recover_nb.generation.decoding.settings import Settings
from recover_nb.generation.decoding.teacher_forced import (
    score_traces,
    token_numbers,
    top_alternatives,
)

__all__ = [
    "REGISTRY",
    "Batch",
    "Calculator",
    "Calibration",
    "Decoded",
    "FiresOnce",
    "Operator",
    "Pair",
    "Proposal",
    "Settings",
    "Step",
    "Stream",
    "calibrate",
    "check_device",
    "decode",
    "evaluate",
    "find_operator",
    "firing_score",
    "inverse_cdf",
    "load_pair",
    "problem_key",
    "register",
    "score_traces",
    "steps",
    "temper",
    "to_grid",
    "token_numbers",
    "top_alternatives",
    "uniforms",
]
