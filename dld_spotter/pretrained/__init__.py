"""The trained models that come with the project, one folder each: ``model.yaml``, ``model.pth`` and a model card.

Their names can stand where a config file can: ``TextPredictor("NAME")``, ``load_cfg("NAME")``, ``--config-file NAME``.
"""

from pathlib import Path

from dld_spotter.resources import find_packaged_config

_ROOT = Path(__file__).parent
CONFIG, WEIGHTS, CARD = "model.yaml", "model.pth", "README.md"
DEFAULT_MODEL = "photos-dld"  # what reads where no model is named


def pretrained_models() -> list[str]:
    """The names of the models, sorted."""
    return sorted(path.parent.name for path in _ROOT.glob(f"*/{CONFIG}"))


def pretrained_folder(name: str) -> Path | None:
    """The folder of a model; None where there is none of that name."""
    return _ROOT / name if name in pretrained_models() else None


def model_folder(model: str) -> Path:
    """The folder of a model: one by its name, a folder itself, or that of a ``model.yaml``.

    Raises:
        FileNotFoundError: there is no such folder or model.
    """
    path = Path(model)
    found = (
        path if path.is_dir() else path.parent if path.name == CONFIG and path.is_file() else pretrained_folder(model)
    )
    if found is None:
        raise FileNotFoundError(
            f"there is no model {model}: give a folder with {CONFIG}, or one of {', '.join(pretrained_models())}."
        )
    return found


def find_config(config_file: str) -> str:
    """The path of a config: a file of the working directory, a model's name, or one that comes with the project.

    A folder hides no model: photos of the model ``photos`` may lie in ``photos``. Anything else is returned as it is.
    """
    if Path(config_file).is_file():
        return config_file
    folder = pretrained_folder(config_file)
    return str(folder / CONFIG) if folder else find_packaged_config(config_file)
