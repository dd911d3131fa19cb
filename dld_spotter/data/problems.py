"""What is wrong with people's files: counted by kind, with the place of each finding."""

import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]

_LONGEST = 500  # characters of a message, and of a name in it
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxtuple = 3, 12, 6, 12
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def shown(value: Any) -> str:
    """A value for a message: its repr, cut where it is long or deep."""
    return _REPR.repr(value)


class Problem(NamedTuple):
    """One finding. An "error" stops a training run; a "warning" is mended or, for words, left out."""

    severity: Severity
    kind: str
    file: str
    image: str | None
    annotation: int | str | None
    message: str

    def __str__(self) -> str:
        where = self.file
        if self.image is not None:
            where += f", image {self.image}"
        if self.annotation is not None:
            where += f", annotation {self.annotation}"
        return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], f"{where}: {self.message}")


class Unusable(ValueError):
    """A part of a file that cannot be used; ``kind`` and ``severity`` say how :meth:`Problems.guard` counts it."""

    def __init__(self, kind: str, message: str, severity: Severity = "error"):
        super().__init__(message)
        self.kind = kind
        self.severity = severity


class Problems:
    """Counts findings by kind and keeps the first few of each kind (all of them with ``keep=None``)."""

    def __init__(self, file: str, keep: int | None = None):
        self.file = file
        self.counts: Counter[tuple[Severity, str]] = Counter()
        self.kept: list[Problem] = []
        self._keep = keep

    def add(self, severity: Severity, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.counts[severity, kind] += 1
        if self._keep is None or self.counts[severity, kind] <= self._keep:
            image, annotation = (part[:_LONGEST] if isinstance(part, str) else part for part in (image, annotation))
            if annotation is not None and not isinstance(annotation, int | str):
                annotation = shown(annotation)
            self.kept.append(Problem(severity, kind, self.file, image, annotation, message[:_LONGEST]))

    def error(self, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.add("error", kind, message, image, annotation)

    def warning(self, kind: str, message: str, image: Any = None, annotation: Any = None) -> None:
        self.add("warning", kind, message, image, annotation)

    @contextmanager
    def guard(self, kind: str, image: Any = None, annotation: Any = None) -> Iterator[None]:
        """A block of code that reads one entry; whatever it raises is counted, and the code after the block goes on."""
        try:
            yield
        except Exception as error:  # files of others make code raise nearly anything
            found = error if isinstance(error, Unusable) else Unusable(kind, _describe(error))
            self.add(found.severity, found.kind, f"{str(found).rstrip('.')}; left out.", image, annotation)

    def report(self) -> str:
        """How many problems of each kind there are, errors first, each with those that were kept; a line each."""
        lines = []
        for (severity, kind), count in sorted(self.counts.items()):
            lines.append(f"{severity} {kind}: {count}\n")
            lines += [f"    {problem}\n" for problem in self.kept if problem[:2] == (severity, kind)]
        return "".join(lines)

    def count(self, severity: Severity) -> int:
        return sum(count for (found, _), count in self.counts.items() if found == severity)

    def of(self, severity: Severity) -> list[Problem]:
        return [problem for problem in self.kept if problem.severity == severity]


def _describe(error: Exception) -> str:
    if isinstance(error, KeyError) and error.args:
        return f"has no {shown(error.args[0])}"
    if isinstance(error, ValueError | OSError):
        return str(error)
    return f"is not as the format wants it ({type(error).__name__}: {error})"
