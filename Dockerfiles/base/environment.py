"""Make an image's Python environment. The build stages of the Dockerfiles run this with the Python of their base image.

    environment.py tools              TOOLS: pip and setuptools, which no image keeps
    environment.py packages EXTRA     ENVIRONMENT: the closure of one extra of pyproject.toml, at the versions of constraints.txt
    environment.py project            PROJECT: EdgePress itself, to be laid over ENVIRONMENT

The packages are those of the machine TARGETARCH (``amd64`` or ``arm64``). When that is another one than this, only finished wheels can
be taken: nothing of the other machine is run, so no emulator is needed.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
TOOLS = Path("/build/tools")
ENVIRONMENT = Path("/opt/venv")
PROJECT = Path("/opt/project")
SECRETS = Path("/run/secrets")

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Names of the machines that images are made for (the container tools' own), and what Python calls them."""

MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
"""Builds of wheels that run on Debian 12, whose C library is 2.36, and on whatever is newer."""

UNUSED_DISTRIBUTIONS = {
    "libclang": "TensorFlow asks for it and loads it nowhere",
    "kubernetes": "kfp's client loads it; the executor that starts a task does not",
}
"""Left out of an image, unless its extra names the distribution itself."""

UNUSED_PATHS = {
    "**/tests": "the packages' own tests",
    "tensorflow/include": "headers for compiling operators, 430 MB",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so": "for graphics processors; models run on the CPU",
    "ai_edge_litert/tools/apply_plugin_main": "a compiler for neural processors",
    "ai_edge_litert/vendors": "what that compiler needs to know of each maker's",
    "botocore/data/*/": "what 400 services of AWS understand, 28 MB",
}
KEPT_PATHS = {"botocore/data/s3", "botocore/data/sts"}


def make_tools() -> None:
    """Create the environment whose pip fills the others."""
    try:
        import ensurepip  # noqa: F401 - Debian has it in a package of its own
    except ImportError:
        run("apt-get", "-qq", "update")
        run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "python3-venv", stdout=subprocess.DEVNULL)
    run(sys.executable, "-m", "venv", TOOLS)
    pip("install", "setuptools", "wheel")


def make_packages(extra: str) -> None:
    """Create ENVIRONMENT with what ``extra`` names and all that this needs."""
    requirements = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    site_packages = site_packages_of(ENVIRONMENT)
    venv.create(ENVIRONMENT, symlinks=True, with_pip=False)
    pip("install", "--no-build-isolation", "--no-compile", "--target", site_packages, *of_the_target(), *requirements)
    # Commands of the packages; nothing calls them, and their first line names the Python of TOOLS.
    shutil.rmtree(site_packages / "bin", ignore_errors=True)
    remove_unused(site_packages, requirements)
    compile_modules(site_packages)


def make_project() -> None:
    """Create PROJECT with EdgePress and its command, which starts the Python of ENVIRONMENT."""
    wheels = PROJECT / "wheels"
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", wheels, SOURCES)
    (wheel,) = wheels.glob("*.whl")
    python = ENVIRONMENT / "bin" / "python3"
    pip("--python", python, "install", "--no-deps", "--no-compile", "--no-warn-script-location", "--prefix", PROJECT, wheel)
    shutil.rmtree(wheels)
    compile_modules(site_packages_of(PROJECT))


def of_the_target() -> list[str]:
    """Options of pip for wheels of TARGETARCH; none where that is this machine."""
    machine = MACHINES[os.environ["TARGETARCH"]]
    if machine == platform.machine():
        return []
    return ["--only-binary", ":all:", *(f"--platform={build}_{machine}" for build in MANYLINUX)]


def remove_unused(site_packages: Path, requirements: Sequence[str]) -> None:
    """Remove what no step ever loads: UNUSED_DISTRIBUTIONS that no one of ``requirements`` names, and UNUSED_PATHS."""
    named = {requirement.partition(">")[0].partition("=")[0] for requirement in requirements}
    for name in UNUSED_DISTRIBUTIONS.keys() - named:
        for record in site_packages.glob(f"{name}-*.dist-info/RECORD"):
            for top in {line.partition("/")[0] for line in record.read_text().splitlines()} - {".."}:
                remove(site_packages / top)
    for pattern in UNUSED_PATHS:
        for path in sorted(site_packages.glob(pattern)):
            if str(path.relative_to(site_packages)) not in KEPT_PATHS:
                remove(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; what went with its parent already is no error."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compile_modules(folder: Path) -> None:
    """Write the bytecode now: a read-only container cannot keep it, and each task would compile thousands of modules when it starts.

    It is never compared with its source, which does not change in an image.
    """
    run(sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", folder)


def site_packages_of(folder: Path) -> Path:
    """Where Python looks for the packages of the environment ``folder``."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))


def pip(*arguments: str | Path) -> None:
    """Run TOOLS's pip at the versions of constraints.txt, with the configuration and the certificates that the build was given."""
    given = {"PIP_CONFIG_FILE": SECRETS / "pip.conf", "PIP_CERT": SECRETS / "ca.crt"}
    environment = {name: str(path) for name, path in given.items() if path.exists()}
    environment |= {
        "PIP_CONSTRAINT": str(SOURCES / "constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    run(TOOLS / "bin" / "python3", "-m", "pip", "--quiet", *arguments, environment=environment)


def run(*command: str | Path, environment: dict[str, str] | None = None, stdout: int | None = None) -> None:
    """Run a command; when it fails this one ends, with its exit code."""
    code = subprocess.run(command, env={**os.environ, **(environment or {})}, stdout=stdout, check=False).returncode  # noqa: S603 - no shell
    if code:
        sys.exit(code)


def main() -> None:
    """Do what the first argument names."""
    match sys.argv[1:]:
        case ["tools"]:
            make_tools()
        case ["packages", extra]:
            make_packages(extra)
        case ["project"]:
            make_project()
        case _:
            sys.exit("usage: environment.py tools | packages EXTRA | project")


if __name__ == "__main__":
    main()
