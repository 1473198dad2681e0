"""What servers answer when something is wrong: waits end, Ctrl-C ends them, oddities are said."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import recover_nb as rnb
from recover_nb import Endpoint, InputError, Patience
from recover_nb.core.agreement import COUNTED
from recover_nb.io.served import caller as calling
from recover_nb.io.served.asking import score_trace
from recover_nb.io.served.caller import Caller, TooLong, Unanswered
from recover_nb.io.served.completions import Sent, read

CONSTANTS = {"temperature": 1.0, "top_k": 100, "k_cov": 1, "vocab_size": None}
SENT = Sent([1, 2], [3, 4])


class Scripted(BaseHTTPRequestHandler):
    """Answers with what `server.play` does: a function of the handler and the request."""

    def log_message(self, *_arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        try:
            self.server.play(self, body)
        except OSError:
            self.close_connection = True

    def send(self, status, content, length=None, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Be silent where a client that was to time out has gone."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Scripted) as server:
        server.bodies, server.over = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def echo(body, tops=None):
    """Return an echo of ids; token t has -t/100, and another is listed with -1."""
    names = [f"token_id:{i}" for i in body["prompt"]]
    own = [None, *(-i / 100 for i in body["prompt"][1:])]
    lists = [{name: v, "token_id:99": -1.0} for name, v in zip(names[1:], own[1:], strict=True)]
    logged = {
        "tokens": names,
        "token_logprobs": own,
        "top_logprobs": [None, *(lists if tops is None else tops)],
    }
    return {"choices": [{"text": "", "logprobs": logged}]}


class FakeClock:
    """Passes only when slept through."""

    def __init__(self):
        self.slept = []

    def now(self):
        return 0.0

    def date(self):
        return datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def sleep(self, seconds):
        self.slept.append(seconds)


def ask(server, **given):
    patience = Patience(tries=given.pop("tries", 2), **given.pop("patience", {}))
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "m", **given)
    caller = Caller(endpoint, patience, FakeClock())
    body = {"prompt": [1, 2, 3, 4]}
    try:
        return caller.ask(body, lambda found: read(endpoint, SENT, found)), caller
    except (InputError, Unanswered) as error:
        return error, caller


# Waiting


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("7", 7),
        ("599.5", 599.5),
        ("0", None),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60),
        ("Thu, 01 Jan 2025 00:01:00 GMT", None),
        ("Thu, 99 Jan 2026 00:01:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_what_a_server_asks_to_wait_is_waited(server, said, waited, status):
    turns = iter(
        [lambda h, _b: h.send(status, b"", Retry_After=said), lambda h, b: h.send(200, echo(b))]
    )
    server.play = lambda handler, body: next(turns)(handler, body)
    found, caller = ask(server)
    assert found.token_logprob.tolist() == [-0.03, -0.04]
    (slept,) = caller.clock.slept
    assert slept == waited if waited else 0.5 <= slept <= 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("86400", r"86,400 seconds \(24.0 hours\)"),
        ("601", "601 seconds"),
        ("inf", "for ever"),
        ("1e300", "for ever"),
        (format_datetime(datetime(2026, 1, 2, tzinfo=UTC), usegmt=True), "86,400 seconds"),
    ],
)
def test_a_wait_of_a_day_is_refused_at_once(server, said, told):
    server.play = lambda handler, _body: handler.send(429, b"", Retry_After=said)
    found, caller = ask(server, tries=6)
    assert isinstance(found, InputError) and caller.clock.slept == []
    assert re.search(f"answers status 429 and asks to wait {told}", str(found))
    assert "longest_asked=600" in str(found) and "partial=" in str(found)
    assert len(server.bodies) == 1
    _, caller = ask(server, patience={"longest_asked": 1e308}, tries=1)
    assert caller.faults == {"status 429": 1}


CHILD = """
import sys, threading, time, numpy as np, recover_nb as rnb
from recover_nb.io.served.asking import answers
from recover_nb.io.served.caller import Caller
from recover_nb import Endpoint, Patience
port, kind = sys.argv[1:]
patience = Patience(tries=9, first_wait=50.0, longest_wait=50.0, concurrent=2)
caller = Caller(Endpoint(f"http://127.0.0.1:{port}/v1", "m", timeout=60), patience)
print("ready", flush=True)
try:
    ask = lambda key: caller.ask({"prompt": key}, dict)
    for each in answers(ask, ["a", "b", "c"], 2, [caller]):
        pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("kind", ["waits to try again", "server says nothing", "connects"])
