"""Feature distances against NumPy, and the driver against the Spotter seam called by hand."""

import numpy as np
import pytest
import torch
import toy
from detectron2.modeling import build_model

from dld_spotter.analysis import feature_distance, measure_distances
from dld_spotter.data.charset import PAD
from dld_spotter.data.loader import build_text_test_loader
from dld_spotter.modeling.dld.losses.skd_feature_loss import feature_loss
from dld_spotter.modeling.dld.rescaling import rescale_images, rescale_words


def at_half(images):
    return [0.5] * len(images)


@pytest.fixture
def batches(tmp_path):
    """Three images with 2 words, 2 words, none; one more in the first is don't care."""
    annotations, images = toy.write_toy_dataset(tmp_path, num_images=3, dont_care=True, wordless=True)
    custom = [("features_toy", images, annotations)]
    return list(build_text_test_loader(toy.tiny_cfg("DATASETS.CUSTOM", custom), "features_toy", keep_annotations=True))


@pytest.mark.parametrize("shape", [(5, 4, 2, 3), (5, 7, 6), (0, 7, 6)])
def test_distance_against_numpy(shape):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=shape), rng.normal(size=shape)
    expected = [np.linalg.norm((s - t).ravel()) / np.sqrt(s.size) for s, t in zip(student, teacher, strict=True)]
    found = feature_distance(torch.tensor(student), torch.tensor(teacher))
    np.testing.assert_allclose(found, np.array(expected).reshape(-1), rtol=1e-5)
    if len(student):
        loss = feature_loss(torch.tensor(student), torch.tensor(teacher), torch.tensor(float(len(student))))
        assert found.square().mean() == pytest.approx(float(loss), rel=1e-5)


def test_features_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) \(student\) and \(2, 3, 5\) \(teacher\)"):
        feature_distance(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5))


def test_over_a_data_set(batches):
    """Words count alike, whatever image they are in; each image is read at its own scale."""
    teacher, student = (build_model(toy.tiny_cfg()) for _ in range(2))
    records = [record for batch in batches for record in batch]
    records[1]["instances"] = records[1]["instances"][:1]
    scales = iter((0.5, 0.75))
    teacher.train()
    found = measure_distances(teacher, student, [records[:1], records[1:]], lambda images: [next(scales)])
    assert teacher.training
    assert found.words == 3

    teacher.eval(), student.eval()
    roi, context = [], []
    for record, scale in zip(records[:2], (0.5, 0.75), strict=True):
        words = [record["instances"][record["instances"].gt_text[:, 0] != PAD]]
        with torch.no_grad():
            images = student.preprocess_image([record])
            small = rescale_images(images, scale)
            full, low = teacher.read(images, words), student.read(small, rescale_words(words, images, small, scale))
        roi += [np.sqrt(np.mean((a - b).numpy() ** 2)) for a, b in zip(full.roi, low.roi, strict=True)]
        context += [np.sqrt(np.mean((a - b).numpy() ** 2)) for a, b in zip(full.context, low.context, strict=True)]
    assert found.roi == pytest.approx(np.mean(roi), rel=1e-4)
    assert found.context == pytest.approx(np.mean(context), rel=1e-4)


def test_a_spotter_does_not_differ_from_itself_but_at_another_scale(batches):
    spotter = build_model(toy.tiny_cfg())
    same = measure_distances(spotter, spotter, batches, lambda images: [1.0])
    assert same == (0.0, 0.0, 4)
    smaller = measure_distances(spotter, spotter, batches, at_half)
    assert smaller.roi > 0
    assert smaller.context > 0


def test_no_words(batches):
    spotter = build_model(toy.tiny_cfg())
    assert measure_distances(spotter, spotter, [], at_half) == (0.0, 0.0, 0)
    assert measure_distances(spotter, spotter, batches[2:], at_half) == (0.0, 0.0, 0)
