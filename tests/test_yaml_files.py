"""Config files hold values: nothing that a file says is run, and none can make reading it hang or swell."""

import os

import pytest
import toy

from dld_spotter.config import load_cfg
from dld_spotter.yaml_files import MAX_BYTES, MAX_FILES, load_yaml


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.yaml"


def refused(path, *parts, error=ValueError):
    """The error of loading a config, which must name all parts."""
    with pytest.raises(error) as caught:
        load_cfg(path)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    return message


@pytest.mark.parametrize(
    "tag",
    [
        '!!python/object/apply:os.system ["touch {}"]',
        "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system ''",
        "!!python/tuple [1, 2]",
        "!!python/object:pathlib.Path {{}}",
    ],
)
@pytest.mark.parametrize("place", ["itself", "base"])
def test_a_tag_runs_nothing_and_is_named_with_file_and_key(tmp_path, tag, place):
    target = tmp_path / "was_here"
    evil = f"MODEL:\n  WEIGHTS: {tag.format(target)}\n"
    base = {"itself": {"evil": evil}, "base": {"harmless": "_BASE_: evil.yaml\n", "evil": evil}}[place]
    refused(write(tmp_path, **base), "evil.yaml", "MODEL.WEIGHTS", "!!python")
    assert not target.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("place", ["itself", "base"])
def test_a_file_may_have_a_byte_order_mark(tmp_path, encoding, place):
    """As Windows' editors and PowerShell's ``>`` write it."""
    path = write(tmp_path, top="_BASE_: mine.yaml\n", mine="")
    (tmp_path / "mine.yaml").write_text("OUTPUT_DIR: Größe\r\n", encoding=encoding)
    assert load_cfg(path if place == "base" else tmp_path / "mine.yaml").OUTPUT_DIR == "Größe"


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_bytes("OUTPUT_DIR: Größe\n".encode("latin-1"))
    refused(tmp_path / "mine.yaml", "mine.yaml", "UTF-8")


def test_bases_are_laid_over_each_other_as_detectron2_does(tmp_path):
    path = write(
        tmp_path,
        top="_BASE_: [one.yaml, sub/two.yaml]\nSOLVER: {MAX_ITER: 3}\n",
        one="SOLVER: {MAX_ITER: 1, BASE_LR: 0.5}\nINPUT: {MIN_SIZE_TRAIN: [7, 8]}\n",
        root="MODEL: {MASK_ON: True}\n",
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two.yaml").write_text("_BASE_: ../root.yaml\nINPUT: {MIN_SIZE_TRAIN: '(9,)'}\n")
    found, expected = load_cfg(path), load_cfg()
    for merged in (load_yaml(path), type(expected).load_yaml_with_base(str(path))):
        assert merged["SOLVER"] == {"MAX_ITER": 3, "BASE_LR": 0.5} and merged["INPUT"] == {"MIN_SIZE_TRAIN": "(9,)"}
    expected.merge_from_file(str(path), allow_unsafe=False)
    assert found == expected and found.MODEL.MASK_ON


@pytest.mark.parametrize("config", ["DLD/DLD_gamma0.1_R50.yaml", "Base-TextSpotter.yaml"])
def test_the_projects_configs_are_what_detectron2_reads(config):
    path = toy.ROOT / "configs" / config
    if not path.is_file():
        pytest.skip(f"{config} is not there")
    expected = load_cfg()
    expected.merge_from_file(str(path), allow_unsafe=False)
    assert load_cfg(path) == expected


def test_aliases_and_other_forms_of_yaml_are_read(tmp_path):
    path = write(tmp_path, a="INPUT:\n  MIN_SIZE_TRAIN: &x [7]\nSOLVER: {STEPS: *x, MAX_ITER: !!int '5'}\n")
    cfg = load_cfg(path)
    assert cfg.INPUT.MIN_SIZE_TRAIN == cfg.SOLVER.STEPS == (7,) and cfg.SOLVER.MAX_ITER == 5
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfSOLVER: {MAX_ITER: 6}\n")
    assert load_cfg(path).SOLVER.MAX_ITER == 6
    assert load_cfg(write(tmp_path, empty="# nothing\n")) == load_cfg()


def test_a_circle_of_bases_is_an_error(tmp_path):
    refused(write(tmp_path, a="_BASE_: b.yaml\n", b="_BASE_: c.yaml\n", c="_BASE_: a.yaml\n"), "c.yaml", "_BASE_")
    refused(write(tmp_path, own="_BASE_: own.yaml\n"), "own.yaml", "_BASE_")


def test_one_base_of_two_files_is_no_circle(tmp_path):
    texts = {"a": "_BASE_: [b.yaml, c.yaml]\n", "b": "_BASE_: d.yaml\n", "c": "_BASE_: d.yaml\n", "d": "SEED: 4\n"}
    assert load_cfg(write(tmp_path, **texts)).SEED == 4


def test_chains_and_trees_without_end_are_errors(tmp_path):
    chain = {f"f{i}": f"_BASE_: f{i + 1}.yaml\n" for i in range(2000)}
    refused(write(tmp_path, **chain), "f0.yaml", "_BASE_", str(MAX_FILES))
    tree = {f"t{i}": f"_BASE_: [{', '.join([f't{i + 1}.yaml'] * 10)}]\n" for i in range(12)} | {"t12": "SEED: 1\n"}
    refused(write(tmp_path, **tree), "t0.yaml", "_BASE_")


@pytest.mark.parametrize("base", ["pipe", "/dev/zero", ".", "gone.yaml"])
def test_a_base_that_is_no_file_is_named_with_its_key(tmp_path, base):
    os.mkfifo(tmp_path / "pipe")
    refused(write(tmp_path, a=f"_BASE_: {base}\n"), "a.yaml", "_BASE_", base, error=FileNotFoundError)
    refused(tmp_path / "pipe", "pipe", error=FileNotFoundError)


@pytest.mark.parametrize(
    "text, names",
    [
        ("- 1\n- 2\n", ()),
        ("just words", ()),
        ("SOLVER: [1", ()),
        ("SOLVER: {MAX_ITER: !!int ''}\n", ()),
        ("SEED: !!bool maybe\n", ()),
        ("1: 2\n", ("1",)),
        ("_BASE_: {a: b}\n", ("_BASE_",)),
        ("_BASE_: 5\n", ("_BASE_",)),
        ("SOLVER: {MAX_ITER: many}\n", ("SOLVER.MAX_ITER",)),
        ("VERSION: 1\n", ("VERSION",)),
        ("a: &a [*a]\n", ()),
        ("INPUT: " + "[" * 3000, ()),
        ("INPUT: {MIN_SIZE_TRAIN: '" + "-" * 100_000 + "1'}\n", ()),
        ("SEED: " + "9" * 5000 + "\n", ()),
        ("SEED: 'a\0b'\n", ()),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)), ()),
    ],
)  # fmt: skip
def test_what_is_no_config_is_named(tmp_path, text, names):
    refused(write(tmp_path, wrong=text), "wrong.yaml", *names)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.yaml"
    with open(path, "wb") as stream:
        stream.truncate(MAX_BYTES * 10_000)
    refused(path, "huge.yaml")


def test_a_base_cannot_turn_a_value_into_a_section(tmp_path):
    path = write(tmp_path, a="_BASE_: b.yaml\nSEED: {X: 1}\n", b="SEED: 3\n")
    refused(path, "a.yaml", "SEED")
