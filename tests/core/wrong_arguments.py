"""Plausible wrong arguments of every public function and command, and what each is answered.

``python tests/core/wrong_arguments.py`` prints the counts; `test_wrong_arguments.py` runs the same
table. A row is a name, the arguments that are wrong, and words that the sentence must have.
"""

import contextlib
import functools
import io
import os
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from cued_traces import cued_study
from traced_study import traced_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError

NAN, INF, HUGE = float("nan"), float("inf"), 10**12
#: Of an audit, so that it takes no time.
FEW = {"n_bootstrap": 5, "n_permutations": 5, "n_null": 2, "n_splits": 2}


@functools.cache
def study():
    return traced_study(n_problems=24)


@functools.cache
def pair():
    return rnb.load_lineage("qwen3", "sft", device="cpu")


@functools.cache
def evaluation():
    return rnb.evaluate_routing(study(), n_bootstrap=20, n_permutations=20, n_null=2, n_splits=2)


@functools.cache
def problem():
    return rnb.tasks.problems("arithmetic", "test", 1)[0]


@functools.cache
def cued():
    return cued_study(n_problems=3)


def outcomes():
    return pd.DataFrame({"problem": range(8), "a": [0, 1] * 4, "b": [1, 0] * 4})


def letters():
    yield from ["sparse_steer"]


def raises():
    raise RuntimeError


def two(a, b):
    return a, b


LOGITS = np.zeros((2, 20))
#: What a call has beside what is wrong in it; functions of it are called first.
RIGHT = {
    "StudyConfig": {},
    "Settings": {},
    "Patience": {},
    "Endpoint": {"url": "http://127.0.0.1:9/v1", "model": "m"},
    "RoutingPolicy": {},
    "make_study": {},
    "present": {},
    "load_ablations": {},
    "open_study": {"path": "none.zarr"},
    "save_zip": {"ds": study, "path": "out.zarr.zip"},
    "to_netcdf": {"ds": study, "path": "out.nc"},
    "to_parquet": {"ds": study, "path": "out.parquet"},
    "to_jsonl": {"ds": study, "path": "out.jsonl"},
    "to_profiles": {"ds": study, "path": "out.csv"},
    "write_html": {"ds": study, "evaluation": evaluation, "path": "out.html"},
    "summary_text": {"ds": study},
    "load_lineage": {"family": "qwen3", "method": "sft"},
    "load_pair": {"specialist": "none", "ancestor": "none"},
    "run_study": {"config": lambda: rnb.StudyConfig.quick(n_problems=1), "out": "out.zarr"},
    "generate": {"pair": pair, "problems": lambda: [problem()]},
    "recover": {"pair": pair, "problems": lambda: [problem()], "study": study},
    "recover_gain": {"ds": study},
    "signals_from_logits": {"logits_s": LOGITS, "logits_a": LOGITS, "token_id": np.array([1, 2])},
    "signals_from_topk": {
        "logprobs_s": np.log(np.full((2, 3), 0.3)),
        "ids_s": np.array([[0, 1, 2], [0, 1, 2]]),
        "logprobs_a": np.log(np.full((2, 3), 0.3)),
        "ids_a": np.array([[0, 1, 2], [0, 1, 2]]),
        "token_id": np.array([0, 1]),
        "vocab_size": 20,
        "top_k": 3,
    },
    "rescue_rate": {},
    "classify_regimes": {"rescue_rate": lambda: study()["rescue_rate"]},
    "route": {"features": lambda: study()["features"]},
    "claim_rates": {"kind": "gaussian"},
    "from_profiles": {},
    "from_jsonl": {"path": "none.jsonl"},
    "from_table": {"table": "none.csv"},
    "from_vllm_logits": {"rollouts": "none.jsonl"},
    "from_lm_eval": {"path": "none.jsonl"},
    "from_inspect": {"path": "none.json"},
    "from_vllm_logprobs": {"specialist": "none", "ancestor": "none"},
    "from_openai_logprobs": {"specialist": "none", "ancestor": "none"},
    "from_trl": {"path": "none.jsonl"},
    "from_verl": {"path": "none.jsonl"},
    "preview": {"path": "none.jsonl"},
    "read_problems": {"source": "none.jsonl"},
    "fatal_token": {"right": np.array([3, 2, 0]), "n": 3},
    "seed_spread": {},
    "fingerprint_across_seeds": {"studies": lambda: {0: study(), 1: study()}},
    "remap_survival": {"ds": study, "remapped": study, "redrawn": study},
    "branch": {
        "pair": pair,
        "prompt": "(1+2)%100\n",
        "token_id": np.array([5, 6, 7]),
        "position": 1,
        "intervention": "retry",
        "answer": "3",
    },
    "value_map": {
        "pair": pair,
        "prompt": "(1+2)%100\n",
        "token_id": np.array([5, 6, 7]),
        "answer": "3",
    },
    "decode": {
        "pair": pair,
        "prompts": ["(1+2)%100\n"],
        "keys": np.array([1], np.uint64),
        "rollouts": np.array([0]),
        "intervention": "retry",
        "settings": rnb.Settings,
    },
    "steering": {"ancestor": pair, "intervention": "dense_sample"},
    "add_signals": {"ds": study, "pair": pair},
    "compute_signals": {"ds": study, "pair": pair},
    "score_with_server": {
        "ds": study,
        "specialist": lambda: rnb.Endpoint("http://127.0.0.1:9/v1", "m"),
        "ancestor": lambda: rnb.Endpoint("http://127.0.0.1:9/v1", "m"),
    },
    "first_failed": {"ds": study, "m": 2},
    "majority_vote": {"ds": study, "k": 3},
    "recorded_value": {"ds": study, "problem": 0},
    "plot_signals": {},
    "tasks.can_grade": {"rule": "exact", "answer": "3"},
    "tasks.grade": {"rule": "exact", "text": "#3", "answer": "3"},
    "tasks.make_checker": {},
    "tasks.problems": {"task": "arithmetic", "split": "test", "n": 2},
    "tasks.remap": {"problem": problem, "seed": 1},
    "tasks.remap_all": {"problems": lambda: [problem()], "seed": 1},
    "tasks.trace": {"problem": problem, "style": "terse"},
    "tasks.erring_trace": {"problem": problem, "rng": np.random.default_rng, "rate": 0.1},
    "tasks.draw_training_problem": {
        "task": "arithmetic",
        "rng": np.random.default_rng,
        "level": 1,
    },
    "tasks.find_origin": {"problem": problem, "text": "#3"},
    "tasks.is_correct": {"problem": problem, "text": "#3"},
    "tasks.invited_slips": {},
    "tasks.parse_answer": {},
    "tasks.has_step": {},
    "tasks.is_worked": {},
    "tasks.from_reasoning_gym": {"name": "gcd"},
    "audit": {"outcomes": outcomes},
    "read_outcomes": {"path": "none.csv"},
    "write_audit": {"found": lambda: rnb.audit(outcomes(), **FEW), "path": "out.html"},
    "load_cued": {},
    "monitor": {"ds": cued},
    "load_onward": {},
    "load_steps": {},
    "verify_steps": {"steps": study},
    "step_scores": {"ds": study, "pair": pair},
    "training_gain": {"ds": study, "onward": study},
    "plot_training_film": {"ds": study, "onward": study},
    "widgets.TableView": {},
    "widgets.ChartPanel": {},
    "widgets.RolloutGrid": {},
    "widgets.TokenView": {},
    "widgets.Selection": {},
    "widgets.View": {},
    "widgets.Press": {"label": "go", "work": print},
    "widgets.Predict": {
        "question": "which?",
        "choices": ("a", "b"),
        "answer": "a",
        "right": "a",
        "because": "it is.",
    },
}
#: Charts by what they draw.
DRAWN = {
    "an Ablation": "plot_ablations",
    "an Audit": "plot_audit",
    "a Changes": "plot_what_changed",
    "a ClusterStability": "plot_clusters plot_consensus plot_stability",
    "a Controls": "plot_controls",
    "a Dataset": "plot_calculator plot_features plot_regimes plot_reliability plot_rescue",
    "an Evaluation": "plot_budget plot_estimators plot_mappings plot_routes",
    "a Reading": "plot_reading",
    "a RemapSurvival": "plot_remapping",
    "a RouterComparison": "plot_routers",
    "a Topography": "plot_confusion plot_effects plot_feature_quantiles plot_scores",
    "a MonitorResult": "plot_monitor",
    "a StepVerifier": "plot_steps",
    "a TrainingGain": "plot_training_gain",
    "a Transfer": "plot_transfer_clusters plot_transfer_routing",
}

