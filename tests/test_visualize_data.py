"""tools/visualize_data.py: what it draws, for annotations and for the loader's samples."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import toy

WHITE_GAP = 6
CELL_HEIGHT, CELL_WIDTH = 360, 480


@pytest.fixture(scope="module")
def script():
    return toy.load_script("tools/visualize_data.py")


@pytest.fixture
def run(script, tmp_path):
    """Runs the script on a drawn data set of three images; gives the exit code and the output folder."""
    json_file, image_root = toy.write_toy_dataset(tmp_path, 3, dont_care=True, wordless=True)

    def call(source, *arguments, output="drawn"):
        custom = ["DATASETS.CUSTOM", str([("drawn_toy", image_root, json_file)])]
        sizes = ["INPUT.MIN_SIZE_TRAIN", "(96,)", "INPUT.MAX_SIZE_TRAIN", "128", "SEED", "1", "MODEL.DEVICE", "cpu"]
        few = ["DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2"]
        folder = tmp_path / output
        code = script.main(["--source", source, "--output-dir", str(folder), *arguments, *custom, *sizes, *few])
        return code, folder

    call.image_root = Path(image_root)
    return call


def test_annotations(run):
    code, folder = run("annotation")
    assert code == 0
    assert sorted(p.name for p in folder.iterdir()) == [f"000{i}_toy_{i + 1}.jpg" for i in range(3)]
    for number in range(3):
        plain = cv2.imread(str(run.image_root / f"toy_{number + 1}.png")).astype(int)
        drawn = cv2.imread(str(folder / f"000{number}_toy_{number + 1}.jpg")).astype(int)
        changed = (np.abs(drawn - plain).max(axis=2) > 60).sum()
        # The last image has no words: what differs there is JPEG's doing alone.
        assert changed > 50 if number < 2 else changed < 20


def test_samples_of_the_loader_with_a_sheet(run, script):
    code, folder = run("dataloader", "--num", "5", "--sheet", "--dataset", "drawn_toy")
    assert code == 0
    assert len(list(folder.glob("*_toy_*.jpg"))) == 5
    sheet = cv2.imread(str(folder / "sheet.png"))
    rows, columns = 2, 3
    assert sheet.shape == (
        rows * CELL_HEIGHT + (rows - 1) * WHITE_GAP, columns * CELL_WIDTH + (columns - 1) * WHITE_GAP, 3
    )  # fmt: skip
    assert (sheet[:, CELL_WIDTH : CELL_WIDTH + WHITE_GAP] == 255).all()
    assert (sheet[CELL_HEIGHT + WHITE_GAP :, 2 * (CELL_WIDTH + WHITE_GAP) :] == 255).all(), "the sixth cell is empty"
    again, folder_again = run("dataloader", "--num", "5", output="again")
    assert again == 0 and not (folder_again / "sheet.png").exists()
    for path in folder_again.iterdir():
        assert np.array_equal(cv2.imread(str(path)), cv2.imread(str(folder / path.name))), "the seed decides"


def test_a_damaged_image_is_named_and_the_others_are_drawn(run, capsys):
    (run.image_root / "toy_2.png").write_bytes(b"")
    code, folder = run("annotation")
    assert code == 1 and "toy_2.png" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["0000_toy_1.jpg", "0002_toy_3.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere"], "'nowhere' is not registered"),
        (["--num", "0"], "--num is 0"),
        (["--config-file", "nowhere.yaml"], "nowhere.yaml"),
        (["INPUT.MIN_SIZE_TRIAN", "(96,)"], "INPUT.MIN_SIZE_TRAIN"),
    ],
)
def test_errors_are_one_sentence(run, capsys, arguments, message):
    code, _ = run("annotation", *arguments)
    error = capsys.readouterr().err
    assert code == 1 and message in error and "Traceback" not in error


@pytest.mark.parametrize("source", ["annotation", "dataloader"])
def test_no_file_is_replaced_unasked_and_no_photo_ever(run, capsys, source):
    assert run(source, "--num", "1", "--sheet", "--dataset", "drawn_toy")[0] == 0
    again = (source, "--num", "1", "--sheet", "--dataset", "drawn_toy")
    assert run(*again)[0] == 1 and "--overwrite" in capsys.readouterr().err
    assert run(*again, "--overwrite")[0] == 0
    photo = next(path for path in sorted(run.image_root.iterdir()) if path.suffix == ".png")
    (run.image_root.parent / "drawn" / "sheet.png").unlink()
    (run.image_root.parent / "drawn" / "sheet.png").hardlink_to(photo)
    before = photo.read_bytes()
    assert run(*again, "--overwrite")[0] == 1 and "the photo" in capsys.readouterr().err
    assert photo.read_bytes() == before
