"""The mapper: targets against the drawn words, the stated policies, and records that do not fit their image."""

# ruff: noqa: NPY002 (Detectron2's augmentations draw from the global generator)

import copy
import logging

import cv2
import numpy as np
import pytest
import torch
import toy
from detectron2.structures import BoxMode

from dld_spotter.data.charset import END, PAD, Charset
from dld_spotter.data.dataset_mapper import Role, TextDatasetMapper, WordPolicy, report_unreadable
from dld_spotter.data.text_json import load_text_json
from dld_spotter.image_io import ImageError

CHARSET = Charset("abcdefghij", "test")


def annotation(x, y, width, height, text="abc", *, ignore=False) -> dict:
    return {
        "bbox": [x, y, x + width, y + height],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
        "text": text,
        "ignore": ignore,
    }


@pytest.fixture
def record(tmp_path):
    """Makes the record of a 60 x 80 image of noise with the given words."""

    def make(*annotations, **changes):
        image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        path = tmp_path / "photo.png"
        cv2.imwrite(str(path), image)
        fields = {"file_name": str(path), "image_id": 7, "height": 60, "width": 80, "annotations": list(annotations)}
        return fields | changes

    return make


def plain_mapper(**options) -> TextDatasetMapper:
    """Without augmentation."""
    policy = WordPolicy(CHARSET, options.pop("max_length", 5), options.pop("unknown", "ignore"))
    options = {"is_train": True, "augmentations": [], "image_format": "BGR"} | options
    return TextDatasetMapper(policy=policy, **options)


def test_targets(record):
    given = record(
        annotation(10, 20, 30, 10, "abba"), annotation(50, 5, 12, 9, "###", ignore=True), annotation(5, 40, 9, 9, "j")
    )
    before = copy.deepcopy(given)
    output = plain_mapper()(given)
    assert given == before, "the record is not changed"
    assert output["image"].dtype == torch.uint8
    assert np.array_equal(output["image"].permute(1, 2, 0).numpy(), cv2.imread(given["file_name"]))
    assert {key: output[key] for key in ("file_name", "image_id", "height", "width")} == {
        key: given[key] for key in ("file_name", "image_id", "height", "width")
    }
    assert "annotations" not in output
    words = output["instances"]
    assert words.image_size == (60, 80)
    assert words.gt_boxes.tensor.tolist() == [[10, 20, 40, 30], [50, 5, 62, 14], [5, 40, 14, 49]]
    assert words.gt_masks.tensor[0].tolist() == [[10, 20], [40, 20], [40, 30], [10, 30]]
    assert words.gt_classes.tolist() == [0, 0, 0] and words.gt_classes.dtype == torch.int64
    assert words.gt_ignore.tolist() == [False, True, False]
    assert words.gt_text.tolist() == [[2, 3, 3, 2, END], [PAD] * 5, [11, END, PAD, PAD, PAD]]


def test_channel_order(record):
    bgr, rgb = (plain_mapper(image_format=order)(record())["image"] for order in ("BGR", "RGB"))
    assert torch.equal(bgr, rgb.flip(0))


@pytest.mark.parametrize("annotations", [[], [annotation(5, 5, 20, 10, "###", ignore=True)]])
def test_nothing_to_read(record, annotations):
    for mapper in (plain_mapper(), TextDatasetMapper(toy.tiny_cfg(), is_train=True)):
        words = mapper(record(*annotations))["instances"]
        assert words.gt_text.shape == (len(words), 1) and not words.gt_text.any()
        assert words.gt_ignore.all() and words.gt_boxes.tensor.shape == (len(words), 4)
        assert words.gt_masks.tensor.shape[0] == len(words) == len(words.gt_classes)


def test_a_record_without_annotations(record):
    given = record()
    del given["annotations"]
    assert len(plain_mapper()(given)["instances"]) == 0


@pytest.mark.parametrize("text", ["abcdef", "abz", ""])
def test_words_that_cannot_be_read(record, text):
    given = record(annotation(10, 20, 30, 10, text), annotation(5, 40, 9, 9, "j"))
    ignoring, detecting = (plain_mapper(unknown=what)(given)["instances"] for what in ("ignore", "detect"))
    assert ignoring.gt_ignore.tolist() == [True, False]
    assert detecting.gt_ignore.tolist() == [False, False]
    for words in (ignoring, detecting):
        assert words.gt_text.tolist() == [[PAD, PAD], [11, END]]
    with pytest.raises(ValueError, match=r"photo\.png.*INPUT\.TEXT\.UNKNOWN") as error:
        plain_mapper(unknown="error")(given)
    assert f"'{text}'" in str(error.value)


def test_case_is_folded_and_composed_before_it_is_judged():
    policy = WordPolicy(Charset("abcdé"), 2)
    assert policy.role(annotation(0, 0, 9, 9, "AE\u0301")) is Role.READ  # three code points, two characters


