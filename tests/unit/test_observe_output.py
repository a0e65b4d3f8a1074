"""Output by file descriptor: nothing that a step or a native library writes is lost, reordered or held up."""

import subprocess
import sys
import time
from pathlib import Path

PROLOGUE = """
import ctypes, os, subprocess, sys
from pathlib import Path
from edgepress.observe.output import output_copied, output_into
log = Path(sys.argv[1])
"""


def run(program: str, log: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", PROLOGUE + program, str(log)], capture_output=True, text=True, timeout=60)


def test_output_of_python_of_c_and_of_children_is_copied_in_order(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    program = """
print("before")
with output_copied(log):
    print("from python")
    sys.stdout.flush()
    ctypes.CDLL(None).printf(b"from c\\n")
    ctypes.CDLL(None).fflush(None)
    os.write(2, b"from descriptor 2\\n")
    subprocess.run(["echo", "from a child"], check=True)
    ctypes.CDLL(None).printf(b"left in the buffer of c\\n")
print("after")
"""
    finished = run(program, log)
    assert finished.returncode == 0, finished.stderr
    expected = "from python\nfrom c\nfrom descriptor 2\nfrom a child\nleft in the buffer of c\n"
    assert log.read_text() == expected
    assert finished.stdout == f"before\n{expected}after\n"


def test_a_library_that_holds_the_interpreter_may_fill_the_pipe(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    # PyDLL keeps the interpreter's lock during the call: a thread of this process could not empty the pipe, whose capacity is 64 KiB.
    program = """
text = b"x" * 79 + b"\\n"
with output_copied(log):
    written = ctypes.PyDLL(None).write(1, text * 20_000, len(text) * 20_000)
assert written == 1_600_000, written
"""
    finished = run(program, log)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == log.read_text() == ("x" * 79 + "\n") * 20_000


def test_the_last_words_of_a_process_that_dies_arrive(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    program = """
with output_copied(log):
    os.write(2, b"out of memory\\n")
    os.abort()
"""
    finished = run(program, log)
    assert finished.returncode != 0
    assert finished.stdout == "out of memory\n"
    assert log.read_text() == "out of memory\n"


def test_a_child_that_outlives_the_task_does_not_hold_it_up(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    program = """
import time
with output_copied(log):
    child = subprocess.Popen(["sh", "-c", "read line; echo late"], stdin=subprocess.PIPE)
    print("early")
    started = time.monotonic()
print("held up for", time.monotonic() - started, file=sys.stderr)
child.communicate(b"now\\n")
"""
    finished = run(program, log)
    assert finished.returncode == 0, finished.stderr
    assert float(finished.stderr.split()[-1]) < 5
    assert finished.stdout == "early\nlate\n"
    deadline = time.monotonic() + 10
    while log.read_text() != "early\nlate\n":
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_output_goes_into_the_file_alone(tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    program = """
log.write_text("earlier\\n")
with output_into(log):
    print("from python")
    ctypes.CDLL(None).printf(b"from c\\n")
print("after")
"""
    finished = run(program, log)
    assert finished.stdout == "after\n"
    assert log.read_text() == "earlier\nfrom python\nfrom c\n"
