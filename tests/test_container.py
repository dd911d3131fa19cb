"""The Containerfile copies what is there, and what its script and the ignore files name, too."""

import re

import toy

TEXT = (toy.ROOT / "Containerfile").read_text(encoding="utf-8")


def copied():
    lines = re.findall(r"^COPY (?!--from)(.*)$", TEXT, flags=re.MULTILINE)
    return {name for line in lines for name in line.split()[:-1]}


def test_what_it_copies_is_there():
    assert copied() and all((toy.ROOT / name).exists() for name in copied())


def test_only_that_is_sent_to_the_builder():
    for name in (".containerignore", ".dockerignore"):
        assert set(re.findall(r"^!(.*)$", (toy.ROOT / name).read_text(), flags=re.MULTILINE)) == copied()


def test_the_script_takes_the_same():
    script = (toy.ROOT / "tools/check_container.sh").read_text(encoding="utf-8")
    assert set(re.search(r"^for name in (.*); do$", script, flags=re.MULTILINE)[1].split()) == copied()


def test_the_service_is_no_root():
    user = re.search(r"^USER (\d+):(\d+)$", TEXT, flags=re.MULTILINE)
    assert user and "0" not in user.groups()
