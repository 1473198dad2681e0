"""Keys in what others say: whole, encoded, in pieces; none of it is shown."""

import base64
import json
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest

from recover_nb import Endpoint, InputError, Patience
from recover_nb.io.served.caller import Caller, Unanswered
from recover_nb.io.served.secrets import blotted, excerpt

KEY = "sk-Q7/x+9Zt=wLm2vB8nKc4"
BASE64 = base64.b64encode(KEY.encode()).decode()

#: What a server may say -> what must not be left of it.
SAID = {
    "whole": f"bad key {KEY}!",
    "behind 290 blanks": " " * 290 + KEY,
    "behind 290 characters": "x" * 290 + KEY,
    "cut in two": f"{KEY[:12]} ... {KEY[12:]}",
    "over two lines": f"{KEY[:12]}\n{KEY[12:]}",
    "with stars": f"Incorrect API key provided: {KEY[:8]}********{KEY[-6:]}.",
    "in JSON": json.dumps({"error": {"message": f"key {KEY}", "key": KEY}}),
    "JSON with escaped slashes": json.dumps({"key": KEY}).replace("/", "\\/"),
    "quoted": f"?key={quote(KEY, safe='')}&again={quote(KEY)}",
    "quoted in small letters": quote(KEY, safe="").lower(),
    "base64": f"Basic {BASE64}",
    "base64 of a header": base64.b64encode(f"Authorization: Bearer {KEY}".encode()).decode(),
    "base64 of a user": base64.b64encode(f"u:{KEY}".encode()).decode(),
    "base64 for urls": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "hexadecimal": KEY.encode().hex(),
    "every byte quoted": "".join(f"%{b:02X}" for b in KEY.encode()),
    "repr": repr({"headers": {"Authorization": f"Bearer {KEY}"}}),
    "capitals": KEY.upper(),
    "backwards": KEY[::-1],
    "many times": f"{KEY} " * 50,
    "between other bytes": f"\ufffd{KEY}\ufffd",
}


def pieces(key, least):
    return {key[i : i + least].lower() for i in range(len(key) - least + 1)}


def assert_hidden(shown):
    small = shown.lower()
    assert not [each for each in pieces(KEY, 5) if each in small], shown
    for form in (BASE64.rstrip("="), KEY.encode().hex(), quote(KEY, safe="").lower()):
        assert not [each for each in pieces(form, 10) if each in small], shown


@pytest.mark.parametrize("case", SAID)
def test_nothing_of_a_key_is_left(case):
    assert_hidden(blotted(SAID[case], KEY))
    assert_hidden(excerpt(SAID[case].encode(), KEY))
    assert len(excerpt(SAID[case].encode(), KEY)) <= 300


def test_a_text_without_a_key_is_left_as_it_is():
    said = "This model's maximum context length is 4096 tokens; you asked for 5000."
    assert blotted(said, KEY) == said and blotted(said, None) == said
    assert excerpt(said.encode(), KEY) == said
    assert excerpt(b"a\x1b[31m\n b\x00c", None) == r"a\x1b[31m b\x00c"
    assert excerpt(b"\xff\xfe", None) == "\ufffd\ufffd"


class Repeats(BaseHTTPRequestHandler):
    """Says what the test wants, with the key it was sent."""

    def log_message(self, *_arguments):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(self.headers["Authorization"])
        status, headers, text = self.server.says
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Repeats) as server:
        server.daemon_threads, server.seen = True, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def shown_by(error):
    """Return all that is shown of an error and those before it, with every frame's variables."""
    seen = []
    while error is not None:
        seen += [str(error), repr(error), *traceback.format_exception(error)]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "recover_nb" in frame.f_code.co_filename:
                seen.append(repr(frame.f_locals))
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


@pytest.mark.parametrize("case", SAID)
@pytest.mark.parametrize("status", [200, 401, 307, 400])
def test_an_error_of_a_server_that_repeats_the_key(server, monkeypatch, case, status):
    monkeypatch.setenv("TEST_KEY", KEY)
    text = SAID[case]
    server.says = status, {}, json.dumps({"error": text}) if status == 200 else text
    if status == 307:
        server.says = status, {"Location": quote(text, safe="/:?=&;%.,{}'\"")}, text
    url = f"http://127.0.0.1:{server.server_port}/v1"
    caller = Caller(Endpoint(url, "m", key_env="TEST_KEY"), Patience(tries=1))
    with pytest.raises(InputError) as caught:
        caller.ask({"prompt": "x"}, dict)
    assert server.seen == [f"Bearer {KEY}"]
    assert_hidden(shown_by(caught.value))
    assert "TEST_KEY" in repr(caller.endpoint)
    assert_hidden(repr(caller.endpoint) + repr(vars(caller)))


@pytest.mark.parametrize("case", ["malformed", "503", "down", "not a server"])
def test_a_fault_shows_no_key(server, monkeypatch, case):
    monkeypatch.setenv("TEST_KEY", KEY)
    url = f"http://127.0.0.1:{server.server_port}/v1"
    server.says = {"503": (503, {}, KEY)}.get(case, (200, {}, f"<html>{KEY}</html>"))
    if case == "down":
        url = "http://127.0.0.1:9/v1"
    if case == "not a server":
        server.says = 200, {"Transfer-Encoding": "chunked"}, KEY
    caller = Caller(Endpoint(url, "m", key_env="TEST_KEY"), Patience(tries=1))
    with pytest.raises(Unanswered) as caught:
        caller.ask({"prompt": "x"}, dict)
    assert_hidden(shown_by(caught.value))


def test_a_redirect_takes_the_key_nowhere(server, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Repeats) as other:
        other.daemon_threads, other.seen = True, []
        threading.Thread(target=other.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{other.server_port}/v1/completions"
        server.says = 308, {"Location": place}, ""
        url = f"http://127.0.0.1:{server.server_port}/v1"
        caller = Caller(Endpoint(url, "m", key_env="TEST_KEY"), Patience(tries=1))
        with pytest.raises(InputError, match=f"has moved to {place}: give that as url"):
            caller.ask({"prompt": "x"}, dict)
        assert other.seen == [] and len(server.seen) == 1
        other.shutdown()
