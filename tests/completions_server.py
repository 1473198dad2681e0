"""A loopback completions server around real checkpoints: OpenAI (echo) and vLLM (prompt_logprobs).

``transformers serve`` ignores `echo` and `logprobs`, vLLM needs another machine; what a real server
answered is in ``fixtures/llama_cpp``.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch


class CompletionsServer(ThreadingHTTPServer):
    """Serves `models` (name -> (model, tokenizer)); `faults` go first, one a request, in order."""

    daemon_threads = True

    def __init__(self, models):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.faults, self.requests = models, [], []
        #: Most tokens whose log-probabilities one answer has.
        self.most = 10**9
        self.lock, self.closing = threading.Lock(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Be silent where a client that was to time out has gone."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body))
            fault = self.server.faults.pop(0) if self.server.faults else None
        if body["model"] not in self.server.models:
            return self.send(404, json.dumps({"error": f"no model {body['model']}"}))
        if len(body["prompt"]) - body.get("logprob_start_len", 0) > self.server.most:
            return self.send(413, json.dumps({"error": "too many log-probabilities"}))
        if callable(fault):
            return self.send(
                200, json.dumps(fault(answer(*self.server.models[body["model"]], body)))
            )
        if fault is not None:
            return getattr(self, f"play_{fault}")()
        return self.send(200, json.dumps(answer(*self.server.models[body["model"]], body)))

    def send(self, status, text, **headers):
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def play_429(self):
        self.send(429, "{}", Retry_After=7)

    def play_500(self):
        self.send(500, "oops")

    def play_401(self):
        self.send(401, f"bad key: {self.headers['Authorization']}")

    def play_malformed(self):
        self.send(200, '{"choices": [{"logprobs": ')

    def play_list(self):
        self.send(200, "[1, 2]")

    def play_cut(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices"')

    def play_hang(self):
        self.server.closing.wait(20)

    def play_drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.closing.wait(0.05):
            self.wfile.write(b" ")


@torch.inference_mode()
def answer(model, tokenizer, body):
    prompt = body["prompt"]
    ids = tokenizer.encode(prompt, add_special_tokens=False) if isinstance(prompt, str) else prompt
    scores = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)

    def name(token):
        return (
            f"token_id:{token}"
            if body.get("return_tokens_as_token_ids")
            else tokenizer.decode([token])
        )

    def best(place, k):
        found = scores[place].topk(min(k, scores.shape[-1]))
        pairs = dict(zip(found.indices.tolist(), found.values.tolist(), strict=True))
        return {**pairs, ids[place + 1]: float(scores[place, ids[place + 1]])}

    places = range(len(ids) - 1)
    if "prompt_logprobs" in body:
        rows = [best(place, body["prompt_logprobs"]) for place in places]
        told = [
            {str(t): {"logprob": v, "rank": 1, "decoded_token": name(t)} for t, v in row.items()}
            for row in rows
        ]
        return {"choices": [{"text": "", "logprobs": None, "prompt_logprobs": [None, *told]}]}
    tops = [{name(t): v for t, v in best(place, body["logprobs"]).items()} for place in places]
    own = [float(scores[place, ids[place + 1]]) for place in places]
    names, since = [name(token) for token in ids], body.get("logprob_start_len", 0)
    return {
        "choices": [
            {
                "text": "".join(names),
                "logprobs": {
                    "tokens": names[since:],
                    "token_logprobs": [None, *own[since:]],
                    "top_logprobs": [None, *tops[since:]],
                },
            }
        ]
    }
