"""The files of the page. All of them are known beforehand, so that no request can name another."""

from __future__ import annotations

from importlib.resources import files

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "compare.js": "text/javascript; charset=utf-8",
    "outlines.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

# The page takes nothing from elsewhere and sends nothing elsewhere, whatever a photo says.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page_files() -> dict[str, bytes]:
    """Name -> content of each file."""
    folder = files("dld_spotter.serve") / "page"
    return {name: (folder / name).read_bytes() for name in TYPES}
