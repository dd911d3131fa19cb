#!/usr/bin/env python3
"""Install Detectron2 into the environment of the Python that runs this, unless one imports there already.

Usage: /path/to/your/python tools/install_detectron2.py
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("requirements-detectron2.txt")
PACKAGE = "sal_detectron2"
# The wheel also holds a folder "tools", which would shadow other modules of that name.
WANTED = ("detectron2", f"{PACKAGE}-*.dist-info")


def import_error() -> str | None:
    """Why Detectron2 does not import, as Python's last line; None if it does."""
    run = subprocess.run(
        [sys.executable, "-c", "import detectron2.modeling"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    return (run.stderr.strip().splitlines() or ["unknown error"])[-1] if run.returncode else None


def foreign_distribution() -> str | None:
    """The name of another installed distribution that brings the package detectron2."""
    names = importlib.metadata.packages_distributions().get("detectron2", [])
    others = [name for name in names if name.replace("-", "_") != PACKAGE]
    return others[0] if others else None


def install(site_packages: Path) -> None:
    """Unpack the pinned wheel beside its place, then move only what is wanted there."""
    with tempfile.TemporaryDirectory(prefix=".detectron2-", dir=site_packages) as folder:
        wheel_tags = ["--python-version", "3.10", "--implementation", "cp", "--abi", "none", "--platform", "any"]
        subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
            + ["--only-binary=:all:", *wheel_tags, "--target", folder, "--require-hashes", "-r", str(REQUIREMENT)],
            check=True,
        )
        for pattern in WANTED:
            for old in site_packages.glob(pattern):
                shutil.rmtree(old)
            for new in Path(folder).glob(pattern):
                shutil.move(new, site_packages / new.name)
    for record in site_packages.glob(f"{PACKAGE}-*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        # Otherwise `pip uninstall` would remove files of that name that others brought.
        record.write_text("".join(line for line in lines if not line.startswith("tools/")), encoding="utf-8")


def main() -> str | None:
    """Returns None when Detectron2 imports in the end, else the sentence to stop with."""
    if import_error() is None:
        return None
    foreign = foreign_distribution()
    if foreign:
        return (
            f"Detectron2 is installed here as '{foreign}', but does not import ({import_error()}). Repair it, or run "
            f"`{sys.executable} -m pip uninstall {foreign}` and this script again."
        )
    site_packages = Path(sysconfig.get_paths()["purelib"])
    if not os.access(site_packages, os.W_OK):
        return f"{site_packages} cannot be written; run this script with the Python of a virtual environment."
    try:
        install(site_packages)
    except subprocess.CalledProcessError:
        return "pip could not install Detectron2 (its message is above); when the cause is gone, run this script again."
    error = import_error()
    if error:
        return f"Detectron2 is installed in {site_packages}, but does not import: {error}"
    return None


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # --help, and nothing else
    sys.exit(main())
