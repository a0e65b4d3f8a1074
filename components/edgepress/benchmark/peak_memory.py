"""How much memory a model needs: the peak of a process that opens and runs it, beyond what its runtime needs without any model.

A process imports the runtime and forks a child for each model. The child opens the model, runs it, and reads from /proc/self/status
(proc_pid_status(5), https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)

    peak = VmHWM afterwards - VmRSS before - growth of RssFile

VmHWM is the highest resident memory so far. A fork begins with what it holds as its highest, and writing 5 to /proc/self/clear_refs
(proc_pid_clear_refs(5)) sets it so once more. RssFile is what stands for pages of files: a fork does not inherit them, so running the
first kernel brings in megabytes of the runtime's own library, which are the same for every model. The kernel counts pages in batches a
processor, so differences below some hundred KB mean little.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgepress.contracts.candidate import ArtifactKind
from edgepress.device.archive import read_archive, write_archive
from edgepress.errors import EdgePressError, describe_error
from edgepress.runtimes.artifact import Artifact, artifact_kind, read_artifact
from edgepress.runtimes.registry import open_artifact, runtime_version

INVOCATIONS = 2
"""The first brings in whatever a model allocates late; the second shows that it stays there."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def measure_peak_memory(artifacts: Sequence[Artifact], inputs: Mapping[str, NDArray[Any]], threads: int) -> list[int]:
    """Peak memory of each model, in bytes.

    Args:
        artifacts: what to open; the files are read again.
        inputs: name -> array [n, *shape]; the first example is run.
        threads: that one inference may use.

    Raises:
        EdgePressError: a model cannot be opened and run in a process of its own, or this system does not tell.
    """
    with tempfile.TemporaryDirectory(prefix="edgepress-memory-") as folder:
        example = Path(folder) / "example.npz"
        write_archive(example, {name: array[:1] for name, array in inputs.items()})
        models = [{"kind": artifact.kind, "directory": str(artifact.path.parent.absolute())} for artifact in artifacts]
        done = subprocess.run(  # noqa: S603 - this module itself
            [sys.executable, "-P", "-m", __name__],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # numpy's threads would stand in the way of a fork
            input=json.dumps({"example": str(example), "threads": threads, "models": models}),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EdgePressError(f"peak memory cannot be measured: {why}")
    peaks: list[int] = json.loads(done.stdout.splitlines()[-1])
    return peaks


def main() -> None:
    """Read what to measure from standard input, and print the peaks as a JSON list."""
    request = json.load(sys.stdin)
    example = read_archive(Path(request["example"]))
    peaks = []
    for model in request["models"]:
        kind, directory = artifact_kind(model["kind"]), Path(model["directory"])
        runtime_version(kind)  # imports the runtime, so that the fork has it already
        try:
            peaks.append(raise_of_peak(partial(_run, directory, kind, example, request["threads"])))
        except EdgePressError as error:
            sys.exit(f"{directory}: {error}")
    print(json.dumps(peaks))


def _run(directory: Path, kind: ArtifactKind, example: Mapping[str, NDArray[Any]], threads: int) -> None:
    model = open_artifact(read_artifact(directory, kind), threads=threads)
    model.set_example(model.prepare(example)[0])
    for _ in range(INVOCATIONS):
        model.invoke()


def raise_of_peak(run: Callable[[], None]) -> int:
    """By how many bytes a function raises the peak of resident memory of a forked process.

    Raises:
        EdgePressError: the function fails there, or its process is killed.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            answer, code = str(_raise_of_own_peak(run)), 0
        except Exception as error:  # noqa: BLE001 - a fork must end here, and its parent raises what it says
            answer, code = describe_error(error)[0], 1
        os.write(writer, answer.encode())
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code != 0:
        raise EdgePressError(told or f"its process ended with exit code {code}")
    return int(told)


def _raise_of_own_peak(run: Callable[[], None]) -> int:
    with suppress(OSError):  # where it may not be written, the fork's own beginning is the mark
        _CLEAR_REFS.write_text(_RESET_PEAK)
    before = _resident_kib()
    run()
    after = _resident_kib()
    return max(0, after["VmHWM"] - before["VmRSS"] - (after["RssFile"] - before["RssFile"])) * 1024


def _resident_kib() -> dict[str, int]:
    """VmHWM, VmRSS and RssFile of this process."""
    try:
        found = re.findall(r"^(VmHWM|VmRSS|RssFile):\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError as error:
        raise EdgePressError(f"{_STATUS}: cannot be read ({error.strerror}); peak memory is measured on Linux alone") from error
    if len(found) != 3:
        raise EdgePressError(f"{_STATUS}: does not tell VmHWM, VmRSS and RssFile; peak memory is measured on Linux alone")
    return {name: int(kib) for name, kib in found}


if __name__ == "__main__":
    main()
