"""The page in a real browser: Debian's Chromium, driven by Playwright; skipped where one of them is missing.

DLD_SCREENSHOTS names a folder for what the last test sees.
"""

import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import toy
from helpers.serving import CHOSEN, FakePredictor, FakeReader, photo, running

from dld_spotter.serve.limits import Limits
from dld_spotter.serve.served_model import ServedModel

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SAMPLES = toy.ROOT / "projects/DLD/samples"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    """A window of its own, in which nothing asked for anything elsewhere and nothing failed."""
    context = browser.new_context(viewport={"width": 1360, "height": 720}, permissions=["clipboard-read"])
    hosts, complaints = set(), []
    context.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else "blob"))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield context
    context.close()
    assert {host.split(":")[0] for host in hosts} <= {"127.0.0.1", "blob"}, hosts
    refused = "Failed to load resource: the server responded with a status of 422"
    assert [text for text in complaints if not text.startswith(refused)] == []


@pytest.fixture
def service():
    with running() as service:
        yield service


def opened(context, service):
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{service.port}/")
    sync_api.expect(page.locator("#model")).to_contain_text(service.service.model.name)
    return page


def choose(page, *names, content=None):
    content = content or photo(400, 600)
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": content} for name in names])


def words(page):
    return page.locator("#words tbody td:first-child").all_text_contents()


def drop_or_paste(page, kind, content):
    """A file as the browser hands it over."""
    page.evaluate(
        """([kind, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], kind + ".png", {type: "image/png"}));
            const options = {bubbles: true, cancelable: true};
            document.dispatchEvent(kind === "drop" ? new DragEvent("drop", {...options, dataTransfer: data})
                : new ClipboardEvent("paste", {...options, clipboardData: data}));
        }""",
        [kind, list(content)],
    )


def test_a_photo_shows_its_words_its_scale_and_its_cost(context, service):
    page = opened(context, service)
    choose(page, "door.png")
    sync_api.expect(page.locator("#chosen-scale")).to_have_text(f"Scale {CHOSEN}")
    sync_api.expect(page.locator("#chosen-cost")).to_contain_text("40 % of the full cost, 1 words")
    assert words(page) == ["exit"]
    bar, whole = (page.locator(place).bounding_box()["width"] for place in ("#chosen-bar", ".bar"))
    assert bar / whole == pytest.approx(0.4, abs=0.01)
    assert page.locator("#outlines polygon").get_attribute("points") == "1,1 9,1 9,5 1,5"
    assert page.locator("#outlines text").text_content() == "exit"
    frame, drawn = page.locator("#photo").bounding_box(), page.locator("#outlines").bounding_box()
    assert frame == drawn and page.locator("#outlines").get_attribute("viewBox") == "0 0 600 400"


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_is_dropped_or_pasted(context, service, kind):
    page = opened(context, service)
    drop_or_paste(page, kind, photo())
    sync_api.expect(page.locator("#photos span").first).to_have_text(f"{kind}.png")
    sync_api.expect(page.locator("#words tbody tr")).to_have_count(1)


def test_another_scale_is_forced_and_compared(context, service):
    page = opened(context, service)
    choose(page, "door.png")
    sync_api.expect(page.locator("#force")).to_be_visible()
    assert page.locator("#slider").get_attribute("min") == "0.25"
    page.locator("#slider").fill("0.75")
    sync_api.expect(page.locator("#forced-cost")).to_contain_text("70 % of the full cost")
    assert service.predictor.batches[-1] == (1, 0.75)
    heads = page.locator("#words th").all_text_contents()
    assert heads == ["at 0.5 (chosen)", "score", "at 0.75", "score"]
    assert page.locator("#outlines g").count() == 1
    page.get_by_label("both").check()
    assert page.locator("#outlines g.chosen").count() == page.locator("#outlines g.forced").count() == 1
    page.locator("#shown input[value=forced]").check()
    assert page.locator("#outlines g.chosen").count() == 0


def test_the_table_is_copied_and_the_record_downloaded(context, service):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(context, service)
    choose(page, "door.photo.png")
    page.locator("#copy").click()
    sync_api.expect(page.locator("#status")).to_contain_text("clipboard")
    assert page.evaluate("navigator.clipboard.readText()") == "word\tscore\nexit\t0.90\n"
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "door.photo.json"
    record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert (record["file_name"], record["words"][0]["text"]) == ("door.photo.png", "exit")


def test_several_photos_are_read_in_turn_and_a_bad_one_costs_one(browser, context, service):
    page = opened(context, service)
    choose(page, "one.png", "two.png")
    choose(page, "bad.png", content=photo()[:-30])
    choose(page, "four.png")
    states = page.locator("#photos .state")
    sync_api.expect(states).to_have_text(["1 words", "1 words", "failed", "1 words"])
    assert all(size == 1 for size, _ in service.predictor.batches)
    page.get_by_role("button", name="bad.png").click()
    sync_api.expect(page.locator("#status")).to_contain_text("damaged")
    sync_api.expect(page.locator("#words")).to_be_hidden()
    page.get_by_role("button", name="four.png").click()
    sync_api.expect(page.locator("#words")).to_be_visible()
    assert page.locator("#status").text_content() == ""


def test_too_large_a_file_is_not_sent(context):
    with running(Limits(max_bytes=1_000)) as service:
        page = opened(context, service)
        choose(page, "large.png", content=b"\0" * 1_001)
        sync_api.expect(page.locator("#status")).to_contain_text("1,000 bytes")
        assert len(service.predictor.batches) == 1  # the warm-up


def test_a_model_without_scales_has_no_slider(context):
    with running(predictor=FakePredictor(reader=FakeReader(costs=None))) as service:
        page = opened(context, service)
        choose(page, "door.png")
        sync_api.expect(page.locator("#chosen-cost")).to_contain_text("100 % of the full cost")
        assert page.locator("#force").is_hidden()


def test_what_a_photo_says_is_text_and_nothing_else(context, service):
    page = opened(context, service)
    choose(page, "<img src=x onerror=alert(1)>.png")
    sync_api.expect(page.locator("#photos span").first).to_have_text("<img src=x onerror=alert(1)>.png")
    assert page.locator("main img").count() == 2


def test_a_trained_model_reads_the_samples(context):
    model = ServedModel.load("photos-dld", "openvino" if find_spec("openvino") else "auto")
    with running(Limits(timeout=60), model=model) as service:
        page = opened(context, service)
        page.set_input_files("#files", [SAMPLES / f"scene_{number}.jpg" for number in (5, 1, 3)])
        sync_api.expect(page.locator("#photos .state").last).to_have_text(re.compile(r"\d+ words"), timeout=120_000)
        page.locator("#slider").fill("0.3")
        sync_api.expect(page.locator("#shown")).to_be_visible(timeout=60_000)
        page.get_by_label("both").check()
        assert len(words(page)) > 3
        folder = os.environ.get("DLD_SCREENSHOTS")
        if folder:
            page.screenshot(path=f"{folder}/serve.png")
