"""The distribution as a stranger gets it: built from a copy of the sources, installed into an empty environment, used there.

Packages come from pip's own index, so this needs a network (or a full pip cache); it takes two minutes or so.
"""

import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
SOURCE_ROOTS = ("components", "pipelines")
LEFT_BY_TOOLS = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")

pytestmark = pytest.mark.timeout(900)


def run(command: Sequence[str | Path], folder: Path) -> str:
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a distribution is made from, and nothing that tools leave in a checkout."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCE_ROOTS:
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_BY_TOOLS)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("distributions")
    # Without --wheel, build makes the wheel from the sdist: what the sdist lacks, the wheel lacks too.
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, sources], folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, distributions: Path) -> Path:
    """The `bin` folder of an environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (wheel,) = distributions.glob("*.whl")
    run([folder / "bin" / "pip", "install", "--quiet", "-c", CONSTRAINTS, wheel], folder)
    return folder / "bin"


def test_the_wheel_holds_every_file_of_both_packages_and_no_other(distributions: Path, sources: Path) -> None:
    expected = set()
    for root in SOURCE_ROOTS:
        files = [path for path in (sources / root).rglob("*") if path.is_file()]
        expected |= {str(path.relative_to(sources / root)) for path in files}
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licenses = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert names == expected
    assert len(licenses) == 1


def test_a_bare_install_imports_and_says_what_the_command_lacks(environment: Path, tmp_path: Path) -> None:
    run([environment / "python", "-c", "import edgepress, edgepress.errors, edgepress_pipelines"], tmp_path)
    asked = subprocess.run([environment / "edgepress", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert asked.returncode == 1
    assert asked.stderr.splitlines() == ["edgepress: the package typer is not installed; pip install 'edgepress[pipelines]'"]


def test_with_the_pipelines_extra_the_command_helps_starts_a_project_and_compiles_it(
    environment: Path, distributions: Path, tmp_path: Path
) -> None:
    (wheel,) = distributions.glob("*.whl")
    run([environment / "pip", "install", "--quiet", "-c", CONSTRAINTS, f"{wheel}[pipelines]"], tmp_path)
    run([environment / "pip", "check"], tmp_path)
    assert "compile" in run([environment / "edgepress", "--help"], tmp_path)
    run([environment / "edgepress", "init", "project"], tmp_path)
    (config,) = (tmp_path / "project").glob("*.yaml")
    lock = ROOT / "manifests" / "images" / "lock.example" / "kustomization.yaml"
    places = ("--set", "resources.kubeflow.storage_uri=s3://bucket/edgepress", "--set", "release.uri=s3://bucket/releases")
    run([environment / "edgepress", "compile", config, "-o", "pipeline.yaml", "--image-lock", lock, *places], tmp_path)
    assert "pipelineInfo" in (tmp_path / "pipeline.yaml").read_text()
    listed = run([environment / "pip", "list", "--format", "freeze"], tmp_path)
    assert "tensorflow" not in listed
