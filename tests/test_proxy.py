"""The proxy that other tests rely on: it passes on what it does not harm, and does the harm that it is told to do."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.request import Request as Post
from urllib.request import urlopen

import pytest

from tests.proxy import AWAY, Fault, FaultyProxy, at_random


@pytest.fixture
def echo():
    """Serve every request with its own body; return the proxy in front of it, and the bodies that arrived."""
    arrived = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            arrived.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("X-Kept", self.headers["X-Asked"])
            self.end_headers()
            self.wfile.write(arrived[-1])

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with FaultyProxy(f"http://127.0.0.1:{server.server_address[1]}") as proxy:
        yield proxy, arrived
    server.shutdown()
    server.server_close()


def send(proxy, body=b"hello", timeout=5.0, path="/some?thing=1"):
    return urlopen(Post(proxy.url + path, body, {"X-Asked": "yes"}), timeout=timeout)


def test_what_no_rule_names_passes_as_it_is(echo):
    proxy, _ = echo
    with send(proxy) as answer:
        assert (answer.status, answer.headers["X-Kept"], answer.read()) == (200, "yes", b"hello")
    assert [(one.number, one.method, one.path) for one in proxy.requests] == [(0, "POST", "/some?thing=1")]
    with urlopen(Post(proxy.url, iter([b"in ", b"chunks"]), {"X-Asked": "yes"}), timeout=5) as answer:
        assert answer.read() == b"in chunks"


def test_a_request_that_its_client_gave_up_is_carried_out_later(echo):
    proxy, arrived = echo
    proxy.rule = lambda request: Fault(wait_s=0.6)
    with pytest.raises(TimeoutError):
        send(proxy, timeout=0.2)
    assert arrived == []
    time.sleep(0.8)
    assert arrived == [b"hello"]


@pytest.mark.parametrize("executed", [True, False])
def test_an_error_is_answered_whether_or_not_the_server_did_what_was_asked(echo, executed):
    proxy, arrived = echo
    proxy.rule = lambda request: Fault(status=503, executed=executed)
    with pytest.raises(HTTPError, match="503"):
        send(proxy)
    assert arrived == [b"hello"] * executed


def test_a_connection_is_cut_before_the_server_after_it_and_in_mid_answer(echo):
    proxy, arrived = echo
    for fault, n_arrived in ((AWAY, 0), (Fault(cut=True), 1)):
        proxy.rule = lambda request, fault=fault: fault
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            send(proxy)
        assert len(arrived) == n_arrived
    proxy.rule = lambda request: Fault(cut=True, kept_bytes=2)
    with send(proxy) as answer, pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_a_server_that_is_not_there_is_a_connection_that_is_cut():
    with FaultyProxy("http://127.0.0.1:9") as proxy, pytest.raises(http.client.RemoteDisconnected):
        send(proxy)


def test_the_same_seed_draws_the_same_faults():
    draws = [
        [bool(rule(None)) for _ in range(200)] for rule in (at_random(1, 0.3, AWAY), at_random(1, 0.3, AWAY))
    ]
    assert draws[0] == draws[1]
    assert 30 < sum(draws[0]) < 90


@pytest.mark.slow
def test_s3_works_through_it(s3_server, s3_bucket):
    import boto3

    content = bytes(range(256)) * 4096
    with FaultyProxy(s3_server) as proxy:
        client = boto3.client("s3", endpoint_url=proxy.url)
        client.put_object(Bucket=s3_bucket, Key="a/b.bin", Body=content)
        assert client.get_object(Bucket=s3_bucket, Key="a/b.bin")["Body"].read() == content
        assert client.head_object(Bucket=s3_bucket, Key="a/b.bin")["ContentLength"] == len(content)
        assert [o["Key"] for o in client.list_objects_v2(Bucket=s3_bucket)["Contents"]] == ["a/b.bin"]
