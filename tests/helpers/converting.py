"""What the tests of the converters share."""

import json

from PIL import Image

from dld_spotter.data.converters import CONVERTERS
from dld_spotter.data.converters.reading import read_words
from dld_spotter.data.problems import Problems
from dld_spotter.data.text_files import TextFile

QUAD = [10, 10, 30, 10, 30, 20, 10, 20]


def write_json(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def add_image(folder, name, size=(60, 40), **options):
    """A grey image, (width, height)."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path, **options)


def convert(name, images, annotations, **options):
    """The samples of a converter, and what it noted."""
    problems = Problems("test")
    source = CONVERTERS[name](images, annotations, problems, **options)
    samples = list(source.samples)
    assert len(samples) <= source.total
    return samples, problems


def read(data, reader, name="gt_img_1.txt"):
    """The words of one file, and what was noted."""
    problems = Problems("test")
    return read_words(reader(TextFile(name, lambda: data), problems), problems, None, name), problems


def kinds(problems):
    return dict(problems.counts)
