"""Build the control plane's programs, or run one by hand: ``python -m tests.cluster build``, ``python -m tests.cluster start``."""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

from tests.cluster.binaries import PACKAGES, BuildError, UnavailableError, find_or_build
from tests.cluster.cluster import VARIABLE
from tests.cluster.control_plane import ControlPlaneError, running_control_plane
from tests.cluster.custom_resources import install_custom_resources
from tests.cluster.kubernetes_api import KubernetesApi


def build() -> None:
    """Have every program, and say where each is."""
    for name, path in find_or_build(PACKAGES, print).items():
        print(f"{name}: {path} ({path.stat().st_size / 1e6:.0f} MB)")


def start() -> None:
    """Run a control plane until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="edgepress-cluster-") as folder, running_control_plane(Path(folder), print) as kubeconfig:
        install_custom_resources(KubernetesApi(kubeconfig))
        print(f"A control plane runs, with its logs in {folder}, until Ctrl-C. To use it:\nexport {VARIABLE}={kubeconfig}", flush=True)
        threading.Event().wait()


def main() -> int:
    """Give the exit code: 0 also where the programs cannot be had, which the tests themselves then report."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("action", choices=["build", "start"])
    action: str = parser.parse_args().action
    try:
        build() if action == "build" else start()
    except KeyboardInterrupt:
        return 0
    except UnavailableError as error:
        print(f"The control plane's programs cannot be had here: {error}", file=sys.stderr)
        return 0 if action == "build" else 1
    except (BuildError, ControlPlaneError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
