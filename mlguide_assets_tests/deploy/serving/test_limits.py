"""What a stranger may send: each bad request is told what is wrong with it, and the server still answers the next."""

import contextlib
import gzip
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mlguide_assets_tests.deploy.serving.serving import (
    HELD,
    SLOTS,
    Answer,
    Client,
    House,
    Server,
    eventually,
    exchange,
    occupied,
    read_answer,
    request,
)

GOOD = b'{"user_ids": [1]}'
PATIENCE = 0.4
LONG = 60.0
"""Seconds after which nothing comes any more, on however slow a machine."""
KEY = "ein sehr langer Schlüssel"
LEFT = '"status":400'
WITH_KEY = {"x-api-key": KEY.encode()}
MEGABYTE = 1024 * 1024
_ENDED = r"Broken pipe|Connection reset"


@pytest.fixture(scope="module")
def strict(copied: Callable[..., House]) -> Iterator[Server]:
    """A server with a key, low limits, and little patience."""
    patches = {
        "mlguide_assets.deploy.serving.connections": {
            "HEADER_SECONDS": PATIENCE,
            "LINGER_SECONDS": PATIENCE,
            "WRITE_SECONDS": 3 * PATIENCE,
        },
        "mlguide_assets.deploy.serving.guarding": {"BODY_SECONDS": 3 * PATIENCE},
    }
    house = copied(max_pairs=10, max_explained_pairs=3, max_body_kilobytes=1)
    with Server(house.home, patches=patches, key=KEY) as server:
        yield server


@pytest.fixture(autouse=True)
def _the_server_still_answers(server: Server) -> Iterator[None]:
    yield
    client = server.client()
    assert client.predict(1)["predictions"][0]["user_id"] == 1
    client.close()