WHOLE = "must be a whole number"
#: Name, what is wrong, words of the sentence.
WRONG = [
    ("StudyConfig", {"methods": "stf"}, "methods must be", "sft, grpo", "did you mean 'sft'"),
    ("StudyConfig", {"methods": ["SFT"]}, "methods must be", "got ['SFT']", "did you mean 'sft'"),
    ("StudyConfig", {"methods": []}, "methods must be", "got []", "at least one"),
    ("StudyConfig", {"methods": "ancestor"}, "methods must be", "self_distill", "got 'ancestor'"),
    ("StudyConfig", {"families": 5}, "families must be", "qwen3, neox", "got 5"),
    ("StudyConfig", {"families": b"qwen3"}, "families must be", "got b'qwen3'", "give a list"),
    ("StudyConfig", {"tasks": {"arithmetic": 1}}, "tasks must be", "give a list"),
    ("StudyConfig", {"tasks": None}, "tasks must be", "got None"),
    ("StudyConfig", {"interventions": "sparse"}, "intervention must be", "'sparse_steer'"),
    ("StudyConfig", {"split": "Test"}, "split must be one of", "did you mean 'test'"),
    ("StudyConfig", {"n_problems": 0}, "n_problems", WHOLE, "at least 1", "got 0"),
    ("StudyConfig", {"n_problems": "12"}, "n_problems", WHOLE, "got '12'", "without quotes"),
    ("StudyConfig", {"n_rollouts": 2.5}, "n_rollouts", WHOLE, "got 2.5"),
    ("StudyConfig", {"n_rollouts": 2.0}, "n_rollouts", WHOLE, "write 2, without a point"),
    ("StudyConfig", {"n_rollouts": HUGE}, "n_rollouts", "got 1000000000000", "largest is 100000"),
    ("StudyConfig", {"n_attempts": True}, "n_attempts", WHOLE, "got True"),
    ("StudyConfig", {"n_attempts": NAN}, "n_attempts", WHOLE, "got nan"),
    ("StudyConfig", {"seed": -1}, "seed", WHOLE, "4294967295", "got -1"),
    ("StudyConfig", {"seed": 1.5}, "seed", WHOLE, "got 1.5"),
    ("StudyConfig", {"seed": 2**64}, "seed", WHOLE, "4294967295", "got 18446744073709551616"),
    ("StudyConfig", {"remap_seed": "x"}, "remap_seed", WHOLE, "or None", "got 'x'"),
    ("StudyConfig", {"settings": 3}, "settings must be", "a dict", "got 3"),
    ("StudyConfig", {"settings": {"temprature": 1}}, "setting must be", "'temperature'"),
    ("Settings", {"temperature": "0.6"}, "temperature must be", "got '0.6'", "without quotes"),
    ("Settings", {"temperature": -1}, "temperature must be", "0 (greedy)", "got -1"),
    ("Settings", {"temperature": INF}, "temperature must be", "got inf"),
    ("Settings", {"alpha": 70}, "alpha must be", "[0, 1]", "got 70", "70 % is 0.7"),
    ("Settings", {"alpha": NAN}, "alpha must be", "got nan"),
    ("Settings", {"alpha": None}, "alpha must be", "got None"),
    ("Settings", {"min_p": [0.1]}, "min_p must be", "a share from 0 to 1", "got [0.1]"),
    ("Settings", {"top_k": 0}, "top_k", WHOLE, "got 0"),
    ("Settings", {"top_k": True}, "top_k", WHOLE, "got True"),
    ("Settings", {"max_new_tokens": HUGE}, "max_new_tokens", WHOLE, "largest is 1000000"),
    ("Settings", {"lag": 2}, "lag must be 0 or 1", "got 2"),
    ("Settings", {"threshold": "author"}, "threshold must be", "did you mean 'authors'"),
    ("Settings", {"anchoring": "Replay"}, "anchoring must be", "did you mean 'replay'"),
    ("Settings", {"continuation": 3}, "continuation must be", "got 3", "give one name"),
    ("Settings", {"quantile": 95}, "quantile must be", "got 95", "95 % is 0.95"),
    ("Settings", {"seed": -3}, "seed", WHOLE, "got -3"),
    ("Patience", {"tries": 0}, "tries", WHOLE, "got 0"),
    ("Patience", {"first_wait": -1}, "first_wait must be", "seconds", "got -1"),
    ("Patience", {"per_minute": "60"}, "per_minute must be", "got '60'", "without quotes"),
    ("Endpoint", {"model": None}, "model must be", "a text", "got None"),
    ("Endpoint", {"reply": "ecco"}, "reply must be one of", "did you mean 'echo'"),
    ("Endpoint", {"timeout": 0}, "timeout must be", "above 0", "got 0"),
    ("Endpoint", {"top": 2.5}, "top", WHOLE, "got 2.5"),
    ("Endpoint", {"extra": ["a"]}, "extra must be", "a dict", "got ['a']"),
    ("RoutingPolicy", {"operators": {}}, "operators must be", "at least one feature", "got {}"),
    ("RoutingPolicy", {"operators": ["spread"]}, "operators must be", "got ['spread']"),
    ("RoutingPolicy", {"operators": {"spread": 1}}, "operators must be", "1 is no text"),
    ("RoutingPolicy", {"fallback": None}, "fallback must be a text", "got None"),
    ("make_study", {"effect": "plantd"}, "effect must be one of", "did you mean 'planted'"),
    ("make_study", {"size": 30}, "size must be a share", "got 30", "30 % is 0.3"),
    ("make_study", {"n_problems": HUGE}, "n_problems", WHOLE, "largest is 1000000"),
    ("make_study", {"cells": ["sft"]}, "cells must be", "(family, method, task)", "'sft'"),
    ("make_study", {"difficulty": 3}, "difficulty must be two numbers", "got 3", "give 2"),
    ("make_study", {"seed": "0"}, "seed", WHOLE, "got '0'", "write 0"),
    ("present", {"on": "yes"}, "on must be True or False", "got 'yes'"),
    ("load_ablations", {"path": 3}, "path must be a path", "got 3"),
    ("open_study", {"path": study}, "path must be a path", "got a Dataset"),
    ("open_study", {"path": None}, "path must be a path", "got None"),
    ("open_study", {"path": b"a.zarr"}, "path must be a path", "got b'a.zarr'"),
    ("open_study", {"path": ""}, "path must be a path", "got ''"),
    ("open_study", {"load": "yes"}, "load must be True or False", "got 'yes'"),
    ("save_zip", {"path": 3}, "path must be a path", "got 3"),
    ("save_zip", {"replace": 1}, "replace must be True or False", "got 1"),
    ("to_netcdf", {"path": study}, "path must be a path", "the study comes first"),
    ("to_parquet", {"path": []}, "path must be a path", "got []"),
    ("to_jsonl", {"path": None}, "path must be a path", "got None"),
    ("to_profiles", {"replace": "no"}, "replace must be True or False", "got 'no'"),
    ("write_html", {"evaluation": study}, "evaluation must be", "rnb.evaluate_routing"),
    ("write_html", {"path": study}, "path must be a path", "the study comes first"),
    ("write_html", {"title": 3}, "title must be a text", "got 3"),
    ("summary_text", {"evaluation": "out.json"}, "evaluation must be", "got 'out.json'"),
    ("load_lineage", {"family": "qwen"}, "family must be one of", "did you mean 'qwen3'"),
    ("load_lineage", {"method": "GRPO"}, "method must be one of", "did you mean 'grpo'"),
    ("load_lineage", {"method": ["sft"]}, "method must be one of", "got ['sft']"),
    ("load_lineage", {"device": "gpu"}, "device 'gpu'", "allowed: cpu"),
    ("load_lineage", {"root": 3}, "root must be a path", "or None", "got 3"),
    ("load_pair", {"dtype": "float99"}, "dtype", "float99"),
    ("load_pair", {"chat": "yes"}, "chat must be True or False", "got 'yes'"),
    ("load_pair", {"chat_options": ["a"]}, "chat_options must be", "got ['a']"),
    ("load_pair", {"specialist": 3}, "specialist"),
    ("run_study", {"config": {"n_problems": 3}}, "config must be", "rnb.StudyConfig"),
    ("run_study", {"out": study}, "out must be a path", "got a Dataset"),
    ("run_study", {"resume": "yes"}, "resume must be True or False", "got 'yes'"),
    ("run_study", {"device": "cuda:99"}, "device 'cuda:99'", "allowed"),
    ("run_study", {"out": "out.csv"}, "out.csv", ".zarr"),
    ("generate", {"pair": "sft"}, "pair must be", "rnb.load_lineage", "got 'sft'"),
    ("generate", {"problems": problem}, "problems must be a list", "got a Problem"),
    ("generate", {"problems": ["1+1"]}, "problems must be a list", "'1+1'"),
    ("generate", {"problems": []}, "problems must be", "at least one"),
    ("generate", {"interventions": 5}, "interventions must be", "got 5"),
    ("generate", {"interventions": "sparse"}, "intervention must be", "'sparse_steer'"),
    ("generate", {"n_rollouts": HUGE}, "n_rollouts", "largest is 100000"),
    ("generate", {"n_attempts": "4"}, "n_attempts", WHOLE, "write 4"),
    ("generate", {"settings": {"seed": 1}}, "settings must be", "rnb.Settings"),
    ("generate", {"unit": "sft"}, "unit must be two texts", "got 'sft'"),
    ("generate", {"checker": "numerc"}, "checker must be", "did you mean 'numeric'"),
    ("generate", {"checker": 3}, "checker must be", "got 3"),
    ("generate", {"checker": raises}, "checker must be", "it must take 2 arguments"),
    ("generate", {"progress": 3}, "progress must be a function", "got 3"),
    ("generate", {"progress": two}, "progress must be a function", "it must take 1 argument"),
    ("decode", {"pair": None}, "pair must be", "got None"),
    ("decode", {"intervention": "sparse"}, "intervention must be", "'sparse_steer'"),
    ("decode", {"keys": 3}, "keys must be a list of whole numbers", "got 3"),
    ("decode", {"rollouts": "0"}, "rollouts must be", "got '0'"),
    ("decode", {"settings": {}}, "settings must be", "rnb.Settings"),
    ("decode", {"record": 1}, "record must be True or False", "got 1"),
    ("steps", {"intervention": "grredy"}, "intervention must be", "did you mean 'greedy'"),
    ("steps", {"calibration": 3}, "calibration must be", "rnb.decoding.calibrate"),
    ("steering", {"intervention": "dense_ster"}, "intervention must be", "mean 'dense_steer'"),
    ("steering", {"rollout": -1}, "rollout", WHOLE, "got -1"),
    ("steering", {"keys": "a"}, "keys must be", "got 'a'"),
    ("branch", {"position": 99}, "position 99", "0 to 2"),
    ("branch", {"position": -1}, "position", WHOLE, "got -1"),
    ("branch", {"intervention": "retri"}, "intervention must be", "did you mean 'retry'"),
    ("branch", {"token_id": [1.5]}, "token_id must be", "got [1.5]"),
    ("branch", {"token_id": []}, "token_id must be", "got []"),
    ("branch", {"answer": 3}, "answer must be a text", "got 3"),
    ("branch", {"n": 0}, "n must be a whole number", "got 0"),
    ("branch", {"coverage": 3}, "coverage must be two numbers", "got 3"),
    ("branch", {"checker": "exakt"}, "checker must be", "did you mean 'exact'"),
    ("branch", {"prompt": ["a"]}, "prompt must be a text", "got ['a']"),
    ("value_map", {"interventions": ["sparse"]}, "intervention must be", "mean 'sparse_steer'"),
    ("value_map", {"key": -1}, "key", WHOLE, "got -1"),
    ("value_map", {"n": "24"}, "n must be a whole number", "write 24"),
    ("add_signals", {"pair": "sft"}, "pair must be", "got 'sft'"),
    ("add_signals", {"window": -1}, "window", WHOLE, "got -1"),
    ("compute_signals", {"intervention": "non"}, "intervention must be", "'none'"),
    ("compute_features", {"window": "8"}, "window", WHOLE, "write 8"),
    ("compute_features", {"floor": NAN}, "floor must be", "got nan"),
    ("signals_from_logits", {"logits_s": None}, "logits_s must be an array", "got None"),
    ("signals_from_logits", {"temperature": 0}, "temperature must be", "above 0", "got 0"),
    ("signals_from_logits", {"top_k": 2.5}, "top_k", WHOLE, "got 2.5"),
    ("signals_from_topk", {"vocab_size": -1}, "vocab_size", WHOLE, "got -1"),
    ("signals_from_topk", {"logprobs_s": "x"}, "logprobs_s must be an array", "got 'x'"),
    ("rescue_rate", {"correct": [0, 1]}, "correct must be", "ds['correct']", "got [0, 1]"),
    ("classify_regimes", {"rescue_rate": ["a"]}, "rescue_rate must be an array", "got ['a']"),
    ("classify_regimes", {"min_gain": 5}, "min_gain must be a share", "5 % is 0.05"),
    ("classify_regimes", {"min_failure": "half"}, "min_failure must be a share", "got 'half'"),
    ("classify_regimes", {"interventions": True}, "interventions must be", "got True"),
    ("route", {"features": "spread"}, "features must be an array", "got 'spread'"),
    ("route", {"policy": {"spread": "retry"}}, "policy must be", "rnb.RoutingPolicy"),
    ("evaluate_routing", {"policy": "published"}, "policy must be", "got 'published'"),
    ("evaluate_routing", {"seed": -1}, "seed", WHOLE, "got -1"),
    ("evaluate_routing", {"n_bootstrap": HUGE}, "n_bootstrap", "largest is 10000000"),
    ("evaluate_routing", {"n_bootstrap": 0}, "n_bootstrap", WHOLE, "got 0"),
    ("evaluate_routing", {"n_splits": "10"}, "n_splits", WHOLE, "write 10"),
    ("evaluate_routing", {"min_gain": 90}, "min_gain must be a share", "90 % is 0.9"),
    ("evaluate_routing", {"only": "publishd"}, "only must be", "did you mean 'published'"),
    ("evaluate_routing", {"only": 3}, "only must be", "got 3"),
    ("evaluate_routing", {"populations": "faild"}, "populations must be", "mean 'failed'"),
    ("evaluate_routing", {"interventions": {"a": 1}}, "interventions must be", "give a list"),
    ("evaluate_routing", {"interventions": ["sparse"]}, "sparse"),
    ("evaluate_routing", {"progress": "yes"}, "progress must be a function", "got 'yes'"),
    ("evaluate_routing", {"cell_intervals": 2}, "cell_intervals must be True", "got 2"),
    ("what_changed", {"by": "lenght"}, "by", "lenght", "length"),
    ("what_changed", {"n_bootstrap": None}, "n_bootstrap", WHOLE, "got None"),
    ("ablate", {"population": "first"}, "population must be", "failed_first_M", "got 'first'"),
    ("ablate", {"n_null": 0}, "n_null", WHOLE, "got 0"),
    ("ablate", {"stored": {"a": 1}}, "stored must be", "rnb.load_ablations"),
    ("cluster_stability", {"algorithm": "kmean"}, "algorithm must be", "mean 'kmeans'"),
    ("cluster_stability", {"algorithm": "Ward"}, "algorithm must be", "mean 'ward'"),
    ("cluster_stability", {"k": 1}, "k must be a whole number of at least 2", "got 1"),
    ("cluster_stability", {"n_null": 5}, "n_null", "at least 19", "got 5"),
    ("cluster_stability", {"cells": ["nowhere"]}, "nowhere", "the study holds"),
    ("cluster_stability", {"cells": []}, "cells must be", "at least one"),
    ("cluster_stability", {"ranks": "yes"}, "ranks must be True or False", "got 'yes'"),
    (
        "cluster_stability",
        {"min_cluster_size": 0},
        "min_cluster_size must be",
        "from 2 to 48",
        "got 0",
    ),
    ("choose_k", {"ks": []}, "ks must be a list", "at least one"),
    ("choose_k", {"ks": [2, 1]}, "ks must be a list", "1 is not"),
    ("choose_k", {"ks": "2"}, "ks must be a list", "'2'"),
    ("claim_rates", {"kind": "gausian"}, "kind must be one of", "mean 'gaussian'"),
    ("claim_rates", {"n_sets": HUGE}, "n_sets", "largest is"),
    ("claim_rates", {"separation": "4"}, "separation must be", "without quotes"),
    ("rollout_stability", {"sizes": [0]}, "sizes must be a list", "0 is not"),
    ("rollout_stability", {"sizes": []}, "sizes must be a list", "at least one"),
    ("stability_grid", {"algorithms": "wards"}, "algorithms must be", "mean 'ward'"),
    ("stability_grid", {"n_jobs": 0}, "n_jobs must be", "got 0"),
    ("score_with_server", {"specialist": "http://x"}, "specialist must be", "rnb.Endpoint"),
    ("score_with_server", {"patience": 3}, "patience must be", "rnb.Patience"),
    ("score_with_server", {"tokenizer": "gpt2"}, "tokenizer must be", "got 'gpt2'"),
    ("from_profiles", {"path": study}, "path must be a path", "got a Dataset"),
    ("from_jsonl", {"path": 3}, "path must be a path", "got 3"),
    ("from_jsonl", {"path": {}}, "path must be a path", "got {}"),
    ("from_jsonl", {"is_correct": "numric"}, "is_correct must be", "mean 'numeric'"),
    ("from_jsonl", {"unit": ("a", "b", "c")}, "unit must be two texts", "give 2"),
    ("from_jsonl", {"n_observed": 0}, "n_observed", WHOLE, "got 0"),
    ("from_table", {"table": None}, "table must be a path or a DataFrame", "got None"),
    ("from_table", {"columns": ["answer"]}, "columns must be", "got ['answer']"),
    ("from_vllm_logits", {"window": -1}, "window", WHOLE, "got -1"),
    ("from_lm_eval", {"metric": 3}, "metric must be a text", "got 3"),
    ("from_inspect", {"scorer": ["a"]}, "scorer must be a text", "got ['a']"),
    ("from_vllm_logprobs", {"temperature": -1}, "temperature must be", "got -1"),
    ("from_openai_logprobs", {"tokenizer": "gpt2"}, "tokenizer must be", "got 'gpt2'"),
    ("from_trl", {"threshold": "0.5"}, "threshold must be a number", "without quotes"),
    ("from_trl", {"step": -1}, "step", WHOLE, "got -1"),
    ("from_verl", {"step": 2.5}, "step", WHOLE, "got 2.5"),
    ("preview", {"format": "jsnl"}, "format", "jsnl"),
    ("preview", {"path": []}, "path must be a path", "got []"),
    ("read_problems", {"task": 3}, "task must be a text", "got 3"),
    ("needed_rollouts", {"target": 80}, "target must be", "between 0 and 1", "got 80"),
    ("needed_rollouts", {"sizes": "5"}, "sizes must be a list", "'5'"),
    ("route_reliability", {"n_splits": 0}, "n_splits", WHOLE, "got 0"),
    ("remap_survival", {"n_bootstrap": 0}, "n_bootstrap", WHOLE, "got 0"),
    ("topography", {"target": "methods"}, "target must be one of", "mean 'method'"),
    ("topography", {"n_splits": 1}, "n_splits", "at least 2", "got 1"),
    ("topography", {"features": 3}, "features must be", "got 3"),
    ("transfer", {"by": "metod"}, "by", "metod", "method"),
    ("transfer", {"k": "3"}, "k must be a whole number", "write 3"),
    ("controls", {"seed": 0.5}, "seed", WHOLE, "got 0.5"),
    ("reading", {"embedder": "bert"}, "embedder must be a function", "got 'bert'"),
    ("reading", {"ngrams": 3}, "ngrams must be two whole numbers", "got 3"),
    ("reading", {"ngrams": (4, 1)}, "ngrams", "(4, 1)", "shortest"),
    ("failed_text", {"rollouts": "frist"}, "rollouts must be one of", "mean 'first'"),
    ("failed_text", {"prompt": "yes"}, "prompt must be True or False", "got 'yes'"),
    ("recover", {"pair": "sft"}, "pair must be", "rnb.load_lineage", "got 'sft'"),
    ("recover", {"problems": []}, "problems must be", "at least one"),
    ("recover", {"checker": "numerc"}, "checker must be", "did you mean 'numeric'"),
    ("recover", {"budget": 0}, "budget", WHOLE, "got 0"),
    ("recover", {"budget": 1}, "budget must be above the 1 observed", "got 1"),
    ("recover", {"budget": 99}, "budget must be at most 21", "got 99"),
    ("recover", {"study": 3}, "study", "int"),
    ("recover", {"n_rollouts": "2"}, "n_rollouts", WHOLE, "write 2"),
    ("recover", {"interventions": ["calculator"]}, "no intervention 'calculator'", "leave it out"),
    ("recover", {"rule": "cont"}, "rule must be one of", "mean 'count'"),
    ("recover", {"stop_below": 5}, "stop_below must be a share", "5 % is 0.05"),
    ("recover", {"settings": {"seed": 1}}, "settings must be", "rnb.Settings"),
    ("recover", {"unit": "sft"}, "unit must be two texts", "got 'sft'"),
    ("recover", {"progress": 3}, "progress must be a function", "got 3"),
    ("recover_gain", {"test": 3}, "test", "int"),
    ("recover_gain", {"test": study}, "asks no question that ds does not ask", "load_unseen"),
    ("recover_gain", {"budgets": [0]}, "budgets must be", "0 is not"),
    ("recover_gain", {"budgets": [4, 2]}, "budgets must rise", "got [4, 2]"),
    ("recover_gain", {"budgets": 1}, "budget must be above the 1 observed", "got 1"),
    ("recover_gain", {"n_rollouts": 0}, "n_rollouts", WHOLE, "got 0"),
    ("recover_gain", {"interventions": 5}, "interventions must be", "got 5"),
    ("recover_gain", {"seed": -1}, "seed", WHOLE, "got -1"),
    ("recover_gain", {"n_bootstrap": 0}, "n_bootstrap", WHOLE, "got 0"),
    ("recover_gain", {"n_null": True}, "n_null", WHOLE, "got True"),
    ("compare_routers", {"hold_out": "famly"}, "hold_out must be", "mean 'family'"),
    ("compare_routers", {"hold_out": []}, "hold_out must be", "at least one"),
    ("compare_routers", {"budget": 0}, "budget", WHOLE, "got 0"),
    ("fatal_token", {"n": 0}, "n must be a whole number", "got 0"),
    ("fatal_token", {"right": "a"}, "right must be an array", "got 'a'"),
    ("recorded_value", {"problem": "0"}, "problem", WHOLE, "write 0"),
    ("recorded_value", {"problem": -1}, "problem", WHOLE, "got -1"),
    ("seed_spread", {"studies": [study]}, "studies must be a dict of seed to study", "not a list"),
    ("fingerprint_across_seeds", {"seed": None}, "seed", WHOLE, "got None"),
    ("first_failed", {"m": -1}, "m must be a whole number", "got -1"),
    ("majority_vote", {"k": 0}, "k must be a whole number", "got 0"),
    ("majority_vote", {"draws": 2.5}, "draws", WHOLE, "got 2.5"),
    ("story", {"problem": "3"}, "problem", WHOLE, "write 3"),
    ("plot_signals", {"frame": 3}, "frame must be a DataFrame", "got 3"),
    ("plot_stability_grid", {"data": "x"}, "data must be a DataFrame", "got 'x'"),
    ("plot_value", {"data": "x"}, "data must be a Dataset", "got 'x'"),
    ("tasks.can_grade", {"answer": [3]}, "answer must be a text or a number", "got [3]"),
    ("tasks.grade", {"rule": "exactt"}, "checker must be", "mean 'exact'"),
    ("tasks.grade", {"text": None}, "text must be a text", "got None"),
    ("tasks.make_checker", {"rule": 3}, "rule must be", "got 3"),
    ("tasks.make_checker", {"rule": "regex:("}, "pattern '('", "does not compile"),
    ("tasks.problems", {"task": "algebra"}, "task must be one of", "got 'algebra'"),
    ("tasks.problems", {"split": "tset"}, "split must be one of", "mean 'test'"),
    ("tasks.problems", {"n": -1}, "n must be a whole number", "got -1"),
    ("tasks.remap", {"problem": 3}, "problem must be a problem", "got 3"),
    ("tasks.remap_all", {"problems": 3}, "problems must be a list", "got 3"),
    ("tasks.trace", {"style": "ters"}, "style must be one of", "mean 'terse'"),
    ("tasks.erring_trace", {"rate": 10}, "rate must be a share", "10 % is 0.1"),
    ("tasks.draw_training_problem", {"level": 9}, "level", WHOLE, "got 9"),
    ("tasks.draw_training_problem", {"rng": 0}, "rng must be", "default_rng"),
    ("tasks.find_origin", {"text": 3}, "text must be a text", "got 3"),
    ("tasks.is_correct", {"problem": "1+1"}, "problem must be", "got '1+1'"),
    ("tasks.invited_slips", {"problem": None}, "problem must be", "got None"),
    ("tasks.parse_answer", {"text": 3}, "text must be a text", "got 3"),
    ("tasks.has_step", {"text": None}, "text must be a text", "got None"),
    ("tasks.is_worked", {"text": b"a"}, "text must be a text", "got b'a'"),
    ("tasks.from_reasoning_gym", {"name": ["gcd"]}, "name must be a text", "got ['gcd']"),
    ("tasks.from_reasoning_gym", {"n": 0}, "n must be a whole number", "got 0"),
    ("audit", {"outcomes": 3}, "outcomes must be a DataFrame", "got 3"),
    (
        "audit",
        {"outcomes": "a.csv"},
        "outcomes must be a DataFrame",
        "got 'a.csv'",
        "rnb.read_outcomes",
    ),
    ("audit", {"router": 3}, "router must be a column of the outcomes", "got 3"),
    ("audit", {"router": "rooter"}, "router 'rooter' is no column of the outcomes"),
    ("audit", {"router": ["a", "b"]}, "router has 2 choices for 8 problems"),
    ("audit", {"default": 3}, "default must be a text, or None", "got 3"),
    ("audit", {"default": "c"}, "default 'c' is no arm; allowed: a, b"),
    ("audit", {"arms": 5}, "arms must be a list of names", "got 5"),
    ("audit", {"arms": []}, "arms must be a list of names", "at least one"),
    ("audit", {"attempts": 2.5}, "attempts", WHOLE, "got 2.5"),
    ("audit", {"min_gain": 10}, "min_gain must be a share", "10 % is 0.1"),
    ("audit", {"min_failure": "0.5"}, "min_failure must be a share", "without quotes"),
    ("audit", {"seed": -1}, "seed", WHOLE, "got -1"),
    ("audit", {"n_bootstrap": 0}, "n_bootstrap", WHOLE, "got 0"),
    ("audit", {"n_null": True}, "n_null", WHOLE, "got True"),
    ("audit", {"n_splits": "4"}, "n_splits", WHOLE, "write 4"),
    ("audit", {"n_permutations": HUGE}, "n_permutations", WHOLE, "largest is 10000000"),
    ("audit", {"progress": 3}, "progress must be a function", "got 3"),
    ("read_outcomes", {"path": outcomes}, "path must be a path", "got a DataFrame"),
    ("read_outcomes", {"path": ""}, "path must be a path", "got ''"),
    ("read_outcomes", {}, "none.csv", "no such file"),
    ("write_audit", {"found": study}, "found must be an audit", "rnb.audit(outcomes)"),
    ("write_audit", {"path": 3}, "path must be a path", "got 3"),
    ("write_audit", {"title": 3}, "title must be a text", "got 3"),
    ("write_audit", {"replace": "no"}, "replace must be True or False", "got 'no'"),
    ("load_cued", {"path": 3}, "path must be a path", "or None", "got 3"),
    ("load_cued", {"path": "none.zarr.zip"}, "none.zarr.zip is not there", "--cued"),
    ("monitor", {"ds": 3}, "ds must be what rnb.load_cued() returns", "got 3"),
    ("monitor", {"ds": study}, "ds must be what rnb.load_cued() returns", "got a Dataset"),
    ("monitor", {"n_shuffles": 0}, "n_shuffles", WHOLE, "got 0"),
    ("monitor", {"n_bootstrap": 2.5}, "n_bootstrap", WHOLE, "got 2.5"),
    ("monitor", {"seed": None}, "seed", WHOLE, "got None"),
    ("load_onward", {"path": 3}, "path must be a path", "or None", "got 3"),
    ("load_onward", {"path": "none.zarr.zip"}, "none.zarr.zip is not there", "--onward"),
    ("load_steps", {"path": 3}, "path must be a path", "or None", "got 3"),
    ("load_steps", {"path": "none.zarr.zip"}, "none.zarr.zip is not there", "recover-nb steps"),
    ("verify_steps", {"steps": 3}, "steps must be what rnb.load_steps() returns", "got 3"),
    ("verify_steps", {}, "steps holds no problem_of of steps", "recover-nb steps writes"),
    ("verify_steps", {"n_bootstrap": 0}, "n_bootstrap", WHOLE, "got 0"),
    ("verify_steps", {"n_permutations": "9"}, "n_permutations", WHOLE, "write 9"),
    ("verify_steps", {"seed": -1}, "seed", WHOLE, "got -1"),
    ("step_scores", {"pair": "sft"}, "pair must be", "got 'sft'"),
    ("step_scores", {"by": "word"}, "by must be one of", "space, line, sentence", "got 'word'"),
    ("step_scores", {"n_rollouts": 0}, "n_rollouts", WHOLE, "got 0"),
    ("step_scores", {"temperature": 0}, "temperature must be a number above 0", "got 0"),
    ("step_scores", {"steps": 3}, "steps must be what rnb.load_steps() returns", "got 3"),
    ("training_gain", {"onward": 3}, "onward must be what rnb.load_onward() returns", "got 3"),
    ("training_gain", {"onward": study}, "onward must be what rnb.load_onward()", "got a Dataset"),
    ("training_gain", {"budget": 0}, "budget", WHOLE, "got 0"),
    ("training_gain", {"read": "yes"}, "read must be True or False", "got 'yes'"),
    ("training_gain", {"n_splits": 1}, "n_splits", "at least 2", "got 1"),
    ("training_gain", {"n_repeats": "5"}, "n_repeats", WHOLE, "write 5"),
    ("training_gain", {"n_permutations": -1}, "n_permutations", WHOLE, "got -1"),
    ("training_gain", {"n_bootstrap": 2.5}, "n_bootstrap", WHOLE, "got 2.5"),
    ("training_gain", {"seed": None}, "seed", WHOLE, "got None"),
    ("plot_training_film", {"seed": "0"}, "seed", WHOLE, "or None", "write 0"),
    (
        "plot_training_film",
        {"onward": study},
        "onward must be what rnb.load_onward()",
        "got a Dataset",
    ),
    ("widgets.TableView", {"page_size": 0}, "page_size", WHOLE, "got 0"),
    ("widgets.ChartPanel", {"heard": 3}, "heard must be a function", "got 3"),
    ("widgets.RolloutGrid", {"chosen": "a"}, "chosen must be", "got 'a'"),
    ("widgets.TokenView", {"token": []}, "TokenView", "mean 'tokens'"),
    ("widgets.TokenView", {"cursor": "a"}, "cursor must be an int", "got 'a'"),
    ("widgets.Selection", {"problm": 3}, "Selection", "mean 'problem'"),
    ("widgets.Selection", {"problem": "3"}, "problem must be an int", "got '3'"),
    ("widgets.View", {"selection": 3}, "selection must be", "rnb.widgets.Selection"),
    ("widgets.Press", {"work": 3}, "work must be a function", "got 3"),
    ("widgets.Press", {"total": -1}, "total", WHOLE, "got -1"),
    ("widgets.Predict", {"choices": 3}, "choices must be a list of texts", "got 3"),
    ("widgets.Predict", {"answer": 3}, "answer must be", "got 3"),
    ("widgets.Predict", {"because": None}, "because must be a text", "got None"),
    ("widgets.TraceInspector", {"problem": "0"}, "problem must be a place", "write 0"),
    ("widgets.TraceInspector", {"problem": 999}, "problem must be a place from 0 to 47"),
    ("widgets.TraceInspector", {"pair": "sft"}, "pair must be", "rnb.load_lineage"),
    ("widgets.TraceSurgeon", {"operators": "sparse"}, "operators must be", "'sparse_steer'"),
    ("widgets.TraceSurgeon", {"checker": 3}, "checker must be", "got 3"),
    ("widgets.RolloutStepper", {"selection": {}}, "selection must be", "got {}"),
    ("widgets.RolloutStepper", {"soruce": 1}, "RolloutStepper", "mean 'source'"),
    ("widgets.RoutingExplorer", {"interventions": "spars"}, "intervention", "sparse_steer"),
    ("widgets.RoutingExplorer", {"counts": {"a": "b"}}, "counts must be", "got {'a': 'b'}"),
    ("widgets.StabilityExplorer", {"n_null": "20"}, "n_null", WHOLE, "write 20"),
    ("widgets.TopographyExplorer", {"selection": 3}, "selection must be", "got 3"),
    *(
        (name, {"data": 3}, f"data must be {what}", "got 3")
        for what in DRAWN
        for name in DRAWN[what].split()
    ),
    *(
        (name, {"width": -5}, "width", WHOLE, "pixels", "got -5")
        for what in DRAWN
        for name in DRAWN[what].split()
    ),
]

