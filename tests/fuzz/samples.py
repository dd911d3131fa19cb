"""Small valid files of every format, about the photos ``img_1.jpg`` and ``img_2.png`` of 60 x 40 pixels."""

import io
import json
import zipfile

import numpy as np
from PIL import Image
from scipy.io import savemat

NAMES = ("img_1.jpg", "img_2.png")
SIZE = (60, 40)  # width, height
QUADS = [[10, 10, 30, 10, 30, 20, 10, 20], [5, 22.5, 50, 22, 50, 35, 5, 36]]
POLYGON = [5, 5, 25, 2, 50, 5, 50, 15, 25, 12, 5, 15]
CORNERS = [[[quad[i], quad[i + 1]] for i in range(0, 8, 2)] for quad in QUADS]


def images() -> dict[str, bytes]:
    """Name -> file of the photos, and of one in each other format that is read."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {"img_1.jpg": picture, "img_2.png": picture, "img_3.webp": picture, "img_4.gif": picture.convert("P")}
    files |= {"img_5.tif": picture.convert("I;16"), "img_6.bmp": picture, "img_7.png": picture.convert("RGBA")}
    files |= {"img_8.jpg": picture.convert("CMYK"), "img_9.jpg": picture.convert("L")}
    saved = {name: _saved(image, name) for name, image in files.items()}
    return saved | {"img_10.jpg": _saved(picture, "img_10.jpg", exif=exif)}


def lines(*rows: str, end: str = "\r\n") -> bytes:
    return "".join(row + end for row in rows).encode("utf-8-sig")


def flat(outline: list) -> str:
    return ",".join(map(str, outline))


ICDAR = lines(f"{flat(QUADS[0])},Café, 1", f"{flat(QUADS[1])},###")
ICDAR_2013 = lines('10 10 30 20 "Exit"', '5, 22, 50, 36, "say \\"hi\\""', f"{flat(QUADS[1])},###")
MLT_2017 = lines(f"{flat(QUADS[0])},Latin,Café, 1", f"{flat(QUADS[1])},Arabic,كلمة")
POLYGONS = lines(f"{flat(POLYGON)},curved", f"{flat(QUADS[1])},####four")
OUTLINES = lines(flat(QUADS[0]), flat(POLYGON))
WRAPPED = (
    b"x: [[ 5 25 50\n 50 25  5]], y: [[ 5 2 5 15 12 15]], ornt: [u'c'], transcriptions: [u'caf\\xe9']\n"
    b"x: [[10, 30, 30, 10]], y: [[10, 10, 20, 20]], ornt: [u'#'], transcriptions: [u'#']\n"
)
DAVAR = {
    "###": "a comment",
    **{
        name: {
            "height": SIZE[1],
            "width": SIZE[0],
            "content_ann": {
                "bboxes": [QUADS[0], POLYGON, [5, 22, 50, 36]],
                "texts": ["a", "Café", "###"],
                "cares": [1, 1, 0],
                "cbboxes": [[QUADS[0]], [], []],
            },
        }
        for name in NAMES
    },
}
COCO_TEXT = {
    "imgs": {str(i): {"id": i, "file_name": name, "set": "train"} for i, name in enumerate(NAMES, 1)},
    "imgToAnns": {"1": [5, 6], "2": [7]},
    "anns": {
        "5": {"mask": QUADS[0], "utf8_string": "Café", "legibility": "legible", "language": "english"},
        "6": {"mask": [], "bbox": [5, 22, 45, 14], "utf8_string": "", "legibility": "illegible", "language": "na"},
        "7": {"mask": POLYGON, "utf8_string": "b", "legibility": "legible", "language": "english"},
    },
}
LABELME = {
    "imagePath": "img_1.jpg",
    "imageHeight": SIZE[1],
    "imageWidth": SIZE[0],
    "shapes": [
        {"label": "Café", "points": CORNERS[0], "shape_type": "polygon", "flags": {}, "description": "a"},
        {"label": "text", "points": [[5, 22], [50, 36]], "shape_type": "rectangle", "difficult": False},
        {"label": "dot", "points": [[1, 1]], "shape_type": "point", "flags": {"ignore": True}},
    ],
}
PPOCR = "\n".join(
    f"photos/{name}\t"
    + json.dumps(
        [
            {"transcription": "Café", "points": CORNERS[0], "difficult": False},
            {"transcription": "待识别", "points": CORNERS[1]},
        ]
    )
    for name in NAMES
).encode()
OURS = {
    "images": [{"id": i, "file_name": name, "height": SIZE[1], "width": SIZE[0]} for i, name in enumerate(NAMES, 1)],
    "annotations": [
        {"id": 1, "image_id": 1, "segmentation": [QUADS[0]], "text": "Café", "ignore": 0, "characters": [QUADS[0]] * 4},
        {"id": 2, "image_id": 1, "segmentation": [POLYGON], "text": "a b", "ignore": 0, "iscrowd": 0},
        {"id": 3, "image_id": 2, "bbox": [5, 22, 45, 14], "segmentation": [], "text": None, "ignore": 1},
        {"id": 4, "image_id": 2, "segmentation": [[30, 10, 10, 20, 30, 20, 70, 10], QUADS[1]], "text": "b"},
    ],
    "categories": [{"id": 1, "name": "text"}],
}
RESULTS = [
    {"file_name": name, "words": [{"text": "Café", "score": 0.5, "polygon": CORNERS[0]}], "height": 40, "width": 60}
    for name in NAMES
]
ROWS = [{"image_id": 1, "polys": CORNERS[0], "rec": "Café", "score": 0.5}]
WORDS = "Exit\nCafé\nway out\n".encode()
CROPS = 'img_1.jpg, "Caf\\"é"\nimg_2.png, "b"\n'.encode()


def as_json(value) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def as_zip(members: dict[str, bytes]) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return result.getvalue()


def total_text_mat() -> bytes:
    rows = np.empty((2, 6), dtype=object)
    for place, (text, orientation) in enumerate((("Café", "c"), ("#", "#"))):
        cells = ["x:", np.array([POLYGON[::2]], np.int16), "y:", np.array([POLYGON[1::2]], np.int16), text, orientation]
        for column, cell in enumerate(cells):
            rows[place, column] = cell
    return _mat({"polygt": rows})


def synth_text_mat() -> bytes:
    boxes = np.stack([np.array(quad, dtype=np.float64).reshape(4, 2).T for quad in QUADS], axis=2)
    columns = {
        "imnames": ["img_1.jpg", "img_2.png"],
        "wordBB": [boxes, boxes[:, :, 0]],
        "txt": [np.array(["ab \n cd  "]), np.array(["abcd"])],
        "charBB": [np.repeat(boxes, 2, axis=2), np.repeat(boxes, 2, axis=2)],
    }
    table = {}
    for name, cells in columns.items():
        table[name] = np.empty((1, len(cells)), dtype=object)
        for place, cell in enumerate(cells):
            table[name][0, place] = cell
    return _mat(table)


def _mat(variables: dict) -> bytes:
    result = io.BytesIO()
    savemat(result, variables, do_compression=False)
    return result.getvalue()


def _saved(image: Image.Image, name: str, **options) -> bytes:
    result = io.BytesIO()
    image.save(result, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.rsplit(".", 1)[1].upper()), **options)
    return result.getvalue()