def assert_refused(answer: Answer, *statuses: int) -> str:
    """The sentence of a refusal, which has a known form."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content.keys() == {"detail", "request_id"}
    assert len(content["request_id"]) == 32
    assert len(content["detail"]) < 500
    assert content["detail"].endswith(".")
    return str(content["detail"])


BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 422),
    "only blanks": (b"   ", 422),
    "not JSON": (b"user_ids=1", 422),
    "cut off": (b'{"user_ids": [1, 2', 422),
    "more after it": (b'{"user_ids": [1]} x', 422),
    "null": (b"null", 422),
    "a list": (b"[1]", 422),
    "a text": (b'"1"', 422),
    "nothing asked": (b"{}", 422),
    "no users": (b'{"user_ids": []}', 422),
    "no emails": (b'{"user_ids": [1], "email_ids": []}', 422),
    "users are a number": (b'{"user_ids": 1}', 422),
    "a user is true": (b'{"user_ids": [true]}', 422),
    "a user is a text": (b'{"user_ids": ["5"]}', 422),
    "a user is a fraction": (b'{"user_ids": [1.5]}', 422),
    "a user is null": (b'{"user_ids": [null]}', 422),
    "a user is NaN": (b'{"user_ids": [NaN]}', 422),
    "a user is Infinity": (b'{"user_ids": [-Infinity]}', 422),
    "a user is 1e400": (b'{"user_ids": [1e400]}', 422),
    "a user is 10^400": (b'{"user_ids": [1' + b"0" * 400 + b"]}", 422),
    "a user is 10^9000": (b'{"user_ids": [1' + b"0" * 9000 + b"]}", 400),
    "a user is 2^63": (b'{"user_ids": [9223372036854775808]}', 422),
    "a user is -2^63-1": (b'{"user_ids": [-9223372036854775809]}', 422),
    "an email is true": (b'{"user_ids": [1], "email_ids": [true]}', 422),
    "a flag is a number": (b'{"user_ids": [1], "explain": 1}', 422),
    "a flag is a text": (b'{"user_ids": [1], "probability": "yes"}', 422),
    "a misspelt field": (b'{"user_ids": [1], "propability": true}', 422),
    "a field that is no text": (b'{"user_ids": [1], "\\ud800": true}', 422),
    "a field of strange letters": (('{"user_ids": [1], "' + "\u202e\U0001f4a3é" * 300 + '": 1}').encode(), 422),
    "a choice that is no text": (b'{"user_ids": [1], "on_unknown": "\\udfff"}', 422),
    "another choice": (b'{"user_ids": [1], "on_unknown": "guess"}', 422),
    "an instant that is no text": (b'{"user_ids": [1], "email_ids": [2], "as_of": "\\ud800"}', 422),
    "an instant in strange digits": ('{"user_ids": [1], "email_ids": [2], "as_of": "٢٠٢٤-04-20"}'.encode(), 422),
    "what if NaN": (b'{"user_ids": [1], "email_ids": [2], "what_if": {"tenure_days": NaN}}', 422),
    "what if Infinity": (b'{"user_ids": [1], "email_ids": [2], "what_if": {"tenure_days": Infinity}}', 422),
    "what if negative": (b'{"user_ids": [1], "email_ids": [2], "what_if": {"tenure_days": -1}}', 422),
    "what if unknown": (b'{"user_ids": [1], "email_ids": [2], "what_if": {"age": 3}}', 422),
    "nested deeply": (b"[" * 100_000, 400),
    "nested deeply inside": (b'{"user_ids": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    "not UTF-8": (b'{"user_ids": [1], "\xff\xfe": 1}', 400),
    "UTF-16": ('{"user_ids": [1]'.encode("utf-16"), 422),
    "a zero byte": (b'{"user_ids": [1]\x00}', 422),
    "ten to the five users": (b'{"user_ids": [' + b",".join([b"1"] * 100_000) + b"]}", 422),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/predict", "/recommend"])
def test_a_bad_body_is_refused_with_the_reason(client: Client, path: str, body: str) -> None:
    content, status = BODIES[body]
    answer = client.ask("POST", path, content, {"content-type": "application/json"})
    assert_refused(answer, status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "application/json"),
        (b'{"user_ids": [1', "The body is not JSON"),
        (b'{"user_ids": ["5"]}', "user_ids.0"),
        (b'{"user_ids": [1], "propability": true}', "propability"),
        (b'{"user_ids": ["5", "6"]}', "1 more to fix"),
        (b'{"user_ids": [1], "email_ids": [2], "what_if": {"tenure_days": -1}}', "what_if.tenure_days"),
    ],
)
def test_the_sentence_names_the_place(client: Client, body: bytes, said: str) -> None:
    headers = {"content-type": "application/json"} if body else {}
    assert said in assert_refused(client.ask("POST", "/predict", body, headers), 422)


def test_extreme_ids_that_can_be_are_unknown(client: Client) -> None:
    extremes = [2**63 - 1, -(2**63), 0, -1]
    assert client.predict(*extremes)["unknown_users"] == extremes
    answer = client.predict(1, email_ids=extremes)
    assert (answer["predictions"], answer["unknown_emails"]) == ([], extremes)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff/\xff", ";"]
)
def test_a_body_that_does_not_say_that_it_is_json_is_refused(client: Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert "application/json" in assert_refused(client.ask("POST", "/predict", GOOD, headers), 422)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/a+json"])
def test_json_has_many_names(client: Client, content_type: str) -> None:
    assert client.ask("POST", "/predict", GOOD, {"content-type": content_type}).status == 200


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"user_ids": [1] * 11}, "11 pairs of user and email; at most 10"),
        ({"user_ids": [1] * 4, "email_ids": [1, 2, 3]}, "12 pairs"),
        ({"user_ids": [1] * 4, "explain": True}, "4 pairs of user and email to explain; at most 3"),
    ],
)
def test_too_many_pairs_are_refused(strict: Server, extra: dict[str, Any], said: str) -> None:
    assert said in assert_refused(strict.client(**WITH_KEY).post("/predict", extra), 422)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [256 * 1024 + 1, 10 * MEGABYTE])
def test_a_body_that_is_too_large_is_refused(server: Server, size: int, chunked: bool) -> None:
    body = b" " * size
    whole, pieces = request(body), request(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body), "transfer-encoding: chunked")
    (answer,) = exchange(server.port, pieces if chunked else whole)
    assert "262,144 bytes" in assert_refused(answer, 413)
    assert answer.headers["connection"] == "close"


def test_a_compressed_body_is_refused_and_the_connection_goes_on(server: Server) -> None:
    squeezed = request(gzip.compress(GOOD), "content-encoding: gzip")
    refused, answered = exchange(server.port, squeezed, request(GOOD, "content-encoding: identity"), answers=2)
    assert "Content-Encoding" in assert_refused(refused, 415)
    assert answered.status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_largest_size_is_taken(server: Server, chunked: bool) -> None:
    body = GOOD + b" " * (256 * 1024 - len(GOOD))
    if chunked:
        pieces = [b"%x\r\n%b\r\n" % (1024, body[start : start + 1024]) for start in range(0, len(body), 1024)]
        (answer,) = exchange(server.port, request(b"", "transfer-encoding: chunked"), *pieces, b"0\r\n\r\n")
    else:
        (answer,) = exchange(server.port, request(body))
    assert answer.status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"SMILE / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT test:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\na\x00b: c\r\n\r\n",
        request(GOOD, "content-length: -5"),
        request(GOOD, "content-length: many"),
        request(GOOD, "content-length: " + "9" * 5000),
        request(GOOD, "content-length: 17", "content-length: 3"),
        request(GOOD, "content-length: 17", "transfer-encoding: chunked"),
        request(b"zz\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    ],
)
def test_what_is_not_http_is_reported_so(server: Server, sent: bytes) -> None:
    (answer,) = exchange(server.port, sent, end=True)
    assert_refused(answer, 400)


def test_a_length_that_no_body_can_have_is_too_large(server: Server) -> None:
    (answer,) = exchange(server.port, request(GOOD, length=2**63), end=True)
    assert_refused(answer, 413)


def test_a_length_that_is_too_short_cuts_the_body_off(server: Server) -> None:
    (answer,) = exchange(server.port, request(GOOD, length=5), end=True)
    assert "not JSON" in assert_refused(answer, 422)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 5 * MEGABYTE,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 500_000,
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 300,
        b"GET /" + b"a" * MEGABYTE + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)
def test_headers_have_an_end(server: Server, sent: bytes) -> None:
    (answer,) = exchange(server.port, sent)
    assert "65,536 bytes" in assert_refused(answer, 431)


def test_headers_of_any_size_that_is_used_are_taken(server: Server) -> None:
    (answer,) = exchange(server.port, request(GOOD, "cookie: " + "a" * 30_000))
    assert answer.status == 200


def test_slow_headers_are_given_up(strict: Server) -> None:
    started = time.monotonic()
    (answer,) = exchange(strict.port, b"POST /predict HTTP/1.1\r\nhost: localh", end=True)
    assert "did not arrive within 0 seconds" in assert_refused(answer, 408)
    assert time.monotonic() - started >= PATIENCE


def test_a_connection_on_which_nothing_is_said_is_given_up(strict: Server) -> None:
    (answer,) = exchange(strict.port, end=True)
    assert_refused(answer, 408)


@pytest.mark.parametrize("first", [b"", request(GOOD, f"x-api-key: {KEY}")], ids=["at once", "after an answer"])
def test_empty_lines_are_no_request(strict: Server, first: bytes) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=LONG) as connection:
        connection.sendall(first)
        with connection.makefile("rb") as stream:
            assert not first or read_answer(stream).status == 200
            with contextlib.suppress(OSError):
                while not select.select([connection], [], [], 0.1)[0]:
                    connection.sendall(b"\r\n")
            assert "within 0 seconds" in assert_refused(read_answer(stream), 408)


@pytest.mark.parametrize("length", [None, 400])
def test_a_slow_body_is_given_up(strict: Server, length: int | None) -> None:
    """One that trickles in, and one that is shorter than its length."""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=LONG) as connection:
        started = time.monotonic()
        # At ten pieces a second.
        connection.sendall(request(GOOD, f"x-api-key: {KEY}", length=length or 10 * int(LONG)))
        # The server may end the connection just before a piece; its answer is there nevertheless.
        with contextlib.suppress(OSError):
            while length is None and not select.select([connection], [], [], 0.1)[0]:
                connection.sendall(b" ")
        with connection.makefile("rb") as stream:
            assert "did not arrive within 1 seconds" in assert_refused(read_answer(stream), 408)
        assert time.monotonic() - started >= 3 * PATIENCE


def test_a_client_that_leaves_is_let_go(house: House, server: Server, client: Client) -> None:
    """What it did not send to its end is not answered, so not logged, though what came is a request by itself."""
    before, seen = sum(1 for _ in house.logged()), server.log().count(LEFT)
    whole = request(GOOD, length=len(GOOD) + 5)
    for sent in (whole[:30], whole[:-5], whole):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
    eventually(lambda: server.log().count(LEFT) == seen + 2)
    client.predict(1)
    assert sum(1 for _ in house.logged()) == before + 1


def test_a_client_that_does_not_wait_for_its_answer_hurts_no_other(server: Server, client: Client) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request(GOOD))
    assert client.predict(1)["predictions"]


def test_a_client_that_has_sent_all_and_says_so_is_answered(house: House, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request(GOOD) + request(b'{"user_ids": [5]}'))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            answers = [read_answer(stream).json() for _ in range(2)]
            assert stream.read() == b""
    assert [answer["predictions"][0]["user_id"] for answer in answers] == [1, 5]
    assert all(house.logged_as(answer["request_id"]) for answer in answers)


@pytest.mark.parametrize("path", ["/predict", "/healthz"])
@pytest.mark.parametrize("piece", [b"a:b\r\n" * 20_000, b"a" * 100_000], ids=["many", "one that is long"])
def test_trailers_have_an_end(server: Server, path: str, piece: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request(b"0\r\n", "transfer-encoding: chunked", path=path))
        with pytest.raises(OSError, match=_ENDED):
            send_on_and_on(connection, piece)


@pytest.mark.parametrize(
    "head",
    [
        request(b"", length=10**12),
        request(b"", "transfer-encoding: chunked", path="/users"),
        request(b"", length=10**6, path="/healthz").replace(b"POST", b"GET"),
        request(b"", length=10**6).replace(b"localhost", b"elsewhere"),
    ],
)
def test_what_is_answered_before_its_end_is_let_go(strict: Server, head: bytes) -> None:
    """However the rest trickles in."""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=LONG) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as stream:
            assert read_answer(stream).status in (200, 401, 403)
        with pytest.raises(OSError, match=_ENDED):
            send_on_and_on(connection, b"x", pause=0.05)


def test_a_client_that_takes_no_answers_is_let_go(strict: Server) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(LONG)
        connection.connect(("127.0.0.1", strict.port))
        with pytest.raises(OSError, match=_ENDED):
            send_on_and_on(connection, b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 50)


def send_on_and_on(connection: socket.socket, piece: bytes, pause: float = 0) -> None:
    """Until the server ends the connection, or time is over."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        connection.sendall(piece)
        time.sleep(pause)