def test_ctrl_c_ends_a_call_at_once(server, kind):
    port = server.server_port
    server.play = lambda handler, _body: handler.send(500, b"")
    full = None
    if kind == "server says nothing":
        server.play = lambda _handler, _body: server.over.wait(60)
    if kind == "connects":
        # Nobody accepts, and the queue is full: a connection is neither made nor refused.
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        stuffed = [socket.socket() for _ in range(4)]
        for each in stuffed:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(port), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(1.5)
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        assert time.monotonic() - began < 10
        assert out == "interrupted\n" and child.returncode == 0, err
    finally:
        child.kill()
        child.communicate()
        if full is not None:
            for each in (full, *stuffed):
                each.close()


def drip(part):
    def play(handler, _body):
        if part == "head":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        elif part == "continue":
            pass
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not handler.server.over.wait(0.05):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" if part == "continue" else b" ")

    return play


@pytest.mark.parametrize("part", ["head", "body", "continue"])
def test_an_answer_that_drips_ends_at_its_deadline(server, part):
    server.play = drip(part)
    began = time.monotonic()
    found, caller = ask(server, timeout=0.5, tries=1)
    assert isinstance(found, Unanswered) and caller.faults == {"time-out": 1}
    assert time.monotonic() - began < 5


# Answers


def logged(**changes):
    """Return an answer whose log-probabilities are of these odd values."""

    def play(handler, body):
        found = echo(body)
        found["choices"][0]["logprobs"] |= changes
        handler.send(200, found)

    return play


def sends(value, **headers):
    return lambda handler, _body: handler.send(200, value, **headers)


