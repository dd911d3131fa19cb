"""The figures of the paper from their command line, with tiny networks; and what they are made of, by hand."""

import re

import numpy as np
import pytest
import toy
import yaml
from comparison_plan import load_plan
from failure_shares import SHARES, failure_shares, judge, share_parts
from feature_figures import principal_components
from figure_data import FigureData, ScaleSweep
from gallery import Reading, Shown, changed_words, choose_images, draw_svg

from dld_spotter.analysis.features import measure_distances
from dld_spotter.analysis.readings import ReadingCache, load_model, measure_readings
from dld_spotter.config import load_cfg
from dld_spotter.data.loader import build_text_test_loader
from dld_spotter.evaluation.protocol import ImageWords, Protocol, ReadWord, TruthWord
from dld_spotter.evaluation.scoring import evaluate_words

paper_figures = toy.load_script("projects/DLD/report/paper_figures.py")


def box(left):
    return np.array([[left, 0], [left + 8, 0], [left + 8, 8], [left, 8]], float)


def image(reads, key="a"):
    """Four annotated words, "one" to "four", at 0, 10, 20 and 30, the last of them don't care; read words by place."""
    truths = [TruthWord(box(10 * i), text, i == 3) for i, text in enumerate(("one", "two", "three", "four"))]
    return ImageWords(key, truths, [ReadWord(box(left), text, 0.9) for left, text in reads.items()])


def test_words_are_judged_as_the_score_counts_them():
    read = image({0: "One", 10: "tow", 30: "four", 60: "more"})
    judged = judge(read, Protocol())
    assert judged.right == [True, False, False, None]
    assert dict(zip([word.text for word in judged.reads], judged.verdicts, strict=True)) == {
        "One": True,
        "tow": False,
        "four": None,
        "more": False,
    }
    score = evaluate_words([read], Protocol(), {"none": None}).scores["e2e_none"]
    assert (score.correct, score.truths) == (judged.right.count(True), 3)
    assert score.detections == sum(verdict is not None for verdict in judged.verdicts)


def test_failure_shares_by_hand():
    """Image a: one ++, two +-, three --; image b: one -+, two ++, three +-; so 2, 2, 1 and 1 of six words."""
    first = [image({0: "one", 10: "two"}), image({10: "two", 20: "three"}, "b")]
    second = [image({0: "one", 10: "x", 30: "y"}), image({0: "one", 10: "two"}, "b")]
    parts = share_parts(first, second, Protocol())
    assert parts[:, :, 0].T.tolist() == [[1, 1, 0, 1], [1, 1, 1, 0]] and (parts[:, :, 1] == 3).all()
    methods = [type("Run", (), {"images": images}) for images in (first, second)]
    shares = failure_shares(*methods, Protocol(), resamples=20, seed=0)
    assert [shares[kind].value for kind in SHARES] == pytest.approx([2 / 6, 2 / 6, 1 / 6, 1 / 6])
    assert all(share.low <= share.value <= share.high for share in shares.values())


@pytest.mark.parametrize("shape", [(7, 4), (5, 40), (1, 3), (2, 1)])
def test_principal_components_against_numpy(shape):
    """By the singular values of the centred features; two components at most are not zero."""
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32) * np.arange(1, shape[1] + 1)
    found, shares = principal_components(features)
    left, values, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    expected = np.zeros((shape[0], 2))
    expected[:, : min(2, len(values))] = (left * values)[:, :2]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    total = (values**2).sum()
    np.testing.assert_allclose(shares * total, np.pad(values**2, (0, 2))[:2], atol=1e-4)


def test_points_on_a_line_have_one_component():
    steps = np.array([-3.0, 1.0, 2.0])
    found, shares = principal_components(steps[:, None] * [0.6, 0.8, 0.0] + [5, 6, 7])
    np.testing.assert_allclose(found, np.stack([-steps, np.zeros(3)], axis=1), atol=1e-7)  # the largest is positive
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)


