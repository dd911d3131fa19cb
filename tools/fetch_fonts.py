#!/usr/bin/env python
"""Bring free fonts and English word lists, out of Debian's packages, into a folder. Nothing is installed.

    tools/fetch_fonts.py --output datasets/synthetic_sources
    tools/fetch_fonts.py --output datasets/synthetic_sources --web-fonts
    tools/fetch_fonts.py --output datasets/synthetic_sources --languages greek japanese

The folder then holds fonts/PACKAGE/*.ttf or *.otf, words/*.txt with one word a line, and LICENCES.txt, which names each
package with its version and licence; the licences' own texts are in licences/. This needs apt-get and
dpkg-deb, so Debian, Ubuntu or the like; elsewhere, point tools/make_synthetic.py at folders of your own.

With --languages it brings only the packages whose fonts have the letters of these languages. The ones for Chinese and
Japanese go into language_fonts/PACKAGE/, which tools/make_synthetic.py looks into when it is given --words.

With --web-fonts it brings instead the families of Google Fonts that tools/web_fonts.txt lists, out of npm's packages
@expo-google-fonts/NAME, into web_fonts/NAME/ (needs npm; 440 MB). They lie apart so that the scenes which were drawn
without them stay the same: tools/make_synthetic.py takes them with --fonts.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm import tqdm

FONT_SUFFIXES = (".ttf", ".otf")
WEB_FONTS = Path(__file__).with_name("web_fonts.txt")
WEB_SCOPE = "@expo-google-fonts"
DOWNLOADS_AT_ONCE = 8
LARGEST_FONT = 2_000_000  # bytes; larger files are of scripts with thousands of signs
# Licence -> packages, by what their copyright files say of the fonts (the packaging may have another licence).
FONTS = {
    "OFL-1.0": "century-catalogue inconsolata oldstandard",
    "OFL-1.1": (
        "allerta amiga anonymous-pro apropal arapey averia-gwf averia-sans-gwf averia-serif-gwf "
        "babelstone-modern bajaderka bebas-neue bwht cabin cabinsketch cantarell cardo cherrybomb cmu "
        "comfortaa comic-neue compagnon courier-prime croscore crosextra-carlito dancingscript dosis "
        "dotgothic16 ebgaramond eurofurence evertype-conakry fantasque-sans ferrite-core firacode "
        "gemunu-libre gfs-artemisia gfs-didot gfs-neohellenic gnutypewriter havana humor-sans junction "
        "junicode jura karla kaushanscript klaudia-berenika kristi lato le-murmure league-mono league-spartan "
        "leckerli-one lemonada liberation2 lobster lobstertwo manrope millimetre monofur mononoki nanum "
        "national-park noto-core noto-mono okolaks opendin play quattrocento quicksand radisnoir reggae "
        "rocknroll sil-andika sil-charis sil-doulos sil-gentium sil-gentium-basic sixtyfour smc-chilanka "
        "smc-gayathri smc-manjari smiley-sans sora stick stix tomsontalks vollkorn woowa-bm yanone-kaffeesatz "
        "yrsa-rasa yusei-magic"
    ),
    "OFL-1.1 or GPL-2+ with font exception": "linuxlibertine",
    "OFL-1.1 or GPL-3+ with font exception": "oxygen",
    "OFL-1.1 or LGPL-2.1": "essays1743",
    "OFL-1.1 or BSD-3-Clause": "3270 georgewilliams",
    "OFL-1.1 or MIT": "monoid",
    "OFL-1.1 or GPL-3+": "dkg-handwriting",
    "OFL-1.1, EPL-2.0 and EDL-1.0": "b612",
    "OFL-1.1 and Apache-2.0": "crosextra-caladea inter",
    "Apache-2.0": "clear-sans jetbrains-mono open-sans roboto-slab roboto-unhinted",
    "MIT": "agave fanwood lindenhill roadgeek routed-gothic",
    "MIT and Bitstream Vera": "hack",
    "BSD-3-Clause": "go",
    "Bitstream Vera": "dejavu-core dejavu-extra",
    "CC-BY-3.0 and Bitstream Vera": "opendyslexic",
    "CC-BY-SA-4.0": "pc",
    "Unlicense": "glasstty",
    "WTFPL": "fantasma",
    "Artistic": "alee",
    "ParaType Free Font License": "paratype",
    "public domain": "goudybookletter ocr-a prociono tuffy",
    "GUST Font License": "texgyre",
    "AGPL-3 with font exception": "urw-base35",
    "LGPL-2": "staypuft",
    "GPL-2": "dustin summersby",
    "GPL-2 with font exception": "sjfonts",
    "GPL-2+ and OFL-1.0": "breip",
    "GPL-2+ with font exception": (
        "adf-accanthis adf-baskervald adf-berenis adf-gillius adf-ikarius adf-irianis adf-libris adf-mekanus "
        "adf-oldania adf-romande adf-switzera adf-tribun adf-universalis adf-verana unifont"
    ),
    "GPL-3": "beteckna",
    "GPL-3 or LGPL-3 or GPL-2, with font exception": "osifont",
    "GPL-3+ with font exception": "freefont-ttf rufscript tiresias",
}
# The same for packages that only --languages brings; they may hold collections (.ttc).
LANGUAGE_FONTS = {
    "Apache-2.0 or GPL-3+ with font exception": "wqy-microhei",
    "M+ and Sazanami font licences and BSD-3-Clause": "vlgothic",
}
_EUROPEAN = "dejavu-core liberation2 noto-core"
_CYRILLIC = (
    "anonymous-pro comfortaa fantasque-sans firacode inter jetbrains-mono jura lobster oldstandard open-sans paratype "
    "play roboto-unhinted sil-andika vollkorn"
)
LANGUAGES = {
    "chinese": "smiley-sans wqy-microhei",
    "french": _EUROPEAN,
    "german": _EUROPEAN,
    "greek": _EUROPEAN,
    "japanese": "vlgothic wqy-microhei",
    "polish": _EUROPEAN,
    "russian": f"{_EUROPEAN} {_CYRILLIC}",
    "vietnamese": _EUROPEAN,
}
WORDS = {"SCOWL and public domain": "wamerican wbritish"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the folder to fill; what it holds already stays")
    parser.add_argument(
        "--packages", nargs="+", metavar="NAME", help="only these packages (default: all that are known)"
    )
    parser.add_argument("--web-fonts", action="store_true", help="bring the families of tools/web_fonts.txt, with npm")
    parser.add_argument(
        "--languages", nargs="+", choices=sorted(LANGUAGES), default=[], help="only packages with their letters"
    )
    args = parser.parse_args(argv)
    if args.web_fonts and (args.packages or args.languages):
        parser.error("--web-fonts brings all families of its list: leave --packages and --languages out.")
    of_languages = {f"fonts-{name}" for language in args.languages for name in LANGUAGES[language].split()}
    try:
        if args.web_fonts:
            fetch_web_fonts(args.output, known_families())
        else:
            fetch(args.output, [*(args.packages or ()), *sorted(of_languages)])
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def known_packages() -> dict[str, str]:
    """Each package's licence."""
    fonts = {f"fonts-{name}": licence for licence, names in FONTS.items() for name in names.split()}
    fonts |= {f"fonts-{name}": licence for licence, names in LANGUAGE_FONTS.items() for name in names.split()}
    words = {name: licence for licence, names in WORDS.items() for name in names.split()}
    return dict(sorted((fonts | words).items()))


