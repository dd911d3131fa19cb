"""The routes of the service, with a stand-in for the model."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.serving import CHOSEN, FakePredictor, FakeReader, form, photo, running

import dld_spotter
from dld_spotter.serve.limits import Limits

GOOD, RED = photo(), photo(color=(255, 0, 0))
FORM = {"Content_Type": "multipart/form-data; boundary=frontier"}


@pytest.fixture(scope="module")
def service():
    with running() as service:
        yield service


def test_the_record_of_a_photo(service):
    record = service.read(GOOD, "?name=door.png").json
    assert 0 <= record.pop("seconds") < 5
    (word,) = record.pop("words")
    assert record == {
        "file_name": "door.png",
        "height": 40,
        "width": 60,
        "scale": CHOSEN,
        "cost": 0.4,
        "forced": False,
        "tiles": 1,
        "text": "exit",
    }
    assert set(word) == {"text", "score", "det_score", "text_score", "polygon"}


def test_a_scale_is_forced_for_one_request_alone(service):
    record = service.read(GOOD, "?scale=0.75").json
    assert (record["scale"], record["cost"], record["forced"]) == (0.75, 0.7, True)
    assert service.read(GOOD).json["scale"] == CHOSEN


@pytest.mark.parametrize("scale", ["0.24", "1.01"])
def test_a_scale_beyond_the_model_s_is_refused(service, scale):
    answer = service.read(GOOD, f"?scale={scale}")
    assert answer.status == 422 and "0.25" in answer.sentence


def test_a_model_without_scales():
    with running(predictor=FakePredictor(reader=FakeReader(costs=None))) as service:
        record = service.read(GOOD).json
        assert (record["scale"], record["cost"]) == (1.0, 1.0)
        assert service.read(GOOD, "?scale=0.5").status == 422
        assert service.ask("/v1/model").json["scales"] == []


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_formats(service, format):
    assert service.read(photo(format=format)).json["width"] == 60


@pytest.mark.parametrize(
    ("site", "status"), [("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_pages_from_elsewhere_cannot_let_it_work(service, site, status):
    assert service.ask("/v1/read", GOOD, Sec_Fetch_Site=site).status == status


def test_a_form(service):
    body = form(("note", None, b"ignored"), ("photo", "door.png", GOOD))
    assert service.ask("/v1/read", body, **FORM).json["file_name"] == "door.png"


def test_a_photo_at_which_the_model_fails_costs_itself_alone(service):
    answer = service.read(RED)
    assert answer.status == 500 and answer.sentence
    assert service.read(GOOD).status == 200


def test_limits_of_bytes_and_pixels_are_exact():
    with running(Limits(max_bytes=len(GOOD), max_pixels=40 * 60)) as service:
        assert service.read(GOOD).status == 200
        assert service.ask("/v1/read", form(("photo", "a.png", GOOD)), **FORM).status == 200
        assert service.read(GOOD + b"\0").status == 413
        assert service.ask("/v1/read", form(("photo", "a.png", GOOD + b"\0")), **FORM).status == 413
    with running(Limits(max_pixels=40 * 60 - 1)) as service:
        assert service.read(GOOD).status == 413


def test_a_photo_that_waits_too_long_is_told_so():
    with running(Limits(timeout=1.0), FakePredictor(seconds=1.5)) as service:
        answer = service.read(GOOD)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert service.service.waiting == 0


def test_photos_that_wait_are_read_together_at_each_scale():
    with running(Limits(batch_size=4), FakePredictor(seconds=0.5)) as service, ThreadPoolExecutor(9) as pool:
        first = pool.submit(service.read, GOOD)
        assert service.predictor.reading.wait(10)
        others = [pool.submit(service.read, GOOD, query) for query in ["", "?scale=0.25"] * 4]
        assert [answer.result().status for answer in (first, *others)] == [200] * 9
    sizes = [size for size, _ in service.predictor.batches[2:]]  # behind the warm-up and the first
    assert sum(sizes) == 8 and 1 < max(sizes) <= 4
    assert {scale for _, scale in service.predictor.batches} == {None, 0.25}


def test_who_comes_while_the_queue_is_full_is_told_so():
    with running(Limits(queue=1), FakePredictor(seconds=0.5)) as service, ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.read, GOOD)
        assert service.predictor.reading.wait(10)
        assert service.read(GOOD).status == 503
        assert first.result().status == 200


def test_health(service):
    answer = service.ask("/health")
    assert (answer.status, answer.json) == (200, {"status": "ok", "version": dld_spotter.__version__, "waiting": 0})


def test_what_is_read_is_finished_when_the_service_stops():
    with running(predictor=FakePredictor(seconds=0.5)) as service, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(service.read, GOOD) for _ in range(4)]
        deadline = time.monotonic() + 10
        while service.service.waiting < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        service.stop()
        assert [answer.result().status for answer in answers] == [200] * 4
    with pytest.raises(ConnectionError):
        service.read(GOOD)
    assert not service.service.works


def test_metrics():
    with running() as service:
        service.read(GOOD)
        service.read(b"")
        service.ask("/somewhere")
        text = service.ask("/metrics").content.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['dld_spotter_requests_total{route="/v1/read",status="200"}'] == "1.0"
    assert lines['dld_spotter_requests_total{route="/v1/read",status="422"}'] == "1.0"
    assert lines['dld_spotter_requests_total{route="other",status="404"}'] == "1.0"
    assert (lines["dld_spotter_words_total"], lines["dld_spotter_photos_waiting"]) == ("1.0", "0.0")
    assert (lines["dld_spotter_request_seconds_count"], lines["dld_spotter_batch_photos_sum"]) == ("1.0", "1.0")
    assert (lines['dld_spotter_scale_bucket{le="0.4"}'], lines['dld_spotter_scale_bucket{le="0.5"}']) == ("0.0", "1.0")


def test_openapi_describes_what_is_answered(service):
    described = service.ask("/openapi.json").json
    read = described["paths"]["/v1/read"]["post"]
    assert set(read["responses"]) == {"200", "403", "408", "413", "422", "500", "503"}
    assert set(read["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
    assert {parameter["name"] for parameter in read["parameters"]} == {"scale", "name"}
    schemas = described["components"]["schemas"]
    assert set(schemas["ReadPhoto"]["properties"]) == set(service.read(GOOD).json)
    assert set(schemas["ModelCard"]["properties"]) == set(service.ask("/v1/model").json)
    assert set(schemas["Health"]["properties"]) == set(service.ask("/health").json)
    assert set(described["paths"]) == {"/v1/read", "/v1/model", "/health", "/metrics"}


@pytest.mark.parametrize("path", ["/", "/page.js", "/v1/model", "/nowhere", "/metrics"])
def test_a_browser_is_kept_within_the_service(service, path):
    headers = service.ask(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_is_no_page_that_loads_something_from_elsewhere(service, path):
    assert service.ask(path).status == 404
