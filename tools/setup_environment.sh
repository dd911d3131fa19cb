#!/usr/bin/env bash
# Makes the environment that `make demo` runs in, or returns at once when it is there and unchanged. With the argument
# "docs", what `make docs` and `make test` need on top is there as well.
# PYTHON: the interpreter to make it with (default: the first of python3.11, python3.12, python3 that fits).
# VENV: its folder (default: .venv in the project).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv="${VENV:-.venv}"
stamp="$venv/.requirements-installed"
with_docs="${1:-}"
requirements=(requirements.txt requirements-dev.txt tools/requirements-detectron2.txt setup.py pyproject.toml)

say() { echo "setup: $*"; }
stop() {
    echo "setup: $*" >&2
    exit 1
}

# What the environment was made from; it is made anew when any of it changes, or when the project moved.
fingerprint() { { pwd; sha256sum "${requirements[@]}" tools/install_detectron2.py "${BASH_SOURCE[0]}"; } | sha256sum; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

find_python() {
    if [[ -n "${PYTHON:-}" ]]; then
        fits "$PYTHON" || stop "PYTHON=$PYTHON is not a working Python 3.11 or 3.12; name one that is."
        echo "$PYTHON"
        return
    fi
    local name
    for name in python3.11 python3.12 python3; do
        if fits "$name"; then
            echo "$name"
            return
        fi
    done
    stop "no Python 3.11 or 3.12 found; install one (Debian 12: sudo apt-get install -y python3 python3-venv)" \
        "or name yours: make demo PYTHON=/path/to/python3.11"
}

# Debian and Ubuntu ship Python without ensurepip, which venv needs; root gets it installed, others are told how.
make_venv() {
    local python="$1" package
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
            say "installing $package, which this Python needs to make environments"
            apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" \
                || stop "apt-get could not install $package; install it, then run make again."
        else
            stop "this Python cannot make environments yet; run: sudo apt-get install -y $package" \
                "(or use another Python: make demo PYTHON=/path/to/python3.11)"
        fi
    fi
    "$python" -m venv "$venv"
}

# Only an environment that this script made may be removed.
is_ours() { [[ ! -e "$venv" || -e "$venv/.made-by-setup" || -z "$(ls -A "$venv")" ]]; }

works() { "$venv/bin/python" -c "$1" >/dev/null 2>&1; }

install_requirements() {
    if ! works 'import pip'; then
        is_ours || stop "$venv is there, but has no working Python with pip, and was not made by this script;" \
            "remove it, or choose another folder with VENV=..."
        say "making $venv"
        rm -rf "$venv"
        mkdir -p "$venv"
        touch "$venv/.made-by-setup"
        make_venv "$python"
    fi
    say "installing the requirements (the first time about 6 GB, several minutes)"
    "${pip[@]}" "$(grep -o '^setuptools==[^ ]*' requirements.txt)"
    # Without isolation the few packages that come as source are built by that setuptools, not by tomorrow's.
    "${pip[@]}" --no-build-isolation --use-pep517 -r requirements-dev.txt
}

pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input install)
imports="import torch, torchvision, numpy, scipy, cv2, PIL, shapely, rapidfuzz, editdistance, matplotlib, tqdm, pytest"
imports="$imports, onnx, onnxruntime, openvino, tensorboard, fvcore, iopath, omegaconf, hydra, pycocotools.mask, yacs, pkg_resources"

exec 9<"${BASH_SOURCE[0]}" # two makes at once: the second one waits
if command -v flock >/dev/null; then flock 9; fi

# What the documentation needs is installed on top, so that `make demo` does without it.
finish() {
    if [[ "$with_docs" && "$(cat "$stamp-docs" 2>/dev/null)" != "$(sha256sum requirements-docs.txt)" ]]; then
        say "installing what the documentation needs"
        "${pip[@]}" -r requirements-docs.txt
        sha256sum requirements-docs.txt >"$stamp-docs"
    fi
    exit 0
}

if [[ -e "$stamp" && "$(cat "$stamp")" == "$(fingerprint)" ]] && works ''; then
    finish
fi

python="$(find_python)"
rm -f "$stamp" "$stamp-docs"
install_requirements
if ! works "$imports"; then
    # A kill in the middle of an installation can leave half a package that pip takes for a whole one.
    is_ours || stop "the requirements are installed in $venv, but do not import:" \
        "$("$venv/bin/python" -c "$imports" 2>&1 | tail -n 1)"
    say "the environment is damaged; making it anew"
    rm -rf "$venv"
    install_requirements
    "$venv/bin/python" -c "$imports" || stop "the requirements are installed, but do not import (see above)."
fi
"$venv/bin/python" tools/install_detectron2.py
"${pip[@]}" --no-build-isolation --no-deps -e .
fingerprint >"$stamp"
say "done"
finish
