"""Where the project's configs, tools and samples are: inside the package when it is installed, beside it in a clone."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_ROOT = _PACKAGE if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent


def resource(name: str) -> Path:
    """The path of a file or folder that comes with the project.

    Args:
        name: as it stands in a clone, such as "tools" or "configs/DLD/Base-DLD_R50.yaml".

    Raises:
        FileNotFoundError: it is neither in the package nor beside it.
    """
    path = _ROOT / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; install dld_spotter from its wheel, or from a whole clone.")
    return path


def find_packaged_config(config_file: str) -> str:
    """The path of a config that comes with the project; any other name as it is.

    Args:
        config_file: as it stands in a clone, such as "configs/DLD/Base-DLD_R50.yaml"; "configs/" may be left out.
    """
    path = _ROOT / "configs" / config_file.removeprefix("configs/")
    return str(path) if path.is_file() else config_file
