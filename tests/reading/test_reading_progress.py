"""How far a run is, for a terminal and for a log file."""

import os
import pty
import subprocess
import sys
import termios

from toy import ROOT

from dld_spotter.reading import reading_progress


def test_a_run_that_is_no_terminal_s_says_every_minute_how_far_it_is(capsys, monkeypatch):
    times = iter([0.0, 30.0, 61.0, 90.0, 130.0])
    monkeypatch.setattr(reading_progress.time, "monotonic", lambda: next(times))
    with reading_progress.ReadingProgress(9) as progress:
        for failed in (False, True, False, False):
            progress.note(failed)
    assert capsys.readouterr().err.splitlines() == [
        "2 of 9 photos, 1 failed, 0.0328 photos a second",
        "4 of 9 photos, 1 failed, 0.0308 photos a second",
    ]


def test_words_stand_between_the_bar_s_lines_on_a_terminal():
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    code = (
        "from dld_spotter.reading.reading_progress import ReadingProgress\n"
        "with ReadingProgress(10) as progress:\n"
        "    progress.say('a.jpg: words')\n"
        "    progress.note(False)\n"
    )
    subprocess.run([sys.executable, "-c", code], stdout=terminal, stderr=terminal, check=True, cwd=ROOT)
    shown = os.read(main, 10_000).decode()
    os.close(main)
    os.close(terminal)
    assert "photo/s" in shown and "\ra.jpg: words\r\n" in shown