def test_open_paths_take_no_place_and_their_bodies_are_not_waited_for(narrow: Server) -> None:
    slow = request(b"x", length=5, path="/healthz").replace(b"POST", b"GET")
    with contextlib.ExitStack() as opened:
        for _ in range(3 * SLOTS):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", narrow.port), timeout=20))
            connection.sendall(slow)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert narrow.client().predict(1)["predictions"]


def test_a_request_without_a_host_is_refused(server: Server) -> None:
    for version in (b"1.0", b"1.1"):
        (answer,) = exchange(server.port, b"GET /healthz HTTP/" + version + b"\r\nconnection: close\r\n\r\n", end=True)
        assert_refused(answer, 400)


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}])
@pytest.mark.parametrize(("method", "path"), [("GET", "/users"), ("GET", "/healthz"), ("POST", "/predict")])
def test_other_hosts_and_their_pages_are_refused(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.ask(method, path, GOOD, {"content-type": "application/json", **headers})
    assert "MLGUIDE_ALLOWED_HOSTS" in assert_refused(answer, 403)


def test_requests_in_one_breath_are_answered_in_their_order(server: Server) -> None:
    bodies = [json.dumps({"user_ids": [user]}).encode() for user in (5, 1000, 7, 1)]
    sent = b"".join(request(body) for body in bodies)
    answers = [answer.json() for answer in exchange(server.port, sent, answers=4)]
    assert [answer["unknown_users"] for answer in answers] == [[], [1000], [], []]
    assert [each["user_id"] for answer in answers for each in answer["predictions"]] == [5, 7, 1]


def test_requests_that_are_too_many_in_one_breath_are_not_kept(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request(GOOD) + b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n" * 1000)
        received = b""
        # What was sent too much is unread when the server closes, so the last answers may be lost.
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        assert 1 <= received.count(b"HTTP/1.1 200") < 110


def test_whole_requests_before_a_bad_one_are_answered(server: Server) -> None:
    sent = request(GOOD) + request(b'{"user_ids": [5]}') + b"nonsense\r\n\r\n"
    answers = exchange(server.port, sent, answers=2, end=True)
    assert [answer.json()["predictions"][0]["user_id"] for answer in answers] == [1, 5]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("DELETE", "/recommend", 405),
        ("OPTIONS", "/predict", 405),
        ("TRACE", "/healthz", 405),
        ("POST", "/healthz", 405),
        ("GET", "/nothing", 404),
        ("POST", "/predict/", 404),
        ("GET", "/%00", 404),
        ("GET", "/%ff%fe%c0%80", 404),
        ("GET", "/%", 404),
        ("GET", "/%zz%2e%2e%2f", 404),
        ("GET", "/static/..%2f..%2fapp.py", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%00", 404),
        ("GET", "/static/" + "a" * 5000, 404),
        ("GET", "/docs", 404),
        ("GET", "/users?limit=0", 422),
        ("GET", "/users?limit=many", 422),
        ("GET", "/users?limit=%ff%00", 422),
        ("GET", "/users?search=" + "1" * 21, 422),
        ("GET", "/emails?limit=1e9", 422),
    ],
)
def test_other_paths_and_methods_are_reported_so(client: Client, method: str, path: str, status: int) -> None:
    answer = client.ask(method, path)
    assert_refused(answer, status)
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/predict", 405), ("/nothing", 404)]
)
def test_head_is_get_without_the_body(client: Client, path: str, status: int) -> None:
    head, whole = client.ask("HEAD", path), client.get(path)
    assert (head.status, head.body) == (whole.status, b"") == (status, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_another_protocol_that_is_offered_is_declined(server: Server, protocol: str) -> None:
    """With its body, as Java's own client does; what follows on the connection is heard, too."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAAB", f"Upgrade: {protocol}")
    answers = exchange(server.port, request(GOOD, *offer), request(GOOD, *offer), request(GOOD), answers=3)
    assert [answer.status for answer in answers] == [200] * 3


def test_above_the_limit_requests_are_refused_with_a_time_to_come_back(narrow: Server) -> None:
    client = narrow.client()
    with occupied(narrow.port, SLOTS) as held:
        # In one piece: a connection on which the answer overtakes the question is ended.
        (refused,) = exchange(narrow.port, request(GOOD))
        assert f"{SLOTS} requests are in progress" in assert_refused(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert client.get("/healthz").status == 200
        for connection in held:
            connection.sendall(HELD)
            with connection.makefile("rb") as stream:
                assert read_answer(stream).status == 200
    assert client.predict(1)["predictions"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "another random text"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": KEY + "s"},
        {"x-api-key": KEY.upper()},
        {"x-api-key": "\U0001f511"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {KEY[1:]}"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": "wrong", "authorization": f"Bearer {KEY}"},
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/users", "/metrics", "/nothing"])
def test_without_the_key_nothing_is_said(strict: Server, given: dict[str, str], path: str) -> None:
    client = strict.client(**{name: value.encode() for name, value in given.items()})
    answer = client.ask("POST" if path == "/predict" else "GET", path)
    assert "X-API-Key" in assert_refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "given", [WITH_KEY, {"authorization": f"Bearer {KEY}".encode()}, {"Authorization": f"bearer {KEY}".encode()}]
)
def test_with_the_key_it_answers(strict: Server, given: dict[str, bytes]) -> None:
    client = strict.client(**given)
    assert client.predict(1)["predictions"]
    assert client.get("/metrics").status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_some_paths_need_no_key(strict: Server, path: str) -> None:
    assert strict.client().get(path).status == 200


def test_no_key_is_in_the_log(strict: Server) -> None:
    strict.client(**WITH_KEY).predict(1)
    strict.client(**{"x-api-key": b"another-key-of-this-test"}).get("/users")
    eventually(lambda: '"status":401' in strict.log())
    assert "another-key-of-this-test" not in strict.log()
    assert "Schl" not in strict.log()
