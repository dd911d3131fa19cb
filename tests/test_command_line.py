"""How scripts take config files and overrides: Detectron2's way, and several files."""

import pytest
import toy
from detectron2.engine import default_argument_parser

from dld_spotter.command_line import ConfigArgumentParser


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
