"""Jobs without Ray: every photo once, whatever dies, comes twice or comes late; and jobs that go on."""

import pytest
from helpers.batches import KILLS, StandIn, draw_photos, failures_of, rows_of

from dld_spotter.batch.batch_job import BatchJob
from dld_spotter.batch.photo_reader import PhotoReader
from dld_spotter.batch.work_items import list_items


class Engine:
    """Reads here, last photos first; photos named ``KILLS`` have no answer, as where a process dies."""

    def __init__(self, stop_after=None, twice=False, loses=()):
        self.stop_after, self.twice, self.loses = stop_after, twice, loses
        self.passes = []

    def read(self, work, alone):
        self.passes.append((alone, [number for number, _ in work]))
        reader = PhotoReader(StandIn)
        for count, (number, item) in enumerate(reversed(work)):
            if count == self.stop_after:
                raise KeyboardInterrupt
            if KILLS in item.file_name or (not alone and number in self.loses):
                continue
            for _ in range(1 + self.twice):
                yield number, reader.read([item])[0]


class Silent:
    """Where all processes die."""

    def read(self, work, alone):
        return iter(())


def never():
    raise AssertionError("nothing is to be read")


@pytest.fixture
def job(tmp_path):
    def make(shard_size=5, kind="jsonl", **settings):
        return BatchJob(tmp_path / "out", kind, shard_size, settings)

    return make


def photos(tmp_path, number=12, bad=()):
    return lambda: list_items([str(draw_photos(tmp_path / "photos", number, bad))])


def names(output):
    return [row["file_name"] for row in rows_of(output)]


def test_every_photo_is_a_row_in_its_order(tmp_path, job):
    report = job().run(photos(tmp_path, bad=[3]), Engine)
    assert names(tmp_path / "out") == [f"photo_{index:03d}.jpg" for index in range(12)]
    assert [len(path.read_text().splitlines()) for path in sorted((tmp_path / "out/parts").iterdir())] == [5, 5, 2]
    (failure,) = failures_of(tmp_path / "out")
    assert failure["file_name"] == "photo_003.jpg" and failure["error"] and failure["path"].endswith("photo_003.jpg")
    assert (report.photos, report.done_before, report.failures) == (12, 0, 1)


def test_an_answer_that_comes_twice_counts_once(tmp_path, job):
    job().run(photos(tmp_path), lambda: Engine(twice=True))
    assert len(names(tmp_path / "out")) == len(set(names(tmp_path / "out"))) == 12


def test_photos_of_a_process_that_died_are_read_once_more(tmp_path, job):
    engine = Engine(loses=(1, 7))
    report = job().run(photos(tmp_path), lambda: engine)
    assert engine.passes[1] == (True, [1, 7]) and report.failures == 0


def test_a_photo_that_kills_each_process_is_a_failure(tmp_path, job):
    folder = draw_photos(tmp_path / "photos", 6)
    (folder / "photo_002.jpg").rename(folder / f"photo_002_{KILLS}.jpg")
    report = job().run(lambda: list_items([str(folder)]), Engine)
    (failure,) = failures_of(tmp_path / "out")
    assert KILLS in failure["file_name"] and report.failures == 1 and len(names(tmp_path / "out")) == 6


def test_where_nothing_can_be_read_no_photo_is_blamed(tmp_path, job):
    with pytest.raises(RuntimeError):
        job().run(photos(tmp_path), Silent)


def test_a_killed_job_goes_on_with_what_is_missing(tmp_path, job):
    with pytest.raises(KeyboardInterrupt):
        job().run(photos(tmp_path), lambda: Engine(stop_after=8))  # from the end: shards 2 and 1 are whole
    finished = sorted((tmp_path / "out/parts").iterdir())
    before = [path.stat().st_mtime_ns for path in finished]
    assert [path.name for path in finished] == ["part-00001.jsonl", "part-00002.jsonl"]
    engine = Engine()
    report = job().run(never, lambda: engine)
    assert engine.passes == [(False, [0, 1, 2, 3, 4])] and report.done_before == 7
    assert [path.stat().st_mtime_ns for path in finished] == before
    assert len(set(names(tmp_path / "out"))) == len(names(tmp_path / "out")) == 12


def test_a_finished_job_reads_nothing(tmp_path, job):
    job().run(photos(tmp_path), Engine)
    report = job().run(never, never)
    assert report.done_before == report.photos == 12


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path, job):
    job().run(photos(tmp_path), Engine)
    left = tmp_path / "out/parts/.unfinished-part-00000.jsonl-x"
    left.write_text("half")
    (tmp_path / "out/parts/part-00000.jsonl").unlink()
    job().run(never, Engine)
    assert not left.exists() and len(names(tmp_path / "out")) == 12


def test_a_manifest_that_was_cut_off_is_written_anew(tmp_path, job):
    (tmp_path / "out/job").mkdir(parents=True)
    (tmp_path / "out/job/photos-00000.jsonl").write_text("half")
    assert job().run(photos(tmp_path), Engine).photos == 12


def test_another_job_is_refused(tmp_path, job):
    job(model="a").run(photos(tmp_path), Engine)
    for other in (job(model="b"), job(model="a", shard_size=6)):
        with pytest.raises(ValueError, match="there"):
            other.run(never, never)


def test_a_folder_with_something_else_is_refused(tmp_path, job):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()
    with pytest.raises(ValueError, match="mine.txt"):
        job().run(never, never)


def test_a_job_without_photos_is_refused(job):
    with pytest.raises(ValueError):
        job().run(list, never)


def test_a_failure_that_is_gone_is_not_listed(tmp_path, job):
    """A shard that is read again, after its photo was mended."""
    job().run(photos(tmp_path, bad=[3]), Engine)
    draw_photos(tmp_path / "photos", 12)
    (tmp_path / "out/parts/part-00000.jsonl").unlink()
    assert job().run(never, Engine).failures == 0 and failures_of(tmp_path / "out") == []


def test_parquet_has_the_same_rows(tmp_path, job):
    pytest.importorskip("pyarrow")
    job(kind="parquet").run(photos(tmp_path, bad=[3]), Engine)
    rows = rows_of(tmp_path / "out")
    assert [row["file_name"] for row in rows] == [f"photo_{index:03d}.jpg" for index in range(12)]
    assert rows[3]["error"] and rows[3]["words"] == [] and rows[3]["height"] is None
    assert rows[0]["error"] is None and (rows[0]["height"], rows[0]["width"]) == (48, 96)
    (word,) = rows[0]["words"]
    assert word["text"] == "photo_000.jpg" and word["polygon"][1] == [96.0, 0.0]