#: Command, words of the line.
LINES = [
    ("runn --out x.zarr", "COMMAND must be one of", "got 'runn'", "did you mean 'run'"),
    ("evalute x.zarr", "COMMAND must be one of", "did you mean 'evaluate'"),
    ("run", "--out"),
    ("run --out x.zarr --problms 3", "run has no option --problms", "'--problems'"),
    ("run --out x.zarr --problems 0", "--problems must be", "at least 1", "got '0'"),
    ("run --out x.zarr --problems -1", "--problems must be", "got '-1'"),
    ("run --out x.zarr --problems abc", "--problems must be", "got 'abc'"),
    ("run --out x.zarr --problems 1e3", "--problems must be", "got '1e3'"),
    ("run --out x.zarr --problems", "--problems", "expected one argument"),
    ("run --out x.zarr --seed x", "--seed must be", "got 'x'"),
    ("run --out x.zarr --seed 1 --seed 2", "--seed given twice"),
    ("run --out x.zarr --quick --device gpu", "device 'gpu'", "allowed: cpu"),
    ("run --out x.zarr --workers 0", "--workers must be", "got '0'"),
    ("run --out x.zarr --workers 10000", "--workers must be", "got '10000'"),
    ("run --out x.zarr --scheduler nonsense", "--scheduler must be an address", "'nonsense'"),
    ("run --out x.zarr --workers 1 --scheduler a:1", "--workers", "--scheduler", "one of them"),
    ("run --out x.zarr -- --quick", "run takes no further argument", "got '--'"),
    ("run --out x.zarr --json", "run has no option --json"),
    ("run --out x.csv", "x.csv", ".zarr"),
    ("run --out x.zarr --method stf", "methods must be", "did you mean 'sft'"),
    ("run --out x.zarr --intervention sparse", "intervention must be", "'sparse_steer'"),
    ("run --out x.zarr --lab nope", "nope"),
    ("remap --out x.zarr --seed -1", "--seed must be", "got '-1'"),
    ("remap --out x.zarr --problems x", "--problems must be", "got 'x'"),
    ("remap --out x.zarr --keep-attempt --keep-attempts x", "remap takes no", "'x'"),
    ("ablate --out x.txt", "x.txt", ".json"),
    ("ablate --out x.json --problems 0", "--problems must be", "got '0'"),
    ("ablate --out x.json --study nope.zarr", "nope.zarr", "no such file"),
    ("evaluate", "SOURCE"),
    ("evaluate nope.zarr", "nope.zarr", "no such file"),
    ("evaluate nope.zarr --seed 2.5", "--seed must be", "got '2.5'"),
    ("evaluate a.zarr b.zarr", "evaluate takes no further argument", "'b.zarr'"),
    ("evaluate nope.zarr --quick", "evaluate has no option --quick"),
    ("findings --seed -1 --out f", "--seed must be", "got '-1'"),
    ("findings nope.zarr --out f", "nope.zarr", "no such file"),
    ("findings --profils x", "findings has no option --profils", "mean '--profiles'"),
    ("info nope.txt", "nope.txt", ".zarr"),
    ("info nope.csv", "nope.csv", "no such file"),
    ("info nope.zarr --jsn", "info has no option --jsn", "'--json'"),
    ("story --out p.html --problem x", "--problem must be", "got 'x'"),
    ("story --out p.html --problem -1", "--problem must be", "got '-1'"),
    ("story", "--out"),
    ("train --seed -3 --out z", "--seed must be", "got '-3'"),
    ("train --seed 1.5", "--seed must be", "got '1.5'"),
    ("train --family qwen --out z", "family must be one of", "mean 'qwen3'"),
    ("train --method stf --out z", "method must be one of", "mean 'sft'"),
    ("train --cued --onward --out z.zarr.zip", "--onward does not go with --cued"),
    ("train --cued", "--cued needs --out"),
    ("steps", "--out"),
    ("steps --out z.zip", "ends in .zarr.zip"),
    ("train --onward --out z.zarr.zip --workers 0", "--workers must be", "got '0'"),
    ("train --onward --out z.zarr.zip --workers x", "--workers must be", "got 'x'"),
    ("audit", "OUTCOMES"),
    ("audit nope.csv", "nope.csv", "no such file"),
    ("audit nope.csv --seed -1", "--seed must be", "got '-1'"),
    ("audit nope.csv --attempts 0", "--attempts must be", "got '0'"),
    ("audit nope.csv --rooter a", "audit has no option --rooter", "mean '--router'"),
    ("audit nope.zarr --out p.html", "nope.zarr", "no such file"),
    ("recover", "PROBLEMS"),
    ("recover nope.jsonl", "--models", "--lineage"),
    ("recover nope.jsonl --lineage neox sft", "nope.jsonl", "no such file"),
    ("recover nope.jsonl --budget 0", "--budget must be", "got '0'"),
    ("recover nope.jsonl --bugdet 4", "recover has no option --bugdet", "mean '--budget'"),
    ("recover-gain nope.zarr", "nope.zarr", "no such file"),
    ("recover-gain --budget x", "--budget must be", "got 'x'"),
    ("recover-gain --seed -1", "--seed must be", "got '-1'"),
    ("remap --out z.zarr --problem-seed -1", "--problem-seed must be", "got '-1'"),
    ("import jsnol x --out y.zarr", "format must be one of", "mean 'jsonl'"),
    ("import jsonl x", "--out is needed"),
    ("import jsonl x --out y.zarr --option windw=1", "windw", "mean 'window'"),
    ("import jsonl x --out y.zarr --option window=-1", "window", WHOLE, "got -1"),
    ("import jsonl x --out y.zarr --arm retry", "--arm 'retry'", "INTERVENTION=PATH"),
    ("export profile x.zarr y.csv", "format must be one of", "mean 'profiles'"),
    ("export profiles nope.zarr y.csv", "nope.zarr", "no such file"),
    ("export inspect nope.zarr y.csv", "nothing writes", "inspect"),
    ("export profiles", "STUDY"),
    ("notebooks", "FOLDER"),
    ("notebooks a b", "notebooks takes no further argument", "'b'"),
    ("notebooks a --force", "notebooks has no option --force"),
    ("bench --wite", "bench has no option --wite", "'--write'"),
    ("bench fast", "bench takes no further argument", "'fast'"),
    ("bench --quick=1", "--quick"),
    ("demo --out", "--out", "expected one argument"),
    ("demo --quick", "demo has no option --quick"),
    ("demo now", "demo takes no further argument", "'now'"),
]