NO = "no log-probabilities of the prompt in the form 'echo'"
#: What the server does -> what is said: of an InputError, or a fault that is tried again.
ODD = {
    "empty lists": (logged(top_logprobs=[None, {}, {}, {}]), "lists nothing for model 'm' at 2 of"),
    "lists of null": (logged(top_logprobs=[None] * 4), "lists nothing for model 'm' at 2 of 2"),
    "one empty list": (
        logged(top_logprobs=[None, {}, {"token_id:3": -1.0}, {}]),
        "lists nothing for model 'm' at 1 of 2",
    ),
    "no lists": (logged(top_logprobs=None), NO),
    "fewer lists": (logged(top_logprobs=[None, {}]), NO),
    "fewer values": (logged(token_logprobs=[None, -1.0]), NO),
    "lists of lists": (logged(top_logprobs=[None, [], [1], [2]]), NO),
    "tokens of numbers": (logged(tokens=[1, 2, 3, 4]), NO),
    "NaN": (logged(token_logprobs=[None, -1, float("nan"), -1]), "is nan; it must be a finite"),
    "infinity": (logged(token_logprobs=[None, -1, float("inf"), -1]), "0 or less"),
    "above 0": (logged(token_logprobs=[None, -1, 0.5, -1]), "it must be a log-probability"),
    "texts": (logged(token_logprobs=[None, "a", "b", "c"]), "must be a finite number"),
    "true": (logged(token_logprobs=[None, -1, True, -1]), "must be a finite number"),
    "NaN in a list": (
        logged(top_logprobs=[None, {}, {"token_id:3": float("nan")}, {"token_id:4": -1}]),
        "is nan; it must be a finite",
    ),
    "a huge number": (sends(b'{"choices": [{"logprobs": 1' + b"0" * 9000 + b"}]}"), "malformed"),
    "choices empty": (sends({"choices": []}), NO),
    "choices null": (sends({"choices": None}), NO),
    "choices of texts": (sends({"choices": ["a"]}), NO),
    "choices a text": (sends({"choices": "a"}), NO),
    "no choices": (sends({}), NO),
    "logprobs null": (sends({"choices": [{"logprobs": None}]}), NO),
    "chat logprobs": (sends({"choices": [{"logprobs": {"content": []}}]}), NO),
    "error": (sends({"error": {"message": "no \x1b[31mecho"}}), r"with an error .*no .*echo"),
    "error as text": (sends({"error": "no echo", "choices": []}), "with an error .*no echo"),
    "error with a code": (sends({"error": {"message": "bad", "code": 400}}), "answers 400 .*bad"),
    "error that passes": (sends({"error": {"code": 503}}), "status 503"),
    "a list": (sends([1]), "malformed"),
    "a page": (sends(b"<html>hello</html>"), "malformed"),
    "nothing": (sends(b""), "malformed"),
    "cut": (sends(b'{"choices": [', length=13), "malformed"),
    "shorter than said": (sends(b"{}", length=50), "connection"),
    "longer than said": (sends(b'{"choices": []}', length=5), "malformed"),
    "Latin-1": (sends('{"choices": "é"}'.encode("latin-1")), "malformed"),
    "deep": (sends(b'{"a":' * 100_000), "malformed"),
    "no gzip": (sends(b"{}", Content_Encoding="gzip"), "malformed"),
    "gzip cut": (
        sends(gzip.compress(b'{"a": "bcdefgh"}')[:-9], Content_Encoding="gzip"),
        "malformed",
    ),
    "no HTTP": (lambda handler, _body: handler.wfile.write(b"SSH-2.0-x\r\n"), "connection"),
    "hung up": (lambda handler, _body: handler.connection.close(), "connection"),
    "many headers": (
        lambda handler, _b: handler.wfile.write(
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"
        ),
        "connection",
    ),
    "401": (lambda h, _b: h.send(401, b"no"), "answers 401 .*: no; if it wants a key"),
    "403": (lambda h, _b: h.send(403, b"no"), "name it with key_env"),
    "404": (lambda h, _b: h.send(404, b"no"), r"check the url \(up to and with /v1\)"),
    "422": (lambda h, _b: h.send(422, b"what?"), "answers 422 .*what"),
    "418": (lambda h, _b: h.send(418, b""), "answers 418"),
    "302": (lambda h, _b: h.send(302, b"", Location="http://x/v1"), "moved to http://x/v1"),
    "413": (lambda h, _b: h.send(413, b""), "the sequence is too long"),
    **{
        str(status): (lambda h, _b, status=status: h.send(status, b"x"), f"status {status}")
        for status in (408, 429, 500, 502, 503, 504)
    },
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_answer_is_said(server, case):
    server.play, said = ODD[case]
    found, caller = ask(server)
    passes = isinstance(found, Unanswered)
    assert isinstance(found, InputError | Unanswered), found
    assert re.search(said, str(found), re.DOTALL), found
    # What may pass is tried again, what cannot is not.
    assert len(server.bodies) == (2 if passes else 1)
    assert caller.faults == ({said: 2} if passes else {})
    assert str(found).isprintable()


@pytest.mark.parametrize("packed", ["gzip", "identity", "utf-16", "mark", "chunked"])
def test_an_answer_in_another_wrapping_is_read(server, packed):
    def play(handler, body):
        content = json.dumps(echo(body))
        data = {"utf-16": content.encode("utf-16"), "mark": content.encode("utf-8-sig")}
        if packed == "chunked":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for each in (content[:50], content[50:], ""):
                handler.wfile.write(f"{len(each):x}\r\n{each}\r\n".encode())
        elif packed == "gzip":
            handler.send(200, gzip.compress(content.encode()), Content_Encoding="GZIP")
        else:
            handler.send(200, data.get(packed, content.encode()))

    server.play = play
    found, _ = ask(server)
    assert found.token_logprob.tolist() == [-0.03, -0.04]
    assert found.ids.tolist() == [[3, 99], [4, 99]]


def test_a_huge_answer_is_not_read_on(server, monkeypatch):
    monkeypatch.setattr(calling, "MOST_BYTES", 2**16)
    server.play = sends(b" " * 2**20)
    assert "sends more than" in str(ask(server)[0])
    # Nor is one that is small only while it is packed.
    server.play = sends(gzip.compress(b" " * 2**20), Content_Encoding="gzip")
    assert "sends more than" in str(ask(server)[0])


def test_a_server_that_is_away_or_speaks_no_https(server):
    port = server.server_port
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = free.getsockname()[1]
    caller = Caller(Endpoint(f"http://127.0.0.1:{away}/v1", "m"), Patience(tries=1))
    with pytest.raises(Unanswered, match="connection"):
        caller.ask({"prompt": "x"}, dict)
    caller = Caller(Endpoint(f"https://127.0.0.1:{port}/v1", "m"), Patience(tries=1))
    with pytest.raises(InputError, match="does not speak https"):
        caller.ask({"prompt": "x"}, dict)


# Long traces


def limited(most, whole=10**9):
    """Return a server that gives so many log-probabilities, of a sequence up to `whole`."""

    def play(handler, body):
        ids, since = body["prompt"], body.get("logprob_start_len", 0)
        if len(ids) > whole:
            said = f"This model's maximum context length is {whole} tokens"
            return handler.send(400, {"object": "error", "message": said})
        if len(ids) - since > most:
            return handler.send(413, {"error": "too many"})
        found = echo(body)
        named = found["choices"][0]["logprobs"]
        for name, values in named.items():
            named[name] = values[since:]
        if since:
            named["token_logprobs"][0] = named["top_logprobs"][0] = None
        return handler.send(200, found)

    return play


LONG = Sent([7, 8], [*range(1, 90), *range(1, 90)])


def score_long(server, sent=LONG, **given):
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "m", **given)
    callers = [Caller(endpoint, Patience(tries=1)) for _ in range(2)]
    return score_trace(callers, sent, CONSTANTS)


