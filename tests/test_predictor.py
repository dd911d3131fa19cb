"""TextPredictor on a stand-in that finds known words, and on the real light model with random weights."""

import json

import numpy as np
import pytest
import torch
from detectron2.engine import DefaultPredictor
from fake_spotter import WORDS, fake_cfg
from helpers.grey_photos import photo, texts, write_photos
from toy import ROOT

from dld_spotter import Charset, load_cfg
from dld_spotter.image_io import ImageError
from dld_spotter.modeling import MaskRCNNSpotter
from dld_spotter.predicted_words import instances_to_polygons, to_words
from dld_spotter.predictor import TextPredictor


@pytest.fixture
def predictor(tmp_path):
    cfg, _ = fake_cfg(tmp_path)
    return TextPredictor(cfg, device="cpu")


def test_record_of_one_image(predictor, tmp_path):
    (path,) = write_photos(tmp_path / "in", ["img_7.png"])
    (result,) = predictor(path)
    record = result.to_dict()
    assert {key: record[key] for key in ("file_name", "height", "width", "scale")} == {
        "file_name": "img_7.png",
        "height": 60,
        "width": 80,
        "scale": 1.0,
    }
    # Line by line: "open24" stands above "vvay" and "exit".
    assert [word["text"] for word in record["words"]] == ["open24", "vvay", "exit"]
    by_text = {text: (box, det, read) for box, text, det, read in WORDS}
    for word in record["words"]:
        (x1, y1, x2, y2), det, read = by_text[word["text"]]
        x1, y1, x2, y2 = x1 * 80, y1 * 60, x2 * 80, y2 * 60
        assert word["polygon"] == [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
        assert (word["det_score"], word["text_score"]) == (det, read)
        assert word["score"] == pytest.approx(det * read, abs=1e-4)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_default_predictor_finds_the_same(tmp_path):
    cfg, _ = fake_cfg(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    ours = TextPredictor(cfg)
    default = DefaultPredictor(cfg)
    (result,) = ours(image)
    theirs = to_words(default(image)["instances"], Charset.load(cfg.MODEL.TEXT.CHARSET))
    assert len(theirs) == 3 and result.words == theirs
    assert default.model.batches == ours.model.batches  # resized alike
    (size,) = ours.model.batches[0]
    assert size[1] == 48  # by the rule: the shorter side to MIN_SIZE_TEST


def test_model_gets_the_channel_order_of_the_config(tmp_path):
    image = photo()
    image[:] = (10, 20, 30)
    for order, first in (("BGR", 10), ("RGB", 30)):
        cfg, _ = fake_cfg(tmp_path, **{"INPUT.FORMAT": order})
        ours = TextPredictor(cfg)
        seen = []
        ours.model.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0][0]["image"]))
        ours(image)
        assert seen[0][0].unique().tolist() == [first]


def test_folder_list_and_arrays_keep_their_order(predictor, tmp_path):
    folder = tmp_path / "in"
    paths = write_photos(folder, ["b.png", "a.jpg"])
    (folder / "notes.txt").write_text("no image")
    assert [result.file_name for result in predictor(str(folder))] == ["a.jpg", "b.png"]
    mixed = predictor([photo(), paths[0], folder, str(paths[1])])
    # The same names twice: told apart by their paths.
    expected = ["array_0", (folder / "b.png").as_posix(), (folder / "a.jpg").as_posix()]
    assert [result.file_name for result in mixed] == [*expected, expected[1], expected[2]]
    assert [result.name for result in mixed] == ["array_0", "b", "a", "b_2", "a_2"]
    assert all(texts(result) == ["open24", "vvay", "exit"] for result in mixed)


def test_batches_hold_images_of_one_padded_size_in_any_order(predictor):
    tall, wide = photo(80, 60), photo(60, 80)
    results = predictor([tall, wide, tall, wide, wide], batch_size=2)
    assert [(r.height, r.width) for r in results] == [(80, 60), (60, 80), (80, 60), (60, 80), (60, 80)]
    assert sorted(len(batch) for batch in predictor.model.batches) == [1, 2, 2]
    assert all(len(set(batch)) == 1 for batch in predictor.model.batches)
    singles = predictor([tall, wide, tall, wide, wide])
    assert [r.to_dict() for r in singles] == [r.to_dict() for r in results]


