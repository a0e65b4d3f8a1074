"""A Debian base image without Python, made from Debian's own packages as its slim images are: no registry of images is asked."""

import shutil
import subprocess
from pathlib import Path

DEFAULT_MIRROR = "http://deb.debian.org/debian"
RELEASE = "bookworm"

LEFT_OUT = ("doc", "info", "locale", "man")
"""Folders of /usr/share that Debian's slim images go without, now and after each later installation."""


def debian_mirror() -> str:
    """The mirror that this machine's apt uses for the release, or Debian's own address when it uses none."""
    wanted = ["Origin: Debian", f"Codename: {RELEASE}", "Component: main", "Created-By: Packages"]
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted], capture_output=True, text=True, check=False)
    mirrors = listed.stdout.split()
    return mirrors[0] if mirrors else DEFAULT_MIRROR


def make_debian_tree(folder: Path) -> None:
    """Fill the new directory ``folder`` with a minimal Debian; about 80 MB."""
    command = ["debootstrap", "--variant=minbase", RELEASE, str(folder), debian_mirror()]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr
    for name in LEFT_OUT:
        for path in (folder / "usr" / "share" / name).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    excluded = "".join(f"path-exclude /usr/share/{name}/*\n" for name in LEFT_OUT)
    (folder / "etc" / "dpkg" / "dpkg.cfg.d" / "slim").write_text(excluded)
    for cache in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(folder / cache)
        (folder / cache / "partial").mkdir(parents=True) if cache.endswith("lists") else (folder / cache).mkdir()
