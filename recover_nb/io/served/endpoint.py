"""Where a model is served, and how patiently it is asked."""

import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Reply


@dataclass(frozen=True)
class Endpoint:
    """Where one model is served.

    Parameters
    ----------
    url : str
        Up to and with the version: ``http://127.0.0.1:8000/v1``. Over http a key is sent to this
        machine only.
    model : str
        As the server calls it.
    key_env : str, optional
        Name of the environment variable that holds the key; it is read when a request is sent, and
        kept nowhere.
    reply : str
        `labels.Reply`: ``"echo"`` asks for ``echo`` and ``logprobs``, ``"prompt_logprobs"`` for
        vLLM's field of that name.
    top : int
        Alternatives a token.
    part : int, optional
        Most tokens of a trace whose lists are asked for in one request. The sequence is then sent
        once for every part, up to its end, with ``logprob_start_len`` (SGLang; others ignore it);
        numbers are those of one request. Left out, a trace is sent in parts only where a server
        refuses it as too long or too large. Needs `tokenizer`: a text cannot be cut.
    timeout : float
        Seconds an answer may take from beginning to end.
    extra : mapping
        Further fields of every request, or others than are sent by default: llama.cpp's server
        needs ``{"max_tokens": 1}``, as it takes 0 for as many tokens as there is room for.

    Raises
    ------
    InputError
        A URL that is none, or that carries a key; a number out of range.
    """

    url: str
    model: str
    key_env: str | None = None
    reply: str = Reply.ECHO.value
    top: int = 20
    timeout: float = 60.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    part: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not work, and what would give a key away."""
        checks.settle(self, **_OF_ENDPOINT)
        parts = _parts_of(self.url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError(
                "the url of an endpoint carries a user, a query or a fragment; put a key into an "
                "environment variable and name that with key_env"
            )
        try:
            json.dumps(dict(self.extra), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"extra= of an endpoint is sent as JSON, and cannot be ({error}); give a dict of"
                " texts, numbers, lists and dicts"
            ) from None
        if self.key_env and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise InputError(
                f"a key would go to {parts.hostname} in the clear; use https, or a tunnel to"
                " 127.0.0.1"
            )


@dataclass(frozen=True)
class Patience:
    """How often a failing server is asked again, and how long to wait.

    Attributes
    ----------
    tries : int
        Requests for one answer, the first included.
    first_wait, longest_wait : float
        Seconds before the second request, doubled each time up to the longest; each is drawn
        between half and all of it, so that many clients do not come back together. A server's
        ``Retry-After`` is waited for where it is longer.
    longest_asked : float
        Most seconds that a server's ``Retry-After`` is waited for; more of them end the run with a
        sentence.
    per_minute : float, optional
        Most requests per minute.
    concurrent : int
        Requests under way together.
    """

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    per_minute: float | None = None
    concurrent: int = 4
    longest_asked: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        checks.settle(self, **_OF_PATIENCE)


class Clock:
    """Time as it passes; tests pass another."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def date(self) -> float:
        """Return seconds since 1970, for dates that a server names."""
        return time.time()


def _parts_of(url: Any) -> SplitResult:
    """Return the parts of a URL that a request can be sent to."""
    # The text itself may hold a key.
    wrong = InputError(f"url must be {_URL}, got another text, not shown as it may hold a key")
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
        # A port out of range is found when it is asked for, a host too long when it is encoded.
        _, host = parts.port, (parts.hostname or "").encode("idna")
    except (ValueError, AttributeError, TypeError):
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise wrong
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_URL = "a text such as http://HOST:PORT/v1 or https://HOST/v1"
_SECONDS = checks.number(0, what="a number of seconds, at least 0")
_OF_ENDPOINT = {
    "url": checks.Kind(_URL, checks.TEXT.read),
    "model": checks.Kind("the model's name, a text", checks.TEXT.read),
    "key_env": checks.Kind("the name of an environment variable", checks.TEXT.read),
    "reply": checks.one_of(Reply),
    "top": checks.COUNT,
    "timeout": checks.number(above=0, what="a number of seconds above 0"),
    "extra": checks.MAPPING,
    "part": checks.COUNT,
}
_OF_PATIENCE = {
    "tries": checks.COUNT,
    "concurrent": checks.COUNT,
    "first_wait": _SECONDS,
    "longest_wait": _SECONDS,
    "longest_asked": _SECONDS,
    "per_minute": checks.POSITIVE,
}

#: What a function asks for that sends requests.
ENDPOINT = checks.instance(
    Endpoint, "where a model is served", "write it as rnb.Endpoint(url, model)"
)
PATIENCE = checks.instance(Patience, "a Patience", "write it as rnb.Patience(tries=3)")
