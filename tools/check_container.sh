#!/usr/bin/env bash
# The steps of the Containerfile in a clean environment, without containers: build the wheel, install it with a light
# runtime and the service, start that, ask for its health, read a photo, stop it. Prints the sizes.
#
#   bash tools/check_container.sh
#   RUNTIME=openvino PYTHON=python3.12 bash tools/check_container.sh
set -euo pipefail

RUNTIME=${RUNTIME:-onnx}
PYTHON=${PYTHON:-python3}
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
photo=$source/projects/DLD/samples/scene_1.jpg
work=$(mktemp -d)
service=
finish() {
    if [ -n "$service" ]; then kill -KILL "$service" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT

# As the Containerfile does, only what it names is copied: a build leaves folders behind.
mkdir "$work/source"
for name in pyproject.toml setup.py README.md LICENSE NOTICE dld_spotter configs tools projects; do
    cp -R "$source/$name" "$work/source/"
done
"$PYTHON" -m venv "$work/builder"
"$work/builder/bin/pip" wheel --quiet --no-cache-dir --no-deps --wheel-dir "$work/dist" "$work/source"
"$PYTHON" -m venv --without-pip "$work/environment"
wheel=$(ls "$work"/dist/*.whl)
"$work/builder/bin/pip" --python "$work/environment/bin/python" install --quiet --no-cache-dir --no-compile \
    "${wheel}[$RUNTIME,serve]"

python=$work/environment/bin/python
"$python" - <<'EOF'
import importlib.util

unwanted = [name for name in ("torch", "torchvision", "detectron2") if importlib.util.find_spec(name)]
assert not unwanted, f"the environment holds {unwanted}"
EOF

cd "$work" # so that nothing of the clone is imported
env -u PYTHONPATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    "$work/environment/bin/dld-spotter" serve --host 0.0.0.0 --port 0 >"$work/said" &
service=$!
for _ in $(seq 240); do
    if grep -q 'http://' "$work/said"; then break; fi
    kill -0 "$service" || { echo "error: the service ended before it was ready." >&2; exit 1; }
    sleep 0.5
done
port=$(sed -n 's#.*http://[^ ]*:\([0-9]*\)/.*#\1#p' "$work/said")
"$python" - "$port" "$photo" <<'EOF'
import json
import sys
from pathlib import Path
from urllib.request import urlopen

address = f"http://127.0.0.1:{sys.argv[1]}"
with urlopen(f"{address}/health", timeout=10) as answer:
    assert answer.status == 200, answer.status
with urlopen(f"{address}/v1/read?name=photo", Path(sys.argv[2]).read_bytes(), timeout=60) as answer:
    record = json.load(answer)
assert record["words"], record
print(f"read: {record['text'].splitlines()}")
EOF
resident=$(sed -n 's/VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$service/status" 2>/dev/null || echo 0)
kill -TERM "$service"
wait "$service" || { echo "error: the service did not stop with exit code 0." >&2; exit 1; }
service=

echo "runtime: $RUNTIME, $("$python" --version)"
echo "wheel: $(($(stat -c %s "$wheel") / 1000000)) MB"
echo "environment, of an image on top of its base: $(($(du -sk "$work/environment" | cut -f1) * 1024 / 1000000)) MB"
echo "memory of the service's main process: $((resident * 1024 / 1000000)) MB"
