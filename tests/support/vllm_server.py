"""A stand-in for a vLLM server: the part of its HTTP API that the sampler uses, as vLLM 0.32 was seen to answer.

`serving` runs it in this process, with tokens from a tiny JAX model or by a hash. As a program it listens on the Unix
socket of `--uds`, with tokens by a hash, and needs neither JAX nor the package.
"""

from __future__ import annotations

import hashlib
import json
import random
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[dict[str, Any], Path | None], tuple[list[int], list[float]]]
"""Token ids and log-probabilities of a request, and of the folder of its adapter."""

VOCABULARY = 200


def by_hash(body: dict[str, Any], adapter: Path | None) -> tuple[list[int], list[float]]:
    """Tokens that depend on the prompt, the adapter's numbers and, where they are drawn, the seed."""
    digest = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest() if adapter else ""
    seed = body["seed"] if body["temperature"] else 0
    rng = random.Random(f"{body['prompt']} {digest} {seed}")
    ids, values = [], []
    for _ in range(body["max_tokens"]):
        ids.append(rng.randrange(VOCABULARY))
        values.append(0.0 if body["top_k"] == 1 else -rng.random())
        if ids[-1] in body["stop_token_ids"]:
            break
    return ids, values


def by_model(model: Any) -> Answer:
    """Tokens that `generate` samples from a JAX model, one row at a time, with the request's seed."""
    from thinkaloud.model.peft_reader import read_peft
    from thinkaloud.rollout.generate import generate
    from thinkaloud.rollout.sampling import Sampling

    one_at_a_time = threading.Lock()

    def answer(body: dict[str, Any], adapter: Path | None) -> tuple[list[int], list[float]]:
        with one_at_a_time:
            ((sampled,),) = generate(
                model,
                read_peft(adapter / "adapter_model.safetensors", model.config) if adapter else {},
                [body["prompt"]],
                group_size=1,
                max_new_tokens=body["max_tokens"],
                sampling=Sampling(temperature=body["temperature"], top_k=body["top_k"], top_p=body["top_p"]),
                stop_ids=body["stop_token_ids"],
                seed=body["seed"],
            )
        return list(sampled.token_ids), list(sampled.sampled_logprobs)

    return answer


@dataclass
class Fault:
    """What happens in place of an answer: a status with a body, silence, a broken connection, or a changed reply."""

    status: int = 200
    body: bytes | None = None
    seconds: float = 0.0
    hang_up: bool = False
    change: Callable[[dict[str, Any]], Any] | None = None
    """Changes the reply of a completion before it is sent."""


@dataclass
class Standin:
    """The server as a test sees it."""

    answer: Answer
    url: str = ""
    key: str = ""
    loads: bool = True
    """False: without the LoRA routes."""
    ignores: bool = False
    """Whether adapters have no effect."""
    adapters: dict[str, Path] = field(default_factory=dict)
    completions: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of requests for completions of more than one token: those of training."""
    fault: Callable[[str, dict[str, Any]], Fault | None] = lambda path, body: None
    close: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON, or text, of a request."""
        if path == "/v1/models":
            models = [{"id": "base", "parent": None}, *({"id": name, "parent": "base"} for name in self.adapters)]
            return 200, {"object": "list", "data": models}
        if path == "/v1/completions":
            return self._complete(body)
        if not self.loads or path not in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"):
            return 404, {"detail": "Not Found"}
        name = body["lora_name"]
        with self.lock:
            if path == "/v1/unload_lora_adapter":
                if self.adapters.pop(name, None) is None:
                    return 404, _error(f"The lora adapter '{name}' cannot be found.")
                return 200, f"Success: LoRA adapter '{name}' removed successfully."
            folder = Path(body["lora_path"])
            if name in self.adapters:
                return 400, _error(f"The lora adapter '{name}' has already been loaded.")
            if not (folder / "adapter_config.json").exists():
                return 404, _error(f"Loading lora {name} failed: No adapter found for {folder}")
            self.adapters[name] = folder
            return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        model = body["model"]
        if model != "base" and model not in self.adapters:
            return 404, _error(f"The model `{model}` does not exist. Valid aliases: base.")
        ids, values = self.answer(body, None if self.ignores else self.adapters.get(model))
        stopped = bool(ids) and ids[-1] in body["stop_token_ids"]
        choice = {
            "index": 0,
            "text": "",
            "logprobs": {"token_logprobs": values, "tokens": [f"token_id:{token}" for token in ids]},
            "finish_reason": "stop" if stopped else "length",
            "stop_reason": ids[-1] if stopped else None,
            "token_ids": ids,
            "prompt_token_ids": body["prompt"],
        }
        return 200, {"object": "text_completion", "model": model, "choices": [choice]}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "NotFoundError", "param": None, "code": 404}}


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            if standin.key and self.headers["Authorization"] != f"Bearer {standin.key}":
                self.send(401, {"error": "Unauthorized"})
                return
            if self.path == "/v1/completions" and body["max_tokens"] > 1:
                with standin.lock:
                    standin.completions.append(body)
            fault = standin.fault(self.path, body) or Fault()
            time.sleep(fault.seconds)
            if fault.hang_up:
                return
            if fault.body is not None or fault.status != 200:
                self.send(fault.status, fault.body or b"")
                return
            status, found = standin.reply(self.path, body)
            if fault.change and status == 200 and self.path == "/v1/completions":
                found = fault.change(found)
            self.send(status, found)

        def send(self, status: int, content: Any) -> None:
            if not isinstance(content, bytes):
                content = (content if isinstance(content, str) else json.dumps(content)).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                return  # the client has gone

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def serving(answer: Answer = by_hash, **fields: Any) -> Iterator[Standin]:
    """Serve on loopback until the block, or the test by `close`, ends it."""
    standin = Standin(answer, **fields)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(standin))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    closed = threading.Event()

    def close() -> None:
        if not closed.is_set():
            closed.set()
            server.shutdown()
            server.server_close()
            thread.join()

    standin.url, standin.close = f"http://127.0.0.1:{server.server_port}", close
    try:
        yield standin
    finally:
        close()


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def main(arguments: list[str]) -> None:
    """Serve at `--uds SOCKET`; `--fail` ends at once, as vLLM does where the model does not fit."""
    if "--fail" in arguments:
        print("INFO starting", flush=True)
        sys.exit("ValueError: no memory for the cache")
    standin = Standin(by_hash)
    slow = float(arguments[arguments.index("--slow") + 1]) if "--slow" in arguments else 0.0
    standin.fault = lambda path, body: Fault(seconds=slow if body.get("max_tokens", 1) > 1 else 0.0)
    print("INFO started", flush=True)
    _UnixServer(arguments[arguments.index("--uds") + 1], _handler(standin)).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
