"""Jobs on real Ray clusters of this machine: an actor, a node and the job itself are killed in the middle.

They take a minute or two, and are skipped where Ray is not installed.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers import batches
from helpers.batches import KILLS, StandIn, draw_photos, failures_of, rows_of

from dld_spotter.batch.batch_job import BatchJob
from dld_spotter.batch.ray_engine import ActorOptions, RayEngine, connect
from dld_spotter.batch.work_items import list_items

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
ROOT = Path(__file__).resolve().parents[2]
PHOTOS, BAD, SHARD = 120, (7, 60), 10


@pytest.fixture
def cluster(monkeypatch):
    """A head that reads nothing, and three nodes with a core each."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))  # of the nodes' processes
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.readers = [made.add_node(num_cpus=1) for _ in range(3)]
    made.wait_for_nodes()
    connect(made.address)
    ray.cloudpickle.register_pickle_by_value(batches)  # of the driver's module, wherever the nodes look for it
    yield made
    ray.cloudpickle.unregister_pickle_by_value(batches)
    ray.shutdown()
    made.shutdown()


class Killer:
    """Does what it is given when that many photos are read."""

    def __init__(self, **at):
        self.due = [(int(key.removeprefix("after_")), kill) for key, kill in at.items()]

    def __call__(self, done, total):
        while self.due and done >= self.due[0][0]:
            self.due.pop(0)[1]()


def run(tmp_path, folder, killer, seconds=0.05, patience=5.0, actors=3):
    pids = tmp_path / "pids"
    pids.mkdir(exist_ok=True)

    def model():
        return StandIn(seconds, pids)

    engine = RayEngine(model, ActorOptions(actors=actors, patience=patience))
    job = BatchJob(tmp_path / "out", "jsonl", SHARD, {}, killer)
    return job.run(lambda: list_items([str(folder)]), lambda: engine)


def kill_an_actor(tmp_path):
    """The one that began last."""
    pid = max((tmp_path / "pids").iterdir(), key=lambda path: path.stat().st_mtime_ns).name
    os.kill(int(pid), signal.SIGKILL)


def check(tmp_path, number, failed):
    counted = Counter(row["file_name"] for row in rows_of(tmp_path / "out"))
    assert len(counted) == number and set(counted.values()) == {1}
    assert sorted(row["file_name"] for row in failures_of(tmp_path / "out")) == sorted(failed)


def test_an_actor_and_then_a_node_are_killed(tmp_path, cluster):
    """The node does not come back: two cores are left for three actors."""
    killed = []

    def kill_a_node():
        cluster.remove_node(cluster.readers.pop(), allow_graceful=False)
        killed.append("node")

    folder = draw_photos(tmp_path / "photos", PHOTOS, BAD)
    killer = Killer(after_20=lambda: kill_an_actor(tmp_path), after_50=kill_a_node)
    run(tmp_path, folder, killer)
    check(tmp_path, PHOTOS, [f"photo_{number:03d}.jpg" for number in BAD])
    assert killed == ["node"] and len(list((tmp_path / "pids").iterdir())) > 3


def test_a_node_that_dies_is_replaced(tmp_path, cluster):
    def replace_a_node():
        cluster.remove_node(cluster.readers.pop(), allow_graceful=False)
        cluster.add_node(num_cpus=1)

    run(tmp_path, draw_photos(tmp_path / "photos", PHOTOS, BAD), Killer(after_40=replace_a_node), patience=60)
    check(tmp_path, PHOTOS, [f"photo_{number:03d}.jpg" for number in BAD])


def test_a_photo_that_kills_its_process_costs_no_other(tmp_path, cluster):
    folder = draw_photos(tmp_path / "photos", 30)
    (folder / "photo_011.jpg").rename(folder / f"photo_011_{KILLS}.jpg")
    run(tmp_path, folder, Killer(), seconds=0.01)
    check(tmp_path, 30, [f"photo_011_{KILLS}.jpg"])


def test_a_model_that_cannot_be_made_is_one_error(tmp_path, cluster):
    def model():
        raise ValueError("there is no such model.")

    job = BatchJob(tmp_path / "out", "jsonl", SHARD, {})
    folder = draw_photos(tmp_path / "photos", 3)
    with pytest.raises(RuntimeError, match="no such model"):
        job.run(lambda: list_items([str(folder)]), lambda: RayEngine(model, ActorOptions(actors=1)))
    assert rows_of(tmp_path / "out") == []


def command(tmp_path, folder):
    arguments = ["--output", tmp_path / "out", "--format", "jsonl", "--shard-size", 2, "--actors", 2]
    arguments += ["--config-file", "synthetic-dld", "--runtime", "onnx"]
    return [sys.executable, ROOT / "tools/batch.py", folder, *arguments]


def test_the_command_goes_on_after_it_was_killed(tmp_path):
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(18):
        os.link(ROOT / f"projects/DLD/samples/scene_{number % 6 + 1}.jpg", folder / f"{number:02d}.jpg")
    (folder / "bad.jpg").write_bytes(b"no image")
    line = list(map(str, command(tmp_path, folder)))
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(line, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    parts = tmp_path / "out/parts"
    deadline = time.monotonic() + 120
    while not (parts.exists() and any(parts.glob("part-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*")}
    assert 0 < len(before) < 10
    second = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "1 failures" in second.stdout, second.stderr
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*")}.items()
    check(tmp_path, 19, ["bad.jpg"])
    assert all(row["words"] for row in rows_of(tmp_path / "out") if "error" not in row)
