"""The process in which KFP's local runner executes one run: ``python -m edgepress_pipelines.local.engine REQUEST``.

It is a process of its own because the runner prints every task's output, and so that an interrupted run can be ended whole: the engine
leads the process group of all its tasks, and ends the group when the command that started it is gone (its standard input closes).
"""

import os
import signal
import sys
import threading
import warnings
from pathlib import Path

from google.protobuf import json_format
from kfp import local

from edgepress.contracts.json_file import write_json
from edgepress_pipelines.compress_and_release import BuildSettings, build_pipeline
from edgepress_pipelines.local.code_digest import code_digest
from edgepress_pipelines.local.interpreters import tasks_forked
from edgepress_pipelines.local.request import PIPELINE_NAME, EngineRequest


def main() -> None:
    """Run the request in the file named by the first argument, and write beside it what was compiled for it."""
    request_path = Path(sys.argv[1])
    request = EngineRequest.model_validate_json(request_path.read_bytes())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The runner doubts any image whose name lacks "python", and any setting that only a cluster honours.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp")
    warnings.filterwarnings("ignore", message=".*have no effect in the current local runner.*")
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=request.artifact_root,
        workspace_root=str(Path(request.artifact_root) / "workspace"),  # the runner deletes it when it has finished
        enable_caching=True,
        cache_root=request.cache_root,
    )
    build = BuildSettings(parallelism=request.parallelism, run_id=request.run_id, code_digest=code_digest)
    pipeline = build_pipeline(build)
    write_json(request_path.with_name(PIPELINE_NAME), json_format.MessageToDict(pipeline.pipeline_spec))
    with tasks_forked(pipeline):
        pipeline(**request.parameters)


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock a daemon thread would hold when the interpreter ends
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
