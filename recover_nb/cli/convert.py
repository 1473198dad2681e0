"""What `recover-nb import` and `recover-nb export` do: formats, readers, writers, options."""

import inspect
import json
import shlex
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recover_nb.cli.saying import note, say
from recover_nb.core.checks import check_name, near
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
    """Read another format and write it as a study, or show how it would be read."""
    if options.preview:
        say(_preview(options))
        return
    if options.out is None:
        raise InputError(
            "--out is needed: where the study goes; or --preview, which writes nothing"
        )
    store.suffix_of(options.out)
    check_free(Path(options.out))
    name, ds = _read(options)
    for each in _notes(ds):
        note(f"note: {each}")
    provenance = need("recover_nb.generation.provenance", "models", "provenance")
    defaults = provenance.study_attrs(0, {"imported": name, "path": Path(options.path).name}, {})
    say(store.save_study(ds.assign_attrs({**defaults, **ds.attrs}), options.out, replace=False))


def _read(options: Namespace) -> tuple[str, Any]:
    """Return the format, told or recognised, and what its reader makes of the source."""
    if options.format is not None:
        reader = _converter(options.format, 0)
        given = _reader_options(options.format, reader, options)
        return options.format, reader(_source(options), **given)
    call = need("recover_nb.io.preview.choose", "io", "recognising").call_for(Path(options.path))
    reader = _converter(call.format, 0)
    said = [f"read as format {call.format}"]
    for key, value in call.options.items():
        said.append(f"{key} is {value}, by its name")
        options.option = [f"{key}={json.dumps(value)}", *(options.option or ())]
    source = call.source if not options.arm else _source(options)
    given = _reader_options(call.format, reader, options)
    try:
        ds = reader(source, **given)
    except InputError as error:
        see = f"see recover-nb import {shlex.quote(options.path)} --preview"
        raise InputError(f"{str(error).rstrip('.')}; {see}") from None
    for each in said:
        note(f"note: {each}")
    return call.format, ds


def _preview(options: Namespace) -> Any:
    """Return how a source would be read."""
    if options.arm:
        raise InputError("--preview shows one file; give each of the arms by itself")
    look = need("recover_nb.io.preview.look", "io", "a preview")
    return look.preview(options.path, format=options.format, **_given(options))


def _notes(ds: Any) -> list[str]:
    notes = ds.attrs.get("import_notes", ())
    return [notes] if isinstance(notes, str) else list(notes)


def export(options: Namespace) -> None:
    """Write a study in another format."""
    writer = _converter(options.format, 1)
    path, ending = Path(options.path), ENDINGS.get(options.format, "")
    if ending and path.suffix != ending:
        raise InputError(f"{path}: format {options.format} ends in {ending}")
    check_free(path)
    with store.open_study(options.study) as ds:
        writer(ds, path)
    say(path)


def _converter(name: str, direction: int) -> Callable:
    allowed = [each for each, converters in FORMATS.items() if converters[direction]]
    if name in FORMATS and name not in allowed:
        raise InputError(f"nothing writes the format {name!r}; allowed: {', '.join(allowed)}")
    check_name("format", name, allowed)
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
    given = _given(options)
    for key in given:
        if key not in allowed:
            shown = ", ".join(allowed) or "(none)"
            written = next(each for each in options.option if each.partition("=")[0] == key)
            hint = near(key, allowed)
            raise InputError(
                f"--option {written!r} cannot be used; format {name} takes NAME=VALUE with"
                f" {shown}{hint and f'; {hint}'}"
            )
    needed = [
        each
        for each in allowed
        if known[each].default is inspect.Parameter.empty and each not in given
    ]
    if needed:
        raise InputError(f"format {name} needs --option {needed[0]}=VALUE")
    return given


def _given(options: Namespace) -> dict[str, Any]:
    """Return what --option says, by name; values that are JSON are parsed."""
    given: dict[str, Any] = {}
    for each in options.option or ():
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise InputError(f"--option {each!r} cannot be used; allowed: NAME=VALUE")
        try:
            given[key] = json.loads(value)
        except (ValueError, RecursionError):
            given[key] = value
    return given