def test_another_gamma_chooses_among_what_was_read():
    """Logits are -10 (loss + gamma cost): losses 0, 0.02 at costs 1, 0.5 make the smaller scale pay from gamma 0.04."""
    parts = [np.array([[right, 4], [right, 4]]) for right in (2, 4)]
    spent = [np.array([[cost, 10], [cost, 10]]) for cost in (5, 10)]
    runs = [
        type("Run", (), {"parts": {"e2e_none": own, "gflops": cost}}) for own, cost in zip(parts, spent, strict=True)
    ]
    losses = np.array([[0.02, 0.0], [0.2, 0.0]])
    costs = np.array([0.5, 1.0], dtype=np.float32)
    logits = (-10 * (losses + 0.3 * costs)).astype(np.float32)
    sweep = ScaleSweep((0.5, 1.0), runs, logits, np.array([1, 1]), costs, gamma=0.3, shift=0.0, limit=0.0)
    assert [sweep.choose(gamma).tolist() for gamma in (0.0, 0.05, 0.5)] == [[1, 1], [0, 1], [0, 0]]
    assert sweep.choose().tolist() == sweep.choose(0.3).tolist() == [0, 1]
    assert sweep.parts("e2e_none", np.array([0, 1])).tolist() == [[2, 4], [4, 4]]
    assert sweep.parts("gflops", np.array([0, 1])).tolist() == [[6, 10], [11, 10]]
    limited = ScaleSweep((0.5, 1.0), runs, logits, np.array([1, 1]), costs, gamma=0.3, shift=0.0, limit=0.7)
    assert limited.choose(0.0).tolist() == [0, 0]


def shown(before, last, file="a.jpg"):
    readings = [Reading(title, read, judge(read, Protocol()), 0.5) for title, read in (("A", before), ("B", last))]
    return Shown(file, readings)


def test_images_of_a_gallery():
    """The second image gains two words, the first one and loses one, the third is read alike."""
    more, both, same = (
        shown(image({}), image({0: "one", 10: "two"}), "more.jpg"),
        shown(image({0: "one"}), image({10: "two"}), "both.jpg"),
        shown(image({0: "one"}), image({0: "one"}), "same.jpg"),
    )
    assert [changed_words(entry) for entry in (more, both, same)] == [(2, 0), (1, 1), (0, 0)]
    pages = {show: [entry.file for entry in choose_images([both, same, more], show, 5)] for show in paper_figures.SHOWN}
    assert pages == {"gained": ["more.jpg", "both.jpg"], "lost": ["both.jpg"], "changed": ["both.jpg", "more.jpg"]}
    assert len(choose_images([both, more], "gained", 1)) == 1


def test_wrong_words_are_red():
    drawn = draw_svg(shown(image({}), image({0: "one", 10: "t<w>o"})).readings[1])
    texts = dict(re.findall(r'<text [^>]*fill="(#\w+)"[^>]*>([^<]*)</text>', drawn))
    assert texts == {"#0072b2": "one", "#d00000": "t&lt;w&gt;o"}
    assert drawn.count("stroke-dasharray") == 1  # "three" was not found


def run(capsys, *argv):
    """(exit code, standard output, last line of standard error)"""
    code = paper_figures.main([str(a) for a in argv])
    output = capsys.readouterr()
    return code, output.out, (output.err.splitlines() or [""])[-1]


def test_chosen_scales_are_those_of_the_model(trained, capsys):
    """What the selector chooses with MODEL.DLD.GAMMA_SHIFT, and what is read and spent then, word for word."""
    plan = load_plan(trained / "plan.yaml")
    data = FigureData(plan, plan.data_sets[0], ReadingCache(trained / "cache"))
    row = data.row("DLD")
    sweep = data.sweep(row)
    assert sweep.scales == (0.5, 1.0) and len(set(sweep.choose(-100)) | set(sweep.choose(100))) == 2
    for gamma in (-100.0, 0.1, 100.0):
        cfg = data.cfg(row)
        cfg.MODEL.DLD.GAMMA_SHIFT = gamma - cfg.MODEL.DLD.GAMMA
        readings = measure_readings(cfg, "methods_toy")
        choice = sweep.choose(gamma)
        assert [sweep.scales[index] for index in choice] == [reading.scale for reading in readings.images]
        costs = sweep.parts("gflops", choice)[:, 0].tolist()
        assert costs == [reading.multiply_adds for reading in readings.images]
        for place, (index, reading) in enumerate(zip(choice, readings.images, strict=True)):
            assert sweep.at_scale[index].readings[place].words == reading.words


