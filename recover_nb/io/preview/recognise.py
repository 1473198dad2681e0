"""What a file is, by what is in it; its name counts only where the content leaves it open."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.files import is_folder
from recover_nb.core.visible import visible
from recover_nb.io.archive import read_members
from recover_nb.io.fields import NAMES
from recover_nb.io.jsonl import TOKENS
from recover_nb.io.preview.head import Head, head_of, rows_of
from recover_nb.io.profiles import COLUMNS as PROFILE_COLUMNS
from recover_nb.io.vllm_logits import COLUMNS as SHARD_COLUMNS

#: Format -> what it is, in words. The names are those of `recover-nb import`, but for the last two.
FORMATS = {
    "inspect": "a log of inspect_ai",
    "lm_eval": "a sample log of lm-evaluation-harness",
    "trl": "completions of a TRL trainer",
    "verl": "rollouts of a verl trainer",
    "vllm_logprobs": "log-probabilities of vLLM",
    "openai_logprobs": "completions with log-probabilities (OpenAI, SGLang and others)",
    "vllm_logits": "a feature shard or repair results of the authors' toolkit",
    "profiles": "the authors' profile table",
    "jsonl": "rollouts as JSON lines",
    "parquet": "a study as a parquet table",
    "netcdf": "a study as netCDF",
    "table": "a table with one row per rollout",
    "study": "a stored study",
    "problems": "problems, without rollouts",
}
READABLE = (
    "logs of inspect_ai (.eval, .json), lm-evaluation-harness (samples_*.jsonl), TRL (.parquet) and"
    " verl (.jsonl), log-probabilities of vLLM, OpenAI or SGLang (.jsonl), rollouts as JSON lines,"
    " tables (.csv, .tsv, .parquet), profile tables (.csv), studies (.zarr, .zarr.zip, .nc)"
)
#: First bytes of what is often given by mistake.
MAGIC = (
    (b"\x80\x02", "a pickled Python object, which is never opened: it can run code"),
    (b"\x80\x03", "a pickled Python object, which is never opened: it can run code"),
    (b"\x80\x04", "a pickled Python object, which is never opened: it can run code"),
    (b"\x80\x05", "a pickled Python object, which is never opened: it can run code"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x93NUMPY", "an array of numpy"),
    (b"ARROW1", "an Arrow file: write it as parquet (datasets: ds.to_parquet)"),
    (b"\xff\xff\xff\xff", "an Arrow stream: write it as parquet (datasets: ds.to_parquet)"),
    (b"GGUF", "a model's weights"),
    (b"SQLite format 3", "a database: write the table as CSV"),
    (b"\x7fELF", "a program"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file: save the table as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file: run git lfs pull"),
)
#: What else JSON objects may be: keys that tell, and what to do.
OTHER_JSON = (
    (
        ("results", "configs"),
        "the scores of lm-evaluation-harness without its samples: run it with --log_samples and"
        " give samples_*.jsonl",
    ),
    (("cells", "nbformat"), "a notebook"),
    (("cells", "overall"), "an evaluation of recover-nb: give the study it is of"),
    (("model_type",), "a model's configuration"),
)


@dataclass(frozen=True)
class Found:
    """What a file was recognised as.

    Attributes
    ----------
    format : str
        One of `FORMATS`; empty where it is none.
    what : str
        What it is or looks like, in words.
    layout : str
        How its rows lie, as `head.sample` takes it; empty where it is opened as a whole.
    rows : list of dict
        The first rows, where they are objects.
    columns : tuple of str
    """

    format: str
    what: str
    layout: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: tuple[str, ...] = ()


def recognise(path: Path) -> tuple[Found, Head | None]:
    """Return what a file or a folder that is a store holds, and its head where it is a file.

    Raises
    ------
    InputError
        Nothing there, a file that cannot be read, an empty one.
    """
    if is_folder(path):
        return _known("study"), None
    head = head_of(path)
    return _of_content(head), head


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def _known(name: str, layout: str = "", rows: Sequence = (), columns: Sequence[str] = ()) -> Found:
    return Found(name, FORMATS[name], layout, list(rows), tuple(map(str, columns)))


def _of_content(head: Head) -> Found:
    data = head.data
    if data.startswith(b"PK\x03\x04") or data.startswith(b"PK\x05\x06"):
        return _zip(head)
    if data.startswith((b"\x89HDF", b"CDF\x01", b"CDF\x02")):
        return _known("netcdf")
    if data.startswith(b"PAR1"):
        return _parquet(head)
    for start, what in MAGIC:
        if data.startswith(start):
            return Found("", what)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Found("", "text in UTF-16: save it as UTF-8")
    if b"\0" in data[:4096] or _undecodable(data, head.whole):
        return Found("", "binary data that are none of these")
    return _text(head)


def _undecodable(data: bytes, whole: bool) -> bool:
    """Whether much of the bytes is no UTF-8; a few wrong ones are for the reader to name."""
    text = data[: 2**16].decode("utf-8", "replace")
    cut = 0 if whole and len(data) <= 2**16 else 1
    return text.count("\ufffd") - cut > max(len(text) // 50, 1) and not re.match(
        r"\s*[\[{\w\"]", text
    )


def _zip(head: Head) -> Found:
    if head.compression:
        return Found("", "an archive inside a compressed file: unpack it once")
    try:
        with zipfile.ZipFile(head.path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        return Found("", f"an archive that is damaged or cut short ({error}): copy it again")
    known = set(names)
    if known & {"zarr.json", ".zgroup", ".zattrs", ".zmetadata"}:
        return _known("study")
    if "_journal/start.json" in known or "header.json" in known:
        return _known("inspect", "zip", _samples(head.path))
    if "[Content_Types].xml" in known:
        return Found("", "an Excel or Word file: save the table as CSV")
    if any(name.endswith("data.pkl") for name in known):
        return Found("", "tensors of PyTorch, pickled, which are never opened: they can run code")
    if names and all(name.endswith(".npy") for name in names):
        return Found("", "arrays of numpy")
    return Found("", f"an archive of {len(names):,} files: unpack it and give the folder")


def _samples(path: Path) -> list[dict[str, Any]]:
    """Return the first sample of an archive of inspect_ai; the reader says what is wrong in it."""
    try:
        for _, data in read_members(path, "a log", "samples/", ".json"):
            found = json.loads(data)
            return [found] if isinstance(found, dict) else []
    except (InputError, ValueError, RecursionError):
        pass
    return []


def _parquet(head: Head) -> Found:
    if head.compression:
        return Found("", "a parquet table inside a compressed file: unpack it (gunzip)")
    path = head.path
    pa, pq = (need(name, "io", f"{path}: parquet") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with pq.ParquetFile(path) as file:
            columns = list(map(str, file.schema_arrow.names))
            batch = next(file.iter_batches(batch_size=20), None)
            rows = [] if batch is None else batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        reason = (str(error).strip().splitlines() or ["no table"])[0]
        return Found("", f"a parquet table that is damaged or cut short ({reason}): copy it again")
    names = set(columns)
    if {"step", "prompt", "completion"} <= names:
        return _known("trl", "parquet", rows, columns)
    if {"pid", *SHARD_COLUMNS} <= names:
        return _known("vllm_logits", "parquet", rows, columns)
    if {"problem_id", "variables", "study"} <= names:
        return _known("parquet", "parquet", rows, columns)
    return _known("table", "parquet", rows, columns)


def _text(head: Head) -> Found:
    text = head.data.decode("utf-8-sig", "replace").lstrip()
    if not text and head.whole:
        raise InputError(f"{head.path}: the file has only blank lines; give a log or a table")
    if re.match(r"<[a-z!?]", text, re.IGNORECASE):
        return Found("", "a web page or other markup: download the raw file")
    if text.startswith(("{", "[")):
        return _json(head, text)
    return _columns(head, text)


def _json(head: Head, text: str) -> Found:
    if text.startswith("["):
        rows = rows_of(head, "json")
        if not rows:
            return Found("", "a JSON array that holds no objects, or is damaged")
        return _rows(rows, "json")
    lines = rows_of(head, "lines")
    if len(lines) > 1:
        return _rows(lines, "lines")
    if lines and not _is_other(lines[0]):
        found = _rows(lines, "lines")
        return found if found.format else _one_object(lines[0])
    whole = rows_of(head, "json")
    if not whole:
        return Found("", "JSON that is damaged or cut short")
    if isinstance(whole[0].get("samples"), list) and "eval" in whole[0]:
        samples = [each for each in whole[0]["samples"][:20] if isinstance(each, dict)]
        return _known("inspect", "json", samples)
    return _one_object(whole[0])


#: Fields of a row that hold a list of objects themselves.
NESTED = ("choices", "messages")


def _is_other(found: dict[str, Any]) -> bool:
    """Whether an object that stands alone is no row: a log, or something else with its own keys."""
    known = any(all(key in found for key in keys) for keys, _ in OTHER_JSON)
    return known or any(_is_rows(each) for key, each in found.items() if key not in NESTED)


def _one_object(value: dict[str, Any]) -> Found:
    for keys, what in OTHER_JSON:
        if all(key in value for key in keys):
            return Found("", what)
    lists = [key for key, each in value.items() if _is_rows(each) and key not in NESTED]
    if len(lists) == 1:
        found = _rows(value[lists[0]][:20], "json")
        if found.format:
            return found
    found = _rows([value], "json")
    if (found.format and found.format != "table") or "messages" in value:
        return found
    keys = ", ".join(map(str, list(value)[:8])) or "nothing"
    return Found("", f"one JSON object with {keys}, and no rows of a log")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) for x in value[:20])


def _rows(rows: list[dict[str, Any]], layout: str) -> Found:
    """Tell rows of JSON by their keys."""
    if not rows:
        return Found("", "JSON lines that are damaged")
    keys = dict.fromkeys(str(key) for row in rows for key in row)
    for name, tells in ROWS_OF.items():
        if tells(set(keys), rows[0]):
            return _known(name, layout, rows, list(keys))
    if "messages" in keys and not set(keys) & {*TEXTS, *VERDICTS}:
        return Found("", "conversations without a verdict, such as training data", layout, rows)
    if not _is_some_field(list(keys)):
        shown = ", ".join(list(keys)[:8]) or "nothing"
        return Found(
            "", f"rows of JSON in which no field is known; they have {shown}", layout, rows
        )
    return _known("table", layout, rows, list(keys))


def _is_some_field(names: list[str]) -> bool:
    known = {*TEXTS, *VERDICTS, *IDS, *PROMPTS, *ANSWERS, "choices", "messages", "custom_id"}
    return bool({re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names} & known)


#: Columns that hold what a model said, and whether it is right.
TEXTS = (*NAMES["generated_text"], "responses", "completions", "generations", *TOKENS)
VERDICTS = (*NAMES["is_correct"], "accuracy", "exact_match")
IDS, PROMPTS = NAMES["problem_id"], NAMES["prompt"]
ANSWERS = (*NAMES["answer"], "solution")


def _choice(row: dict[str, Any]) -> dict[str, Any]:
    choices = row.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _is_jsonl(keys: set[str], _row: dict[str, Any]) -> bool:
    """Whether the fields have the names of our own JSON lines, the toolkit's included."""
    named = keys & {"problem_id", "pid", "id"}
    said = keys & {"generated_text", "output_ids", "token_ids", "study", "variables"}
    return bool(named and (said or "is_correct" in keys))


