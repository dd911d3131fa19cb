"""Decoding in a process of its own: photos as they are, and what becomes of those that make trouble."""

import io
import os
import signal
import time

import numpy as np
import pytest
from helpers.hostile_photos import endless_scans
from helpers.serving import noise, photo
from PIL import Image

from dld_spotter.image_io import read_image
from dld_spotter.serve import decoder_process
from dld_spotter.serve.decoder_process import ANSWER, PIXELS, REQUEST
from dld_spotter.serve.limits import Limits, Refusal
from dld_spotter.serve.photo_decoder import PhotoDecoder


@pytest.fixture(scope="module")
def decoder():
    decoder = PhotoDecoder(Limits(max_pixels=1_000_000, timeout=40))
    yield decoder
    decoder.close()


def encoded(image, format):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("shape", [(2, 2), (601, 803)])
def test_pixels_are_those_that_reading_the_file_gives(decoder, shape, format):
    data = encoded(noise(*shape), format)
    assert np.array_equal(decoder.decode(data), read_image(data))


@pytest.mark.parametrize(("data", "status"), [(b"x" * 100, 422), (photo(1_001, 1_000), 413), (photo(1, 9), 422)])
def test_refusals(decoder, data, status):
    with pytest.raises(Refusal) as refused:
        decoder.decode(data)
    assert refused.value.status == status
    assert decoder.decode(photo()).shape == (40, 60, 3)


def test_a_process_that_ended_is_started_again(decoder):
    decoder.decode(photo())
    os.kill(decoder._process.pid, signal.SIGKILL)
    decoder._process.wait()
    assert decoder.decode(photo()).shape == (40, 60, 3)


def test_a_photo_that_takes_too_long_is_given_up():
    decoder = PhotoDecoder(Limits(max_pixels=30_000_000, timeout=8))
    try:
        decoder.decode(photo())
        started = time.monotonic()
        with pytest.raises(Refusal) as refused:
            decoder.decode(endless_scans(4_400, 40_000))
        assert refused.value.status == 422 and 3 < time.monotonic() - started < 20
        assert decoder.decode(photo()).shape == (40, 60, 3)
    finally:
        decoder.close()


def test_closing_ends_the_process():
    decoder = PhotoDecoder(Limits())
    decoder.close()
    assert decoder._process.poll() is not None


def test_the_process_answers_until_its_input_ends(monkeypatch):
    bounds = []
    monkeypatch.setattr(decoder_process, "limit_memory", bounds.append)
    good = photo(3, 4)
    requests = io.BytesIO(b"".join(REQUEST.pack(len(data), 99) + data for data in (b"junk", good)))
    answers = io.BytesIO()
    decoder_process.serve(requests, answers)
    answers.seek(0)
    kind, length, _ = ANSWER.unpack(answers.read(ANSWER.size))
    assert kind != PIXELS and answers.read(length).decode().endswith(".")
    assert ANSWER.unpack(answers.read(ANSWER.size)) == (PIXELS, 3, 4)
    assert answers.read() == read_image(good).tobytes() and len(bounds) == 2
