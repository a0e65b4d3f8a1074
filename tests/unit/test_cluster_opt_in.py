"""The cluster tests touch only what they are given, say so when they are given nothing, and leave no server behind."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.cluster.binaries import BuildError, UnavailableError, find_or_build

ROOT = Path(__file__).parents[2]
SUITE = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cluster")


def run_suite(path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The cluster tests in a process of their own, where PATH is one folder."""
    kept = {name: value for name, value in os.environ.items() if name != "EDGEPRESS_TEST_KUBECONFIG"}
    return subprocess.run(SUITE, cwd=ROOT, env=kept | {"PATH": str(path)} | environment, capture_output=True, text=True, check=False)


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_without_go_they_are_not_run_and_say_so(tmp_path: Path) -> None:
    """And the cluster that KUBECONFIG names never hears of it."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        server = {"server": f"https://127.0.0.1:{somebody.getsockname()[1]}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "precious",
            "clusters": [{"name": "precious", "cluster": server}],
            "users": [{"name": "owner", "user": {"token": "x"}}],
            "contexts": [{"name": "precious", "context": {"cluster": "precious", "user": "owner"}}],
        }
        kubeconfig = tmp_path / "home" / ".kube" / "config"
        kubeconfig.parent.mkdir(parents=True)
        kubeconfig.write_text(yaml.safe_dump(config))
        (tmp_path / "bin").mkdir()
        ran = run_suite(tmp_path / "bin", KUBECONFIG=str(kubeconfig), HOME=str(tmp_path / "home"))
        somebody.setblocking(False)
        with pytest.raises(BlockingIOError):
            somebody.accept()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "cluster tests: NOT RUN (go is not on PATH; and EDGEPRESS_TEST_KUBECONFIG names no cluster)" in ran.stdout.splitlines()
    assert "passed" not in ran.stdout


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo go version go1.19.8 linux/amd64", "go1.19.8 is older than the go 1.26 that controlplane/go.mod asks for"),
        ("echo cannot find GOROOT >&2; exit 2", "go version fails: cannot find GOROOT"),
        (
            'case "$1" in version) echo go version go1.99.1 linux/amd64;; *) echo dial tcp: no route to host >&2; exit 1;; esac',
            "Go's module proxy does not serve what controlplane/go.mod requires: dial tcp: no route to host",
        ),
    ],
    ids=["too old", "broken", "no proxy"],
)
def test_a_go_that_does_not_do_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str) -> None:
    program(tmp_path / "go", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UnavailableError, match=f"^{re.escape(reason)}$"):
        find_or_build(["kustomize"])


def test_a_program_is_built_once_for_each_go_and_never_left_half_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = """
case "$1" in
  version) echo go version go1.99.{patch} linux/amd64;;
  build) while [ "$1" != -o ]; do shift; done; echo half > "$2"; echo built >> {builds}; exit {code};;
esac"""
    builds = tmp_path / "builds"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def with_go(patch: int, code: int) -> Path:
        program(tmp_path / "go", go.format(patch=patch, code=code, builds=builds))
        return find_or_build(["kustomize"])["kustomize"]

    with pytest.raises(BuildError, match="kustomize: go build ended with code 2"):
        with_go(patch=1, code=2)
    first = with_go(patch=1, code=0)
    assert first.exists()
    assert with_go(patch=1, code=2) == first
    assert with_go(patch=2, code=0) != first
    assert builds.read_text().count("built") == 3


def test_a_kubeconfig_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, EDGEPRESS_TEST_KUBECONFIG=str(tmp_path / "absent"))
    assert ran.returncode == 1
    assert f"EDGEPRESS_TEST_KUBECONFIG={tmp_path / 'absent'}: there is no such file" in ran.stdout


def test_a_server_dies_with_its_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from tests.cluster.processes import Server
        with Server("sleeper", ["sleep", "600"], Path({str(tmp_path)!r}) / "log") as server:
            print(server.pid, flush=True)
            time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    try:
        ended, _, _ = select.select([descriptor], [], [], 10.0)  # readable once the process is gone (pidfd_open(2))
    finally:
        os.close(descriptor)
    assert ended, f"process {pid} outlived its parent"
