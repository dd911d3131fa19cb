"""Reads .mat files for ``mat_reader``, in a process of its own: ``python -P mat_worker.py BYTES_OF_MEMORY``.

A request is a line of JSON: variables, columns, and path or bytes (then so many bytes of a .mat file follow). The
answer is a line {"rows": n} and n lines, each a row of the table or {"error": ...}; or one line {"error": ...}. Arrays
of numbers are {"shape": [...], "float64": their bytes in base64}, everything else is text or a nested list.
"""

import base64
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from scipy.io import loadmat


def main(memory: int) -> None:
    """Answer requests from standard input until it ends."""
    _limit_memory(memory)
    with open(sys.stdout.fileno(), "wb", closefd=False) as answers:
        _write([{"ready": True}], answers)
        for line in sys.stdin.buffer:
            try:
                count, rows = _read_table(json.loads(line), sys.stdin.buffer)
            except Exception as error:
                _write([{"error": str(error)}], answers)
            else:
                _write([{"rows": count}], answers)
                _write(rows, answers)


def _limit_memory(size: int) -> None:
    """A small file may claim to unpack to more than there is; not every system can limit that."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, OSError, ValueError):
        pass


def _write(values: Iterable[Any], answers: BinaryIO) -> None:
    encode = json.JSONEncoder(default=_plain).encode
    for value in values:
        try:
            text = encode(value)
        except Exception as error:  # cells hold anything
            text = encode({"error": str(error)})
        answers.write(text.encode("ascii") + b"\n")
    answers.flush()


def _plain(value: Any) -> Any:
    """What JSON cannot hold as what it can."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "iufb":
            data = np.asarray(value, dtype="<f8")
            return {"shape": data.shape, "float64": base64.b64encode(data.tobytes()).decode("ascii")}
        if value.dtype.kind in "OU":
            return value.tolist()
    raise TypeError(f"a {type(value).__name__} is neither text nor a real number")


def _read_table(request: dict, stream: BinaryIO) -> tuple[int, Iterator[Sequence]]:
    names = request["variables"]
    source = BytesIO(stream.read(request["bytes"])) if "bytes" in request else request["path"]
    try:
        contents = loadmat(source, variable_names=names)
    except NotImplementedError:
        raise ValueError("a .mat file of version 7.3; save it as version 7 or older") from None
    except Exception as error:  # damaged files make scipy raise nearly anything
        raise ValueError(f"not a .mat file that scipy reads ({error})") from error
    missing = [name for name in names if name not in contents]
    tables = [contents.pop(name) for name in names if name in contents]
    if not request["columns"]:
        if not tables or tables[0].ndim != 2:
            raise ValueError(f"there is no table {' or '.join(names)}")
        return len(tables[0]), iter(tables[0])
    if missing:
        raise ValueError(f"it has no {', '.join(missing)}")
    columns = [table.reshape(-1) for table in tables]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{', '.join(names)} differ in length")
    return len(columns[0]), _rows(columns)


def _rows(columns: list[np.ndarray]) -> Iterator[list]:
    """Row after row; what was given is let go, so that memory shrinks."""
    for index in range(len(columns[0])):
        row = [column[index] for column in columns]
        for column in columns:
            if column.dtype == object:
                column[index] = None
        yield row


if __name__ == "__main__":
    main(int(sys.argv[1]))
