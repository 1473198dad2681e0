"""What the metadata of a Zarr store may ask for, of both formats, checked before they are used.

They name the code that decodes an array, and how large it is. So only what this package writes, and
what xarray writes by itself, is read: a few codecs by name, plain numbers and text, at places of
their own, in chunks that fit in memory.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.memory import check_fits, shown

#: Files of metadata: of all arrays or one, of format 2; of a group or array, of format 3.
METADATA, ARRAY, NODE = ".zmetadata", ".zarray", "zarr.json"
#: Most bytes of metadata: a study with the text of all its tokens has a few MB.
MAX_METADATA = 128 * 2**20
#: Most chunks of an array: our own has one for 25 problems.
MAX_CHUNKS = 1_000_000
MAX_DIMENSIONS = 32

#: Compressors by their name in the metadata; of blosc, those inside it. None of them runs code that
#: a store brings.
CODECS = ("blosc", "zlib", "gzip", "zstd", "lz4")
BLOSC = ("zstd", "lz4", "lz4hc", "blosclz", "zlib")
#: The one filter of format 2: it writes text.
FILTER = "vlen-utf8"
#: What format 3 has for filters: order of bytes, text, checksums, order of axes.
PLAIN = ("bytes", FILTER, "crc32c", "transpose", "crc32", "fletcher32", "shuffle")
SHARDING = "sharding_indexed"

#: Numbers, truth values, times, and text or bytes of fixed width; objects are text, by the filter.
_DTYPE = re.compile(r"[<>|](?:[iuf]([1248])|(b1)|([SU])(\d{1,12})|[mM]8\[\w+\])")
_OBJECT = "|O"
_NUMBER = re.compile(r"(?:u?int|float)(8|16|32|64)")
#: Types of format 3 with a width of their own, and what one of its units is.
_WIDE = {"fixed_length_utf32": "length_bytes", "null_terminated_bytes": "length_bytes"}
_TIMES = ("numpy.datetime64", "numpy.timedelta64")


@dataclass(frozen=True)
class Declared:
    """How an array is stored: bytes of one whole chunk, None for text; its compressor, if any."""

    chunk: int | None
    codec: str | None


def is_metadata(key: str) -> bool:
    """Whether a file of a store says how arrays are stored."""
    return key.rpartition("/")[2] in (METADATA, ARRAY, NODE)


def check_metadata(key: str, content: bytes) -> dict[str, Declared]:
    """Refuse metadata that ask for code, types, sizes or places which no study has.

    Parameters
    ----------
    key : str
        ``.zmetadata``, ``NAME/.zarray``, ``zarr.json`` or ``NAME/zarr.json``.
    content : bytes
        JSON.

    Returns
    -------
    dict of str to Declared
        By the name of the array.

    Raises
    ------
    InputError
        Naming the array and what it asks for.
    ValueError
        If the content is no JSON of this kind.
    """
    if len(content) > MAX_METADATA:
        raise too_long(key, len(content))
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError(f"{key} is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{key} holds no metadata")
    kind = key.rpartition("/")[2]
    if kind == NODE:
        return _check_nodes(key, found)
    arrays = {key: found} if kind == ARRAY else found.get("metadata")
    if not isinstance(arrays, dict):
        raise ValueError(f"{key} holds no metadata")
    declared = {}
    for place, each in arrays.items():
        name, slash, kind = place.rpartition("/")
        _check_name(name, place, bool(slash))
        if kind == ARRAY:
            declared[name] = _check_array(name, each)
    return declared


def too_long(key: str, size: int) -> InputError:
    """Return the refusal of metadata that no study needs."""
    return InputError(
        f"the file {key} of metadata has {shown(size)}; allowed: up to {shown(MAX_METADATA)};"
        " write the study again with rnb.save_study"
    )


def _check_name(name: str, place: str, below: bool) -> None:
    if "/" in name or "\\" in place or name in (".", "..") or (below and not name):
        raise InputError(
            f"the study names an array {name!r}, a place of its own kind; allowed: a plain name"
        )


def _check_array(name: str, array: Any) -> Declared:
    """Check an array of format 2."""
    if not isinstance(array, dict):
        raise ValueError(f"{name}/{ARRAY} holds no metadata")
    compressor = array.get("compressor")
    if compressor is not None:
        _check_codec(name, compressor, "id", compressor)
    filters = array.get("filters") or []
    for each in filters if isinstance(filters, list) else [filters]:
        if not isinstance(each, dict) or each.get("id") != FILTER:
            raise _refusal(
                name, "filter", each.get("id") if isinstance(each, dict) else each, [FILTER]
            )
    dtype = array.get("dtype")
    width = None if dtype == _OBJECT and filters else _width(name, dtype)
    chunk = _check_sizes(name, array.get("shape"), array.get("chunks"), width)
    codec = compressor.get("id") if isinstance(compressor, dict) else compressor
    return Declared(chunk, codec)


def _width(name: str, dtype: Any) -> int:
    found = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if found is None:
        raise _refusal(name, "type", dtype, ["numbers, times and text"])
    number, truth, text, length = found.groups()
    if text:
        return int(length) * (4 if text == "U" else 1)
    return int(number or 8) if not truth else 1


def _check_codec(name: str, codec: Any, called: str, settings: Any) -> None:
    known = codec.get(called) if isinstance(codec, dict) else codec
    if not isinstance(known, str) or known.removeprefix("numcodecs.") not in CODECS:
        raise _refusal(name, "codec", known, CODECS)
    inside = settings.get("cname") if isinstance(settings, dict) else None
    if known.endswith("blosc") and inside not in BLOSC:
        raise _refusal(
            name, "codec", f"blosc with {inside}", [f"blosc with {each}" for each in BLOSC]
        )


def _check_sizes(name: str, shape: Any, chunks: Any, width: int | None) -> int | None:
    """Refuse a shape that no array has, and one of which a part would not fit in memory.

    Return the bytes of a chunk, None for text.
    """
    for what, sizes, least in (("shape", shape, 0), ("chunks", chunks, 1)):
        fits = isinstance(sizes, list) and len(sizes) <= MAX_DIMENSIONS
        whole = fits and all(type(each) is int and each >= least for each in sizes)
        if not whole or len(sizes) != len(shape):
            # An array without elements may have chunks without any.
            if whole is False and fits and what == "chunks" and 0 in shape:
                continue
            raise InputError(
                f"the array {name} has {what} {str(sizes)[:60]}; allowed: whole numbers of at least"
                f" {least}, up to {MAX_DIMENSIONS} of them, as many for chunks as for the shape;"
                " write the study again with rnb.save_study"
            )
    if 0 in shape:
        return None if width is None else 0
    n_chunks = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
    if n_chunks > MAX_CHUNKS:
        raise InputError(
            f"the array {name} has {n_chunks:.0e} chunks; allowed: up to {MAX_CHUNKS:,}; write the"
            " study again with rnb.save_study"
        )
    # Of text, a chunk holds at least what points to it.
    each = 8 if width is None else max(width, 1)
    again = "write the study again with rnb.save_study, or open it where there is more memory"
    check_fits(math.prod(chunks) * each, f"one chunk of the array {name}", again)
    if len(shape) < 2:
        check_fits(math.prod(shape) * each, f"the array {name}", again)
    return None if width is None else math.prod(chunks) * width


def _check_nodes(key: str, found: dict[str, Any]) -> dict[str, Declared]:
    """Check a group of format 3 and all that it lists, or an array."""
    name = key.rpartition("/")[0]
    _check_name(name, key, "/" in key)
    nodes = {name: found}
    below = found.get("consolidated_metadata")
    if below is not None:
        listed = below.get("metadata") if isinstance(below, dict) else None
        if not isinstance(listed, dict):
            raise ValueError(f"{key} lists no metadata")
        for place in listed:
            _check_name(place, place, True)
        nodes |= listed
    declared = {}
    for name, node in nodes.items():
        if not isinstance(node, dict) or node.get("zarr_format") != 3:
            raise ValueError(f"{name}/{NODE} is not of format 3")
        if node.get("node_type") == "array":
            declared[name] = _check_node(name, node)
        elif node.get("node_type") != "group":
            raise ValueError(f"{name}/{NODE} is neither group nor array")
    return declared


def _check_node(name: str, array: dict[str, Any]) -> Declared:
    """Check an array of format 3."""
    if array.get("storage_transformers"):
        raise _refusal(name, "storage transformer", array["storage_transformers"], ["none"])
    grid = array.get("chunk_grid")
    grid = grid if isinstance(grid, dict) else {}
    if grid.get("name") != "regular":
        raise _refusal(name, "grid of chunks", grid.get("name"), ["regular"], "")
    keys = array.get("chunk_key_encoding")
    if _named(keys) not in ("default", "v2"):
        raise _refusal(name, "names of chunks", _named(keys), ["default", "v2"], "")
    codec = _check_pipeline(name, array.get("codecs"))
    width = _node_width(name, array.get("data_type"))
    chunks = _settings(grid).get("chunk_shape")
    return Declared(_check_sizes(name, array.get("shape"), chunks, width), codec)


def _check_pipeline(name: str, codecs: Any) -> str | None:
    """Check the codecs of an array of format 3; return its outermost compressor."""
    if not isinstance(codecs, list) or len(codecs) > 10:
        raise _refusal(name, "codecs", codecs, [*PLAIN, SHARDING, *CODECS])
    last = None
    for each in codecs:
        known = _named(each)
        last = known.removeprefix("numcodecs.") if isinstance(known, str) else known
        if last == SHARDING:
            _check_pipeline(name, _settings(each).get("codecs"))
            _check_pipeline(name, _settings(each).get("index_codecs"))
        elif last not in PLAIN:
            _check_codec(name, {"name": known}, "name", _settings(each))
    return last if last in CODECS else None


def _node_width(name: str, dtype: Any) -> int | None:
    known, settings = _named(dtype), _settings(dtype)
    if known == "string":
        return None
    number = _NUMBER.fullmatch(known) if isinstance(known, str) else None
    if number is not None:
        return int(number[1]) // 8
    if known == "bool":
        return 1
    if known in _TIMES:
        return 8
    width = settings.get(_WIDE[known]) if isinstance(known, str) and known in _WIDE else None
    if type(width) is not int or width < 0:
        raise _refusal(name, "type", known, ["numbers, times and text"])
    return width


def _named(given: Any) -> Any:
    return given.get("name") if isinstance(given, dict) else given


def _settings(given: Any) -> dict[str, Any]:
    found = given.get("configuration") if isinstance(given, dict) else None
    return found if isinstance(found, dict) else {}


def _refusal(
    name: str,
    what: str,
    given: Any,
    allowed: Iterable[str],
    why: str = ", because it may run code",
) -> InputError:
    return InputError(
        f"the array {name} is stored with the {what} {str(given)[:60]!r}, which is not read{why};"
        f" allowed: {', '.join(allowed)}; write the study again with"
        " rnb.save_study"
    )
