"""What `recover-nb import` and `recover-nb export` do: formats, readers, writers, options."""

import inspect
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Intervention
from recover_nb.core.places import check_free
from recover_nb.io import store

#: Format -> reader, writer (None: one way only), as module and function. A converter is imported
#: when it is used.
FORMATS = {
    "profiles": ("io.profiles.from_profiles", "io.profiles.to_profiles"),
    "jsonl": ("io.jsonl.from_jsonl", "io.jsonl.to_jsonl"),
    "parquet": ("io.table.from_table", "io.table.to_parquet"),
    "netcdf": ("io.store.open_study", "io.store.to_netcdf"),
    "table": ("io.table.from_table", None),
    "lm_eval": ("io.logs.lm_eval.from_lm_eval", None),
    "inspect": ("io.logs.inspect_log.from_inspect", None),
    "vllm_logits": ("io.vllm_logits.from_vllm_logits", None),
    "vllm_logprobs": ("io.logprobs.read.from_vllm_logprobs", None),
    "openai_logprobs": ("io.logprobs.read.from_openai_logprobs", None),
    "trl": ("io.logs.training.from_trl", None),
    "verl": ("io.logs.training.from_verl", None),
}
#: Endings that a format asks for.
ENDINGS = {"netcdf": ".nc"}
#: Arguments of readers that are given otherwise, or that a command line cannot give.
NOT_OPTIONS = ("path", "rollouts", "specialist", "tokenizer", "table", "load")


def import_(options: Namespace) -> None:
    """Read another format and write it as a study."""
    reader = _converter(options.format, 0)
    store.suffix_of(options.out)
    check_free(Path(options.out))
    ds = reader(_source(options), **_reader_options(options.format, reader, options))
    for note in ds.attrs.get("import_notes", ()):
        print(f"note: {note}", file=sys.stderr)
    provenance = need("recover_nb.generation.provenance", "models", "provenance")
    defaults = provenance.study_attrs(
        0, {"imported": options.format, "path": Path(options.path).name}, {}
    )
    print(store.save_study(ds.assign_attrs({**defaults, **ds.attrs}), options.out, replace=False))


def export(options: Namespace) -> None:
    """Write a study in another format."""
    writer = _converter(options.format, 1)
    path, ending = Path(options.path), ENDINGS.get(options.format, "")
    if ending and path.suffix != ending:
        raise InputError(f"{path}: format {options.format} ends in {ending}")
    check_free(path)
    with store.reading(options.study), store.open_study(options.study) as ds:
        writer(ds, path)
    print(path)


def _converter(name: str, direction: int) -> Callable:
    allowed = [each for each, converters in FORMATS.items() if converters[direction]]
    if name not in allowed:
        what = "unknown format" if name not in FORMATS else "nothing writes the format"
        raise InputError(f"{what} {name!r}; allowed: {', '.join(allowed)}")
    module, _, function = FORMATS[name][direction].rpartition(".")
    return getattr(need(f"recover_nb.{module}", "io", f"format {name}"), function)


def _source(options: Namespace) -> str | dict[str, str]:
    """Return the path, or the paths by intervention."""
    arms = {}
    for each in options.arm or ():
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise InputError(f"--arm {each!r} cannot be used; allowed: INTERVENTION=PATH")
        arms[name] = path
    return {Intervention.NONE.value: options.path, **arms} if arms else options.path


def _reader_options(name: str, reader: Callable, options: Namespace) -> dict[str, Any]:
    """Return a reader's keyword arguments from NAME=VALUE options, parsing values that are JSON."""
    known = inspect.signature(reader).parameters
    allowed = [each for each in known if each not in NOT_OPTIONS]
    given: dict[str, Any] = {}
    for each in options.option or ():
        key, equals, value = each.partition("=")
        if not equals or key not in allowed:
            shown = ", ".join(allowed) or "(none)"
            raise InputError(
                f"--option {each!r} cannot be used; format {name} takes NAME=VALUE with {shown}"
            )
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    needed = [
        each
        for each in allowed
        if known[each].default is inspect.Parameter.empty and each not in given
    ]
    if needed:
        raise InputError(f"format {name} needs --option {needed[0]}=VALUE")
    return given
