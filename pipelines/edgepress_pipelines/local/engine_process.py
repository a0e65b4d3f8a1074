"""Starting the engine's process, following its events, and ending it whole."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgepress.contracts.json_file import write_json
from edgepress.task import EVENTS_NAME, RUN_DIR_VARIABLE, TaskEvent
from edgepress_pipelines.local.request import PIPELINE_NAME, REQUEST_NAME, EngineRequest

ENGINE_LOG_NAME = "engine.log"
_POLL_INTERVAL_S = 0.1
_STOP_TIMEOUT_S = 5.0


class EngineProcess:
    """One run's engine. ``pipeline()`` and then ``events()`` follow it to its end; leaving the ``with`` block ends it and all its tasks."""

    def __init__(self, request: EngineRequest, run_dir: Path, environment: Mapping[str, str]) -> None:
        self._request = request
        self._run_dir = run_dir
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        # KFP's runner leaves a temporary folder behind for each task, as does a task that is killed: they get one that goes with the run.
        self._temporary = tempfile.TemporaryDirectory(prefix="edgepress-run-", ignore_cleanup_errors=True)

    def __enter__(self) -> "EngineProcess":
        request_path = self._run_dir / REQUEST_NAME
        write_json(request_path, self._request)
        with (self._run_dir / "logs" / ENGINE_LOG_NAME).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, no argument from outside
                [sys.executable, "-m", "edgepress_pipelines.local.engine", str(request_path)],
                stdin=subprocess.PIPE,  # held open: its end tells the engine that this process is gone
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: the terminal's Ctrl-C reaches this process alone, which then ends the group in order.
                start_new_session=True,
                env={**os.environ, **self._environment, RUN_DIR_VARIABLE: str(self._run_dir), "TMPDIR": self._temporary.name},
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            while self._group_lives() and time.monotonic() < deadline:
                time.sleep(0.02)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._temporary.cleanup()

    def pipeline(self) -> dict[str, Any] | None:
        """The pipeline that it has compiled, a KFP ``PipelineSpec``; waits for it. None when the engine ended before."""
        assert self._process is not None
        path = self._run_dir / PIPELINE_NAME
        while not path.exists():
            if self._process.poll() is not None:
                return None
            time.sleep(_POLL_INTERVAL_S)
        compiled: dict[str, Any] = json.loads(path.read_bytes())
        return compiled

    def events(self) -> Iterator[TaskEvent | None]:
        """Every event as it is written, and None at each look without one, until the engine has ended."""
        assert self._process is not None
        path = self._run_dir / EVENTS_NAME
        position = 0
        ended = False
        while not ended:
            ended = self._process.poll() is not None
            text = path.read_bytes()[position:] if path.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            position += len(whole)
            for line in whole.splitlines():
                yield TaskEvent.model_validate_json(line)
            if not ended:
                yield None
                time.sleep(_POLL_INTERVAL_S)

    @property
    def exit_status(self) -> int:
        """The engine's exit status, once ``events`` has ended; negative for a signal."""
        assert self._process is not None
        return self._process.wait()

    def _group_lives(self) -> bool:
        assert self._process is not None
        self._process.poll()
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True
