#!/usr/bin/env python
"""Draw a few scenes with words, train a very small spotter on them, and let it read them.

This shows that every part works on this machine, from drawing and training to finding, reading and drawing results.
The spotter is an overfit on its own scenes and reads nothing else.
"""

import hashlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils.logger import setup_logger
from tqdm import tqdm

import dld_spotter
from dld_spotter.command_line import ConfigArgumentParser
from dld_spotter.config import ConfigFiles, load_cfg
from dld_spotter.data.synthetic import Scene, draw_scene
from dld_spotter.data.text_json import register_custom, write_text_json
from dld_spotter.engine import Trainer
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import Evaluation, evaluate_words
from dld_spotter.predictor import TextPredictor

ROOT = Path(__file__).resolve().parents[1]
DATASET = "demo_scenes"  # as in configs/demo.yaml
SEED = 7
SIZE = (192, 256)
WORDS = (
    ("open", "24h", "bakery"),
    ("hotel", "room", "17"),
    ("exit", "gate", "b52"),
    ("coffee", "tea", "milk"),
    ("north", "bridge", "3km"),
    ("sale", "50", "shoes"),
)


class ProgressBar(HookBase):
    """Shows the iterations and the loss while training."""

    def before_train(self) -> None:
        self.bar = tqdm(total=self.trainer.max_iter - self.trainer.start_iter, unit="step", desc="training")

    def after_step(self) -> None:
        self.bar.update()
        loss = self.trainer.storage.latest().get("total_loss")
        if loss:
            self.bar.set_postfix(loss=f"{loss[0]:.2f}", refresh=False)

    def after_train(self) -> None:
        self.bar.close()


def draw_scenes(folder: Path) -> tuple[list[Path], list[Scene]]:
    """Draw the scenes and write them with their annotations, as a user's own data set would be."""
    rng = np.random.default_rng(SEED)
    scenes = [draw_scene(rng, words, SIZE) for words in WORDS]
    paths = [folder / "scenes" / f"scene_{number}.png" for number in range(1, len(scenes) + 1)]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path, scene in zip(paths, scenes, strict=True):
        cv2.imwrite(str(path), scene.image)
    images = [
        {"id": number, "file_name": path.name, "height": SIZE[0], "width": SIZE[1]}
        for number, path in enumerate(paths, 1)
    ]
    annotations = [
        {"image_id": number, "segmentation": [polygon.ravel().tolist()], "text": text, "ignore": 0}
        for number, scene in enumerate(scenes, 1)
        for polygon, text in zip(scene.polygons, scene.texts, strict=True)
    ]
    write_text_json(folder / "scenes.json", images, annotations, info={"source": "drawn by tools/make_demo.py"})
    return paths, scenes


def demo_cfg(config_file: ConfigFiles, folder: Path, opts: Sequence[str]) -> CfgNode:
    """The config with the synthetic scenes as a data set of the user's own."""
    cfg = load_cfg(config_file, opts)
    cfg.DATASETS.CUSTOM = [[DATASET, str(folder / "scenes"), str(folder / "scenes.json")]]
    cfg.OUTPUT_DIR = str(folder / "training")
    cfg.freeze()
    register_custom(cfg)
    return cfg


def trained_weights(cfg: CfgNode) -> Path:
    """The weights in OUTPUT_DIR if they come from this config, these scenes and this code; else train them."""
    folder = Path(cfg.OUTPUT_DIR)
    weights, mark = folder / "model_final.pth", folder / "trained_from"
    origin = fingerprint(cfg)
    if weights.is_file() and mark.is_file() and mark.read_text() == origin:
        print(f"Using the spotter that was trained before ({weights}).")
        return weights
    print("Training a very small spotter on these scenes. This happens once.")
    mark.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("detectron2", "dld_spotter", "fvcore"):
        setup_logger(str(folder), name=name, configure_stdout=False)
    trainer = Trainer(cfg)
    trainer.register_hooks([ProgressBar()])
    trainer.resume_or_load(resume=False)
    trainer.train()
    mark.write_text(origin)
    return weights


def fingerprint(cfg: CfgNode) -> str:
    """A digest of everything that the weights depend on."""
    digest = hashlib.sha256(cfg.dump().encode())
    digest.update(Path(cfg.DATASETS.CUSTOM[0][2]).read_bytes())
    for source in sorted((Path(dld_spotter.__file__).parent / "modeling").rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def report(paths: Sequence[Path], scenes: Sequence[Scene], records: Sequence[dict]) -> Evaluation:
    """Print what was drawn and what was read, scene by scene, and score it."""
    images = []
    for path, scene, record in zip(paths, scenes, records, strict=True):
        truths = [TruthWord(polygon, text) for polygon, text in zip(scene.polygons, scene.texts, strict=True)]
        truths.sort(key=lambda word: word.polygon.min(axis=0)[1])  # from the top, as the words of a record are
        drawn = ", ".join(word.text for word in truths)
        read = ", ".join(f"{word['text']} ({word['score']:.2f})" for word in record["words"])
        print(f"  {path.name}   drawn: {drawn:<20} read: {read or 'nothing'}")
        reads = [ReadWord(np.array(word["polygon"]), word["text"], word["score"]) for word in record["words"]]
        images.append(ImageWords(path.name, truths, reads))
    return evaluate_words(images, Protocol(), {"none": None})


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when fewer than nine words in ten were read (CPUs differ in the last digits, and so do runs)."""
    parser = ConfigArgumentParser(description=__doc__)
    parser.add_config_file(required=False, help="(default: configs/demo.yaml)")
    parser.add_argument(
        "--output", type=Path, default=Path("output") / "demo", help="folder of everything that is made"
    )
    parser.add_overrides()
    args = parser.parse_args(argv)
    start = time.monotonic()
    # Detectron2 calls something that new versions of torch warn of; it would stand in the middle of the progress bar.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)

    paths, scenes = draw_scenes(args.output)
    print(f"Drew {len(paths)} scenes with {sum(map(len, WORDS))} words: {paths[0].parent}")
    cfg = demo_cfg(args.config_file or ROOT / "configs" / "demo.yaml", args.output, args.opts)
    weights = trained_weights(cfg)

    results = TextPredictor(cfg, str(weights))([str(path) for path in paths])
    for result in results:
        result.save(args.output, overwrite=True)  # this folder is the demo's own
    print("Reading the scenes:")
    score = report(paths, scenes, [result.to_dict() for result in results]).scores["e2e_none"]
    print(
        f"{score.correct} of {score.truths} words found and read, {score.detections - score.correct} wrong "
        f"({time.monotonic() - start:.0f} s).\n"
        f"Drawings: {args.output}/vis, results as JSON: {args.output}/preds.\n"
        "This spotter was trained on these very scenes and reads no others: it shows that every part works here.\n"
        "How to read photos and to train on your own words: README.md."
    )
    return int(score.hmean < 0.9)


if __name__ == "__main__":
    sys.exit(main())
