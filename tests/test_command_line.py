"""How scripts take config files and overrides: Detectron2's way, and several files."""

import os
import subprocess
import sys

import pytest
import toy
from detectron2.engine import default_argument_parser

from dld_spotter.command_line import PIPE_CLOSED, ConfigArgumentParser, says_mistakes


def parser_of_a_tool(**kwargs):
    parser = ConfigArgumentParser()
    parser.add_config_file(**kwargs)
    parser.add_argument("--input", nargs="+")
    parser.add_argument("--num-gpus", type=int)
    parser.add_overrides()
    return parser


def parser_of_detectron2():
    parser = ConfigArgumentParser(parents=[default_argument_parser()], add_help=False, conflict_handler="resolve")
    parser.add_config_file(required=False)
    return parser


@pytest.mark.parametrize("make", [parser_of_a_tool, parser_of_detectron2])
@pytest.mark.parametrize(
    ("line", "files", "opts"),
    [
        ("--config-file a.yaml", ["a.yaml"], []),
        ("--config-file a.yaml SEED 1", ["a.yaml"], ["SEED", "1"]),
        ("--config-file a.yaml b.yaml MODEL.DLD.GAMMA -1", ["a.yaml", "b.yaml"], ["MODEL.DLD.GAMMA", "-1"]),
        ("--config-file a.yaml --config-file b.yaml OUTPUT_DIR out", ["a.yaml", "b.yaml"], ["OUTPUT_DIR", "out"]),
        (
            "--config-file a-model b.yaml --num-gpus 2 SEED c.yaml",
            ["a-model", "b.yaml"],
            ["SEED", "c.yaml"],
        ),
        ("--num-gpus 2 --config-file a.yaml --opts SEED 1", ["a.yaml"], ["SEED", "1"]),
        ("--num-gpus 2 --config-file a.yaml -- SEED 1", ["a.yaml"], ["SEED", "1"]),
    ],
)
def test_files_and_overrides(make, line, files, opts):
    args = make().parse_args(line.split())
    assert (args.config_file, args.opts) == (files, opts)


def test_overrides_behind_an_argument_with_several_values():
    args = parser_of_a_tool().parse_args(["--config-file", "a.yaml", "--input", "x.jpg", "y", "--opts", "SEED", "1"])
    assert (args.input, args.opts) == (["x.jpg", "y"], ["SEED", "1"])


def test_a_file_may_be_needed(capsys):
    with pytest.raises(SystemExit):
        parser_of_a_tool().parse_args(["--num-gpus", "2"])
    assert "--config-file" in capsys.readouterr().err
    args = parser_of_a_tool(required=False).parse_args(["--num-gpus", "2"])
    assert (args.config_file, args.opts) == (None, [])


@pytest.mark.parametrize(
    ("script", "parser", "line"),
    [
        ("projects/DLD/train_net.py", "get_parser", ""),
        ("tools/analyze_cost.py", "get_parser", "--short-side 448 896 --opts"),
        ("tools/demo.py", "build_parser", "--input a.jpg b.jpg --opts"),
        ("tools/export_model.py", "build_parser", "--weights w.pth --output out"),
        ("tools/fit_selector.py", "get_parser", "--data-set d --output out --gammas 0.1 0.3 --opts"),
        ("tools/sort_failures.py", "get_parser", "--data-set d --output out"),
        ("tools/visualize_data.py", "get_parser", "--source dataloader --output-dir out"),
    ],
)
def test_every_script_takes_them(script, parser, line):
    parser = getattr(toy.load_script(script), parser)()
    args = parser.parse_args(["--config-file", "a.yaml", "b.yaml", *line.split(), "SEED", "1"])
    assert (args.config_file, args.opts) == (["a.yaml", "b.yaml"], ["SEED", "1"])


def test_a_mistake_is_one_sentence_and_a_defect_a_traceback(capsys):
    def main(argv=None):
        raise argv

    said = says_mistakes(main)
    assert said(KeyError("there is no key A.")) == said(ValueError("give a number.")) == 1
    assert capsys.readouterr().err == "error: there is no key A.\nerror: give a number.\n"
    for defect in (KeyError("a"), TypeError("None is no list")):
        with pytest.raises(type(defect)):
            said(defect)


PRINTS = (
    "import sys; from dld_spotter.command_line import run_tool; "
    "sys.exit(run_tool(lambda: print('caf\\udce9 ', '你') or 3))"
)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_what_an_output_cannot_hold_is_escaped(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    run = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, env=environment, cwd=toy.ROOT, check=False
    )
    assert run.returncode == 3 and run.stderr == b""
    assert run.stdout.decode(encoding).strip() in ("caf\\udce9  你", "caf\\udce9  \\u4f60")


def test_nothing_is_said_where_nobody_listens():
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-c", PRINTS], stdout=writing, stderr=subprocess.PIPE, cwd=toy.ROOT, check=False
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (PIPE_CLOSED, b"")
