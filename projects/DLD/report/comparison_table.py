"""A comparison as Markdown, and its place in a README."""

from collections.abc import Sequence
from pathlib import Path

from comparison_figures import ComparisonResult, RowResult, SetResult
from comparison_plan import FIGURES

from dld_spotter.evaluation.bootstrap import LEVEL, Estimate

_NOTES = f"""\
Detection, end-to-end and spotting (words that a dictionary could hold) are harmonic means, recognition on ground-truth
boxes is the share of readable words read right where the annotation says they are, all in per cent. Brackets hold
{LEVEL:.0%} bootstrap intervals over images; differences are paired, over the same images. They say what other images
would change, not what another training would. GFLOPs are 10**9 multiply-adds an image at the chosen scales with the
selector, for images with ten words; cost is relative to the first row; s/photo is the median of the model alone. The
paper's figures are those of its own data and networks."""


def format_comparison(results: Sequence[SetResult], reference: str, command: str) -> str:
    """The whole report: a table of rows and one of expected orderings for each data set, and how they were made.

    Args:
        results: of each data set.
        reference: the title of the method that differences are taken to.
        command: that made the report.
    """
    parts = []
    for result in results:
        title = f"**{result.data_set.key}: {result.images} images, {result.words} words** ({_rules(result)})"
        parts += [title, _row_table(result, reference)]
        if result.comparisons:
            parts.append(_comparison_table(result.comparisons))
    parts += [_NOTES, *_machines(results), f"```bash\n{command}\n```"]
    return "\n\n".join(parts) + "\n"


def marks(name: str) -> tuple[str, str]:
    """The lines of a file between which the comparison of this name stands."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def read_place(path: str | Path, name: str) -> tuple[str, str] | None:
    """What stands before and after a report in a file, its marks included; None for a file that is not there yet.

    Raises:
        ValueError: the file lacks the marks, or has them in the wrong order or more than once.
    """
    path = Path(path)
    if not path.exists():
        return None
    text, (begin, end) = path.read_text(encoding="utf-8"), marks(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(
            f"{path} has no place for the comparison: write one line '{begin}' and below it one line '{end}'."
        )
    return text[: text.index(begin) + len(begin)], text[text.index(end) :]


def write_comparison(path: str | Path, report: str, name: str) -> None:
    """Put a report between the marks of a file, in place of what was there; a file that is not there is made.

    Raises:
        ValueError: see ``read_place``.
    """
    begin, end = marks(name)
    before, after = read_place(path, name) or (begin, f"{end}\n")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"{before}\n{report.strip()}\n{after}", encoding="utf-8")


def _row_table(result: SetResult, reference: str) -> str:
    names = {name: label.replace("lexicon", result.data_set.lexicon) for name, label in FIGURES.items()}
    shown = [name for name in names if result.data_set.lexicon or not name.endswith("_lexicon")]
    compared = [name for name in shown if name.startswith("e2e")]
    head = ["method", *(names[name] for name in shown), "cost", "s/photo", "scales"]
    head += [f"{names[name]}: difference to {reference}" for name in compared] + ["paper"]
    return table(head, [_row_cells(row, shown, compared) for row in result.rows])


def _row_cells(row: RowResult, shown: Sequence[str], compared: Sequence[str]) -> list[str]:
    if row.missing:
        return [row.row.name, row.missing, *[""] * (len(shown) + 2 + len(compared)), row.row.paper]
    shares = sorted(row.shares.items())
    cells = [row.row.name, *(_cell(name, row.figures[name]) for name in shown)]
    cells.append("" if row.cost is None else f"{row.cost:.2f}")
    cells += [f"{row.seconds:.3f}", ", ".join(f"{scale:g}: {share:.0%}" for scale, share in shares)]
    cells += [_cell(name, row.differences[name], "+") if row.differences else "" for name in compared]
    return [*cells, row.row.paper]


def _comparison_table(comparisons: Sequence[ComparisonResult]) -> str:
    head = ["expected", "figure", "paper", "here", "difference", "agrees"]
    return table(head, [_comparison_cells(result) for result in comparisons])


def _comparison_cells(result: ComparisonResult) -> list[str]:
    expected = result.comparison
    ordering = f"{expected.statement}: {expected.first} {expected.expected} {expected.second}"
    cells = [ordering, FIGURES[expected.figure], expected.paper]
    if result.difference is None:
        return [*cells, "", "", result.agrees]
    here = " / ".join(_value(expected.figure, side.value) for side in (result.first, result.second))
    if max(result.runs) > 1:
        here += f" (means of {result.runs[0]} and {result.runs[1]} runs)"
    return [*cells, here, _cell(expected.figure, result.difference, "+"), result.agrees]


def _cell(name: str, figure: Estimate, sign: str = "") -> str:
    """A figure with its interval; that of a cost at fixed scales has no width to show."""
    value = _value(name, figure.value, sign)
    if figure.low == figure.high:
        return value
    return f"{value} [{_value(name, figure.low, sign)}, {_value(name, figure.high, sign)}]"


def _value(name: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.2f}" if name == "gflops" else f"{100 * value:{sign}.1f}"


def _rules(result: SetResult) -> str:
    lexicon = result.data_set.lexicon
    return f"{result.protocol}{f'; lexicon {lexicon}' * bool(lexicon)}"


def _machines(results: Sequence[SetResult]) -> list[str]:
    """Where the seconds were measured; by row where that was on several machines."""
    rows: dict[str, list[str]] = {}
    for result in results:
        for row in result.rows:
            if row.machine:
                rows.setdefault(row.machine, []).append(f"{row.row.name} on {result.data_set.name}")
    if len(rows) < 2:
        return [f"Machine: {machine}." for machine in rows]
    return ["Machines: " + "; ".join(f"{machine} ({', '.join(names)})" for machine, names in rows.items()) + "."]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
