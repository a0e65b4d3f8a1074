"""How this machine's pip reaches its index, as files that a build is lent."""

import ast
import subprocess
import sys
from pathlib import Path

ABOUT_THE_INDEX = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries"}
"""Settings that hold in a build as well; others name paths of this machine."""

DEBIAN_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def lend_pip_access(folder: Path) -> dict[str, Path]:
    """Write the files that `make images` takes as PIP_CONF and CA_BUNDLE."""
    settings = _pip_settings()
    configuration = folder / "pip.conf"
    lines = [f"{name} = {' '.join(value.split())}" for name, value in settings.items() if name in ABOUT_THE_INDEX]
    configuration.write_text("\n".join(["[global]", *lines]) + "\n")
    certificates = Path(settings.get("cert", DEBIAN_CERTIFICATES))
    return {"PIP_CONF": configuration} | ({"CA_BUNDLE": certificates} if certificates.is_file() else {})


def _pip_settings() -> dict[str, str]:
    """Settings of pip's files and environment; the environment's win, as they do for pip."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    entries = [line.partition("=") for line in listed.splitlines()]
    entries.sort(key=lambda entry: entry[0].startswith(":env:"))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in entries}