@pytest.mark.parametrize(
    ("most", "part", "requests"), [(10**9, None, 2), (10**9, 50, 8), (100, None, 6), (60, 50, 8)]
)
def test_parts_give_the_numbers_of_one_request(server, most, part, requests):
    server.play = limited(10**9)
    whole = score_long(server)
    assert whole["surprisal"] == pytest.approx([t / 100 for t in LONG.trace])
    server.bodies.clear()
    server.play = limited(most)
    assert score_long(server, part=part) == whole
    assert len(server.bodies) == requests
    # Every part is sent behind all that stands before it.
    assert all(
        [*LONG.prompt, *LONG.trace][: len(b["prompt"])] == b["prompt"] for b in server.bodies
    )


@pytest.mark.parametrize("given", [{}, {"part": 50}])
def test_a_trace_that_is_too_long_in_parts_too_is_counted(server, given):
    server.play = limited(10**9, whole=100)
    assert score_long(server, **given) == "too_long"
    # A text cannot be cut.
    server.play = lambda handler, _body: handler.send(413, b"")
    assert score_long(server, Sent("q", "a" * 200)) == "too_long"


def test_servers_that_ignore_where_to_begin_are_read_too(server):
    def play(handler, body):
        body = {**body, "logprob_start_len": 0}
        return limited(10**9)(handler, body)

    server.play = play
    assert score_long(server, part=50)["surprisal"] == pytest.approx([t / 100 for t in LONG.trace])


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        "Input length (5000) exceeds model's maximum context length (4096).",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "prompt is too long: 5000 tokens > 4096",
        "CUDA out of memory",
    ],
)
def test_words_that_say_too_long(server, said):
    server.play = lambda handler, _body: handler.send(400, {"error": {"message": said}})
    assert isinstance(ask(server)[0], TooLong)
    server.play = lambda handler, _body: handler.send(
        400, {"error": {"message": "logprobs: 5 at most"}}
    )
    assert not isinstance(ask(server)[0], TooLong)


# What is given


