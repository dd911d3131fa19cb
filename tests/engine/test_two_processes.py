import json

import engine_toy
import pytest
from detectron2.engine import launch

# Steady norms, and images of one size with as many words and samples each: what is averaged over processes is then what
# one process averages over the images.
OPTIONS = (
    *("MODEL.LIGHT_RESNET.NORM", "FrozenBN", "MODEL.ROI_TEXT_HEAD.NORM", "FrozenBN"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16, "MODEL.ROI_HEADS.POSITIVE_FRACTION", 0.125),
    *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "INPUT.WORD_CROP.ENABLED", False, "INPUT.ROTATION", 0.0),
    *("SOLVER.MAX_ITER", 3, "SOLVER.IMS_PER_BATCH", 4, "TEST.EVAL_PERIOD", 0, "TEST.SAMPLES", 1),
)


# One of two images has no words, so that one of two processes has none.
WORDLESS = ("SOLVER.MAX_ITER", 2, "SOLVER.IMS_PER_BATCH", 2, "DATALOADER.FILTER_EMPTY_ANNOTATIONS", False)


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    """{run_processes: losses and results}; both runs in the same processes, since starting them takes long."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"model": "MaskRCNNSpotter"}
    rivals = ("LOGITS", "HINT", "ATTENTION", "AFFINITY", "PYRAMID")
    distilled = (
        *("MODEL.DLD.SCALES", (0.5, 1.0), "MODEL.RESOLUTION_SELECTOR.NORM", "FrozenBN"),
        *(part for name in rivals for part in (f"MODEL.DLD.ETA_{name}", 1.0)),
    )
    configs = {
        "words": engine_toy.toy_cfg(folder / "words", *OPTIONS, **options),
        "distilled": engine_toy.toy_cfg(folder / "distilled", *OPTIONS, *distilled, model="DLDSpotter"),
        "wordless": engine_toy.toy_cfg(
            folder / "wordless", *OPTIONS, *WORDLESS, num_images=2, wordless=True, **options
        ),
    }
    with pytest.MonkeyPatch.context() as patch:
        # Without a GPU, Detectron2's launch connects the processes with gloo.
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("OMP_NUM_THREADS", "1")
        for processes in (1, 2):
            runs = []
            for name, cfg in configs.items():
                cfg = cfg.clone()
                cfg.OUTPUT_DIR = str(folder / f"{name}_{processes}")
                runs.append((cfg, folder / f"{name}_{processes}.json"))
            launch(engine_toy.train_deterministically, processes, dist_url="auto", args=(runs,))
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("run", ["words", "distilled"])
def test_two_processes_have_the_losses_of_one(histories, run):
    one, two = histories[f"{run}_1"], histories[f"{run}_2"]
    assert list(one["losses"]) == list(two["losses"]) == ["0", "1", "2"]
    for iteration, losses in one["losses"].items():
        assert {"loss_text", "loss_mask", "loss_cls", "loss_rpn_cls", "total_loss"} <= losses.keys()
        assert two["losses"][iteration] == pytest.approx(losses, rel=1e-4, abs=1e-10), iteration
    assert one["losses"]["0"]["total_loss"] != pytest.approx(one["losses"]["2"]["total_loss"], rel=1e-3)
    for task, figures in one["results"].items():
        assert two["results"][task] == pytest.approx(figures), task


def test_a_process_without_words_takes_part(histories):
    one, two = histories["wordless_1"]["losses"], histories["wordless_2"]["losses"]
    assert list(two) == ["0", "1"]
    assert two["0"]["loss_text"] == pytest.approx(one["0"]["loss_text"], rel=1e-4)
