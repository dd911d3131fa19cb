"""Reading with the graphs of a Mask R-CNN spotter: the steps of ``MaskRCNNSpotter`` and ``DLDSpotter`` in inference.

Shapes: N words of one image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from dld_spotter.calibration import Calibration, Thresholds
from dld_spotter.data.charset import Charset
from dld_spotter.evaluation.protocol import Protocol
from dld_spotter.network_size import NetworkSize, mask_size
from dld_spotter.pretrained import DEFAULT_MODEL, model_folder
from dld_spotter.results import TextResult, make_words
from dld_spotter.runtime.boxes import AnchorLevel, cell_anchors, detections, propose
from dld_spotter.runtime.engines import Graph, load_graphs
from dld_spotter.runtime.images import NetworkImage, rescale, rescaled_factors, to_network
from dld_spotter.runtime.masks import outlines
from dld_spotter.runtime.pooling import pool_levels
from dld_spotter.runtime.scales import choose_scale
from dld_spotter.runtime.settings import GraphSettings
from dld_spotter.runtime.texts import combine, ctc_texts, likely_characters
from dld_spotter.runtime.word_maps import MapSettings, word_features
from dld_spotter.runtime.word_pictures import PictureSettings, word_pictures
from dld_spotter.scale_costs import ScaleBound, ScaleCosts, check_scale

# Given to the recogniser at once, filled up with empty ones, since OpenVINO plans anew for another number. More take
# no less time, and their memory for good.
WORDS_AT_ONCE = 4


@dataclass(frozen=True)
class _Found:
    """N words of one image, in the pixels of the image that they were found in.

    Attributes:
        boxes: (N, 4).
        scores: (N,) of detection.
        masks: (N, M, M) probabilities over the boxes.
        features: name -> feature map that they were found with.
    """

    boxes: np.ndarray
    scores: np.ndarray
    masks: np.ndarray
    features: Mapping[str, np.ndarray]


class GraphReader:
    """A ``Reader`` with exported graphs.

    Args:
        settings: what lies between the graphs.
        graphs: name -> graph.
        calibration: of the model's scores; None where none is known.
    """

    def __init__(self, settings: GraphSettings, graphs: Mapping[str, Graph], calibration: Calibration | None = None):
        self.settings, self.graphs, self.calibration = settings, graphs, calibration
        self.charset: Charset = settings.charset
        network = settings.network
        self.chooses_scale = "scales" in network
        self.size = NetworkSize(settings["INPUT.MIN_SIZE_TEST"], settings["INPUT.MAX_SIZE_TEST"], network["step"])
        self.protocol = Protocol(
            case_sensitive=settings["TEST.TEXT.CASE_SENSITIVE"],
            score_threshold=settings["TEST.TEXT.SCORE_THRESHOLD"],
            lexicon_rule=settings["TEST.TEXT.LEXICON_RULE"],
            lexicon_max_distance=settings["TEST.TEXT.LEXICON_MAX_DISTANCE"],
        )
        self.costs = ScaleCosts(tuple(network["scales"]), tuple(network["costs"])) if "scales" in network else None
        self._own_threads = ThreadpoolController()
        self._anchors = [
            AnchorLevel(cell_anchors(level["sizes"], level["aspect_ratios"]), level["stride"], level["offset"])
            for level in network["anchors"]
        ]
        self._pictures = PictureSettings(**network["pictures"]) if "pictures" in network else None
        self._maps = MapSettings(**network["maps"]) if "maps" in network else None

    @classmethod
    def load(
        cls,
        model: str | os.PathLike | None = None,
        runtime: str = "onnx",
        opts: Sequence[Any] = (),
        precision: str = "float32",
        threads: int = 0,
        thresholds: Thresholds | None = None,
    ) -> GraphReader:
        """Read an exported model.

        Args:
            model: the name of a model that comes with the project, or a folder of one; by default ``DEFAULT_MODEL``.
            runtime: "onnx" or "openvino".
            opts: KEY VALUE pairs for ``settings.CHANGEABLE``.
            precision: see ``engines.OpenVinoGraph``.
            threads: 0 for as many as the machine has.
            thresholds: what words must reach, over ``opts``.

        Raises:
            As ``GraphSettings.read``, ``load_graphs``, and ``Thresholds.least_score``.
        """
        thresholds = thresholds or Thresholds()
        if thresholds.detection is not None:
            opts = [*opts, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", thresholds.detection]
        settings = GraphSettings.read(_folder(model or DEFAULT_MODEL), opts)
        calibration = Calibration.read(settings.folder, settings["TEST.TEXT.SCORE_POWERS"])
        least = thresholds.least_score(calibration)
        if least is not None:
            settings = replace(settings, options={**settings.options, "TEST.TEXT.SCORE_THRESHOLD": least})
        files = {name: settings.folder / file for name, file in settings.graphs.items()}
        graphs = load_graphs(files, runtime, precision, threads, {"recogniser": WORDS_AT_ONCE})
        return cls(settings, graphs, calibration)

    def read(self, images: Sequence[np.ndarray], scale: float | ScaleBound | None = None) -> list[TextResult]:
        """See ``Reader``; each image by itself."""
        check_scale(scale, self.costs)
        # NumPy's products are small, and its threads, which spin while they wait, would take the cores from the graphs.
        with self._own_threads.limit(limits=1, user_api="blas"):
            return [self._read(image, scale) for image in images]

    def _read(self, image: np.ndarray, asked: float | ScaleBound | None) -> TextResult:
        network = self.settings.network
        height, width = image.shape[:2]
        full = to_network(image, self.size, network["mean"], network["deviation"], network["format"])
        scale = choose_scale(full, self.settings, self.graphs, asked)
        seen = full if scale is None else rescale(full, scale)
        found = self._find(seen)
        texts, text_scores, word_columns = self._recognise(found, seen, full, 1.0 if scale is None else scale)
        powers, least = self.settings["TEST.TEXT.SCORE_POWERS"], self.settings["TEST.TEXT.SCORE_THRESHOLD"]
        scores = combine(found.scores, text_scores, powers)
        kept = [i for i, text in enumerate(texts) if (text or powers[1] == 0) and scores[i] >= least]
        rows, columns = mask_size(height, width)
        to_mask = np.array([columns / seen.size[1], rows / seen.size[0]] * 2, np.float32)
        polygons = outlines(found.boxes[kept] * to_mask, found.masks[kept], (rows, columns))
        factors = width / columns, height / rows
        words = make_words(
            [texts[i] for i in kept],
            [(float(scores[i]), float(found.scores[i]), float(text_scores[i])) for i in kept],
            [None if polygon is None else polygon * factors for polygon in polygons],
            [likely_characters(word_columns[i], self.charset) for i in kept] if word_columns else None,
        )
        return TextResult("", height, width, scale, words)

    def _find(self, image: NetworkImage) -> _Found:
        """Boxes, scores and masks of one image; what cannot score high enough, whatever it says, is left out."""
        settings, network = self.settings, self.settings.network
        outputs = self.graphs["detector"](image=image.pixels[None])
        anchored = [
            (outputs[f"logits{index}"][0], outputs[f"deltas{index}"][0], anchors)
            for index, anchors in enumerate(self._anchors)
        ]
        proposals = propose(
            anchored,
            image.size,
            settings["MODEL.RPN.PRE_NMS_TOPK_TEST"],
            settings["MODEL.RPN.POST_NMS_TOPK_TEST"],
            settings["MODEL.RPN.NMS_THRESH"],
            network["proposal_weights"],
        )
        maps = {level: outputs[f"p{level}"][0] for level in network["pooled_levels"]}
        answer = self._on_regions("boxes", maps, proposals)
        boxes, scores = detections(
            proposals,
            answer["probabilities"],
            answer["deltas"],
            image.size,
            weights=network["box_weights"],
            least=settings["MODEL.ROI_HEADS.SCORE_THRESH_TEST"],
            threshold=settings["MODEL.ROI_HEADS.NMS_THRESH_TEST"],
            most=settings["TEST.DETECTIONS_PER_IMAGE"],
        )
        worth = scores >= self._least_det_score()
        boxes, scores = boxes[worth], scores[worth]
        masks = self._on_regions("masks", maps, boxes)["masks"][:, 0]
        return _Found(boxes, scores, masks, outputs)

    def _least_det_score(self) -> float:
        """As ``WordScoring.least_det_score``."""
        threshold, power = self.settings["TEST.TEXT.SCORE_THRESHOLD"], self.settings["TEST.TEXT.SCORE_POWERS"][0]
        return 0.0 if power == 0 or threshold <= 0 else threshold ** (1 / power) * (1 - self.settings.network["slack"])

    def _on_regions(self, name: str, maps: Mapping[int, np.ndarray], boxes: np.ndarray) -> dict[str, np.ndarray]:
        """What a head's graph says of boxes (N, 4), by a map of each level."""
        size = self.settings.network["pooled_sizes"][name]
        # Not every runtime knows empty tensors.
        features = pool_levels(maps, boxes if len(boxes) else np.zeros((1, 4), np.float32), size)
        return {key: value[: len(boxes)] for key, value in self.graphs[name](features=features).items()}

    def _recognise(
        self, found: _Found, seen: NetworkImage, full: NetworkImage, scale: float
    ) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
        """The texts, (N,) how sure they are, and of a CTC recogniser the columns of each word, else []."""
        if len(found.boxes) == 0:
            return [], np.zeros(0, np.float32), []
        if self._pictures is not None:
            image, boxes = seen, found.boxes
            if self.settings.network["full_resolution"]:
                factor_x, factor_y = rescaled_factors(full, scale)
                image, boxes = full, boxes / np.array([factor_x, factor_y] * 2, np.float32)
            inputs = word_pictures(image.pixels, boxes, found.masks, self._pictures)
        else:
            assert self._maps is not None
            inputs = word_features(found.features["text_map"][0], found.boxes, found.masks, seen.size, self._maps)
        texts: list[str] = []
        scores: list[np.ndarray] = []
        columns: list[np.ndarray] = []
        for start in range(0, len(inputs), WORDS_AT_ONCE):
            number = len(inputs[start : start + WORDS_AT_ONCE])
            at_once = np.zeros((WORDS_AT_ONCE, *inputs.shape[1:]), np.float32)
            at_once[:number] = inputs[start : start + WORDS_AT_ONCE]
            outputs = {name: value[:number] for name, value in self.graphs["recogniser"](words=at_once).items()}
            if "log_probs" in outputs:
                some, sure = ctc_texts(outputs["log_probs"], self.charset, self.settings.network["max_length"])
                columns += list(outputs["log_probs"].copy())
            else:
                some, sure = self.charset.decode(outputs["tokens"]), outputs["scores"].copy()
            texts += some
            scores.append(sure)
        return texts, np.concatenate(scores), columns


def _folder(model: str | os.PathLike) -> Path:
    """The folder of an exported model."""
    return model_folder(os.fspath(model))
