"""What a job reads: folders, lists, Parquet files, object stores; and photos that cannot be fetched."""

import pytest
from helpers.batches import StandIn, draw_photos
from PIL import Image

from dld_spotter.batch.locations import file_system, without_secrets
from dld_spotter.batch.photo_reader import PhotoReader
from dld_spotter.batch.work_items import Item, list_items


def listed(*inputs, **options):
    return [item.file_name for item in list_items(map(str, inputs), **options)]


def read(*items):
    return PhotoReader(StandIn).read(items)


@pytest.fixture
def photos(tmp_path):
    return draw_photos(tmp_path / "photos", 5)


@pytest.fixture
def table(photos, tmp_path):
    """Five photos in two groups of rows, the last one without bytes."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = [path.read_bytes() for path in sorted(photos.iterdir())][:4] + [None]
    columns = {"file_name": [f"row {index}" for index in range(5)], "image": pa.array(data, pa.binary())}
    parquet.write_table(pa.table(columns), tmp_path / "photos.parquet", row_group_size=3)
    return tmp_path / "photos.parquet"


def test_a_folder_gives_its_photos(photos):
    draw_photos(photos / "deeper", 1)
    assert listed(photos) == [f"photo_{index:03d}.jpg" for index in range(5)]
    assert listed(photos, recursive=True)[0] == "deeper/photo_000.jpg"


def test_a_list_gives_its_lines(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"photos/photo_001.jpg\r\n\nphotos/photo_000.jpg\nnot there.jpg")
    items = list(list_items(["list.txt"]))
    assert [item.file_name for item in items] == ["photos/photo_001.jpg", "photos/photo_000.jpg", "not there.jpg"]
    assert items[0].path == str(photos / "photo_001.jpg")
    assert [("error" in record) for (record,) in read(*items)] == [False, False, True]


def test_names_that_are_no_text_survive(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    (item,) = list_items([str(tmp_path / "list.txt")])
    assert Item.from_json(item.to_json()) == item and item.to_json().isascii()


def test_a_table_gives_its_rows(table):
    items = list(list_items([str(table)]))
    assert [item.row for item in items] == [0, 1, 2, 3, 4]
    records = [record for (record,) in read(*items)]
    assert [record["file_name"] for record in records] == [f"row {index}" for index in range(5)]
    assert [("error" in record) for record in records] == [False] * 4 + [True]


def test_rows_can_be_read_in_any_order(table):
    items = list(list_items([str(table)]))
    picked = [items[index] for index in (3, 0, 2, 1)]
    assert [record["file_name"] for (record,) in read(*picked)] == ["row 3", "row 0", "row 2", "row 1"]


def test_a_table_of_structs_is_read(photos, tmp_path):
    """As the data sets of Hugging Face have it."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = [{"bytes": (photos / "photo_000.jpg").read_bytes(), "path": "mine.jpg"}]
    parquet.write_table(pa.table({"image": data}), tmp_path / "t.parquet")
    ((record,),) = read(*list_items([str(tmp_path / "t.parquet")]))
    assert record["file_name"] == "mine.jpg" and record["width"] == 96


def test_a_folder_of_tables_gives_their_rows(table, tmp_path):
    assert len(listed(tmp_path)) == 5


@pytest.mark.parametrize("content", [None, {"text": ["no bytes"]}])
def test_what_is_no_table_of_photos_is_refused(tmp_path, content):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    path.write_bytes(b"nothing") if content is None else parquet.write_table(pa.table(content), path)
    with pytest.raises(ValueError):
        listed(path)


def test_a_store_is_a_folder(photos):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in photos.iterdir():
        memory.pipe_file(f"/bucket/a/{path.name}", path.read_bytes())
    memory.pipe_file("/bucket/.hidden.jpg", b"")
    memory.pipe_file("/bucket/notes.md", b"")
    items = list(list_items(["memory://bucket/"], recursive=True))
    assert [item.file_name for item in items] == [f"a/photo_{index:03d}.jpg" for index in range(5)]
    assert all(record["width"] == 96 for (record,) in read(*items))
    ((record,),) = read(Item("x.jpg", "memory://bucket/x.jpg"))
    assert record["error"].startswith("x.jpg: ")
    with pytest.raises(FileNotFoundError):
        listed("memory://nowhere/")


@pytest.mark.parametrize("url", ["reference://x", "simplecache::s3://a/b.jpg", "github://a:b@c/d.jpg"])
def test_other_protocols_are_refused(url):
    with pytest.raises(ValueError):
        file_system(url)
    ((record,),) = read(Item("x.jpg", url))
    assert "protocol" in record["error"]


def test_passwords_are_left_out():
    assert without_secrets("https://me:secret@x.y/a.jpg?sig=secret") == "https://x.y/a.jpg"
    assert Item("a", "https://me:secret@x.y/a.jpg?sig=secret").place == "https://x.y/a.jpg"


def test_each_page_is_a_record(tmp_path):
    pages = [Image.new("RGB", (40, 30)) for _ in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    (records,) = read(*list_items([str(tmp_path / "scan.tif")]))
    assert [(record["file_name"], record["page"]) for record in records] == [("scan.tif", page) for page in (1, 2, 3)]


def test_a_folder_in_a_list_is_a_failure(photos, tmp_path):
    (tmp_path / "list.txt").write_text(str(photos))
    ((record,),) = read(*list_items([str(tmp_path / "list.txt")]))
    assert "folder" in record["error"]


def test_what_is_not_there_is_refused(tmp_path):
    for name in ("nowhere", "nowhere.jpg", "nowhere.txt", "nowhere.parquet"):
        with pytest.raises((OSError, ImportError)):
            listed(tmp_path / name)
