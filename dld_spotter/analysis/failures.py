"""Why words were not read right: not found, found but read at too low a resolution, or misread; and false detections.

Shapes: G annotated words of one image, W targets of its mapped record, N readable ones among them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation import inference_context
from torch import Tensor, nn

from dld_spotter.analysis.readings import annotated_records, load_model
from dld_spotter.data.charset import PAD, Charset
from dld_spotter.data.text_json import register_custom, require_dataset
from dld_spotter.evaluation.matching import match_words, measure_overlap
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
from dld_spotter.evaluation.text_evaluator import registered_truth
from dld_spotter.evaluation.transcription import reference_word, same_word
from dld_spotter.modeling.dld.dld_spotter import DLDSpotter
from dld_spotter.predicted_words import to_words

KINDS = ("detection", "selection", "recognition", "false detection")

# Who read a word where it truly is: the model at its chosen scale, and student and teacher at full resolution.
CHOSEN, STUDENT, TEACHER = "chosen scale", "student at full resolution", "teacher at full resolution"


@dataclass(frozen=True)
class Failure:
    """A word that was not read right, or a false detection.

    Attributes:
        file_name: of the image's file.
        kind: "detection" (no detection matched the word), "selection" (found and misread at the chosen scale, but read
            right in its true place at full resolution), "recognition" (found and misread otherwise), or "false
            detection". A word whose outline was to blame is also among the second or third kind: then CHOSEN is right.
        scale: the share of the full resolution at which the image was read.
        polygon: (P, 2) outline of the annotated word, or of the false detection, in pixels of the original image.
        truth: what is annotated; None for a false detection.
        read: what was read; None where nothing was found.
        score: of the detection; None where nothing was found.
        in_true_place: what was read where the word truly is, by reader; empty where this model cannot read the word.
        right_in_true_place: the readers of ``in_true_place`` that are right.
    """

    file_name: str
    kind: str
    scale: float
    polygon: list[list[float]]
    truth: str | None = None
    read: str | None = None
    score: float | None = None
    in_true_place: dict[str, str] = field(default_factory=dict)
    right_in_true_place: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FailureReport:
    """All failures of a model on a data set.

    Attributes:
        words: cared-for words.
        right: of them, those that were found and read right.
        readers: who read the words in their ground-truth boxes.
        failures: in the order of the images.
    """

    images: int
    words: int
    right: int
    readers: list[str]
    failures: list[Failure]

    def counts(self) -> dict[str, int]:
        """How many failures there are of each kind."""
        found = Counter(failure.kind for failure in self.failures)
        return {kind: found[kind] for kind in KINDS}


def sort_image(
    image: ImageWords,
    protocol: Protocol,
    file_name: str,
    scale: float,
    in_true_place: Sequence[Mapping[str, str]],
) -> tuple[list[Failure], int, int]:
    """Sort the words of one image; matching and comparison are those of the end-to-end score without a lexicon.

    Args:
        image: its annotated and its read words.
        protocol: the rules.
        file_name: of the image, as the report shows it.
        scale: at which it was read; at 1 there is no resolution to blame, and nothing is a failure of selection.
        in_true_place: G entries, what each annotated word was read as by reader (STUDENT, TEACHER, ...).

    Returns:
        the failures, the number of cared-for words, and how many of these were read right.
    """
    image = image.counted(protocol.score_threshold)
    references = [reference_word(word, protocol) for word in image.truths]
    overlap = measure_overlap([w.polygon for w in image.truths], [w.polygon for w in image.reads])
    matching = match_words(overlap, np.array([r is None for r in references], dtype=bool), protocol.iou_threshold)
    found = dict(matching.pairs.tolist())
    failures, right = [], 0
    for index, reference in enumerate(references):
        if reference is None:
            continue
        read = image.reads[found[index]] if index in found else None
        if read is not None and same_word(reference, read.text, protocol):
            right += 1
            continue
        readers = dict(in_true_place[index])
        correct = [reader for reader, text in readers.items() if same_word(reference, text, protocol)]
        at_fault = scale < 1 and (STUDENT in correct or TEACHER in correct)
        kind = "detection" if read is None else "selection" if at_fault else "recognition"
        polygon = np.asarray(image.truths[index].polygon, dtype=float).tolist()
        text, score = (None, None) if read is None else (read.text, read.score)
        failures.append(Failure(file_name, kind, scale, polygon, reference, text, score, readers, correct))
    for index, read in enumerate(image.reads):
        if not matching.ignored[index] and index not in found.values():
            polygon = np.asarray(read.polygon, dtype=float).tolist()
            failures.append(Failure(file_name, "false detection", scale, polygon, None, read.text, read.score))
    return failures, sum(reference is not None for reference in references), right


@torch.no_grad()
def find_failures(cfg: CfgNode, data_set: str, limit: int | None = None) -> FailureReport:
    """Read a data set and sort every word that was not read right.

    Args:
        cfg: MODEL.WEIGHTS holds the weights; the rules are those of TEST.TEXT.
        data_set: registered, or in DATASETS.CUSTOM.
        limit: only so many of its first images; None for all.
    """
    register_custom(cfg)
    require_dataset(data_set)
    protocol, charset = Protocol.from_cfg(cfg), Charset.load(cfg.MODEL.TEXT.CHARSET)
    truth = registered_truth(data_set)
    annotated = {str(image.image_id): words for image, words in zip(truth.images, truth.pair([]), strict=True)}
    model = load_model(cfg)
    readers = true_place_readers(model)
    failures, words, right, images = [], 0, 0, 0
    with inference_context(model):
        for record in annotated_records(cfg, data_set, limit):
            (output,) = model([record])
            predicted = _predicted(annotated[str(record["image_id"])], output, charset)
            texts = {name: charset.decode(read([record])[0]) for name, read in readers.items()}
            places = assign_readings(predicted, record, texts)
            scale = float(output.get("scale", 1.0))
            found, cared_for, correct = sort_image(predicted, protocol, record["file_name"], scale, places)
            failures += found
            words, right, images = words + cared_for, right + correct, images + 1
    return FailureReport(images, words, right, list(readers), failures)


def true_place_readers(model: nn.Module) -> dict:
    """Functions from a batch of mapped records to token ids (N, T) an image, by who reads.

    A plain spotter reads at its one resolution; of a DLDSpotter, student and (if it has one) teacher also at the full.
    """
    if not isinstance(model, DLDSpotter):
        return {CHOSEN: model.read_words}
    readers = {CHOSEN: model.read_words, STUDENT: model.student.read_words}
    return readers | ({TEACHER: model.teacher.read_words} if model.teacher is not None else {})


def assign_readings(image: ImageWords, record: Mapping, texts: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """What each annotated word was read as in its true place: G entries by reader, {} for words that are not read.

    The mapper drops words that it cannot use and tells no names, so that its targets are recognised by their places.

    Args:
        image: its annotated and its read words.
        record: mapped, with "instances" (``gt_masks``, ``gt_text``), "height" and "width".
        texts: by reader, N texts of the readable words.
    """
    targets = record["instances"]
    readable = np.flatnonzero(_is_readable(targets.gt_text))
    height, width = targets.image_size
    factors = np.array([record["width"] / width, record["height"] / height])
    outlines = [targets.gt_masks.tensor[i].cpu().numpy() * factors for i in readable]
    iou = measure_overlap([word.polygon for word in image.truths], outlines).iou  # (G, N)
    places: list[dict[str, str]] = [{} for _ in image.truths]
    for target in range(len(readable)):
        word = int(iou[:, target].argmax())
        if iou[word, target] > 0.5:
            places[word] = {reader: read[target] for reader, read in texts.items()}
            iou[word] = 0  # two words in one place are two targets
    return places


def _is_readable(tokens: Tensor) -> np.ndarray:
    return (tokens[:, 0] != PAD).cpu().numpy()


def _predicted(image: ImageWords, output: Mapping, charset: Charset) -> ImageWords:
    words = [ReadWord(np.array(word.polygon), word.text, word.score) for word in to_words(output["instances"], charset)]
    return ImageWords(image.key, image.truths, words)
