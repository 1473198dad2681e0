"""Readers against unforeseen damage: whatever the file, the answer is a Dataset or one sentence.

A file that is right is damaged by its bytes, or by the values in its JSON. `RECOVER_NB_FUZZ` is the
number of examples for each reader; a few by default.
"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_io_faults import BINARY, LINES, whole  # noqa: F401

from recover_nb.core.errors import InputError
from recover_nb.core.schema import SchemaError
from recover_nb.io.profiles import from_profiles

EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOVER_NB_FUZZ", "25")),
    deadline=None,
    derandomize="RECOVER_NB_FUZZ" not in os.environ,
    # Files and readers are made once: an example writes the file anew.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
#: Where (as a share of the file), what is done there, and with which bytes.
BYTES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["put", "cut", "write", "swap"]),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=6,
)
#: Which line, which steps down into it, and the value put there; None takes the field away.
STEPS = st.lists(st.integers(0, 50), max_size=5)
FIELDS = st.lists(st.tuples(st.integers(0, 50), STEPS, VALUES), min_size=1, max_size=4)


def damage_bytes(content, damages):
    """Return the bytes after damages; whole lines change places, too."""
    for where, how, what in damages:
        at = int(where * len(content))
        if how == "put":
            content = content[:at] + what + content[at:]
        elif how == "cut":
            content = content[:at] + content[at + 40 * len(what) :]
        elif how == "write":
            content = content[:at] + what + content[at + len(what) :]
        else:
            parts = content.split(b"\n")
            parts.insert(int(where * len(parts)), parts.pop(len(what) % len(parts)))
            content = b"\n".join(parts)
    return content


def damage_fields(lines, damages):
    """Put a value at a place in the JSON of a line."""
    for line, steps, value in damages:
        place = lines[line % len(lines)]
        for step in steps[:-1]:
            inner = list(place.values()) if isinstance(place, dict) else place
            inner = (
                [each for each in inner if isinstance(each, dict | list) and each] if inner else []
            )
            if not inner:
                break
            place = inner[step % len(inner)]
        last = steps[-1] if steps else 0
        key = list(place)[last % len(place)] if isinstance(place, dict) else last % len(place)
        if value is None and isinstance(place, dict) and len(place) > 1:
            del place[key]
        else:
            place[key] = value
    return lines


def answers(read, path):
    """Read, and take one sentence for an answer; anything else that is raised is a fault."""
    try:
        read(path)
    except (InputError, SchemaError) as error:
        assert str(error).strip()
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", [*LINES, *BINARY])
def test_bytes(name, whole):  # noqa: F811
    path, read = whole(name)
    content = path.read_bytes()

    @EXAMPLES
    @given(BYTES)
    def one(damages):
        path.write_bytes(damage_bytes(content, damages))
        answers(read, path)

    one()


@pytest.mark.parametrize("name", LINES)
def test_fields(name, whole):  # noqa: F811
    path, read = whole(name)
    content = path.read_text(encoding="utf-8")

    @EXAMPLES
    @given(FIELDS)
    def one(damages):
        lines = damage_fields([json.loads(line) for line in content.splitlines()], damages)
        path.write_text(
            "".join(f"{json.dumps(line)}\n" for line in lines),
            encoding="utf-8",
            errors="surrogatepass",
        )
        answers(read, path)

    one()


def test_profile_table(tmp_path):
    head = "cell,model,task,problem_id,n_failed_rollouts,spread,concentration,logit_dispersion,"
    head += "retry,sparse_steer,sparse_steer_random,local_temp,dense_steer\n"
    rows = "".join(f"c,m,t,{i},5,0.{i},1.{i},-0.{i},0.25,0.5,0.25,0.0,1.0\n" for i in range(1, 6))
    path = Path(tmp_path, "table.csv")
    path.write_text(head + rows)
    from_profiles(path)
    content = path.read_bytes()

    @EXAMPLES
    @given(BYTES)
    def one(damages):
        path.write_bytes(damage_bytes(content, damages))
        answers(from_profiles, path)

    one()