def test_unreadable_items_are_reported_and_the_others_go_on(predictor, tmp_path):
    (good,) = write_photos(tmp_path / "in", ["good.png"])
    (tmp_path / "zero.jpg").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    pixel = np.zeros((1, 1, 3), np.uint8)
    inputs = [tmp_path / "zero.jpg", good, tmp_path / "gone.jpg", tmp_path / "nothing", pixel, photo() * np.nan]
    explanations = ["zero.jpg: .*empty", None, "gone.jpg: ", "no image", "array_4", "float64"]
    for batch_size in (1, 4):
        results = predictor(inputs, batch_size)
        assert [result.error is None for result in results] == [False, True, False, False, False, False]
        for result, says in zip(results, explanations, strict=True):
            if says is None:
                assert texts(result) == ["open24", "vvay", "exit"]
            else:
                assert result.words == []
                with pytest.raises(ValueError):
                    result.draw()
                with pytest.raises(ImageError, match=says):
                    raise ImageError(result.error)
    assert results[0].to_dict() == {"file_name": "zero.jpg", "error": results[0].error}
    with pytest.raises(ImageError, match="zero.jpg"):
        predictor(inputs, on_error="raise")


def test_image_without_words_and_no_images(predictor):
    (result,) = predictor(photo(value=0))
    assert result.to_dict() == {"file_name": "array_0", "height": 60, "width": 80, "scale": 1.0, "words": []}
    assert predictor([]) == []


def test_scale_of_the_model_is_reported(predictor):
    predictor.model.extra = {"scale": torch.tensor(0.5)}
    assert predictor(photo())[0].to_dict()["scale"] == 0.5


def test_large_images_ask_for_smaller_masks_and_give_full_coordinates(predictor, monkeypatch):
    monkeypatch.setattr("dld_spotter.network_size.MAX_MASK_PIXELS", 60 * 80)
    asked = []
    predictor.model.register_forward_pre_hook(lambda module, args: asked.append(args[0][0]))
    (result,) = predictor(photo(240, 320))
    assert (asked[0]["height"], asked[0]["width"]) == (60, 80)
    assert (result.height, result.width) == (240, 320)
    assert result.words[0].polygon == [[80, 60], [240, 60], [240, 120], [80, 120]]


def test_numbers_that_are_none_never_reach_the_record(predictor):
    def spoil(module, args, outputs):
        instances = outputs[0]["instances"]
        instances.scores[0] = float("nan")
        instances.pred_text_scores[1] = float("inf")

    predictor.model.register_forward_hook(spoil)
    (result,) = predictor(photo())
    assert texts(result) == ["vvay"]
    json.dumps(result.to_dict(), allow_nan=False)


def test_words_with_an_empty_mask_are_left_out(predictor):
    def empty(module, args, outputs):
        outputs[0]["instances"].pred_masks[0] = False

    predictor.model.register_forward_hook(empty)
    assert texts(predictor(photo())[0]) == ["open24", "vvay"]


def test_words_below_the_protocol_s_score_are_left_out(tmp_path):
    """Scores are 0.375, 0.875 and 0.156: detection times text."""
    _, config = fake_cfg(tmp_path)
    found = TextPredictor(config, opts=["TEST.TEXT.SCORE_THRESHOLD", 0.375])(photo())[0]
    assert texts(found) == ["open24", "exit"]
    assert len(TextPredictor(config, opts=["TEST.TEXT.SCORE_THRESHOLD", 0.0])(photo())[0].words) == 3
    strict = TextPredictor(config, opts=["TEST.TEXT.SCORE_THRESHOLD", 0.875])
    assert texts(strict(photo())[0]) == ["open24"]


def test_confidence_threshold(tmp_path):
    _, config = fake_cfg(tmp_path)
    found = TextPredictor(config, tmp_path / "fake.pth", confidence_threshold=0.7)(photo())[0]
    assert texts(found) == ["open24", "exit"]
    assert len(TextPredictor(config, confidence_threshold=0)(photo())[0].words) == 3
    with pytest.raises(ValueError, match="1.5"):
        TextPredictor(config, confidence_threshold=1.5)


def test_lexicon_from_a_list_a_file_and_a_folder(predictor, tmp_path):
    assert texts(predictor(photo(), lexicon=["WAY", "exit"])[0]) == ["open24", "WAY", "exit"]
    (tmp_path / "words.txt").write_text("way\nexits\n", encoding="utf-8")
    (corrected,) = predictor(photo(), lexicon=tmp_path / "words.txt")
    assert texts(corrected) == ["open24", "way", "exits"]
    assert [w.score for w in corrected.words] == [w.score for w in predictor(photo())[0].words]
    (tmp_path / "strong").mkdir()
    (tmp_path / "strong" / "voc_img_7.txt").write_text("exact\nway\n", encoding="utf-8")
    (path,) = write_photos(tmp_path / "in", ["img_7.png"])
    assert texts(predictor(path, lexicon=str(tmp_path / "strong"))[0]) == ["open24", "way", "exact"]
    with pytest.raises(ValueError, match="no word list for the image 'array_1'"):
        predictor([path, photo()], lexicon=str(tmp_path / "strong"))
    twins = write_photos(tmp_path / "a", ["img_7.png"]) + write_photos(tmp_path / "b", ["img_7.png"])
    with pytest.raises(ValueError, match="a/img_7.png and .*b/img_7.png"):
        predictor(twins, lexicon=str(tmp_path / "strong"))
    for folder, word in (("a", "exist"), ("b", "exile")):
        (tmp_path / "strong" / folder).mkdir()
        (tmp_path / "strong" / folder / "voc_img_7.txt").write_text(f"{word}\nway\n", encoding="utf-8")
    found = predictor(twins, lexicon=str(tmp_path / "strong"))
    assert [texts(result)[2] for result in found] == ["exist", "exile"]
    with pytest.raises(FileNotFoundError, match="absent.txt"):
        predictor(path, lexicon=str(tmp_path / "absent.txt"))


