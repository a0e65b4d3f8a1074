"""Make what the tests of this folder need, or run it by hand.

python -m tests.cluster build         every program, from source
python -m tests.cluster images        every image that the real node runs; as root, with the tools that build images
python -m tests.cluster start         a control plane whose nodes kwok plays, until Ctrl-C
python -m tests.cluster start-node    a control plane with a real node, until Ctrl-C; as root

What is there already is made no second time, and two that make the same wait for each other.
"""

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
from tests.cluster.node.addresses import REGISTRY
from tests.cluster.node.real_node import running_node
from tests.cluster.node.stand_ins import SANDBOX, build_stand_ins
from tests.images.kept_images import ImageBuildError, kept_images


def build() -> None:
    """Have every program, and say where each is."""
    for name, path in find_or_build(PACKAGES, print).items():
        print(f"{name}: {path} ({path.stat().st_size / 1e6:.0f} MB)")


def images() -> None:
    """Have every image, and say what each is called."""
    with kept_images(print) as kept:
        for name, reference in (kept.references | build_stand_ins(kept, print)).items():
            print(f"{name}: {reference}")


def start() -> None:
    """Run a control plane until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="edgepress-cluster-") as folder, running_control_plane(Path(folder), print) as kubeconfig:
        install_custom_resources(KubernetesApi(kubeconfig))
        print(f"A control plane runs, with its logs in {folder}, until Ctrl-C. To use it:\nexport {VARIABLE}={kubeconfig}", flush=True)
        threading.Event().wait()


def start_node() -> None:
    """Run a control plane with a real node until Ctrl-C."""
    with kept_images(print) as kept:
        sandbox = build_stand_ins(kept, print)[SANDBOX]
        with running_node(kept.registry_data, sandbox, (kept.pushed_to, REGISTRY), print) as node:
            print(f"A node runs, with its logs in {node.folder}, until Ctrl-C. To be in its network:")
            print(f"KUBECONFIG={node.kubeconfig} nsenter --target {node.pid} --net", flush=True)
            threading.Event().wait()


ACTIONS = {"build": build, "images": images, "start": start, "start-node": start_node}


def main() -> int:
    """Give the exit code: 0 also where what is to be made cannot be had, which the tests themselves then report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=ACTIONS)
    action: str = parser.parse_args().action
    try:
        ACTIONS[action]()
    except KeyboardInterrupt:
        return 0
    except UnavailableError as error:
        print(f"What a cluster needs cannot be had here: {error}", file=sys.stderr)
        return 0 if action == "build" else 1
    except (BuildError, ControlPlaneError, ImageBuildError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