def is_language_font(name: str) -> bool:
    """Whether a package comes only with --languages, or by its name."""
    return any(name == f"fonts-{short}" for names in LANGUAGE_FONTS.values() for short in names.split())


def fetch(output: Path, names: Sequence[str] = ()) -> None:
    """Download the packages, by default all but those of languages, and copy their fonts and word lists.

    Raises:
        RuntimeError: apt-get or dpkg-deb is missing or fails, or it offers none of the packages.
        ValueError: one of the names is not in the tables above.
    """
    licences = known_packages()
    unknown = sorted(set(names) - licences.keys())
    if unknown:
        raise ValueError(
            f"--packages: {', '.join(unknown)} is not known; tools/fetch_fonts.py lists what is, with its licence."
        )
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise RuntimeError(
                f"{tool} is missing: this needs Debian or Ubuntu; elsewhere, collect font files yourself."
            )
    wanted = list(dict.fromkeys(names)) or [name for name in licences if not is_language_font(name)]
    offered = offered_packages(wanted)
    absent = [name for name in wanted if name not in offered]
    if absent:
        sys.stderr.write(f"not offered by this system's package sources, left out: {', '.join(absent)}\n")
    if not offered:
        raise RuntimeError(
            "this system's package sources offer none of the packages; run apt-get update, then try again."
        )
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(sorted(offered), unit=" packages"):
            version, files = unpack(name, Path(folder) / name, output)
            lines.append(f"{name} {version}: {licences[name]} ({files} files)\n")
    record_licences(output / "LICENCES.txt", lines)
    sys.stdout.write(f"{output}: {len(lines)} packages\n")


def offered_packages(names: Sequence[str]) -> set[str]:
    """Those of the packages that apt-get can download; updates its lists where they know none of them."""
    for attempt in range(2):
        listed = set(run("apt-cache", "pkgnames").split())
        offered = {name for name in names if name in listed}
        if offered or attempt:
            break
        run("apt-get", "update")
    return offered