def found(name):
    thing = rnb
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def ready(value):
    """Return what an argument is: studies, pairs and problems are made when they are needed."""
    makes = (study, pair, evaluation, problem, outcomes)
    makes += (rnb.Settings, np.random.default_rng)
    makes_it = value in makes if callable(value) else False
    is_lambda = getattr(value, "__name__", "") == "<lambda>"
    if makes_it or is_lambda:
        return value()
    return [ready(each) for each in value] if isinstance(value, list) else value


def answer(name, wrong):
    """Return how a call is answered (answered, traceback, silent), and in what words."""
    own = {"ds": study} if name not in RIGHT and not name.startswith(("plot_", "tasks.")) else {}
    own = RIGHT["decode"] if name == "steps" else RIGHT.get(name, own)
    given = {key: ready(value) for key, value in (own | wrong).items()}
    return outcome(lambda: found(name)(**given))


def outcome(call):
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
            status = call()
    except InputError as error:
        return "answered", str(error)
    except SystemExit as end:
        return ("answered" if end.code == 2 else "traceback"), said.getvalue()
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    if isinstance(status, int) and status == 2:
        return "answered", said.getvalue()
    return "silent", said.getvalue()


def answer_line(line):
    """Return how a command is answered, and in what words."""
    return outcome(lambda: main(line.split()))


