"""Images are found by the names of their annotation files."""

import os
import unicodedata

import pytest
from helpers.converting import add_image, kinds

from dld_spotter.data.converters.image_folder import ImageFolder, pair_files
from dld_spotter.data.text_files import TextFile
from dld_spotter.data.text_validation import Problems


def pairs(folder, *names):
    """Photo of each annotation file that gets one, and what was noted."""
    problems = Problems("test")
    files = [TextFile(name, bytes) for name in names]
    return {file.name: name for file, name in pair_files(files, ImageFolder(folder), problems)}, problems


def test_images_are_found_by_the_names_of_annotation_files(tmp_path):
    for name in (
        "img_1.jpg",
        "part/img_2.PNG",
        "img_3.gif",
        "img11.JPG",
        "100.jpg",
        "x/same.jpg",
        "y/same.jpg",
        "s.p.jpg",
    ):
        add_image(tmp_path, name)
    found, problems = pairs(
        tmp_path, "gt_img_1.txt", "gt/gt_img_2.txt", "img_3.gif.txt", "poly_gt_img11.mat", "res_100.txt", "S.P.txt",
        "y/same.txt", "gt_img_4.txt", "gt_same.txt",
    )  # fmt: skip
    assert found == {
        "gt_img_1.txt": "img_1.jpg",
        "gt/gt_img_2.txt": "part/img_2.PNG",
        "img_3.gif.txt": "img_3.gif",
        "poly_gt_img11.mat": "img11.JPG",
        "res_100.txt": "100.jpg",
        "S.P.txt": "s.p.jpg",
        "y/same.txt": "y/same.jpg",
    }
    assert kinds(problems) == {
        ("error", "missing_image"): 1,
        ("error", "ambiguous_image"): 1,
        ("warning", "no_annotation_file"): 1,
    }


def test_a_number_alone_pairs_nothing(tmp_path):
    add_image(tmp_path, "IMG_0003.jpg")
    found, problems = pairs(tmp_path, "DSC_0003.txt", "0003.txt", "gt_3.txt")
    assert found == {}
    assert kinds(problems) == {("error", "missing_image"): 3, ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize("names", [["street_1.txt", "gt_street_1.txt"], ["gt_street_1.txt", "street_1.txt"]])
def test_the_equal_name_wins_over_a_prefix(tmp_path, names):
    add_image(tmp_path, "street_1.jpg")
    found, problems = pairs(tmp_path, *names)
    assert found == {"street_1.txt": "street_1.jpg"}
    assert kinds(problems) == {("error", "duplicate_image"): 1}


def test_a_photo_whose_name_has_a_prefix_keeps_its_file(tmp_path):
    add_image(tmp_path, "gt_a.jpg")
    add_image(tmp_path, "a.jpg")
    found, problems = pairs(tmp_path, "gt_a.txt")
    assert found == {"gt_a.txt": "gt_a.jpg"}
    assert kinds(problems) == {("warning", "ambiguous_image"): 1}
    found, problems = pairs(tmp_path, "gt_a.txt", "a.txt")
    assert found == {"gt_a.txt": "gt_a.jpg", "a.txt": "a.jpg"}
    assert kinds(problems) == {}


def test_photos_of_one_stem_need_the_whole_name(tmp_path):
    add_image(tmp_path, "p.jpg")
    add_image(tmp_path, "p.png")
    found, problems = pairs(tmp_path, "p.png.txt", "p.txt")
    assert found == {"p.png.txt": "p.png"}
    assert kinds(problems)["error", "ambiguous_image"] == 1


def test_image_folders_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image folder"):
        ImageFolder(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(FileNotFoundError, match="holds no image"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("files", [("a/img_1.txt", "b/img_1.txt"), ("b/img_1.txt", "a/img_1.txt")])
def test_a_file_beside_photos_is_about_one_of_them(tmp_path, files):
    """The photo of a/img_1.txt was deleted: it must not give its words to the other of that name."""
    add_image(tmp_path, "a/img_2.jpg")
    add_image(tmp_path, "b/img_1.jpg")
    found, problems = pairs(tmp_path, *files, "b/img_2.txt")
    assert found == {"b/img_1.txt": "b/img_1.jpg"}
    assert kinds(problems) == {("error", "missing_image"): 2, ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize(
    "files", [("x/img_1.txt", "y/img_1.txt"), ("gt_IMG_1.txt", "gt_img_1.TXT", "poly_gt_img_1.txt")]
)
def test_of_files_that_fit_a_photo_alike_none_is_taken(tmp_path, files):
    add_image(tmp_path, "Img_1.jpg")
    found, problems = pairs(tmp_path, *files)
    assert found == {}
    assert kinds(problems) == {("error", "duplicate_image"): len(files), ("warning", "no_annotation_file"): 1}


@pytest.mark.parametrize("files", [("IMG_1.txt", "img_1.txt"), ("img_1.txt", "IMG_1.txt")])
def test_the_case_of_a_name_counts_first(tmp_path, files):
    add_image(tmp_path, "img_1.jpg")
    found, problems = pairs(tmp_path, *files)
    assert found == {"img_1.txt": "img_1.jpg"}
    assert kinds(problems) == {("error", "duplicate_image"): 1}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_pair_in_either_form(tmp_path, forms):
    """macOS writes other characters into archives than people type."""
    photo, file = (unicodedata.normalize(form, "Café_ü") for form in forms)
    add_image(tmp_path, f"{photo}.jpg")
    for name in (f"{file}.txt", f"gt_{file.upper()}.txt"):
        found, problems = pairs(tmp_path, name)
        assert found == {name: f"{photo}.jpg"} and kinds(problems) == {}
