"""One OpenAI-compatible server, asked with patience and a key that is never shown.

Patience means time-outs, retries and a rate limit.

Only the standard library: no redirect is followed, no proxy used, and nothing of a request is
logged.
"""

import http.client
import ipaddress
import json
import os
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Reply, parse

#: Answers that may be other ones a moment later.
TRY_AGAIN = (408, 429, 500, 502, 503, 504)
#: Most bytes of an answer: 2,000 tokens with 100 alternatives each are about 10 MB.
MOST_BYTES = 2**28
_PIECE = 2**16


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

    def __post_init__(self) -> None:
        """Refuse what could not work, and what would give a key away."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("the url of an endpoint is http://HOST:PORT/v1 or https://HOST/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise InputError(
                "the url of an endpoint carries a user, a query or a fragment; put a key into an "
                "environment variable and name that with key_env"
            )
        object.__setattr__(self, "reply", parse(Reply, self.reply).value)
        if self.top < 1 or self.timeout <= 0:
            raise InputError(
                f"top={self.top}, timeout={self.timeout}; allowed: at least 1, and above 0 seconds"
            )
        if self.key_env and parts.scheme == "http" and not _is_loopback(parts.hostname):
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


class Unanswered(Exception):
    """A request that got no answer in all its tries; `reason` is one of a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Fault(Exception):
    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class Caller:
    """Asks one endpoint. Several threads may.

    Parameters
    ----------
    endpoint : Endpoint
    patience : Patience
    clock : Clock
    seed : int
        Of the jitter.

    Attributes
    ----------
    faults : Counter
        Requests that had to be sent again, by reason.
    """

    def __init__(
        self, endpoint: Endpoint, patience: Patience, clock: Clock | None = None, seed: int = 0
    ) -> None:
        self.endpoint, self.patience, self.clock = endpoint, patience, clock or Clock()
        self.faults: Counter[str] = Counter()
        self._random, self._lock, self._free_at = (
            random.Random(seed),
            threading.Lock(),
            float("-inf"),
        )

    def ask(self, body: dict[str, Any], read: Callable[[dict], Any]) -> Any:
        """Post `body` to ``/completions`` and return what `read` makes of the answer.

        Raises
        ------
        Unanswered
            After the last try.
        InputError
            An answer that asking again will not change.
        """
        wait = self.patience.first_wait
        for left in range(self.patience.tries - 1, -1, -1):
            self._take_turn()
            try:
                return read(self._once(body))
            except _Fault as fault:
                with self._lock:
                    self.faults[fault.reason] += 1
                    jitter = self._random.uniform(0.5, 1.0)
                if not left:
                    raise Unanswered(fault.reason) from None
                self.clock.sleep(max(min(wait, self.patience.longest_wait) * jitter, fault.wait))
                wait *= 2
        raise Unanswered("no try allowed")

    def _take_turn(self) -> None:
        if self.patience.per_minute is None:
            return
        with self._lock:
            begin = max(self.clock.now(), self._free_at)
            self._free_at = begin + 60.0 / self.patience.per_minute
        self.clock.sleep(max(0.0, begin - self.clock.now()))

    def _once(self, body: dict[str, Any]) -> dict:
        key = self._key()
        try:
            status, headers, content = self._exchange(
                json.dumps({"model": self.endpoint.model, **body}).encode(), key
            )
        except TimeoutError:
            raise _Fault("time-out") from None
        except ssl.SSLCertVerificationError as error:
            raise InputError(
                f"{self.endpoint.url}: the certificate is not accepted ({error.verify_message})"
            ) from None
        except (OSError, http.client.HTTPException):
            raise _Fault("connection") from None
        if status in TRY_AGAIN:
            raise _Fault(f"status {status}", self._retry_after(headers))
        if status != http.client.OK:
            said = content[:300].decode("utf-8", "replace")
            said = " ".join((said.replace(key, "***") if key else said).split())
            raise InputError(
                f"{self.endpoint.url} answers {status} for model {self.endpoint.model!r}: {said}"
            )
        try:
            answer = json.loads(content)
        except ValueError:
            raise _Fault("malformed") from None
        if not isinstance(answer, dict):
            raise _Fault("malformed")
        return answer

    def _exchange(self, body: bytes, key: str | None) -> tuple[int, Any, bytes]:
        parts, timeout = urlsplit(self.endpoint.url), self.endpoint.timeout
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        # The deadline is of the whole answer: a server that sends a byte now and then never times
        # out a single read.
        end = time.monotonic() + timeout
        connection = kind(parts.hostname, parts.port, timeout=timeout)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            connection.request("POST", parts.path.rstrip("/") + "/completions", body, headers)
            response = connection.getresponse()
            pieces, size = [], 0
            while piece := response.read1(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if time.monotonic() > end:
                    raise TimeoutError
                if size > MOST_BYTES:
                    raise InputError(
                        f"{self.endpoint.url} sends more than {MOST_BYTES >> 20} MB; lower top"
                    )
            if response.length:
                raise http.client.IncompleteRead(b"")
            return response.status, response.headers, b"".join(pieces)
        finally:
            connection.close()

    def _key(self) -> str | None:
        name = self.endpoint.key_env
        if name is None:
            return None
        key = os.environ.get(name, "")
        if not key:
            raise InputError(
                f"environment variable {name} is not set; it holds the key of {self.endpoint.url}"
            )
        # http.client would show a header that it refuses.
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InputError(
                f"environment variable {name} holds a blank or a character that no key has"
            )
        return key

    def _retry_after(self, headers: Any) -> float:
        """Return the seconds that the server asks for, in seconds or as a date."""
        said = headers.get("Retry-After", "")
        with suppress(ValueError):
            return max(0.0, float(said))
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self.clock.date())
        except (TypeError, ValueError):
            return 0.0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
