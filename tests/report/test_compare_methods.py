"""The comparison of methods from its command line, with tiny networks."""

import json

import comparison
import pytest
import torch
import toy
from detectron2.modeling import build_model

from dld_spotter.data.charset import Charset
from dld_spotter.data.loader import build_text_test_loader
from dld_spotter.engine.checkpoint import TextCheckpointer
from dld_spotter.evaluation import TextEvaluator, evaluate_recognition

compare_methods = toy.load_script("projects/DLD/report/compare_methods.py")


def run(capsys, tool, *argv):
    """(exit code, standard output, last line of standard error)"""
    code = tool.main([str(a) for a in argv])
    output = capsys.readouterr()
    return code, output.out, (output.err.splitlines() or [""])[-1]


def test_comparison(trained, capsys, monkeypatch):
    argv = (trained / "plan.yaml", "--output", trained / "cache", "--resamples", 50)
    begin, end = "<!-- plan:begin -->", "<!-- plan:end -->"
    other = "<!-- other:begin -->\nkept\n<!-- other:end -->\n"
    (trained / "README.md").write_text(f"Results\n{begin}\n{end}\n{other}")
    written = ("--markdown", trained / "README.md", "--json", trained / "new" / "figures.json")
    code, text, _ = run(capsys, compare_methods, *argv, *written)
    assert code == 0
    assert f"python projects/DLD/report/compare_methods.py {trained / 'plan.yaml'}" in text
    assert (trained / "README.md").read_text() == f"Results\n{begin}\n{text.strip()}\n{end}\n{other}"
    (found,) = json.loads((trained / "new" / "figures.json").read_text())["data_sets"]
    full, half, dld, absent = found["rows"]
    assert absent["missing"] == "not trained"
    assert full["cost"] == 1.0 and half["cost"] < 1.0 and half["shares"] == {"0.5": 1.0}
    assert sum(dld["shares"].values()) == 1.0 and dld["seconds"] > 0
    assert found["comparisons"][0]["agrees"] == "yes"

    monkeypatch.setattr(comparison, "measure_readings", None)  # whoever calls it fails
    assert run(capsys, compare_methods, *argv)[0] == 0
    code, limited, _ = run(capsys, compare_methods, *argv, "--limit", 1, "--no-inference")
    assert code == 0 and "| DLD | not measured |" in limited


def test_figures_are_those_of_an_evaluation(trained, capsys):
    argv = (trained / "plan.yaml", "--output", trained / "cache", "--json", trained / "figures.json")
    assert run(capsys, compare_methods, *argv)[0] == 0
    figures = json.loads((trained / "figures.json").read_text())["data_sets"][0]["rows"][2]["figures"]
    plan = comparison.load_cfg(str(trained / "dld.yaml"))
    model = build_model(plan).eval()
    TextCheckpointer(model).load(plan.MODEL.WEIGHTS)
    evaluator = TextEvaluator("methods_toy", plan)
    evaluator.reset()
    with torch.no_grad():
        for batch in build_text_test_loader(plan, "methods_toy"):
            evaluator.process(batch, model(batch))
    results = evaluator.evaluate()
    charset = Charset.load(plan.MODEL.TEXT.CHARSET)
    loader = build_text_test_loader(plan, "methods_toy", keep_annotations=True)
    assert figures["detection"]["value"] == pytest.approx(results["detection"]["hmean"])
    assert figures["e2e_none"]["value"] == pytest.approx(results["e2e_none"]["hmean"])
    assert figures["recognition"]["value"] == evaluate_recognition(model, loader, charset)["accuracy"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nothing.yaml",), "there is no comparison file nothing.yaml"),
        (("{folder}/plan.yaml", "--limit", 0), "--resamples and --limit must be 1 or more"),
        (("{folder}/plan.yaml", "--markdown", "{folder}/plan.yaml"), "plan.yaml has no place for the comparison"),
        (("{folder}/lexicon.yaml",), "has no lexicon 'weak'"),
        (("{folder}/set.yaml",), "data set 'nowhere' is not registered"),
        (("{folder}/option.yaml",), "there is no config key MODEL.WIEGHTS"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(trained, capsys, argv, said):
    text = (trained / "plan.yaml").read_text()
    (trained / "lexicon.yaml").write_text(text.replace("lexicon: full", "lexicon: weak"))
    (trained / "set.yaml").write_text(text.replace("name: methods_toy", "name: nowhere"))
    (trained / "option.yaml").write_text(text.replace("MODEL.META_ARCHITECTURE", "MODEL.WIEGHTS"))
    code, out, error = run(capsys, compare_methods, *(str(a).format(folder=trained) for a in argv))
    assert (code, out) == (1, "")
    assert error.startswith("error: ") and said in error
