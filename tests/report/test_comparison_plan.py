"""The YAML file of a comparison: what it may say, and what is said about one that is wrong."""

from pathlib import Path

import pytest
import toy
from comparison import row_config
from comparison_plan import Comparison, DataSet, Row, load_plan

PLAN = """
data_sets: [{name: drawn, short_side: 96, lexicon: full}]
rows:
  - {title: Vanilla, config: a.yaml}
  - {title: DLD, config: b.yaml, weights: b.pth, opts: [MODEL.DLD.GAMMA, 0.3], paper: 62.3, seeds: [1]}
  - {title: DLD, config: b.yaml, weights: "c_{seed}.pth", seeds: [2, 3]}
comparisons:
  - {statement: better, first: DLD, second: Vanilla, expected: ">"}
"""


def write(folder, text):
    path = folder / "comparison.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan(tmp_path):
    plan = load_plan(write(tmp_path, PLAN))
    assert plan.data_sets == [DataSet("drawn", 96, "full")]
    assert plan.rows[0] == Row("Vanilla", "a.yaml")
    assert plan.rows[1] == Row("DLD", "b.yaml", "b.pth", ["MODEL.DLD.GAMMA", 0.3], "62.3", [1])
    assert [row.name for row in plan.rows] == ["Vanilla", "DLD (seed 1)", "DLD (seed 2)", "DLD (seed 3)"]
    assert [row.weights for row in plan.rows] == ["", "b.pth", "c_2.pth", "c_3.pth"]
    assert plan.comparisons == [Comparison("better", "DLD", "Vanilla", ">", "e2e_none", "")]
    assert plan.reference == "Vanilla"


@pytest.mark.parametrize("path", sorted((toy.ROOT / "projects/DLD/report").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_project_s_own_plans_and_their_configs(path, monkeypatch):
    monkeypatch.chdir(toy.ROOT)
    plan = load_plan(path)
    for row in plan.rows:
        cfg = row_config(row, plan.data_sets[0])
        assert plan.data_sets[0].short_side == cfg.INPUT.MIN_SIZE_TEST
        trained = Path("output/recipes") in Path(cfg.MODEL.WEIGHTS).parents  # by a script of the project
        assert trained or Path(cfg.MODEL.WEIGHTS).is_file()


def test_detection_alone(tmp_path):
    text = PLAN.replace("lexicon: full", "min_score: 0.25, score_powers: [1, 0]").replace("a.yaml", "synthetic-dld")
    plan = load_plan(write(tmp_path, text))
    assert plan.data_sets[0].key == "drawn, shorter side 96, score at least 0.25, score powers [1, 0]"
    evaluation = row_config(plan.rows[0], plan.data_sets[0]).TEST.TEXT
    assert (evaluation.SCORE_THRESHOLD, tuple(evaluation.SCORE_POWERS)) == (0.25, (1, 0))


def test_a_row_with_an_overlay_and_options(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("MODEL: {DLD: {FIXED_SCALE: 0.5}}")
    text = PLAN.replace("config: a.yaml", f"config: [synthetic-dld, {overlay}], opts: [TEST.SAMPLES, 7]")
    plan = load_plan(write(tmp_path, text))
    cfg = row_config(plan.rows[0], plan.data_sets[0])
    assert (cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.DLD.FIXED_SCALE, cfg.TEST.SAMPLES) == ("DLDSpotter", 0.5, 7)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (PLAN, "- a\n- b\n", "expected the fields comparisons, data_sets, reference, rows"),
        (PLAN, "rows: [", "comparison.yaml is no YAML file"),
        ("data_sets:", "datasets:", "expected the fields .*; it has datasets, rows, comparisons"),
        ("[{name: drawn, short_side: 96, lexicon: full}]", "[]", "'data_sets' must be a list with one entry or more"),
        ("short_side: 96", "short_side: big", "data_sets, entry 1: 'short_side' must be a whole number; it is 'big'"),
        ("short_side: 96", "short_side: 96, min_score: 6", "'min_score' must be a number from 0 to 1; it is 6"),
        ("lexicon: full", "score_powers: [1, x]", r"'score_powers' must be a list of two numbers; it is \[1, 'x'\]"),
        ("short_side: 96, ", "", "data_sets, entry 1 lacks the field 'short_side'"),
        ("weights: b.pth", "weight: b.pth", "rows, entry 2: there is no field 'weight'; known are title, config"),
        ("seeds: [2, 3]", "seeds: 2", "rows, entry 3: 'seeds' must be a list of whole numbers; it is 2"),
        ("[MODEL.DLD.GAMMA, 0.3]", "[MODEL.DLD.GAMMA]", "rows, entry 2: 'opts' must be a list KEY, VALUE"),
        ("seeds: [2, 3]", "seeds: [2, 1]", r"two rows are called 'DLD \(seed 1\)'"),
        ("second: Vanilla", "second: Vanila", "comparisons, entry 1: second names 'Vanila', which is no row's title"),
        ('">"', '">="', "comparisons, entry 1: 'expected' is '>='; use '>' or '<'"),
        ('">"', '">", figure: speed', "comparisons, entry 1: there is no figure 'speed'; use one of detection"),
        ("rows:", "reference: Teacher\nrows:", "reference names 'Teacher', which is no row's title"),
        ("{title: Vanilla, config: a.yaml}", "Vanilla", "rows, entry 1 must have the fields title, config"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    with pytest.raises(ValueError, match=said):
        load_plan(write(tmp_path, PLAN.replace(old, new)))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no comparison file"):
        load_plan(tmp_path / "nothing.yaml")
