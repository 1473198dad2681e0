"""Decoding with two models: pairs, interventions, the one loop. Needs the extra `models` (torch, transformers)."""

from recover_nb.decoding.batch import Batch, Proposal, Step
from recover_nb.decoding.interventions import Observed, Retry
from recover_nb.decoding.loop import Decoded, decode, steps
from recover_nb.decoding.operators import REGISTRY, Operator, find_operator, register
from recover_nb.decoding.pair import Pair, load_pair
from recover_nb.decoding.sampling import Stream, inverse_cdf, problem_key, temper, to_grid, uniforms
from recover_nb.decoding.settings import Settings

__all__ = [
    "REGISTRY", "Batch", "Decoded", "Observed", "Operator", "Pair", "Proposal", "Retry", "Settings", "Step", "Stream",
    "decode", "find_operator", "inverse_cdf", "load_pair", "problem_key", "register", "steps", "temper", "to_grid",
    "uniforms",
]  # fmt: skip
