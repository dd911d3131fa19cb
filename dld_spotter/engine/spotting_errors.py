"""What spotting at each scale gets wrong, for ``selector_fitting.fit_selector``.

L_acc of the DLD paper looks at recognition on ground-truth boxes. That tells nothing where words are read at full
resolution whatever the scale, nor of words that are not found in small images.
"""

from collections.abc import Iterable

import torch
from detectron2.evaluation import inference_context
from tqdm import tqdm

from dld_spotter.data.charset import Charset
from dld_spotter.evaluation.ground_truth import GroundTruth, PredictedImage, to_points
from dld_spotter.evaluation.protocol import Protocol, ReadWord
from dld_spotter.evaluation.scoring import count_images
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.modeling.dld.selector.regression import ScaleLosses
from dld_spotter.predicted_words import to_words


def measure_spotting_errors(
    model: DLDSpotter,
    batches: Iterable[list[dict]],
    truth: GroundTruth,
    charset: Charset,
    protocol: Protocol,
    total: int | None = None,
) -> ScaleLosses:
    """Find and read the words of all images at every scale, and count what is wrong end to end, without a lexicon.

    An image with T words, D detections that count, and C of these right loses (T + D) / 2 - C: a word that is missed
    counts half, one that is made up, too, and one that is misread is both. The harmonic mean of precision and recall
    over a data set is one minus twice the sum of what is lost over the sum of T + D.

    Args:
        model: with the scales.
        batches: mapped records with "image_id", "height" and "width".
        truth: the annotated words of these images.
        charset: of the model.
        protocol: which detections count.
        total: how many batches there are, for the progress bar.

    Returns:
        for each image, in the order of the batches, what each scale loses, and how many words are to be found.
    """
    found: list[list[PredictedImage]] = [[] for _ in model.scales]
    fixed = model.fixed_scale
    try:
        with inference_context(model), torch.no_grad():
            for batch in tqdm(batches, total=total, desc="readings", unit=" batches"):
                for images, scale in zip(found, model.scales, strict=True):
                    model.fixed_scale = scale
                    outputs = zip(batch, model(batch), strict=True)
                    images += [_predicted(record, output, charset) for record, output in outputs]
    finally:
        model.fixed_scale = fixed
    counts = torch.stack([_counts(images, truth, protocol) for images in found], dim=1)  # (M, k, 3)
    right, words, detections = counts.unbind(dim=2)
    return ScaleLosses((words + detections) / 2 - right, words[:, 0])


def _predicted(record: dict, output: dict, charset: Charset) -> PredictedImage:
    words = [
        ReadWord(to_points(word.polygon), word.text, word.score) for word in to_words(output["instances"], charset)
    ]
    return PredictedImage(words, image_id=record["image_id"])


def _counts(images: list[PredictedImage], truth: GroundTruth, protocol: Protocol) -> torch.Tensor:
    """(M, 3) right words, words to be found, detections that count."""
    annotated = zip(truth.images, truth.pair(images), strict=True)
    by_id = {str(image.image_id): words for image, words in annotated}
    ordered = [by_id[str(image.image_id)] for image in images]
    return torch.as_tensor(count_images(ordered, protocol, {"none": None}, ("e2e",))["e2e_none"])
