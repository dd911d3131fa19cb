"""Requests that are made to harm: each gets its stated answer, and the next good photo is read."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.hostile_photos import bomb, circular_tiff, endless_scans, gif_header, png, profile_bomb
from helpers.serving import FakePredictor, form, photo, request, running

from dld_spotter.serve.limits import Limits

LIMITS = Limits(max_bytes=3_000_000, max_pixels=20_000_000, timeout=4.0, queue=16)
FORM = {"Content_Type": "multipart/form-data; boundary=frontier"}
GOOD = photo()


@pytest.fixture(scope="module")
def service():
    with running(LIMITS) as service:
        yield service


def post(body, path="/v1/read", **headers):
    return request(path, body, **headers)


def head(*lines):
    return "\r\n".join(["POST /v1/read HTTP/1.1", "Host: test", *lines, "", ""]).encode()


JPEG = photo(64, 64, format="JPEG")
HOSTILE = {
    # What is no photo.
    "nothing": (422, lambda: post(b"")),
    "noise": (422, lambda: post(bytes(range(256)) * 40)),
    "a web page": (422, lambda: post(b"<html><script>alert(1)</script></html>", Content_Type="image/png")),
    "an address": (422, lambda: post(b'{"url": "http://127.0.0.1/photo.png"}', Content_Type="application/json")),
    "a path": (422, lambda: post(b"/etc/passwd", Content_Type="text/plain")),
    "an address in the query": (422, lambda: post(b"", "/v1/read?url=http://127.0.0.1/a.png&path=/etc/passwd")),
    "svg with an entity": (422, lambda: post(b'<!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>')),
    "postscript": (422, lambda: post(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n")),
    "a zip": (422, lambda: post(b"PK\3\4" + b"\0" * 100)),
    # Photos that are damaged, or decode to more than they seem to.
    "truncated jpeg": (422, lambda: post(JPEG[: len(JPEG) // 2])),
    "truncated png": (422, lambda: post(GOOD[:-30])),
    "a header alone": (422, lambda: post(JPEG[:20])),
    "one row": (422, lambda: post(photo(1, 500))),
    "a header of ten thousand million pixels": (413, lambda: post(png(100_000, 100_000))),
    "decompression bomb": (413, lambda: post(bomb(6_000))),
    "gif that says it is huge": (413, lambda: post(gif_header(65_535, 65_535))),
    "profile that unpacks to 200 MB": ((200, 422), lambda: post(profile_bomb(200_000_000))),
    "pixels that are not there": (422, lambda: post(png(4_000, 4_000))),
    "tiff that is its own next page": ((200, 422), lambda: post(circular_tiff())),
    "scans without end": (422, lambda: post(endless_scans(4_400, 9_000))),
    "thin and long": (422, lambda: post(photo(2, 400_000))),
    # Too much, or too slowly.
    "too many bytes": (413, lambda: post(b"\xff\xd8" + b"\0" * 3_000_001)),
    "a length of ten gigabytes": (413, lambda: head("Content-Length: 10000000000") + b"\xff\xd8"),
    "chunks without end": (
        413,
        lambda: head("Transfer-Encoding: chunked") + (b"10000\r\n" + b"\0" * 65_536 + b"\r\n") * 60,
    ),
    "a body that does not come": (408, lambda: head("Content-Length: 500") + b"\xff\xd8"),
    "a length below zero": (400, lambda: head("Content-Length: -5")),
    "two lengths": (400, lambda: head("Content-Length: 5", "Content-Length: 500")),
    "a head of 200 kB": (
        (400, None),  # cut off before it has heard the answer
        lambda: request("/v1/read", GOOD, X_Long="a" * 200_000),
    ),
    "no http": (400, lambda: b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3 hello\r\n\r\n"),
    # Forms.
    "form without a boundary": (422, lambda: post(GOOD, Content_Type="multipart/form-data")),
    "form that ends early": (422, lambda: post(form(("photo", "a.png", GOOD), end=False)[:60], **FORM)),
    "form with a path": (422, lambda: post(form(("photo", None, b"/etc/passwd")), **FORM)),
    "form with two files": (422, lambda: post(form(("a", "a", GOOD), ("b", "b", GOOD)), **FORM)),
    "form of a thousand fields": (422, lambda: post(form(*[("a", None, b"b")] * 1_000), **FORM)),
    "form of line ends": (422, lambda: post(form(("photo", "a.png", b"\r\n" * 1_200_000)), **FORM)),
    # Paths and options.
    "path upwards": (404, lambda: request("/../../../etc/passwd")),
    "encoded path upwards": (404, lambda: request("/%2e%2e/%2e%2e/etc/passwd")),
    "path of a file of the package": (404, lambda: request("/page/../app.py")),
    "path with a NUL": (404, lambda: request("/page.js%00.png")),
    "posted to the page": (405, lambda: post(GOOD, "/")),
    "deleted": (405, lambda: request("/v1/read", method="DELETE")),
    "scale that is no number": (422, lambda: post(GOOD, "/v1/read?scale=__import__('os')")),
    "scale of nan": (422, lambda: post(GOOD, "/v1/read?scale=nan")),
    "scale of a million": (422, lambda: post(GOOD, "/v1/read?scale=1e6")),
    "another protocol": (404, lambda: request("/ws", Connection="Upgrade", Upgrade="websocket")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_its_answer_and_the_next_photo_is_read(service, name):
    expected, make = HOSTILE[name]
    answer = service.send(make())
    status = answer and answer.status
    assert status in (expected if isinstance(expected, tuple) else (expected,)), answer.content
    if status not in (200, 400, None):  # the latter is the server's own
        assert answer.sentence.endswith(".") and len(answer.sentence.splitlines()) == 1
        assert "root:" not in answer.sentence and "Traceback" not in answer.sentence
    assert service.read(GOOD).json["words"][0]["text"] == "exit"
    assert service.service.waiting == 0


def test_a_thousand_at_once_are_read_or_told_to_come_later(service):
    with ThreadPoolExecutor(250) as pool:
        answers = list(pool.map(lambda _: service.read(GOOD), range(1_000)))
    statuses = [answer.status for answer in answers if answer is not None]
    assert len(statuses) == 1_000 and set(statuses) <= {200, 503} and statuses.count(200) >= LIMITS.queue
    assert all(answer.headers["retry-after"] for answer in answers if answer.status == 503)
    assert service.read(GOOD).status == 200 and service.service.waiting == 0


def test_slow_senders_leave_when_their_time_is_over(service):
    slow = [service.connect() for _ in range(LIMITS.queue)]
    for connection in slow:
        connection.sendall(head("Content-Length: 500"))
    deadline = time.monotonic() + 3
    while service.service.waiting < LIMITS.queue and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.read(GOOD).status == 503
    time.sleep(LIMITS.timeout)
    for connection in slow:
        connection.close()
    assert service.read(GOOD).status == 200


def test_a_head_that_does_not_end_is_cut_off(monkeypatch):
    monkeypatch.setattr("dld_spotter.serve.connections.HEAD_SECONDS", 0.3)
    with running(LIMITS) as service, service.connect(10) as connection:
        connection.sendall(b"POST /v1/read HTTP/1.1\r\nHost: te")
        assert connection.recv(100) == b""
        assert service.read(GOOD).status == 200


def test_senders_that_leave_are_not_read():
    with running(LIMITS, FakePredictor(seconds=0.5)) as service, ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.read, GOOD)
        assert service.predictor.reading.wait(10)
        for _ in range(LIMITS.queue - 1):
            with service.connect() as connection:
                connection.sendall(request("/v1/read", GOOD))
                connection.shutdown(socket.SHUT_RDWR)
        assert first.result().status == 200
        deadline = time.monotonic() + 5
        while service.service.waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.read(GOOD).status == 200
        assert len(service.predictor.batches) <= 5  # warm-up, the first, the last, and what was decoded already


def test_the_name_of_a_photo_is_no_path(service):
    answer = service.read(GOOD, "?name=..%2F..%2Fetc%2Fpasswd")
    assert (answer.status, answer.json["file_name"]) == (200, "passwd")
    answer = service.ask("/v1/read", form(("photo", "C:\\\\fotos\\\\a\x07.png", GOOD)), **FORM)
    assert (answer.status, answer.json["file_name"]) == (200, "a.png")
