"""What a comparison of methods is made of: the YAML file that lists data sets, rows and expected orderings.

data_sets:
  - name: synthetic_scenes_test   # registered, or in DATASETS.CUSTOM of a row's config
    short_side: 384           # the full resolution, INPUT.MIN_SIZE_TEST; the rows' INPUT.MAX_SIZE_TEST holds as well
    lexicon: full             # optional, one an entry; without a list of that name, "full" is all annotated words
    min_score: 0.6            # optional, TEST.TEXT.SCORE_THRESHOLD of all rows; each makes a table of its own
    score_powers: [1, 0]      # optional, likewise TEST.TEXT.SCORE_POWERS; [1, 0]: detection, whatever is recognised
reference: Vanilla 1.0        # optional: whose figures the others' are compared with; by default the first row
rows:
  - title: Vanilla 1.0        # rows of one title are runs of one method
    config: configs/recipes/roi_spotter.yaml              # a YAML file, a trained model's name, or a list of them
    weights: output/recipes/roi_spotter/model_final.pth   # optional: by default the config's MODEL.WEIGHTS
    opts: [MODEL.DLD.FIXED_SCALE, 0.5]                    # optional: KEY, VALUE, ...
    paper: 62.3 / 71.4        # optional, shown as it is
    seeds: [1, 2]             # optional: a run of each, which stands for {seed} in 'weights'
comparisons:
  - statement: DLD reads better than distillation alone
    first: DLD 0.1            # titles
    second: SKD-only
    expected: ">"             # of the first's figure to the second's: ">" or "<"
    figure: e2e_none          # optional; one of FIGURES
    paper: 63.9 > 59.6        # optional, shown as it is
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

FIGURES = {
    "detection": "detection",
    "recognition": "recognition on ground-truth boxes",
    "e2e_none": "end-to-end none",
    "e2e_lexicon": "end-to-end lexicon",
    "word_spotting_none": "spotting none",
    "word_spotting_lexicon": "spotting lexicon",
    "gflops": "GFLOPs",
}
SIGNS = {">": 1, "<": -1}

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class DataSet:
    """A registered data set at one full resolution, and which words count.

    Attributes:
        name: in Detectron2's catalog.
        short_side: pixels of the shorter side, INPUT.MIN_SIZE_TEST.
        lexicon: the name of a word list, "" for none.
        min_score: words scored lower do not count; None leaves it to the rows' configs.
        score_powers: of the score of a word; None likewise.
    """

    name: str
    short_side: int
    lexicon: str = ""
    min_score: float | None = None
    score_powers: list | None = None

    @property
    def key(self) -> str:
        """Name, resolution, and the least score and the powers where they are given."""
        least = "" if self.min_score is None else f", score at least {self.min_score:g}"
        powers = "" if self.score_powers is None else f", score powers {self.score_powers}"
        return f"{self.name}, shorter side {self.short_side}{least}{powers}"


@dataclass(frozen=True)
class Row:
    """One trained model, or one for each of ``seeds``; rows of one title are runs of one method."""

    title: str
    config: str | list
    weights: str = ""
    opts: list = field(default_factory=list)
    paper: str = ""
    seeds: Sequence[int] = ()

    @property
    def name(self) -> str:
        """The title, with the seed where there is one; of a single run."""
        return f"{self.title} (seed {self.seeds[0]})" if self.seeds else self.title


@dataclass(frozen=True)
class Comparison:
    """An ordering of two methods that is expected, by their titles."""

    statement: str
    first: str
    second: str
    expected: str
    figure: str = "e2e_none"
    paper: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole comparison; ``source`` is its file, for error messages."""

    source: str
    data_sets: list[DataSet]
    rows: list[Row]
    comparisons: list[Comparison]
    reference: str