def _is_problems(keys: set[str], _row: dict[str, Any]) -> bool:
    asked = keys & set(PROMPTS) and keys & {*ANSWERS, "level"}
    return bool(asked) and not keys & {*TEXTS, *VERDICTS, "choices", "messages"}


#: Format -> whether rows with these keys, of which the first is given, are of it; the first counts.
ROWS_OF = {
    "lm_eval": lambda keys, _: "resps" in keys and bool(keys & {"doc", "arguments", "doc_id"}),
    "verl": lambda keys, _: {"input", "output", "score", "step"} <= keys,
    "trl": lambda keys, _: {"step", "prompt", "completion", "advantage"} <= keys,
    "vllm_logprobs": lambda keys, row: (
        "prompt_logprobs" in keys or "prompt_logprobs" in _choice(row)
    ),
    "openai_logprobs": lambda keys, row: bool(
        keys & {"meta_info", "completion_probabilities", "details"}
        or _choice(row).get("logprobs")
        or (keys & {"logprobs"} and keys & {"choices", "text", "tokens"})
    ),
    "vllm_logits": lambda keys, _: bool(
        keys & {"pid"} and keys & {"rand", "geo_pred", "condition"} and not keys & {"output_ids"}
    ),
    "jsonl": _is_jsonl,
    "problems": _is_problems,
}


def _columns(head: Head, text: str) -> Found:
    """Tell a table by its header."""
    first = text.splitlines()[0] if text.splitlines() else ""
    counts = {each: first.count(each) for each in ",\t;|"}
    between = max(counts, key=lambda each: counts[each])
    if not counts[between] or len(first) > 2**16:
        shown = visible(first[:60])
        return Found("", f"text that is no table ({shown!r} ...)")
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=between)
        names = [name.strip() for name in next(rows)]
        body = [
            dict(zip(names, row, strict=False)) for row, _ in zip(rows, range(20), strict=False)
        ]
    except (csv.Error, StopIteration):
        return Found("", "text that is no table")
    if len({*names} & {*PROFILE_COLUMNS}) > len(PROFILE_COLUMNS) // 2:
        return _known("profiles", "csv", body, names)
    if not _is_some_field(names):
        shown = visible(", ".join(names)[:120])
        return Found("", f"text; if it is a table, no column of {shown} is known", "csv", body)
    if between != ",":
        return Found(
            "table", f"{FORMATS['table']}, separated by {between!r}", "csv", body, tuple(names)
        )
    return _known("table", "csv", body, names)
