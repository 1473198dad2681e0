"""Explore why a reasoning model failed, and what would rescue it.

Every public name is imported when it is first used: `import recover_nb` loads neither torch nor
xarray.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

#: Public name -> module that defines it.
_EXPORTS = {
    "InputError": "errors",
    "SCHEMA_VERSION": "schema",
    "SchemaError": "schema",
    "validate": "schema",
    "cell_names": "schema",
    "StudyConfig": "study.config",
    "run_study": "study.runner",
    "generate": "study.generate",
    "load_study": "study.store",
    "open_study": "study.store",
    "save_zip": "study.store",
    "load_lineage": "study.lineage",
    "load_pair": "decoding",
    "Settings": "decoding",
    "decode": "decoding",
    "steps": "decoding",
    "compute_signals": "study.recompute",
    "compute_features": "features",
    "signals_from_logits": "signals",
    "signals_from_topk": "signals",
    "rescue_rate": "recoverability",
    "rescue_at_k": "recoverability",
    "classify_regimes": "recoverability",
    "RoutingPolicy": "routing",
    "route": "routing",
    "evaluate_routing": "evaluation",
    "ablate": "ablations",
    "load_ablations": "study.ablation_file",
    "plot_ablations": "charts_ablations",
    "cluster_stability": "clustering",
    "choose_k": "clustering",
    "claim_rates": "clustering",
    "rollout_stability": "clustering",
    "stability_grid": "clustering",
    "PUBLISHED": "routing",
    "Endpoint": "io.endpoint",
    "Patience": "io.endpoint",
    "score_with_server": "io.server",
    "from_profiles": "io.profiles",
    "to_profiles": "io.profiles",
    "from_jsonl": "io.jsonl",
    "to_jsonl": "io.jsonl",
    "from_vllm_logits": "io.vllm_logits",
    "from_lm_eval": "io.lm_eval",
    "from_inspect": "io.inspect_log",
    "from_vllm_logprobs": "io.logprobs",
    "from_openai_logprobs": "io.logprobs",
    "from_trl": "io.training",
    "from_verl": "io.training",
    "from_table": "io.table",
    "to_parquet": "io.table",
    "to_netcdf": "study.exports",
    "read_problems": "io.problems",
    "example_folder": "study.paths",
    "add_signals": "study.imported",
    "make_study": "simulate",
    "feature_reliability": "features",
    "needed_rollouts": "split_half",
    "route_reliability": "split_half",
    "load_remapped": "study.remapping",
    "remap_survival": "remapping",
    "topography": "topography",
    "transfer": "transfer",
    "reading": "reading",
    "failed_text": "transcripts",
    "compare_routers": "routers",
    "branch": "study.surgery",
    "plot_routers": "charts_routers",
    "plot_branches": "charts_traces",
    "plot_rollout_grid": "charts_traces",
    "plot_clusters": "charts_clustering",
    "plot_consensus": "charts_clustering",
    "plot_stability": "charts_clustering",
    "plot_stability_grid": "charts_clustering",
    "plot_calculator": "charts_remapping",
    "plot_reliability": "charts_remapping",
    "plot_remapping": "charts_remapping",
    "plot_transitions": "charts_remapping",
    "plot_coefficients": "charts_prediction",
    "plot_confusion": "charts_topography",
    "plot_effects": "charts_topography",
    "plot_feature_quantiles": "charts_topography",
    "plot_reading": "charts_topography",
    "plot_scores": "charts_prediction",
    "plot_transfer_clusters": "charts_topography",
    "plot_transfer_routing": "charts_topography",
    "plot_budget": "charts",
    "plot_comparators": "charts",
    "plot_estimators": "charts",
    "plot_features": "charts",
    "plot_regimes": "charts",
    "plot_rescue": "charts",
    "plot_routes": "charts",
    "plot_signals": "charts",
    "summary_text": "tables",
    "write_html": "report",
}

_SUBMODULES = (
    "charts",
    "decoding",
    "errors",
    "evaluation",
    "features",
    "io",
    "lab",
    "labels",
    "recoverability",
    "report",
    "routers",
    "routing",
    "schema",
    "signals",
    "simulate",
    "study",
    "tables",
    "tasks",
    "widgets",
)

__all__ = ["__version__", *_EXPORTS]


def _load(module: str) -> Any:
    try:
        return import_module(f"recover_nb.{module}")
    except ModuleNotFoundError as error:
        if error.name in ("torch", "transformers"):
            hint = f"recover_nb.{module} needs {error.name}; run: pip install 'recover-nb[models]'"
            raise ModuleNotFoundError(hint, name=error.name) from error
        raise


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(_load(_EXPORTS[name]), name)
        # Once resolved, a plain attribute: no second look-up, and the same object whichever way it
        # was imported.
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return _load(name)
    raise AttributeError(f"module 'recover_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, *_SUBMODULES})


class _Package(ModuleType):
    """The package, whose public functions are not replaced by modules of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        # Importing recover_nb.transfer, by whatever way, sets the module as an attribute of the
        # package: after ``from recover_nb.transfer import Transfer``, ``rnb.transfer(ds)`` would
        # call a module.
        if not (name in _EXPORTS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
