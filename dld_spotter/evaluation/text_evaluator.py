"""Scoring of a spotter on a registered data set, as a Detectron2 evaluator."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from dld_spotter.data.charset import Charset
from dld_spotter.evaluation.ground_truth import GroundTruth, PredictedImage, read_ground_truth, truth_from_records
from dld_spotter.evaluation.lexicon import ImageLexicons, Lexicon, load_lexicon
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord
from dld_spotter.evaluation.scoring import evaluate_words
from dld_spotter.evaluation.submission import write_results, write_submission
from dld_spotter.predicted_words import to_words
from dld_spotter.results import TextResult

logger = logging.getLogger(__name__)


class TextEvaluator(DatasetEvaluator):
    """Detection, end-to-end and word-spotting scores with every lexicon of TEST.TEXT.LEXICONS, from one inference.

    Args:
        dataset_name: a registered data set; its JSON file (or else its records) is the ground truth. It is read here,
            on the main process, so that nothing is inferred in vain where it is of no use.
        cfg: TEST.TEXT holds the protocol, MODEL.TEXT.CHARSET the characters.
        output_dir: where ``text_results.json`` and ``submission.zip`` are written; None writes nothing.
        distributed: collect the predictions of all processes; else each scores its own.
    """

    def __init__(self, dataset_name: str, cfg: CfgNode, output_dir: str | None = None, distributed: bool = True):
        self._name = dataset_name
        self._metadata = MetadataCatalog.get(dataset_name)
        self._protocol = Protocol.from_cfg(cfg)
        self._lexicon_names = tuple(cfg.TEST.TEXT.LEXICONS)
        self._lexicon_paths = {**self._metadata.get("lexicons", {}), **dict(cfg.TEST.TEXT.LEXICON_PATHS)}
        self._charset = Charset.load(cfg.MODEL.TEXT.CHARSET)
        self._output_dir = output_dir
        self._distributed = distributed
        self._truth = registered_truth(dataset_name) if comm.is_main_process() else None
        self._results: dict[int | str, dict] = {}

    def reset(self) -> None:
        self._results = {}

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Keep what was read in a batch of images; of an image seen twice, the first reading."""
        for record, output in zip(inputs, outputs, strict=True):
            if record["image_id"] not in self._results:
                self._results[record["image_id"]] = self._to_result(record, output)

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """{task: {metric: fraction}} on the main process, {} on the others.

        Raises:
            ValueError: predictions for images that the ground truth does not have.
        """
        results = self._gather()
        if results is None:
            return OrderedDict()
        self._write(list(results.values()))  # before anything can go wrong in the scoring
        images = (self._truth or registered_truth(self._name)).pair(
            PredictedImage(
                [ReadWord(word["polygon"], word["text"], word["score"]) for word in result["words"]],
                file_name=result["file_name"],
                image_id=image_id,
                size=(result["height"], result["width"]),
            )
            for image_id, result in results.items()
        )
        evaluation = evaluate_words(images, self._protocol, self._load_lexicons(images))
        logger.info("Text scores on %s:\n%s", self._name, evaluation.table())
        for warning in evaluation.warnings():
            logger.warning("%s: %s", self._name, warning)
        logger.info(
            "Annotated and read words: %s", ", ".join(f"{truth!r} {read!r}" for truth, read in evaluation.samples)
        )
        return evaluation.results()

    def _write(self, results: Sequence[Mapping]) -> None:
        if self._output_dir:
            os.makedirs(self._output_dir, exist_ok=True)
            write_results(os.path.join(self._output_dir, "text_results.json"), results)
            write_submission(os.path.join(self._output_dir, "submission.zip"), results)

    def _gather(self) -> dict[int | str, dict] | None:
        """The results of all processes by image, each image once; None on other than the main process."""
        if not self._distributed:
            return self._results
        comm.synchronize()
        parts = comm.gather(self._results, dst=0)
        if not comm.is_main_process():
            return None
        return {image_id: result for part in reversed(parts) for image_id, result in part.items()}

    def _to_result(self, record: Mapping, output: Mapping) -> dict:
        result = TextResult(
            self._relative(record["file_name"]),
            int(record["height"]),
            int(record["width"]),
            float(output.get("scale", 1.0)),
            to_words(output["instances"], self._charset),
        )
        return result.to_dict(columns=self._protocol.lexicon_rule == "likelihood")

    def _relative(self, file_name: str) -> str:
        """The image's name as the ground truth has it: relative to the image folder, where the data set has one."""
        root = self._metadata.get("image_root")
        path = Path(file_name)
        if not root:
            return file_name
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name

    def _load_lexicons(self, images: Sequence[ImageWords]) -> dict[str, Lexicon | ImageLexicons | None]:
        """The word lists by name; one that cannot be had is left out, with a warning."""
        lexicons: dict[str, Lexicon | ImageLexicons | None] = {}
        for name in self._lexicon_names:
            if name == "none":
                lexicons[name] = None
                continue
            try:
                lexicon = self._load_lexicon(name)
                for image in images:
                    lexicon.for_image(image.key)  # every image has its list
                lexicons[name] = lexicon
            except (OSError, ValueError) as error:
                logger.warning(
                    "No scores on %s with the lexicon '%s': %s Set its path with TEST.TEXT.LEXICON_PATHS \"[('%s', "
                    "'PATH')]\".",
                    *(self._name, name, error, name),
                )
        return lexicons

    def _load_lexicon(self, name: str) -> Lexicon | ImageLexicons:
        if name not in self._lexicon_paths:
            raise FileNotFoundError(f"{self._name} has no path for it (paths: {self._lexicon_paths or 'none'}).")
        return load_lexicon(self._lexicon_paths[name])


def registered_truth(name: str) -> GroundTruth:
    """The annotated words of a registered data set, from its JSON file, or else from its records."""
    json_file = MetadataCatalog.get(name).get("json_file")
    return read_ground_truth(json_file) if json_file else truth_from_records(DatasetCatalog.get(name), name)
