"""One OpenAI-compatible server, asked with patience and a key that is never shown.

Patience means time-outs, retries and a rate limit.

Only the standard library: no redirect is followed, no proxy used, and nothing of a request is
logged. Faults are returned, not raised, where the key is at hand: no error has it in its frames.
"""

import http.client
import json
import math
import os
import random
import re
import socket
import ssl
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from recover_nb.core.errors import InputError
from recover_nb.io.served.endpoint import Clock, Endpoint, Patience
from recover_nb.io.served.secrets import excerpt

#: Answers that may be other ones a moment later.
TRY_AGAIN = (408, 429, 500, 502, 503, 504)
#: Answers that may say that a sequence is too long.
_REFUSED = (400, 413, 422)
_TOO_LONG = re.compile(
    r"context.{0,40}(length|size|window)|too (long|large)|max_model_len|n_ctx|out of memory"
    r"|exceed\w*.{0,60}(context|length|token|size|limit)|at most \d+ tokens",
    re.IGNORECASE,
)
#: Most bytes of an answer: 2,000 tokens with 100 alternatives each are about 10 MB.
MOST_BYTES = 2**28
_PIECE = 2**16


class TooLong(InputError):
    """A sequence that the server refuses as too long or too large."""


class Unanswered(Exception):
    """A request that got no answer in all its tries; `reason` is one of a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stopped(Exception):
    """Nothing is asked any more."""


class _Fault(NamedTuple):
    reason: str
    wait: float = 0.0


class _TooMuch(Exception):
    """More than `MOST_BYTES`."""


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
        self._stopped = threading.Event()
        self._open: set[_Line] = set()

    def ask(self, body: dict[str, Any], read: Callable[[dict], Any]) -> Any:
        """Post `body` to ``/completions`` and return what `read` makes of the answer.

        Raises
        ------
        Unanswered
            After the last try.
        TooLong
            The server refuses the sequence for its length.
        InputError
            An answer that asking again will not change.
        Stopped
            After `stop`.
        """
        wait = self.patience.first_wait
        for left in range(self.patience.tries - 1, -1, -1):
            self._take_turn()
            if self._stopped.is_set():
                raise Stopped
            found = self._once(body)
            if isinstance(found, dict):
                return read(found)
            if isinstance(found, InputError):
                raise found
            with self._lock:
                self.faults[found.reason] += 1
                jitter = self._random.uniform(0.5, 1.0)
            self._check_wait(found)
            if not left:
                raise Unanswered(found.reason)
            self.clock.sleep(max(min(wait, self.patience.longest_wait) * jitter, found.wait))
            wait *= 2
        raise Unanswered("no try allowed")

    def stop(self) -> None:
        """Ask nothing more, and end what is under way."""
        self._stopped.set()
        with self._lock:
            lines = [*self._open]
        for each in lines:
            each.end()

    def _check_wait(self, fault: _Fault) -> None:
        """Refuse to wait as long as a server may ask for: a day, by mistake or by quota."""
        if fault.wait > self.patience.longest_asked:
            hours = fault.wait / 3600
            asked = f"{fault.wait:,.0f} seconds ({hours:,.1f} hours)" if hours < 1e6 else "for ever"
            raise InputError(
                f"{self.endpoint.url} answers {fault.reason} and asks to wait {asked}; Patience"
                f" waits at most longest_asked={self.patience.longest_asked:g} seconds. What is"
                " scored is kept where partial= names a file: call again then, or give a larger"
                " longest_asked"
            )

    def _take_turn(self) -> None:
        if self.patience.per_minute is None:
            return
        with self._lock:
            begin = max(self.clock.now(), self._free_at)
            self._free_at = begin + 60.0 / self.patience.per_minute
        self.clock.sleep(max(0.0, begin - self.clock.now()))

    def _once(self, body: dict[str, Any]) -> dict | _Fault | InputError:
        found = self._post(json.dumps({"model": self.endpoint.model, **body}).encode())
        if not isinstance(found, tuple) or isinstance(found, _Fault):
            return found
        status, headers, content = found
        if status in TRY_AGAIN:
            return _Fault(f"status {status}", self._retry_after(headers))
        if status != http.client.OK:
            return self._refusal(status, headers, content)
        answer = _json_of(content)
        if not isinstance(answer, dict):
            return _Fault("malformed")
        error = answer.get("error")
        if error and not answer.get("choices"):
            code = error.get("code") if isinstance(error, dict) else None
            if code in TRY_AGAIN:
                return _Fault(f"status {code}", self._retry_after(headers))
            return self._refusal(code if type(code) is int else "with an error", headers, content)
        return answer

    def _refusal(self, status: int | str, headers: Any, content: bytes) -> InputError:
        """Return the sentence for an answer that asking again will not change."""
        endpoint, said = self.endpoint, excerpt(content, self._key_or_none())
        start = f"{endpoint.url} answers {status} for model {endpoint.model!r}: {said}"
        if status == http.client.REQUEST_ENTITY_TOO_LARGE or (
            (status in _REFUSED or isinstance(status, str)) and _TOO_LONG.search(said)
        ):
            return TooLong(f"{start}; the sequence is too long for it")
        hint = ""
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            name = endpoint.key_env
            hint = (
                f"; check the key in environment variable {name}"
                if name
                else "; if it wants a key, put that into an environment variable and name it with"
                " key_env"
            )
        elif status == http.client.NOT_FOUND:
            hint = "; check the url (up to and with /v1) and the name of the model"
        elif isinstance(status, int) and 300 <= status < 400:
            place = excerpt((headers.get("Location") or "").encode(), self._key_or_none())
            hint = f"; it has moved to {place or 'another place'}: give that as url"
        return InputError(start + hint)

    def _post(self, body: bytes) -> tuple[int, Any, bytes] | _Fault | InputError:
        """Send a request; what goes wrong on the way is returned."""
        url = self.endpoint.url
        if (why := _why_no_key(self.endpoint)) is not None:
            return InputError(why)
        try:
            return self._exchange(body, self._key_or_none())
        except TimeoutError:
            return _Fault("time-out")
        except _TooMuch:
            return InputError(f"{url} sends more than {MOST_BYTES >> 20} MB; lower top")
        except ssl.SSLCertVerificationError as error:
            return InputError(f"{url}: the certificate is not accepted ({error.verify_message})")
        except ssl.SSLError as error:
            if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
                return InputError(
                    f"{url} does not speak https; give http://, if it is this machine"
                )
            return _Fault("connection")
        except (OSError, http.client.HTTPException):
            return _Fault("connection")
        except (zlib.error, EOFError):
            return _Fault("malformed")

    def _exchange(self, body: bytes, key: str | None) -> tuple[int, Any, bytes]:
        parts, timeout = urlsplit(self.endpoint.url), self.endpoint.timeout
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # The deadline is of the whole answer: a server that sends a byte now and then never times
        # out a single read.
        line = _Line(connection)
        watch = threading.Timer(timeout, line.end)
        watch.daemon = True
        with self._lock:
            self._open.add(line)
        try:
            watch.start()
            path = parts.path.rstrip("/") + "/completions"
            found = line.answer(path, body, headers)
        except (OSError, http.client.HTTPException):
            if line.ended:
                raise TimeoutError from None
            raise
        finally:
            watch.cancel()
            with self._lock:
                self._open.discard(line)
            connection.close()
        if line.ended:
            raise TimeoutError
        return found

    def _key_or_none(self) -> str | None:
        return os.environ.get(self.endpoint.key_env or "") or None

    def _retry_after(self, headers: Any) -> float:
        """Return the seconds that the server asks for, in seconds or as a date."""
        said = headers.get("Retry-After") or ""
        with suppress(ValueError):
            seconds = float(said)
            return 0.0 if math.isnan(seconds) else max(0.0, seconds)
        try:
            date = parsedate_to_datetime(said)
            date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
            return max(0.0, date.timestamp() - self.clock.date())
        except (TypeError, ValueError, OverflowError):
            return 0.0


class _Line:
    """A connection that another thread may end."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection, self.ended = connection, False
        self._socket: socket.socket | None = None

    def end(self) -> None:
        """Let nothing more be read; what waits for it goes on at once."""
        self.ended = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the method of a TLS socket: it would take the other thread's state away.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        """Send a request and read the whole answer, as long as there is time."""
        self.connection.connect()
        self._socket = self.connection.sock
        if self.ended:
            raise TimeoutError
        self.connection.request("POST", path, body, headers)
        response = self.connection.getresponse()
        pieces, size = [], 0
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if self.ended:
                raise TimeoutError
            if size > MOST_BYTES:
                raise _TooMuch
        if response.length:
            raise http.client.IncompleteRead(b"")
        content = b"".join(pieces)
        if response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "deflate"):
            content = _unpacked(content)
        return response.status, response.headers, content


def _unpacked(content: bytes) -> bytes:
    """Return what a server packed although it was not asked to."""
    packer = zlib.decompressobj(zlib.MAX_WBITS | 32)
    found = packer.decompress(content, MOST_BYTES)
    if packer.unconsumed_tail:
        raise _TooMuch
    if not packer.eof:
        raise EOFError
    return found


def _json_of(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _why_no_key(endpoint: Endpoint) -> str | None:
    """Return what is wrong with the key of an endpoint, in words that do not show it."""
    name = endpoint.key_env
    if name is None:
        return None
    key = os.environ.get(name, "")
    if not key:
        return f"environment variable {name} is not set; it holds the key of {endpoint.url}"
    # http.client would show a header that it refuses.
    if not key.isascii() or not key.isprintable() or " " in key:
        return f"environment variable {name} holds a blank or a character that no key has"
    return None
