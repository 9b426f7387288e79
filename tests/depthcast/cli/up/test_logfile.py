"""A child's log: complete, bounded, and never a reason to stop."""

import shutil
from pathlib import Path

from depthcast.cli.up.logfile import LogFile


def test_it_keeps_what_is_written_and_the_run_before(tmp_path: Path) -> None:
    path = tmp_path / "updater.log"
    for run in (b"first\n", b"second\n", b"third\n"):
        log = LogFile(path)
        log.write(run)
        log.close()
    assert path.read_bytes() == b"third\n"
    assert path.with_name("updater.log.1").read_bytes() == b"second\n"


def test_it_takes_at_most_twice_its_bound(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "updater.log", max_bytes=100)
    for number in range(50):
        log.write(b"line %03d\n" % number)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.stat().st_size <= 100 for file in files] == [True, True]
    kept = b"".join(file.read_bytes() for file in reversed(files))
    assert kept == b"".join(b"line %03d\n" % number for number in range(50 - len(kept) // 9, 50))


def test_what_cannot_be_written_is_counted_and_the_next_line_tried(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(folder / "updater.log")
    log.close()
    shutil.rmtree(folder)
    log.write(b"lost\n")
    assert log.dropped == 5
    folder.mkdir()
    log.write(b"kept\n")
    log.close()
    assert (folder / "updater.log").read_bytes() == b"kept\n"


def test_a_log_that_cannot_even_begin_is_no_error(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "missing" / "updater.log")
    log.write(b"lost\n")
    assert log.dropped == 5
