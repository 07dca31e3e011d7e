"""What a person waits for reaches the log and, where there is one, the console."""

import os

from alertgrid.progress import announce


def test_a_line_reaches_the_log_and_the_console(capsys):
    reading, writing = os.pipe()
    announce("done", writing)
    os.close(writing)
    assert os.read(reading, 100) == b"done\n"
    os.close(reading)
    assert capsys.readouterr().out == "done\n"


def test_a_console_that_has_gone_is_no_failure(capsys):
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    announce("done", writing)
    assert capsys.readouterr().out == "done\n"