def test_same_words_on_another_call_order(predictor):
    one = predictor([photo(), photo(90, 60)], batch_size=8)
    other = predictor([photo(90, 60), photo()], batch_size=8)
    assert one[0].words == other[1].words and one[1].words == other[0].words


def test_wrong_arguments(predictor, tmp_path):
    with pytest.raises(ValueError, match="batch_size is 0"):
        predictor(photo(), batch_size=0)
    with pytest.raises(ValueError, match="on_error"):
        predictor(photo(), on_error="ignore")
    with pytest.raises(TypeError, match="int"):
        predictor([3])
    cfg, config = fake_cfg(tmp_path)
    with pytest.raises(ValueError, match="(?s)no weights.*MODEL.WEIGHTS"):
        TextPredictor(config, weights="")
    with pytest.raises(FileNotFoundError, match="gone.pth"):
        TextPredictor(cfg, weights=tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError, match="gone.yaml"):
        TextPredictor(tmp_path / "gone.yaml")
    with pytest.raises(KeyError, match="MODEL.TEXT.CHARSET"):
        TextPredictor(config, opts=["MODEL.TEXT.CHARSETS", "printable95"])
    with pytest.raises(ValueError, match="'gpu'"):
        TextPredictor(config, device="gpu")
    with pytest.raises(ValueError, match="other characters"):
        TextPredictor(config, opts=["MODEL.TEXT.CHARSET", "printable95"])


def test_device_auto_goes_where_torch_can(tmp_path):
    cfg, _ = fake_cfg(tmp_path)
    cfg.MODEL.DEVICE = "cuda"  # as a training run on a GPU leaves it
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert TextPredictor(cfg).model.weight.device.type == expected
    assert TextPredictor(cfg, opts=["MODEL.DEVICE", "cpu"]).model.weight.device.type == "cpu"
    if expected == "cpu":
        with pytest.raises(ValueError, match="no GPU"):
            TextPredictor(cfg, device="cuda")


def test_weights_are_loaded(tmp_path):
    cfg, _ = fake_cfg(tmp_path)
    weights = torch.load(cfg.MODEL.WEIGHTS, weights_only=True)
    weights["model"]["weight"] += 7
    torch.save(weights, tmp_path / "other.pth")
    assert TextPredictor(cfg, tmp_path / "other.pth").model.weight.item() == 7


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """The light model with random weights that finds something everywhere."""
    torch.manual_seed(0)
    weights = tmp_path_factory.mktemp("light") / "random.pth"
    opts = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 5, "INPUT.MIN_SIZE_TEST", 96]
    cfg = load_cfg(ROOT / "configs" / "MaskRCNNSpotter_Light.yaml", [*opts, "MODEL.DEVICE", "cpu"])
    model = MaskRCNNSpotter(cfg)
    # Random mask logits lie on both sides of 0.5; this bias makes whole masks.
    model.roi_heads.mask_head.predictor.bias.data.fill_(1.0)
    torch.save({"model": model.state_dict()}, weights)
    cfg.MODEL.WEIGHTS = str(weights)
    return cfg


def noise(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_light_model_says_the_same_as_default_predictor(light):
    image = noise(100, 140, 0)
    instances = DefaultPredictor(light)(image)["instances"]
    (result,) = TextPredictor(light)(image)
    assert len(result.words) == len(instances) == 5
    assert result.words == to_words(instances, Charset.load(light.MODEL.TEXT.CHARSET))
    for word in result.words:
        assert np.isfinite(word.polygon).all() and 0 <= word.score <= 1
    assert sum(polygon is not None for polygon in instances_to_polygons(instances)) == 5


def test_light_model_reads_alike_alone_and_in_a_batch(light):
    ours = TextPredictor(light)
    images = [noise(100, 140, seed) for seed in range(3)]
    alone, together = ours(images), ours(images, batch_size=3)
    for one, other in zip(alone, together, strict=True):
        assert texts(one) == texts(other) and len(one.words) >= 3
        for a, b in zip(one.words, other.words, strict=True):
            assert a.score == pytest.approx(b.score, abs=2e-4)
            np.testing.assert_allclose(np.array(a.polygon).mean(0), np.array(b.polygon).mean(0), atol=0.5)
