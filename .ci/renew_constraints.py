"""Resolve every extra to the newest versions it allows and rewrite constraints.txt: `make constraints`.

Nothing is installed: pip reports what it would install into an empty environment.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
SELF = "edgepress"


def resolve(extras: str) -> dict[str, str]:
    """Name and version of every package in the closure of ``extras`` (comma-separated), for the Python that runs this."""
    with tempfile.TemporaryDirectory() as folder:
        report_path = Path(folder) / "report.json"
        subprocess.run(  # noqa: S603 - our own arguments, and no shell
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
                *("--no-build-isolation", "--report", str(report_path), f"{ROOT}[{extras}]"),
            ],
            check=True,
        )
        report = json.loads(report_path.read_text())
    packages = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    return {name: version for name, version in packages.items() if name != SELF}


def main() -> None:
    """Keep the header of constraints.txt and rewrite what follows."""
    (extras,) = sys.argv[1:]
    header = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("#")]
    pins = sorted((f"{name}=={version}" for name, version in resolve(extras).items()), key=str.lower)
    CONSTRAINTS.write_text("\n".join([*header, *pins]) + "\n")
    print(f"{CONSTRAINTS.name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
