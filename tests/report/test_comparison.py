"""Comparisons from readings made by hand: figures, intervals, orderings, the table, and what the cache saves."""

import dataclasses
import json

import comparison
import numpy as np
import pytest
import toy
import yaml
from comparison import compare, find_lexicons
from comparison_figures import NOT_MEASURED, NOT_TRAINED, agreement
from comparison_plan import DataSet, load_plan
from comparison_table import format_comparison, marks, write_comparison

from dld_spotter.analysis.readings import ImageReading, ReadingCache, Readings
from dld_spotter.evaluation import Lexicon, evaluate_words, read_ground_truth
from dld_spotter.evaluation.bootstrap import Estimate
from dld_spotter.evaluation.protocol import Protocol

IMAGES, WORDS = 8, 3


@pytest.fixture
def plan(tmp_path):
    """A plan of three rows on a drawn data set; the weights of "good" and "bad" are there, those of "later" are not."""
    annotations, images = toy.write_toy_dataset(tmp_path, IMAGES, words_per_image=WORDS)
    toy_config = toy.tiny_cfg("DATASETS.CUSTOM", [("compared_toy", images, annotations)])
    (tmp_path / "config.yaml").write_text(toy_config.dump(), encoding="utf-8")
    rows = []
    for title, seed in (("good", 1), ("good", 2), ("bad", None), ("later", None)):
        weights = tmp_path / f"{title}{seed}.pth"
        if title != "later":
            weights.write_bytes(f"{title}{seed}".encode())
        rows.append(
            {
                "title": title,
                "config": str(tmp_path / "config.yaml"),
                "weights": str(weights),
                "seeds": [seed] if seed else [],
            }
        )
    rows[0]["paper"] = "62.3 | 71.4"
    content = {
        "data_sets": [{"name": "compared_toy", "short_side": 96, "lexicon": "full"}],
        "rows": rows,
        "reference": "bad",
        "comparisons": [
            {"statement": "reads better", "first": "good", "second": "bad", "expected": ">", "paper": "59.6 > 55.4"},
            {"statement": "costs less", "first": "good", "second": "bad", "expected": "<", "figure": "gflops"},
            {"statement": "finds more", "first": "good", "second": "bad", "expected": ">", "figure": "detection"},
            {"statement": "reads better", "first": "later", "second": "bad", "expected": ">"},
        ],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_plan(tmp_path / "plan.yaml")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """In place of inference: "good" reads all but the first word of each image, "bad" only the last one."""
    truth = read_ground_truth(tmp_path / "toy.json") if (tmp_path / "toy.json").is_file() else None
    calls = []

    def measure(cfg, data_set, limit=None):
        name = cfg.MODEL.WEIGHTS.rsplit("/", 1)[1]
        calls.append((name, data_set, limit))
        right, cost, scale = (WORDS - 1, 2 * 10**9, 0.5) if name.startswith("good") else (1, 10**9, 1.0)
        images = []
        for number, image in enumerate(truth.images[:limit]):
            words = [
                {"polygon": word.polygon.tolist(), "text": word.text if place >= WORDS - right else "?", "score": 0.9}
                for place, word in enumerate(image.words)
            ]
            places = [(word.text, word.text.upper() if number else "?") for word in image.words]
            images.append(ImageReading(image.image_id, (96, 128), scale, 0.1 * number, cost, words, places))
        return Readings("a processor", images[::-1])

    monkeypatch.setattr(comparison, "measure_readings", measure)
    return calls


def row(result, name):
    return next(row for row in result.rows if row.row.name == name)


def test_figures_and_orderings(plan, measured, tmp_path, caplog):
    (result,) = compare(plan, ReadingCache(tmp_path / "cache"))
    assert (result.images, result.words) == (IMAGES, IMAGES * WORDS)
    good, bad, later = row(result, "good (seed 1)"), row(result, "bad"), row(result, "later")
    assert good.figures["e2e_none"] == Estimate(2 / 3, 2 / 3, 2 / 3), "the same in every image"
    assert good.figures["detection"].value == 1.0
    assert good.figures["recognition"].value == pytest.approx((IMAGES - 1) / IMAGES)
    assert good.figures["recognition"].low < good.figures["recognition"].value < good.figures["recognition"].high
    assert good.figures["gflops"].value == 2.0
    assert (good.cost, bad.cost) == (1.0, 0.5)
    assert good.seconds == pytest.approx(0.35)
    assert (good.shares, bad.shares) == ({0.5: 1.0}, {1.0: 1.0})
    assert good.differences["e2e_none"].value == pytest.approx(1 / 3)
    assert bad.differences == {}
    assert (later.missing, later.figures) == (NOT_TRAINED, {})
    assert [c.agrees for c in result.comparisons] == ["yes", "no", "within the interval", NOT_MEASURED]
    assert result.comparisons[0].runs == (2, 1)
    warnings = [r.getMessage() for r in caplog.records if "no weights yet" in r.getMessage()]
    assert len(warnings) == 1 and "'later'" in warnings[0]


def test_figures_are_those_of_the_evaluator(plan, measured, tmp_path):
    (result,) = compare(plan, ReadingCache(tmp_path / "cache"))
    readings = comparison.measure_readings(comparison.row_config(plan.rows[2], plan.data_sets[0]), "compared_toy")
    truth = read_ground_truth(tmp_path / "toy.json")
    lexicon = Lexicon(word.text for image in truth.images for word in image.words)
    images = truth.pair(reading.prediction() for reading in readings.images)
    expected = evaluate_words(images, Protocol(), {"none": None, "lexicon": lexicon}).results()
    figures = row(result, "bad").figures
    assert {task: figures[task].value for task in expected if task in figures} == pytest.approx(
        {task: metrics["hmean"] for task, metrics in expected.items() if task in figures}
    )
    assert {"detection", "e2e_lexicon", "word_spotting_none"} <= expected.keys() & figures.keys()


def test_the_second_call_measures_only_what_changed(plan, measured, tmp_path):
    cache = ReadingCache(tmp_path / "cache")
    first = compare(plan, cache)
    assert [name for name, *_ in measured] == ["good1.pth", "good2.pth", "badNone.pth"]
    assert compare(plan, cache) == first
    assert len(measured) == 3
    (tmp_path / "laterNone.pth").write_bytes(b"trained")
    compare(plan, cache)
    assert [name for name, *_ in measured[3:]] == ["laterNone.pth"]
    (tmp_path / "good1.pth").write_bytes(b"trained longer")
    compare(plan, cache)
    assert [name for name, *_ in measured[4:]] == ["good1.pth"]
    (limited,) = compare(plan, cache, limit=2)
    assert (len(measured), limited.images) == (9, 2)
    plan.rows[2].opts.extend(["MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.9])
    compare(plan, cache)
    assert [name for name, *_ in measured[9:]] == ["badNone.pth"]


def test_a_new_option_makes_no_old_reading_useless(plan, measured, tmp_path):
    """Readings stay with the values that differ from the defaults: a default does not count, another value does."""
    compare(plan, ReadingCache(tmp_path / "cache"))  # registers the data set
    cache, row, data_set = ReadingCache(tmp_path), plan.rows[0], plan.data_sets[0]
    cfg = comparison.row_config(row, data_set)
    plain = cache.path(cfg, data_set.name, None, "a")
    older = cfg.clone()
    older.defrost()
    del older.MODEL.MANGO["MAX_CELLS"]
    assert cache.path(older, data_set.name, None, "a") == plain
    older.MODEL.MANGO.MAX_CELLS = 3
    assert cache.path(older, data_set.name, None, "a") != plain
    older.MODEL.MANGO.MAX_CELLS = 120
    older.INPUT.MIN_SIZE_TEST += 1
    assert cache.path(older, data_set.name, None, "a") != plain


@pytest.mark.parametrize(("key", "value"), [("SCORE_THRESHOLD", 0.123), ("SCORE_POWERS", [0.5, 0.25])])
def test_words_are_read_again_where_other_ones_are_given_out(key, value, plan, measured, tmp_path):
    compare(plan, ReadingCache(tmp_path / "cache"))  # registers the data set
    cache, data_set = ReadingCache(tmp_path), plan.data_sets[0]
    cfg = comparison.row_config(plan.rows[0], data_set).clone()
    plain = cache.path(cfg, data_set.name, None, "a")
    cfg.defrost()
    cfg.TEST.TEXT[key] = value
    assert cache.path(cfg, data_set.name, None, "a") != plain


def test_a_run_that_died_goes_on(plan, measured, tmp_path, monkeypatch):
    cache, whole = ReadingCache(tmp_path / "cache"), comparison.measure_readings

    def die(cfg, *arguments):
        if "bad" in cfg.MODEL.WEIGHTS:
            raise KeyboardInterrupt
        return whole(cfg, *arguments)

    monkeypatch.setattr(comparison, "measure_readings", die)
    with pytest.raises(KeyboardInterrupt):
        compare(plan, cache)
    monkeypatch.setattr(comparison, "measure_readings", whole)
    (result,) = compare(plan, cache)
    assert [name for name, *_ in measured] == ["good1.pth", "good2.pth", "badNone.pth"]
    assert row(result, "bad").missing == ""


def test_without_inference(plan, measured, tmp_path):
    (result,) = compare(plan, ReadingCache(tmp_path / "cache"), infer=False)
    assert [row.missing for row in result.rows] == [NOT_MEASURED] * 3 + [NOT_TRAINED]
    assert (measured, result.images) == ([], 0)
    assert "| later | not trained |" in format_comparison([result], plan.reference, "command")


def test_a_damaged_file_of_the_cache_is_named(plan, measured, tmp_path):
    compare(plan, ReadingCache(tmp_path / "cache"))
    broken = sorted((tmp_path / "cache").iterdir())[0]
    broken.write_text('{"images": [{}]}')
    with pytest.raises(ValueError, match=rf"{broken.name} is damaged .*; delete it"):
        compare(plan, ReadingCache(tmp_path / "cache"))


def test_rows_with_different_rules_are_refused(plan, measured, tmp_path):
    plan.rows[2].opts.extend(["TEST.TEXT.IOU_THRESHOLD", 0.1])
    with pytest.raises(ValueError, match=r"'good \(seed 1\)' is scored with .*, 'bad' with .*iou_threshold=0.1"):
        compare(plan, ReadingCache(tmp_path / "cache"))


def test_another_least_score_is_another_reading(plan, measured, tmp_path):
    """A model gives out no words scored lower, so that its readings with one least score lack words of a lower one."""
    plan.data_sets.append(dataclasses.replace(plan.data_sets[0], min_score=1.0))
    everything, nothing = compare(plan, ReadingCache(tmp_path / "cache"))
    assert len(measured) == 6
    assert nothing.protocol == everything.protocol.replace("score >= 0", "score >= 1")
    assert row(everything, "good (seed 1)").figures["detection"].value > 0
    assert row(nothing, "good (seed 1)").figures["detection"].value == 0
    assert nothing.data_set.key == "compared_toy, shorter side 96, score at least 1"


def test_lexicons(plan, measured, tmp_path):
    compare(plan, ReadingCache(tmp_path / "cache"), infer=False)  # registers the data set
    truth = read_ground_truth(tmp_path / "toy.json")
    words = {word.text for image in truth.images for word in image.words}
    assert set(find_lexicons(DataSet("compared_toy", 96, "full"), truth, {})["lexicon"].words) == words
    assert find_lexicons(DataSet("compared_toy", 96), truth, {}) == {"none": None}
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    given = find_lexicons(DataSet("compared_toy", 96, "full"), truth, {"full": str(tmp_path / "words.txt")})
    assert given["lexicon"].words == ["one", "two"]
    with pytest.raises(ValueError, match="data set 'compared_toy' has no lexicon 'weak'"):
        find_lexicons(DataSet("compared_toy", 96, "weak"), truth, {})


def test_table(plan, measured, tmp_path):
    results = compare(plan, ReadingCache(tmp_path / "cache"))
    text = format_comparison(results, plan.reference, "python projects/DLD/report/compare_methods.py plan.yaml")
    lines = text.splitlines()
    assert lines[0].startswith("**compared_toy, shorter side 96: 8 images, 24 words** (IoU > 0.5")
    head = lines[2].strip("| ").split(" | ")
    assert head[:5] == [
        "method",
        "detection",
        "recognition on ground-truth boxes",
        "end-to-end none",
        "end-to-end full",
    ]
    assert head[-3:] == ["end-to-end none: difference to bad", "end-to-end full: difference to bad", "paper"]
    good = lines[4].replace("\\|", "/").strip("| ").split(" | ")
    assert good[0] == "good (seed 1)" and good[1] == "100.0" and good[3] == "66.7"
    assert good[2].startswith("87.5 [") and good[7:11] == ["2.00", "1.00", "0.350", "0.5: 100%"]
    assert good[11] == "+33.3" and good[13] == "62.3 / 71.4"
    assert all(line.replace("\\|", "").count("|") == len(head) + 1 for line in lines[2:8])
    ordering = next(line for line in lines if line.startswith("| reads better: good > bad"))
    assert "| 59.6 > 55.4 | 66.7 / 33.3 (means of 2 and 1 runs) | +33.3 | yes |" in ordering
    assert "Machine: a processor." in text
    assert "```bash\npython projects/DLD/report/compare_methods.py plan.yaml\n```" in text
    assert json.loads(json.dumps(results[0].to_dict()))["rows"][0]["figures"]["gflops"]["value"] == 2.0


def test_place_in_a_readme(tmp_path):
    begin, end = marks("table")
    readme = tmp_path / "README.md"
    readme.write_text(f"Before.\n\n{begin}\nold\n{end}\n\nAfter.\n")
    for report in ("| new |\n", "| newer |\n"):
        write_comparison(readme, report, "table")
    assert readme.read_text() == f"Before.\n\n{begin}\n| newer |\n{end}\n\nAfter.\n"
    write_comparison(tmp_path / "new" / "table.md", "| new |\n", "table")
    assert (tmp_path / "new" / "table.md").read_text() == f"{begin}\n| new |\n{end}\n"
    for text in ("no marks", f"{end}\n{begin}\n", f"{begin}\n{begin}\n{end}\n"):
        readme.write_text(text)
        with pytest.raises(ValueError, match="README.md has no place for the comparison"):
            write_comparison(readme, "report", "table")
        assert readme.read_text() == text


@pytest.mark.parametrize(
    ("interval", "expected", "agrees"),
    [
        ((0.1, 0.3), ">", "yes"),
        ((0.1, 0.3), "<", "no"),
        ((-0.3, -0.1), "<", "yes"),
        ((-0.3, -0.1), ">", "no"),
        ((-0.1, 0.3), ">", "within the interval"),
        ((0.0, 0.0), "<", "within the interval"),
    ],
)
def test_agreement(interval, expected, agrees):
    assert agreement(Estimate(float(np.mean(interval)), *interval), expected) == agrees