@pytest.mark.parametrize(
    "url",
    [
        "http://h:99999/v1",
        "http://[::1",
        "http://a b/v1",
        "http://h/v 1",
        5,
        None,
        "http://" + "x" * 70,
        "http://h/\n",
        "h:1/v1",
        "http:///v1",
        "http://\u00e9/v1",
    ],
)
def test_a_url_that_no_request_can_be_sent_to(url):
    words = "url must be a text such as http://HOST:PORT/v1 or https://HOST/v1"
    with pytest.raises(InputError) as caught:
        Endpoint(url, "m")
    another = "another text, not shown as it may hold a key"
    shown = another if isinstance(url, str) else url
    assert str(caught.value) == f"{words}, got {shown}"


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Patience, {"tries": 0}),
        (Patience, {"per_minute": 0}),
        (Patience, {"first_wait": -1.0}),
        (Patience, {"longest_wait": float("nan")}),
        (Patience, {"longest_asked": float("inf")}),
        (Patience, {"concurrent": 0}),
        (Endpoint, {"part": 0}),
        (Endpoint, {"top": 2.5}),
        (Endpoint, {"timeout": float("nan")}),
        (Endpoint, {"extra": {"a": {1, 2}}}),
        (Endpoint, {"extra": {"a": float("nan")}}),
    ],
)
def test_settings_that_cannot_work(kind, given):
    name = next(iter(given))
    with pytest.raises(InputError, match=name):
        kind(**given) if kind is Patience else kind("https://h/v1", "m", **given)


def first_rollouts(ds, n):
    """Return a study of `n` rollouts, without what was counted from them all."""
    return ds.drop_vars([*COUNTED, "features"]).isel(rollout=slice(0, n)).load()


def test_a_server_that_stays_away_is_named_with_what_it_did(server):
    ds = first_rollouts(rnb.load_study().isel(problem=[0, 5, 6]), 20)
    server.play = lambda handler, _body: handler.send(503, b"")

    class Tokens:
        def encode(self, text, add_special_tokens=False):
            return [3, 4, 5]

    end = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "m")
    given = {"tokenizer": Tokens(), "progress": False, "clock": FakeClock()}
    with pytest.raises(InputError, match=r"3 traces in a row .*: \d+ times status 503\)"):
        rnb.score_with_server(ds, end, end, patience=Patience(tries=2, concurrent=2), **given)
    solved = ds.isel(problem=[0])
    assert (solved["correct"].values[:, :, 0] == 1).all()
    with pytest.raises(InputError, match="no failed rollout of the study has a trace to send"):
        rnb.score_with_server(solved, end, end, **given)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n", b"5\n", b'{"key": 1, "result": 2}\n', b"[" * 99999]
)
def test_a_damaged_file_of_results_is_asked_for_again(server, tmp_path, content):
    partial = tmp_path / "scored.jsonl"
    partial.write_bytes(content)
    ds = first_rollouts(rnb.load_study().isel(problem=[2]), 8)
    server.play = lambda handler, body: handler.send(200, echo(body))

    class Tokens:
        def encode(self, text, add_special_tokens=False):
            return [3, 4, 5]

    end = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "m")
    given = {"tokenizer": Tokens(), "progress": False, "partial": partial}
    n = int((ds["correct"].values[:, :, 0] == 0).sum())
    assert n > 0
    found = rnb.score_with_server(ds, end, end, **given)
    assert json.loads(found.attrs["server_counts_json"])["scored"] == n
    # A result that is no result is none either.
    lines = [json.loads(line) for line in partial.read_text(errors="replace").splitlines()[1:]]
    partial.write_text(
        "".join(json.dumps(x | {"result": {"surprisal": [1]}}) + "\n" for x in lines)
    )
    server.bodies.clear()
    found = rnb.score_with_server(ds, end, end, **given)
    counted = json.loads(found.attrs["server_counts_json"])
    assert (counted["scored"], counted["kept_from_before"]) == (n, 0) and server.bodies
    with pytest.raises(InputError, match="is no file; choose another partial="):
        rnb.score_with_server(ds, end, end, **given | {"partial": tmp_path})
