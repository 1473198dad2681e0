"""Explore why a reasoning model failed, and what would rescue it.

Every public name is imported when it is first used: `import recover_nb` loads neither torch nor
xarray.
"""

from importlib import import_module
from typing import Any

from recover_nb.core.aliases import install as _install

__version__ = "0.1.0"

#: Public name -> module that defines it.
_EXPORTS = {
    "InputError": "core.errors",
    "SCHEMA_VERSION": "core.schema",
    "SchemaError": "core.schema",
    "validate": "core.validation",
    "cell_names": "core.schema",
    "StudyConfig": "generation.config",
    "run_study": "generation.run",
    "generate": "generation.generate",
    "recover": "generation.recover",
    "load_study": "io.store",
    "open_study": "io.store",
    "save_zip": "io.store",
    "load_lineage": "generation.lineage",
    "load_pair": "generation.decoding",
    "Settings": "generation.decoding",
    "decode": "generation.decoding",
    "steering": "generation.steering",
    "steps": "generation.decoding",
    "compute_signals": "generation.recompute",
    "compute_features": "features.features",
    "signals_from_logits": "features.signals",
    "signals_from_topk": "features.signals",
    "rescue_rate": "routing.rescue",
    "classify_regimes": "routing.rescue",
    "RoutingPolicy": "routing.policy",
    "route": "routing.policy",
    "evaluate_routing": "routing.evaluation",
    "audit": "routing.audit",
    "read_outcomes": "io.outcomes",
    "write_audit": "report.audit",
    "plot_audit": "charts.audit",
    "what_changed": "routing.changes",
    "plot_what_changed": "charts.changes",
    "ablate": "routing.ablation.ablate",
    "load_ablations": "routing.ablation.stored",
    "plot_ablations": "charts.ablation",
    "cluster_stability": "clustering",
    "choose_k": "clustering",
    "claim_rates": "clustering",
    "rollout_stability": "clustering",
    "stability_grid": "clustering",
    "PUBLISHED": "routing.policy",
    "Endpoint": "io.served.endpoint",
    "Patience": "io.served.endpoint",
    "score_with_server": "io.served.server",
    "from_profiles": "io.profiles",
    "to_profiles": "io.profiles",
    "from_jsonl": "io.jsonl",
    "to_jsonl": "io.jsonl",
    "from_vllm_logits": "io.vllm_logits",
    "from_lm_eval": "io.logs.lm_eval",
    "from_inspect": "io.logs.inspect_log",
    "from_vllm_logprobs": "io.logprobs.read",
    "from_openai_logprobs": "io.logprobs.read",
    "from_trl": "io.logs.training",
    "from_verl": "io.logs.training",
    "from_table": "io.table",
    "to_parquet": "io.table",
    "to_netcdf": "io.store",
    "preview": "io.preview.look",
    "read_problems": "io.problems",
    "example_folder": "core.shipped",
    "add_signals": "generation.recompute",
    "make_study": "routing.simulate",
    "needed_rollouts": "features.reliability",
    "route_reliability": "routing.reliability",
    "load_remapped": "generation.companions",
    "remap_survival": "routing.remapping",
    "topography": "prediction.topography",
    "transfer": "prediction.transfer",
    "controls": "routing.controls",
    "reading": "prediction.reading",
    "failed_text": "prediction.transcripts",
    "compare_routers": "routing.routers",
    "recover_gain": "routing.recovery",
    "branch": "generation.surgery",
    "value_map": "generation.surgery",
    "fatal_token": "features.value",
    "recorded_value": "features.value",
    "problems_with_value": "features.value",
    "judge_detectors": "features.detectors",
    "plot_value": "charts.value",
    "story": "charts.story",
    "class_score": "widgets.parts.score",
    "present": "widgets.present",
    "front_door": "pages.front_door",
    "cost_dial": "charts.dial",
    "terms": "pages.terms",
    "seed_spread": "prediction.seeds",
    "fingerprint_across_seeds": "prediction.seeds",
    "load_seeds": "generation.companions",
    "load_fresh": "generation.companions",
    "load_unseen": "generation.companions",
    "load_cued": "io.cued",
    "load_onward": "io.onward",
    "monitor": "prediction.monitor",
    "plot_monitor": "charts.monitor",
    "training_gain": "prediction.training_gain",
    "load_steps": "io.steps",
    "verify_steps": "prediction.steps",
    "step_scores": "generation.step_scores",
    "plot_steps": "charts.steps",
    "plot_training_gain": "charts.training_gain",
    "plot_training_film": "charts.film",
    "first_failed": "routing.populations",
    "majority_vote": "routing.populations",
    "plot_routers": "charts.routers",
    "plot_clusters": "charts.clustering",
    "plot_consensus": "charts.clustering",
    "plot_stability": "charts.clustering",
    "plot_stability_grid": "charts.clustering",
    "plot_calculator": "charts.calculator",
    "plot_reliability": "charts.features",
    "plot_remapping": "charts.remapping",
    "plot_confusion": "charts.topography",
    "plot_controls": "charts.controls",
    "plot_effects": "charts.topography",
    "plot_feature_quantiles": "charts.topography",
    "plot_mappings": "charts.routing",
    "plot_reading": "charts.reading",
    "plot_scores": "charts.topography",
    "plot_transfer_clusters": "charts.transfer",
    "plot_transfer_routing": "charts.transfer",
    "plot_budget": "charts.routing",
    "plot_estimators": "charts.routing",
    "plot_features": "charts.features",
    "plot_regimes": "charts.rescue",
    "plot_rescue": "charts.rescue",
    "plot_routes": "charts.rescue",
    "plot_signals": "charts.traces",
    "summary_text": "tables",
    "write_html": "report",
}

#: Name of a part of the package -> module behind it: rooms, and short names of what is used often.
_PARTS = {
    "charts": "charts",
    "clustering": "clustering",
    "decoding": "generation.decoding",
    "errors": "core.errors",
    "features": "features",
    "generation": "generation",
    "io": "io",
    "lab": "generation.lab",
    "labels": "core.labels",
    "prediction": "prediction",
    "report": "report",
    "routing": "routing",
    "schema": "core.schema",
    "signals": "features.signals",
    "stats": "stats",
    "study": "generation",
    "tables": "tables",
    "tasks": "tasks",
    "widgets": "widgets",
}

__all__ = ["__version__", *_EXPORTS]

# `from recover_nb.decoding import Settings` goes on working, and means the same module.
_install(__name__, _PARTS)


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
    if name in _PARTS:
        return _load(_PARTS[name])
    raise AttributeError(f"module 'recover_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, *_PARTS})
