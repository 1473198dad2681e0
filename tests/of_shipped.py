"""Studies that say which models made them, as `generate` and `run_study` write it."""

import json

from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.schema import text
from recover_nb.core.token_text import TOKEN_TEXT
from recover_nb.generation.lineage import checkpoint_folder


def units_of(ds):
    """Return every (family, method) of a study."""
    return sorted(set(zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)))


def of_shipped(ds):
    """Return a study as if the shipped checkpoints had made it."""
    models = {}
    for family, method in units_of(ds):
        names = {"specialist": method, "ancestor": "ancestor"}
        models[f"{family}|{method}"] = {
            f"{role}_sha256": checkpoint_hash(checkpoint_folder(family, name))
            for role, name in names.items()
        }
    provenance = json.loads(ds.attrs.get("provenance_json", "{}")) | {"models": models}
    return ds.assign_attrs(provenance_json=json.dumps(provenance))


def with_token_text(ds, pieces):
    """Return a study that stores the same text of tokens for every unit."""
    texts = {f"{family}|{method}": pieces for family, method in units_of(ds)}
    return ds.assign_attrs({TOKEN_TEXT: json.dumps(texts)})