def unpack(name: str, folder: Path, output: Path) -> tuple[str, int]:
    """Download one package into an own folder and copy what we want from it; returns its version and the count."""
    folder.mkdir()
    run("apt-get", "download", name, folder=folder)
    archive = next(folder.glob("*.deb"))
    run("dpkg-deb", "-x", str(archive), str(folder / "files"))
    # Links are second names of files that are copied anyway.
    files = [path for path in sorted((folder / "files").rglob("*")) if path.is_file() and not path.is_symlink()]
    if name.startswith("fonts-"):
        folder_name, suffixes = ("fonts", FONT_SUFFIXES)
        if is_language_font(name):
            folder_name, suffixes = "language_fonts", (*FONT_SUFFIXES, ".ttc")
        target = output / folder_name / name
        chosen = {path.name: path for path in files if path.suffix.lower() in suffixes}
    else:
        target = output / "words"
        chosen = {f"{path.name}.txt": path for path in files if path.parent.name == "dict"}
    target.mkdir(parents=True, exist_ok=True)
    for file_name, path in chosen.items():
        shutil.copyfile(path, target / file_name)
    licence = folder / "files" / "usr" / "share" / "doc" / name / "copyright"
    if licence.is_file():
        (output / "licences").mkdir(exist_ok=True)
        shutil.copyfile(licence, output / "licences" / f"{name}.txt")
    return run("dpkg-deb", "-f", str(archive), "Version").strip(), len(chosen)


def known_families() -> list[str]:
    """What tools/web_fonts.txt lists."""
    lines = WEB_FONTS.read_text(encoding="utf-8").splitlines()
    return [name for line in lines if not line.startswith("#") for name in line.split()]


def fetch_web_fonts(output: Path, families: Iterable[str]) -> None:
    """Download these families' packages and copy their fonts; families that are there already stay as they are.

    Raises:
        RuntimeError: npm is missing, or brings none of the packages.
    """
    if shutil.which("npm") is None:
        raise RuntimeError("npm is missing: install Node.js, or collect font files yourself.")
    wanted = [name for name in families if not (output / "web_fonts" / name).is_dir()]
    lines, failures = [], []
    with tempfile.TemporaryDirectory() as folder, ThreadPool(DOWNLOADS_AT_ONCE) as pool:
        jobs = ((name, Path(folder), output / "web_fonts") for name in wanted)
        for name, result in tqdm(pool.imap(_try_family, jobs), total=len(wanted), unit=" families"):
            (failures if isinstance(result, RuntimeError) else lines).append(f"{name} {result}")
    if failures and not lines:
        raise RuntimeError(f"npm brings none of the packages; of the first it says:\n{failures[0]}")
    if failures:
        names = ", ".join(failure.split()[0] for failure in failures)
        sys.stderr.write(f"not brought, left out (run this again to try again): {names}\n")
    record_licences(output / "LICENCES.txt", [f"{WEB_SCOPE}/{line}\n" for line in lines])
    sys.stdout.write(f"{output / 'web_fonts'}: {len(lines)} families\n")


def _try_family(job: tuple[str, Path, Path]) -> tuple[str, str | RuntimeError]:
    name, folder, output = job
    try:
        return name, unpack_family(name, folder / name, output / name)
    except RuntimeError as error:
        return name, error


def unpack_family(name: str, folder: Path, target: Path) -> str:
    """Download one family's package into an own folder and copy its fonts; returns its version and licence.

    The folder appears when all its fonts are there.
    """
    folder.mkdir()
    run("npm", "pack", "--silent", f"{WEB_SCOPE}/{name}", folder=folder)
    unfinished = target.with_name(f".{name}")
    unfinished.mkdir(parents=True, exist_ok=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        about = json.load(archive.extractfile("package/package.json"))
        fonts = [file for file in archive.getmembers() if file.isfile() and file.name.lower().endswith(FONT_SUFFIXES)]
        chosen = [file for file in fonts if file.size < LARGEST_FONT]
        for file in chosen:
            (unfinished / Path(file.name).name).write_bytes(archive.extractfile(file).read())
    unfinished.rename(target)
    return f"{about['version']}: {about['license']}, the fonts as Google Fonts says ({len(chosen)} files)"


def record_licences(path: Path, lines: Sequence[str]) -> None:
    """Add lines "package version: licence" to the file, in place of those of the same packages."""
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    merged = {line.split()[0]: line for line in [*kept, *lines]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(merged[name] for name in sorted(merged)), encoding="utf-8")


def run(*command: str, folder: Path | None = None) -> str:
    """The output of a command; RuntimeError with what it says where it fails."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr.strip()}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
