"""Importing this says in one sentence what to do when Detectron2 is missing or broken; what needs it does so first.

It also silences what Detectron2 makes torch warn of, each warning by itself: a user can do nothing about them.
"""

import importlib
import importlib.util
import logging
import warnings
from functools import partial

from dld_spotter.resources import resource

_TORCH = "run `pip install 'dld_spotter[torch]'` (in a clone, `pip install -e '.[torch]'`)"


def _how() -> str:
    script = resource("tools/install_detectron2.py")
    return f"run `python {script}` with this Python (in a clone, `make setup` makes a whole environment)."


def check_detectron2() -> None:
    """Import Detectron2.

    Raises:
        ImportError: it is missing, or does not import; the message says what to run.
    """
    if importlib.util.find_spec("detectron2") is None:
        if importlib.util.find_spec("torch") is None:
            raise ImportError(
                f"this needs PyTorch and Detectron2, which this Python does not have: {_TORCH}, then {_how()}"
            )
        raise ImportError(f"this needs Detectron2, which this Python does not have: {_how()}")
    try:
        with warnings.catch_warnings():
            # Detectron2 uses parts of torch that newer versions call deprecated; a user can do nothing about it.
            warnings.simplefilter("ignore", FutureWarning)
            importlib.import_module("detectron2.modeling")
    # A Detectron2 built for other versions of torch, Pillow or NumPy fails with many kinds of error.
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("detectron2"):
            raise ImportError(
                f"this needs Detectron2, and Detectron2 needs '{error.name}', which this Python does not have: "
                f"{_TORCH}."
            ) from error
        cause = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ImportError(
            f"this needs Detectron2, and the one that this Python has does not import ({cause}): "
            f"uninstall it, then {_how()}"
        ) from error


# Loggers of torch -> their function that warns of what Detectron2 does: asking whether fx traces, looking for CUDA.
_NOISE = {"torch.fx._symbolic_trace": "is_fx_tracing_warning", "torch.utils.cpp_extension": "_find_cuda_home"}


def _comes_from_elsewhere(function: str, record: logging.LogRecord) -> bool:
    return record.funcName != function


def silence_detectron2() -> None:
    """Ignore these warnings, and torch's of the meshgrid of Detectron2's anchors; all others stay."""
    warnings.filterwarnings("ignore", "torch.meshgrid: in an upcoming release", UserWarning, r"torch\.functional")
    for name, function in _NOISE.items():
        logging.getLogger(name).addFilter(partial(_comes_from_elsewhere, function))


silence_detectron2()
check_detectron2()