def test_limit_of_words_in_training_only(record):
    given = record(*(annotation(8 * i, 10, 7, 10, "abcdefghij"[i]) for i in range(8)))
    chosen = set()
    for seed in range(40):
        np.random.seed(seed)
        words = plain_mapper(max_words=3)(given)["instances"]
        assert len(words) == 8 and not words.gt_ignore.any()
        read = (words.gt_text != PAD).any(dim=1)
        assert read.sum() == 3
        assert words.gt_text[read, 0].tolist() == (torch.arange(8)[read] + 2).tolist()
        chosen |= set(torch.nonzero(read).flatten().tolist())
    assert chosen == set(range(8))
    for unlimited in (plain_mapper(max_words=0), plain_mapper(max_words=8), plain_mapper(is_train=False, max_words=3)):
        assert (unlimited(given)["instances"].gt_text != PAD).any(dim=1).all()


def test_small_and_degenerate_words(record):
    slanted = annotation(0, 0, 1, 1)
    corners = cv2.boxPoints(((40, 40), (30, 5), 45))  # its box is 25 pixels high, the word 5
    slanted["segmentation"] = [corners.ravel().tolist()]
    line = annotation(10, 10, 20, 0.0, "b")
    diagonal = annotation(0, 0, 1, 1, "b")
    diagonal["segmentation"] = [[10, 10, 20, 20, 30, 30]]
    words = plain_mapper(min_size=6)(record(slanted, line, diagonal, annotation(5, 5, 20, 7, "c")))["instances"]
    assert words.gt_ignore.tolist() == [True, False]
    assert words.gt_text.tolist() == [[PAD, PAD], [4, END]]
    assert not plain_mapper(min_size=4)(record(slanted))["instances"].gt_ignore.any()


def test_outlines_are_clipped_and_those_outside_dropped(record):
    given = record(annotation(-10, 50, 30, 30), annotation(100, 100, 10, 10), annotation(5, 5, 20, 7, "j"))
    words = plain_mapper()(given)["instances"]
    assert words.gt_boxes.tensor.tolist() == [[0, 50, 20, 60], [5, 5, 25, 12]]
    assert words.gt_text[:, 0].tolist() == [2, 11]


