"""One line of a sample log of lm-evaluation-harness: prompt, responses, target, metric."""

import ast
import json
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.lines import Row
from recover_nb.io.logs.verdicts import verdict_of
from recover_nb.io.messages import words_of_messages
from recover_nb.io.records import Collector
from recover_nb.io.rows import REASON

#: Fields of a line that are no metrics.
FIELDS = (
    "doc_id",
    "doc",
    "target",
    "arguments",
    "resps",
    "filtered_resps",
    "filter",
    "metrics",
    "doc_hash",
    "prompt_hash",
    "target_hash",
    *REASON,
)
#: What metrics are called that say correct or wrong, in lines that do not list their metrics.
VERDICTS = ("exact_match", "acc", "pass@1", "pass_at_1", "math_verify")
#: Longest target that is looked at as a list in words.
LONGEST_LIST = 20_000


def responses_of(row: Row, *, graded: bool) -> list[str | None]:
    """Return the responses to a document; one None where they are log-likelihoods of choices.

    A request that failed has no response: its text is empty.

    Raises
    ------
    InputError
        No responses, or ones without a text that are to be graded.
    """
    value = row.find("resps", needed=True)[1]
    # One list is one request; some versions wrap it once more.
    while isinstance(value, list) and len(value) == 1 and _is_list_of_lists(value[0]):
        if _is_likelihood(value[0]):
            break
        value = value[0]
    if _is_likelihood(value) or (isinstance(value, list) and value and all(map(_chosen, value))):
        if not graded:
            return [None]
        raise row.wrong(
            "resps", value, "texts, as generate_until tasks write them (not log-likelihoods)"
        )
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], list):
        raise row.wrong("resps", value, "one list of responses, as generate_until tasks write it")
    texts = value[0]
    if not texts or not all(each is None or isinstance(each, str) for each in texts):
        raise row.wrong(
            "resps", value, "texts, as generate_until tasks write them (not log-likelihoods)"
        )
    return ["" if each is None else each for each in texts]


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, list) for each in value)


def _is_likelihood(value: Any) -> bool:
    """Whether a value is [[log-likelihood, is greedy], ...], in numbers or in words."""
    return _is_list_of_lists(value) and all(
        len(each) == 2 and _is_number(each[0]) and str(each[1]) in ("True", "False")
        for each in value
    )


def _chosen(value: Any) -> bool:
    """Whether a request of several has the log-likelihood of one choice."""
    return _is_likelihood(value) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, float) for each in value)
    )


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float | str) and float(value) <= 0
    except (ValueError, OverflowError):
        return False


def reasons_of(row: Row, n: int) -> list[Any]:
    """Return why each response ended, where the log says it: one reason, or one per response."""
    name, value = row.find(*REASON)
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not isinstance(value, list):
        return [value] * n
    if len(value) != n:
        raise row.wrong(name, value, f"one reason per response, and there are {n}")
    return value


def prompt_of(row: Row) -> str:
    """Return the text the model was given, from a list or an object.

    Older versions write a list where newer ones write an object. Chat APIs get messages: the list
    itself, or its JSON.
    """
    value = row.find("arguments", needed=True)[1]
    first = _first(value, "gen_args_0")
    prompt = first if isinstance(first, str) else _first(first, "arg_0")
    words = prompt if isinstance(prompt, str) else _conversation(prompt)
    if words is None:
        raise row.wrong("arguments", value, "an object with gen_args_0.arg_0, the prompt")
    return words


def _first(value: Any, name: str) -> Any:
    """Return what a name has in an object, or the first of a list."""
    if isinstance(value, dict):
        return value.get(name)
    return value[0] if isinstance(value, list) and value else None


def _conversation(prompt: Any) -> str | None:
    """Return the words of messages, or of a list with their JSON; None for anything else."""
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        text = prompt[0]
        try:
            prompt = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if not isinstance(prompt, list):
            return text
    if isinstance(prompt, dict):
        prompt = [prompt]
    if not isinstance(prompt, list) or not prompt:
        return None
    return words_of_messages(prompt) if all(isinstance(each, dict) for each in prompt) else None


def targets_of(row: Row, out: Collector) -> list[str]:
    """Return the right answers. The harness writes a list of them in Python's words."""
    name, value = row.find("target")
    if isinstance(value, str):
        value = _list_in_words(value)
    if isinstance(value, bool | dict):
        return [json.dumps(value, ensure_ascii=False)]
    if not isinstance(value, list):
        return [row.text("target", needed=False) or ""]
    if any(isinstance(each, list | dict | bool) for each in value):
        return [json.dumps(value, ensure_ascii=False)]
    each = [Row(row.where, {name: one}).text(name) for one in value if one is not None]
    if len(each) > 1:
        out.tell("several_targets", "{n} lines have several targets; any of them is right")
    return each or [""]


def _list_in_words(text: str) -> Any:
    """Return the texts of ``"['a', 'b']"``; other text is returned as it is."""
    bare = text.strip()
    if not (bare.startswith(("['", '["')) and bare.endswith("]") and len(bare) < LONGEST_LIST):
        return text
    try:
        found = ast.literal_eval(bare)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    good = isinstance(found, list) and found and all(isinstance(each, str) for each in found)
    return found if good else text


def metric_of(row: Row, metric: str | None, out: Collector) -> str:
    """Return the name of the metric that says correct.

    Raises
    ------
    InputError
        Several and no choice, or none.
    """
    if metric is not None:
        return metric
    if "bypass" in row.values:
        raise InputError(
            f"{row.where} was made with predict_only, so nothing is graded; pass is_correct="
        )
    names = row.values.get("metrics")
    listed = [str(each) for each in names] if isinstance(names, list) else _unlisted(row)
    verdicts = [name for name in VERDICTS if name in listed]
    if len(verdicts) == 1 and len(listed) > 1 and not isinstance(names, list):
        others = ", ".join(name for name in listed if name != verdicts[0])
        out.tell("lines_of_other_metrics", f"{{n}} lines were read by {verdicts[0]}, not {others}")
        return verdicts[0]
    if len(listed) != 1:
        shown = ", ".join(listed) or "none that is known"
        raise InputError(
            f"{row.where} has the metrics {shown}; pass metric= to say which one means correct"
        )
    return listed[0]


def _unlisted(row: Row) -> list[str]:
    """Return the metrics of a line that does not list them."""
    return [
        name
        for name, value in row.values.items()
        if name not in FIELDS and not name.endswith("_stderr") and isinstance(value, int | float)
    ]


def score_of(row: Row, metric: str, out: Collector) -> bool | None:
    """Return what a metric says: 1 is correct, less is wrong; None for NaN, not scored."""
    value = row.find(metric, needed=True)[1]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    allowed = "1 or 0, or a number between; else pass metric= or is_correct="
    return verdict_of(row, metric, value, allowed, out)


def names_of_problem(row: Row) -> tuple[str | None, str]:
    """Return the document's own name, if it has one, and its number in the task."""
    doc = row.part("doc", needed=False)
    named = None
    if doc is not None:
        found = doc.find("problem_id", "id")[1]
        usable = isinstance(found, str | int) and not isinstance(found, bool)
        named = str(found) if usable and str(found) else None
    name, value = row.find("doc_id")
    if isinstance(value, float) and value.is_integer():
        return named, str(int(value))
    if value is None and named is not None:
        return named, named
    return named, row.text(name or "doc_id", blank=False)
