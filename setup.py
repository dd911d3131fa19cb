"""Which folders make the package; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

# Configs, tools and samples stay where users of Detectron2 look for them, and are installed inside the package.
FOLDERS = {
    "dld_spotter.configs": "configs",
    "dld_spotter.tools": "tools",
    "dld_spotter.projects.DLD": "projects/DLD",
}

setup(packages=[*find_packages(include=["dld_spotter", "dld_spotter.*"]), *FOLDERS], package_dir=FOLDERS)
