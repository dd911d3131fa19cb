"""Ways to damage a file: its bytes, its fields, its JSON values, its zip archive."""

import io
import json
import random
import re
import zipfile
from collections.abc import Callable

Mutate = Callable[[random.Random, bytes], bytes]

LARGE_TREE = 10_000  # places of values
TOKENS = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xff", b"\xe9", b"\xed\xa0\x80", b"\x1b[2J", b"\x85", b"\r", b"\n", b"\t",
    b" ", b",", b";",
    b'"', b"'", b"\\", b"\\x", b"\\u", b"[", b"]", b"{", b"}", b"[[", b"]]", b"#", b"###", b",####", b"../",
    b"/", b"u'", b"nan", b"NaN", b"inf", b"-Infinity", b"1e308", b"-1e308", b"1e999", b"9" * 400, b"9" * 5000, b"0x1f",
    b"1_0", b"-", b"-0", b"2147483648", b"1000001", b".5", b"5.", b"null", b"true", b"x:", b"y: [[",
    b"transcriptions: [",
    *(text.encode() for text in ("é", "ï¿½", "\ufffd", "²", "٣", "\u2028", "\u202e", "\U0001f600")),
]  # fmt: skip

VALUES = [
    None, True, False, 0, 1, -1, 5, 2**31, 2**63, 10**400, 0.5, 1e6, 1e6 + 1, 1e7, -1e308, 1e308, float("nan"),
    float("inf"), "", " ", "x", "###", "5", "a\0", "a\x07", "a\x1b[2J", "a\tb\n", "\ud800", "é", "\ufffd", "../a.jpg",
    "/a.jpg", "a.jpg", "a/../../b.jpg", "C:\\a.jpg", "a" * 300, "a" * 5000, [], {}, [[]], [{}], [None], [1, 2],
    [1, 2, 3], ["a", "b"], {"a": 1}, {"counts": [1]}, [[1, 2], [3, 4], [5, 6]],
]  # fmt: skip

NAMES = ("../../{}", "/{}", "²{}", "a/{}", "\\{}", ".txt", "9" * 5000 + ".txt")


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to four changes of single bytes or of slices."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 2, 4, 8, rng.randint(1, 200))))
        kind = rng.randrange(8)
        if kind == 0 and start < len(data):
            data = data[:start] + bytes([data[start] ^ (1 << rng.randrange(8))]) + data[start + 1 :]
        elif kind == 1:
            data = data[:start] + bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start] + data[end:]
        elif kind == 3:
            data = data[:end] + data[start:end] * rng.choice((1, 2, 10, 100)) + data[end:]
        elif kind == 4:
            data = data[:start]
        elif kind == 5:
            other = rng.randrange(len(data) + 1)
            data = data[:start] + data[other : other + end - start] + data[end:]
        else:
            token = rng.choice(TOKENS)
            repeats = rng.choice((1, 1, 1, 1, 2, 50)) if rng.random() < 0.97 else 100_000 // len(token)
            data = data[:start] + token * repeats + data[end if kind == 6 else start :]
    return data


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """Another token for a field of a line, other lines, another encoding; or other bytes."""
    kind = rng.randrange(4)
    if kind == 0:
        return mutate_bytes(rng, data)
    if kind == 1 and rng.random() < 0.2:
        return data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig")))
    parts = re.split(rb"([,\s\[\]]+)", data)
    for _ in range(rng.randint(1, 3)):
        parts[rng.randrange(len(parts))] = rng.choice((rng.choice(TOKENS), b"", rng.choice(parts)))
    return b"".join(parts)


def mutate_json(rng: random.Random, data: bytes) -> bytes:
    """Other values at one to three places, or other bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data)
    root = [json.loads(data)]
    for _ in range(rng.randint(1, 3)):
        _change(rng, root)
    text = json.dumps(root[0], ensure_ascii=rng.random() < 0.7)
    return text.encode("utf-8", "surrogatepass")


def mutate_lines_of_json(rng: random.Random, data: bytes) -> bytes:
    """``path<tab>JSON`` a line: another JSON in one of them, or another text."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    name, tab, body = lines[place].partition(b"\t")
    if not tab or rng.random() < 0.3:
        return mutate_text(rng, data)
    lines[place] = name + tab + mutate_json(rng, body)
    return b"\n".join(lines)


def mutate_zip(rng: random.Random, data: bytes) -> bytes:
    """Other members, under other names, or another archive."""
    if rng.random() < 0.6:
        return mutate_bytes(rng, data)
    result = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w", method) as new:
        for member in old.infolist():
            content = old.read(member)
            name = member.filename
            if rng.random() < 0.4:
                content = mutate_text(rng, content)
            if rng.random() < 0.2:
                name = rng.choice(
                    (
                        f"../../{name}",
                        f"/{name}",
                        "²" + name,
                        "9" * 5000 + ".txt",
                        " ",
                        ".txt",
                        f"a/{name}",
                        "\\" + name,
                    )
                )
            new.writestr(name, content)
    return result.getvalue()


def _change(rng: random.Random, root: list) -> None:
    """Replace, delete or repeat a value somewhere in a tree of lists and dicts."""
    places = list(_places(root))
    holder, key = rng.choice(places)
    kind = rng.randrange(10)
    if kind == 0 and holder is not root:
        del holder[key]
    elif kind == 1:
        other, other_key = rng.choice(places)
        if not _contains(other[other_key], holder):
            holder[key] = other[other_key]
    elif kind == 2 and isinstance(holder, list) and holder is not root:
        times = rng.choice((1, 2, 10, 1200))
        # Repeated three times over, a tree would fill a file of which reading alone takes longer than a case may.
        holder[key:key] = [holder[key]] * (times if len(places) < LARGE_TREE else 1)
    elif kind == 3:
        nested = holder[key]
        for _ in range(rng.choice((1, 2, 100))):
            nested = [nested]
        holder[key] = nested
    else:
        holder[key] = json.loads(json.dumps(rng.choice(VALUES)))


def _places(value):
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _contains(value, holder) -> bool:
    return value is holder or (
        isinstance(value, dict | list)
        and any(_contains(part, holder) for part in (value.values() if isinstance(value, dict) else value))
    )
