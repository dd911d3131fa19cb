"""The command itself: in a process of its own, with signals, without PyTorch, and with options that do not fit."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest
import toy
from helpers.serving import photo

TOOL = toy.ROOT / "tools/serve.py"
SCENE = toy.ROOT / "projects/DLD/samples/scene_1.jpg"
# Importing these fails as where they are not installed; Detectron2 does not import without the first.
WITHOUT_TORCH = "import sys; sys.modules |= dict.fromkeys(('torch', 'torchvision', 'matplotlib')); "
RUNTIME = "onnx" if find_spec("onnxruntime") else "auto"  # the former starts quicker


class Process:
    """A service in a process of its own; ``address`` as it prints it."""

    def __init__(self, *arguments, before=""):
        code = before + f"import runpy, sys; sys.argv[1:] = {list(map(str, arguments))!r}; "
        code += f"runpy.run_path({str(TOOL)!r}, run_name='__main__')"
        env = os.environ | {"PYTHONPATH": str(toy.ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        self.address = re.search(r"http://\S+/", self.line)[0]

    def read(self, data, query=""):
        with urllib.request.urlopen(f"{self.address}v1/read{query}", data, timeout=60) as answer:
            return answer.status, answer.read().decode()

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start():
    started = []

    def begin(*arguments, before=""):
        started.append(Process("--port", 0, "--model", "synthetic-dld", *arguments, before=before))
        return started[-1]

    yield begin
    for service in started:
        service.process.kill()
        service.process.wait()
        service.process.stdout.close()


def test_a_signal_lets_it_finish_what_is_being_read(start):
    service = start("--runtime", RUNTIME)
    data = SCENE.read_bytes()
    assert service.read(photo())[0] == 200
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(service.read, data)
        while '"waiting":0' in urllib.request.urlopen(f"{service.address}health").read().decode():
            assert not reading.done()
        assert service.end(signal.SIGTERM) == 0
        assert reading.result()[0] == 200
    with pytest.raises(OSError):
        service.read(data)


@pytest.mark.skipif(not (find_spec("onnxruntime") or find_spec("openvino")), reason="needs a runtime of graphs")
def test_it_reads_where_neither_torch_nor_detectron2_nor_matplotlib_is_installed(start):
    service = start("--threads", 1, before=WITHOUT_TORCH)
    assert "(openvino)" in service.line or "(onnx)" in service.line
    status, record = service.read(SCENE.read_bytes(), "?scale=0.5")
    assert status == 200 and '"forced":true' in record and '"words":[{' in record
    assert service.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--queue", "0"], "queue is 0"),
        (["--timeout", "nan"], "timeout is nan"),
        (["--max-bytes", "-1"], "max-bytes is -1"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--port", "99999"], "99999"),
    ],
)
def test_options_that_do_not_fit_are_named(arguments, expected, capsys):
    main = toy.load_script("tools/serve.py").main
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["--port", "0", *arguments]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert re.fullmatch(rf"error: .*{expected}.*\n", capsys.readouterr().err)


def test_the_page_is_part_of_the_package(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=toy.ROOT, capture_output=True, check=True)
    from dld_spotter.serve.page_files import TYPES

    assert {path.name for path in (tmp_path / "dld_spotter/serve/page").iterdir()} == set(TYPES)


def test_the_benchmark_lets_both_read(capfd):
    benchmark = toy.load_script("tools/benchmark_service.py")
    options = ["--model", "synthetic-dld", "--runtime", RUNTIME, "--clients", "2", "--seconds", "1", "--repeats", "2"]
    assert benchmark.main(options) == 0
    printed = capfd.readouterr().out
    rates = [float(number) for number in re.findall(r"([\d.]+) photos/s", printed)]
    assert len(rates) == 2 and min(rates) > 0
    assert re.search(r"^answers: \d+ of 200$", printed, re.MULTILINE)
