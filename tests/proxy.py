"""A real HTTP proxy that does harm: in front of a real server it delays, answers 5xx, and cuts connections, by a rule.

    with FaultyProxy("http://127.0.0.1:9000") as proxy:
        proxy.rule = lambda request: Fault(wait_s=30) if request.path.endswith("/runs/create") else None
        talk_to(proxy.url)

What a client gives up is still carried out when its time has come, as behind any queue or load balancer.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

OF_ONE_CONNECTION = {"connection", "expect", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


@dataclass(frozen=True)
class Request:
    """A request that has arrived: its number from 0, its method, and its path with the query."""

    number: int
    method: str
    path: str


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Args:
        wait_s: Seconds before the server gets it.
        executed: Whether the server gets it at all.
        answer_wait_s: Seconds that the answer is held back.
        status: Answered in place of what the server said, such as 500 or 503.
        cut: Whether the connection is closed in place of an answer.
        kept_bytes: How much of the answer's body arrives before the cut; at 0 not even its head does.
    """

    wait_s: float = 0.0
    executed: bool = True
    answer_wait_s: float = 0.0
    status: int | None = None
    cut: bool = False
    kept_bytes: int = 0


Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes]
Rule = Callable[[Request], Fault | None]
AWAY = Fault(executed=False, cut=True)


def at_random(seed: int, share: float, *faults: Fault) -> Rule:
    """Return a rule that gives this share of the requests one of the faults; the same draws for the same seed."""
    draws, lock = random.Random(seed), threading.Lock()

    def rule(request: Request) -> Fault | None:
        with lock:
            return draws.choice(faults) if draws.random() < share else None

    return rule


class FaultyProxy:
    """Serves at `url`, a free port of 127.0.0.1, what ``target`` answers.

    ``rule`` and ``target`` may be changed meanwhile.

    Args:
        target: URL of the server behind it, which need not run yet; while it does not, connections are cut.
        rule: Says what happens to a request; None lets it pass.
    """

    def __init__(self, target: str, rule: Rule = lambda request: None) -> None:
        self.target, self.rule = target, rule
        self.requests: list[Request] = []
        self._numbers, self._closing = itertools.count(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()  # what still waits is never carried out
        self._server.shutdown()
        self._server.server_close()

    def arrived(self, method: str, path: str) -> Fault:
        """Take note of a request, and return what is to happen to it."""
        request = Request(next(self._numbers), method, path)
        self.requests.append(request)
        return self.rule(request) or Fault()

    def wait(self, seconds: float) -> None:
        """Sleep; raise when the proxy ends meanwhile."""
        if seconds and self._closing.wait(seconds):
            raise ConnectionAbortedError


class Handler(BaseHTTPRequestHandler):
    """One connection to a `FaultyProxy`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: FaultyProxy, *arguments: Any) -> None:
        self.proxy = proxy
        super().__init__(*arguments)

    def __getattr__(self, name: str) -> Any:
        """Return `pass_on` for ``do_GET`` and all other methods alike."""
        if name.startswith("do_"):
            return self.pass_on
        raise AttributeError(name)

    def pass_on(self) -> None:
        """Do with one request what the rule says."""
        body = self.body()
        fault = self.proxy.arrived(self.command, self.path)
        try:
            self.proxy.wait(fault.wait_s)
            answer = self.executed(body) if fault.executed else (502, [], b"")
            self.proxy.wait(fault.answer_wait_s)
            self.answer(fault, *answer)
        except (OSError, http.client.HTTPException):  # whoever asked has gone, or the server is away
            self.close_connection = True

    def body(self) -> bytes:
        """Return the body of the request."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def executed(self, body: bytes) -> Answer:
        """Return what the server answers."""
        server = urlsplit(self.proxy.target)
        connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=600)
        headers = {name: value for name, value in self.headers.items() if passes(name)}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, [pair for pair in answer.getheaders() if passes(pair[0])], answer.read()
        finally:
            connection.close()

    def answer(self, fault: Fault, status: int, headers: Headers, content: bytes) -> None:
        """Send an answer as far as the fault lets it through."""
        if fault.status is not None:
            status, headers, content = fault.status, [("Content-Type", "text/plain")], b"planted fault\n"
        self.close_connection = self.close_connection or fault.cut
        if fault.cut and not fault.kept_bytes:
            return
        asks_for_body = self.command != "HEAD"
        self.send_response_only(status)
        for name, value in headers:
            if not (asks_for_body and name.lower() == "content-length"):
                self.send_header(name, value)
        if asks_for_body:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if asks_for_body:
            self.wfile.write(content[: fault.kept_bytes] if fault.cut else content)

    def handle(self) -> None:
        """Serve the connection until its client closes it, in whatever way."""
        with suppress(OSError):
            super().handle()

    def log_message(self, *arguments: object) -> None:
        """Say nothing: what arrived is in `FaultyProxy.requests`."""


def passes(header: str) -> bool:
    """Return whether a header is for the other side, and not for this connection alone."""
    return header.lower() not in OF_ONE_CONNECTION