def test_drawn_words_keep_their_texts_under_all_augmentation(tmp_path):
    """Each word has a colour of its own; wherever the outline ends up, that colour must be there."""
    image = np.full((120, 160, 3), 255, np.uint8)
    annotations, colours = [], {}
    for i, text in enumerate("abcdef"):
        x, y = 8 + 50 * (i % 3), 15 + 55 * (i // 3)
        annotations.append(annotation(x, y, 36, 24, text))
        colours[i + 2] = np.array([(i % 2) * 200, (i // 2 % 2) * 200, (i // 4) * 200])
        cv2.rectangle(image, (x, y), (x + 35, y + 23), colours[i + 2].tolist(), -1)
    path = str(tmp_path / "words.png")
    cv2.imwrite(path, image)
    cfg = toy.tiny_cfg("INPUT.COLOR_JITTER", (0.0, 0.0, 0.0))
    mapper = TextDatasetMapper(cfg, is_train=True, policy=WordPolicy(CHARSET, 5))
    seen = 0
    for seed in range(30):
        np.random.seed(seed)
        output = mapper({"file_name": path, "annotations": annotations})
        assert (output["height"], output["width"]) == (120, 160)
        words, pixels = output["instances"], output["image"].permute(1, 2, 0).numpy().astype(int)
        assert 1 <= len(words) <= 6 and not words.gt_ignore.any()
        assert torch.equal(words.gt_boxes.tensor[:, :2], words.gt_masks.tensor.amin(dim=1))
        assert torch.equal(words.gt_boxes.tensor[:, 2:], words.gt_masks.tensor.amax(dim=1))
        for token, polygon in zip(words.gt_text[:, 0].tolist(), words.gt_masks.tensor.numpy(), strict=True):
            for corner in polygon:
                x, y = (0.85 * corner + 0.15 * polygon.mean(axis=0)).astype(int)
                assert np.abs(pixels[y, x] - colours[token]).max() < 40
            seen += 1
    assert seen > 45


def test_inference_gives_the_image_alone_unless_asked(record):
    given = record(annotation(10, 20, 30, 10))
    cfg = toy.tiny_cfg("INPUT.MIN_SIZE_TEST", 120, "INPUT.MAX_SIZE_TEST", 1000)
    alone = TextDatasetMapper(cfg, is_train=False)(given)
    assert alone["image"].shape == (3, 120, 160) and "instances" not in alone and "annotations" not in alone
    assert (alone["height"], alone["width"]) == (60, 80)
    words = TextDatasetMapper(cfg, is_train=False, keep_annotations=True)(given)["instances"]
    assert words.gt_boxes.tensor.tolist() == [[20, 40, 80, 60]]


def test_another_image_size_than_annotated(record):
    with pytest.raises(ValueError, match=r"photo\.png.*80 x 60.*90 x 60") as error:
        plain_mapper()(record(width=90))
    assert "EXIF" not in str(error.value)
    with pytest.raises(ValueError, match="60 x 80.*EXIF"):
        plain_mapper()(record(width=60, height=80))


def test_an_unreadable_image_names_itself(record, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        plain_mapper()(record(file_name=str(broken)))


def test_report_counts_once_by_reason(record, caplog):
    words = [("abc", False), ("xyz", False), ("a-b", False), ("abcdef", False), ("???", True)]
    records = [record(*(annotation(0, 0, 9, 9, text, ignore=ignore) for text, ignore in words)), record()]
    with caplog.at_level(logging.WARNING):
        report_unreadable("mine", records, WordPolicy(CHARSET, 5))
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert message.startswith("mine: of 4 words, 2 have characters that are not in test, such as 'xyz' in ")
    assert "1 are longer than MODEL.TEXT.MAX_LENGTH 5, such as 'abcdef'" in message and "don't care" in message
    with pytest.raises(ValueError, match="mine: of 4 words.*INPUT.TEXT.UNKNOWN"):
        report_unreadable("mine", records, WordPolicy(CHARSET, 5, "error"))


def test_report_is_silent_when_all_can_be_read(record, caplog):
    with caplog.at_level(logging.INFO):
        report_unreadable(
            "mine", [record(annotation(0, 0, 9, 9)), {"file_name": "x.jpg"}], WordPolicy(CHARSET, 5, "error")
        )
    assert not caplog.records


def test_real_photos(real_data, tmp_path):
    """Ten photos as they are distributed, through converter, loader and mapper."""
    for kind, name in (("images", "img_{}.jpg"), ("gt", "gt_img_{}.txt")):
        (tmp_path / kind).mkdir()
        for number in range(1, 251, 25):
            source = real_data / "icdar2015_dev" / kind / name.format(number)
            (tmp_path / kind / source.name).symlink_to(source)
    json_file = str(tmp_path / "ten.json")
    arguments = ["icdar2015", "--images", str(tmp_path / "images"), "--annotations", str(tmp_path / "gt")]
    assert toy.load_script("tools/prepare_dataset.py").main([*arguments, "--output", json_file]) == 0
    records = load_text_json(json_file, str(tmp_path / "images"))
    assert len(records) == 10
    mapper = TextDatasetMapper(
        toy.tiny_cfg("INPUT.MIN_SIZE_TRAIN", (448,), "INPUT.MAX_SIZE_TRAIN", 1333), is_train=True
    )
    for record in records * 2:
        output = mapper(record)
        height, width = output["image"].shape[1:]
        words = output["instances"]
        x1, y1, x2, y2 = words.gt_boxes.tensor.unbind(dim=1)
        assert ((x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height) & (x1 < x2) & (y1 < y2)).all()
        roles = [mapper.policy.role(word) for word in record["annotations"]]
        if any(role is not Role.IGNORE for role in roles):
            assert not words.gt_ignore.all(), "the crop keeps a cared word"
        # In this set every cared word that the charset has is read, and nothing else is.
        assert torch.equal((words.gt_text != PAD).any(dim=1), ~words.gt_ignore)


def test_characters_move_with_their_word(record):
    """Boxes of the characters go through crop, rotation and size as the outline does."""
    word = annotation(10, 20, 30, 10, "abc")
    boxes = [[x, 20, x + 10, 20, x + 10, 30, x, 30] for x in (10, 20, 30)]
    given = record(
        annotation(50, 5, 12, 9, "a"),
        word | {"characters": boxes},
        annotation(5, 40, 9, 9, "ab") | {"characters": boxes},
    )
    words = plain_mapper()(given)["instances"]
    assert words.gt_characters.tensor[1].tolist() == np.reshape(boxes, (3, 4, 2)).tolist()
    assert words.gt_characters.tensor[[0, 2]].isnan().all(), "no boxes, or another number of them than characters"
    cfg = toy.tiny_cfg("INPUT.MIN_SIZE_TRAIN", (100,), "INPUT.MAX_SIZE_TRAIN", 400, "INPUT.ROTATION", 30.0)
    mapper = TextDatasetMapper(cfg, is_train=True)
    for _ in range(10):
        words = mapper(record(word | {"characters": boxes}))["instances"]
        moved, outline = words.gt_characters.tensor[0], words.gt_masks.tensor[0]
        torch.testing.assert_close(moved[0, [0, 3]], outline[[0, 3]], atol=1e-3, rtol=0)
        torch.testing.assert_close(moved[2, [1, 2]], outline[[1, 2]], atol=1e-3, rtol=0)
        torch.testing.assert_close(moved[1, 0], outline[0] + (outline[1] - outline[0]) / 3, atol=1e-3, rtol=0)
    assert not plain_mapper()(record(word))["instances"].has("gt_characters")


def test_strict_policy_is_for_training_only(record):
    given = record(annotation(10, 20, 30, 10, "\u00e9"))
    cfg = toy.tiny_cfg("INPUT.TEXT.UNKNOWN", "error")
    with pytest.raises(ValueError, match="INPUT.TEXT.UNKNOWN"):
        TextDatasetMapper(cfg, is_train=True)(given)
    words = TextDatasetMapper(cfg, is_train=False, keep_annotations=True)(given)["instances"]
    assert words.gt_ignore.tolist() == [True]
