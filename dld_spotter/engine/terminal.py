"""What a training prints: progress, results and mistakes; everything else stands in OUTPUT_DIR/log.txt."""

import logging
import re
import sys

from detectron2.utils.logger import setup_logger

# Mistakes of a user, and losses that are not finite, come as these; anything else is a defect, and shows where it is.
MISTAKES = (OSError, ValueError, KeyError, FloatingPointError)

# Of Detectron2's loggers, those that tell how far a run is.
_PROGRESS = (
    "detectron2.engine.hooks",
    "detectron2.engine.train_loop",
    "detectron2.evaluation.evaluator",
    "detectron2.utils.events",
)


class _ForUsers(logging.Filter):
    """Lets pass what this project says, progress, and Detectron2's warnings, but no tracebacks and dumps."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or record.name.startswith("fvcore"):
            return False
        own = record.name.startswith("dld_spotter")
        return own or record.name in _PROGRESS or record.levelno >= logging.WARNING


def set_up_loggers(folder: str, rank: int) -> None:
    """Let everything be written into ``folder``/log.txt, and what users need to the terminal.

    To be called before Detectron2's ``default_setup``, which then finds its loggers as it would set them up.
    """
    loggers = [
        setup_logger(folder, distributed_rank=rank, name="fvcore"),
        setup_logger(folder, distributed_rank=rank),
        setup_logger(folder, distributed_rank=rank, name="dld_spotter"),
    ]
    for handler in (handler for logger in loggers for handler in logger.handlers):
        on_terminal = getattr(handler, "stream", None) is sys.stdout
        if on_terminal and not any(isinstance(known, _ForUsers) for known in handler.filters):
            handler.addFilter(_ForUsers())


def describe_mistake(error: BaseException) -> str | None:
    """The message of one of ``MISTAKES`` in one line, also where another process raised it; None for other errors."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if "Traceback (most recent call last)" not in text:
        bare_key = isinstance(error, KeyError) and " " not in text  # what a dictionary raises, not what a user reads
        return text if isinstance(error, MISTAKES) and not bare_key else None
    # A process or a worker of a data loader hands on its whole traceback.
    last = text.strip().splitlines()[-1]
    kind, _, message = last.partition(": ")
    names = {cls.__name__ for mistake in MISTAKES for cls in (mistake, *mistake.__subclasses__())}
    return re.sub(r"^(['\"])(.*)\1$", r"\2", message) if kind.rpartition(".")[2] in names else None