def test_commands(trained, capsys):
    argv = (trained / "plan.yaml", "--readings", trained / "cache", "--output", trained / "out", "--resamples", 20)
    code, text, _ = run(capsys, "scales", *argv, "--rows", "DLD", "--gammas", -100, 100)
    assert code == 0 and re.search(r"\| scale 0.5 \| 0.0 \| 100.0 \|\n\| scale 1 \| 100.0 \| 0.0 \|", text)
    curve = ("curve", *argv, "--rows", "Vanilla 1.0", "Vanilla 0.5", "DLD", "--gammas", 0.1, "--scales", 0.5, 1)
    code, text, _ = run(capsys, *curve)
    assert code == 0 and "| Vanilla 1.0, one scale for all | 1 | 1.00 | " in text
    assert (trained / "out" / "curve_methods_toy.svg").stat().st_size > 1000
    assert run(capsys, *curve)[0] == 1  # the plot is there already
    code, text, _ = run(capsys, "failures", *argv, "--rows", "Vanilla 1.0", "DLD")
    assert code == 0 and "| right | right | " in text
    code, text, _ = run(capsys, "grouped", *argv, "--rows", "DLD", "--photos")
    assert code == 0 and "<h2>Scale " in (trained / "out" / "grouped_methods_toy_DLD.html").read_text()
    assert (trained / "out" / "grouped_methods_toy_DLD" / "1.jpg").is_file()
    code, text, _ = run(capsys, "gallery", *argv, "--rows", "Vanilla 0.5", "DLD", "--show", "lost")
    assert code == 0 and "of them: " in text


def test_a_data_set_with_several_lexicons_is_drawn_once(trained, capsys):
    plan = yaml.safe_load((trained / "plan.yaml").read_text(encoding="utf-8"))
    plan["data_sets"].append({**plan["data_sets"][0], "lexicon": ""})
    (trained / "two.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    argv = (trained / "two.yaml", "--readings", trained / "cache", "--output", trained / "out", "--resamples", 20)
    code, text, _ = run(capsys, "gallery", *argv, "--rows", "Vanilla 0.5", "DLD", "--show", "lost")
    assert code == 0 and text.count("Page with") == 1


def test_features_command_agrees_with_the_driver(trained, capsys):
    argv = (trained / "plan.yaml", "--output", trained / "out", "--resamples", 20, "--rows", "Vanilla 0.5")
    code, text, _ = run(capsys, "features", *argv, "--teacher", "Vanilla 1.0")
    assert code == 0 and (trained / "out" / "features_methods_toy.png").stat().st_size > 1000
    cfg = load_cfg(str(trained / "plain.yaml"))
    loader = build_text_test_loader(cfg, "methods_toy", keep_annotations=True)
    model = load_model(cfg)
    expected = measure_distances(model, model, loader, lambda images: [0.5] * len(images))
    found = re.search(r"\| Vanilla 0.5 \| ([\d.]+) \[.*?\| ([\d.]+) \[.*?\| (\d+) words", text)
    assert [float(value) for value in found.groups()[:2]] == pytest.approx(expected[:2], abs=6e-4)
    assert int(found[3]) == expected.words
    code, text, _ = run(capsys, "features", *argv, "--overwrite")
    assert code == 0  # against itself


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("failures", "{plan}", "--rows", "DLD"), "two rows"),
        (("gallery", "{plan}", "--rows", "DLD"), "two rows or more"),
        (("scales", "{plan}", "--rows", "DDL", "--gammas", 0.1), "has no row 'DDL'"),
        (("scales", "{plan}", "--rows", "Vanilla 1.0", "--gammas", 0.1), "selector"),
        (("grouped", "{plan}", "--rows", "SKD-only"), "has no weights yet"),
        (("grouped", "{plan}", "--rows", "DLD", "--most", 0), "--most"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(trained, capsys, argv, said):
    named = [str(a).format(plan=trained / "plan.yaml") for a in argv]
    code, _, error = run(capsys, *named, "--readings", trained / "cache", "--output", trained / "out")
    assert code == 1 and error.startswith("error: ") and said in error