def fault(kind, said, words):
    """Return what is wrong with an answer, or an empty text."""
    missing = [word for word in words if word not in said]
    if kind != "answered":
        return f"{kind}: {said}"
    if len(said.strip().splitlines()) != 1:
        return f"not one line: {said}"
    return f"{missing} not in: {said}" if missing else ""


def faults():
    """Yield (row, what is wrong with its answer) for every row."""
    for name, wrong, *words in WRONG:
        kind, said = answer(name, wrong)
        yield (name, wrong), kind, fault(kind, said, words)
    for line, *words in LINES:
        kind, said = answer_line(line)
        yield line, kind, fault(kind, said, words)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.chdir(tempfile.mkdtemp())
    from recover_nb.cli.commands import COMMANDS

    kinds, bad = [], 0
    for row, kind, wrong in faults():
        kinds.append(kind)
        if wrong:
            bad += 1
            print(row, "|", wrong)
    left = sorted(os.listdir("."))
    functions = {name for name, *_ in WRONG}
    commands = set(COMMANDS) & {line.split()[0] for line, *_ in LINES}
    print(
        f"public functions {len(functions)}, commands {len(commands)},"
        f" wrong arguments tried {len(kinds)}, answered {kinds.count('answered')},"
        f" tracebacks {kinds.count('traceback')}, accepted in silence {kinds.count('silent')},"
        f" other words {bad - len(kinds) + kinds.count('answered')}, files left {len(left)}"
    )