def load_plan(path: str | Path) -> Plan:
    """The comparison that a YAML file describes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in the format; the message names the file, the entry and the field.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no comparison file {path}; synthetic.yaml beside this script is an example.")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {' '.join(str(error).split())}") from error
    known = {"data_sets", "reference", "rows", "comparisons"}
    if not isinstance(content, dict) or set(content) - known:
        raise ValueError(f"{path}: expected the fields {', '.join(sorted(known))}; it has {_listed(content)}.")
    rows = [run for row in _entries(content, "rows", Row, path) for run in _runs(row)]
    plan = Plan(
        str(path),
        _entries(content, "data_sets", DataSet, path),
        rows,
        _entries(content, "comparisons", Comparison, path, needed=False),
        str(content.get("reference") or rows[0].title),
    )
    _check(plan)
    return plan


def _runs(row: Row) -> list[Row]:
    """A row of each seed."""
    weights = [row.weights.replace("{seed}", str(seed)) for seed in row.seeds]
    return [replace(row, weights=file, seeds=[seed]) for file, seed in zip(weights, row.seeds, strict=True)] or [row]


def _entries(content: Mapping, name: str, kind: type[Entry], path: str | Path, needed: bool = True) -> list[Entry]:
    listed = content.get(name) or []
    if not isinstance(listed, list) or (needed and not listed):
        raise ValueError(f"{path}: '{name}' must be a list with one entry or more.")
    return [_entry(entry, kind, f"{path}: {name}, entry {number}") for number, entry in enumerate(listed, start=1)]


def _entry(entry: Any, kind: type[Entry], place: str) -> Entry:
    wanted = {f.name: f for f in fields(kind)}
    if not isinstance(entry, dict):
        raise ValueError(f"{place} must have the fields {', '.join(wanted)}; it is {entry!r}.")
    unknown = sorted(set(entry) - set(wanted))
    if unknown:
        raise ValueError(f"{place}: there is no field '{unknown[0]}'; known are {', '.join(wanted)}.")
    for name, found in wanted.items():
        if entry.get(name) is None and found.default is MISSING and found.default_factory is MISSING:
            raise ValueError(f"{place} lacks the field '{name}'.")
    given = {name: value for name, value in entry.items() if value is not None}
    return kind(**{name: _value(value, wanted[name].type, f"{place}: '{name}'") for name, value in given.items()})


def _value(value: Any, kind: Any, place: str) -> Any:
    """Text fields take numbers, too ("paper: 62.3"); the others take what they are."""
    if kind in (str, str | list) and isinstance(value, (str, int, float)):
        return str(value)
    if kind == str | list and isinstance(value, list) and all(isinstance(file, str) for file in value):
        return value
    if kind is list and isinstance(value, list) and len(value) % 2 == 0:
        return value
    if (kind == Sequence[int] and _numbers(value, int)) or (
        kind == list | None and _numbers(value, int | float) and len(value) == 2
    ):
        return value
    if kind is int and isinstance(value, int):
        return value
    if kind == float | None and isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    wanted = {
        str: "text",
        str | list: "a file or a list of files",
        list: "a list KEY, VALUE, ...",
        list | None: "a list of two numbers",
        float | None: "a number from 0 to 1",
        Sequence[int]: "a list of whole numbers",
    }
    wanted = wanted.get(kind, "a whole number")
    raise ValueError(f"{place} must be {wanted}; it is {value!r}.")


def _numbers(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(number, kind) for number in value)


def _check(plan: Plan) -> None:
    names = [row.name for row in plan.rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(
            f"{plan.source}: two rows are called '{twice}'; give each its own title, or its own number in 'seeds'."
        )
    sets = [(data_set.key, data_set.lexicon) for data_set in plan.data_sets]
    if len(set(sets)) < len(sets):
        keys = "; ".join(key for key, _ in sets)
        raise ValueError(f"{plan.source}: data_sets has an entry twice ({keys}); keep one, or give it another lexicon.")
    titles = {row.title for row in plan.rows}
    named = {"reference": plan.reference}
    for number, comparison in enumerate(plan.comparisons, start=1):
        place = f"comparisons, entry {number}"
        named |= {f"{place}: first": comparison.first, f"{place}: second": comparison.second}
        if comparison.expected not in SIGNS:
            raise ValueError(f"{plan.source}: {place}: 'expected' is '{comparison.expected}'; use '>' or '<'.")
        if comparison.figure not in FIGURES:
            raise ValueError(
                f"{plan.source}: {place}: there is no figure '{comparison.figure}'; use one of {', '.join(FIGURES)}."
            )
    for place, title in named.items():
        if title not in titles:
            raise ValueError(f"{plan.source}: {place} names '{title}', which is no row's title.")


def _listed(content: Any) -> str:
    return ", ".join(map(str, content)) if isinstance(content, dict) else repr(content)
