"""The machine that latency is measured on, and the class that its numbers hold for."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from edgepress.contracts.latency import Hardware

_CPUINFO = Path("/proc/cpuinfo")

_EXTENSIONS: Mapping[str, Mapping[str, str]] = {
    "x86_64": {
        "amx_int8": "amx-int8",
        "avx512_vnni": "avx512vnni",
        "avx_vnni": "avxvnni",
        "avx512f": "avx512f",
        "avx2": "avx2",
        "fma": "fma",
        "avx": "avx",
    },
    "aarch64": {"sme": "sme", "sve2": "sve2", "i8mm": "i8mm", "asimddp": "dotprod"},
}
"""Machine -> kernel's flag -> name, strongest first: the extensions by which LiteRT's kernels (XNNPACK) choose their code. The first one
that a processor has names its class. Plain x86-64 and 64-bit Arm (which always has NEON) have no suffix."""

_ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
}
"""(implementer, part) of /proc/cpuinfo, from Arm's Main ID Register; others are shown as the two numbers."""


def describe_hardware(runtime: str, threads: int, hardware_class: str | None, pinned_core: int | None) -> Hardware:
    """The machine that this process runs on, now.

    Args:
        runtime: e.g. ``litert 2.3.0``.
        threads: of the interpreter.
        hardware_class: its name when the user states one; None derives it from the processor.
        pinned_core: the logical processor that the benchmark keeps to, None when it may wander.
    """
    machine = platform.machine()
    cpuinfo = _CPUINFO.read_text(errors="replace") if _CPUINFO.exists() else ""
    extensions = cpu_extensions(cpuinfo, machine)
    name = cpu_name(cpuinfo, machine)
    return Hardware(
        hardware_class=hardware_class or derive_class(machine, extensions),
        cpu=f"{name} ({', '.join(extensions)})" if extensions else name,
        cores=os.cpu_count() or 1,
        runtime=runtime,
        threads=threads,
        load_average_1m=os.getloadavg()[0],
        pinned_core=pinned_core,
    )


def cpu_name(cpuinfo: str, machine: str) -> str:
    """The processor's name in the text of /proc/cpuinfo: x86's model name; on Arm the kinds of cores, and the board where it stands."""
    model_name = _field(cpuinfo, "model name")
    if model_name is not None:
        return model_name
    implementers = re.findall(r"^CPU implementer\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    kinds = dict.fromkeys(_ARM_CORES.get(pair, f"Arm {pair[0]}/{pair[1]}") for pair in zip(implementers, parts, strict=False))
    board = _field(cpuinfo, "Model") or _field(cpuinfo, "Hardware")
    return ", ".join((*([board] if board else []), *kinds)) or machine


def cpu_extensions(cpuinfo: str, machine: str) -> tuple[str, ...]:
    """The vector extensions that matter to LiteRT's kernels, strongest first, from the text of /proc/cpuinfo."""
    flags = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features") or "").split())
    return tuple(name for flag, name in _EXTENSIONS.get(machine, {}).items() if flag in flags)


def derive_class(machine: str, extensions: tuple[str, ...]) -> str:
    """E.g. ``x86_64-avx2`` or ``aarch64-dotprod``; the machine alone without an extension that matters."""
    plain = re.sub(r"[^a-z0-9_-]", "-", machine.lower())
    return f"{plain}-{extensions[0]}" if extensions else plain


def _field(cpuinfo: str, key: str) -> str | None:
    """The first processor's value of a key; keys are told apart by case (``model`` and ``Model`` differ)."""
    match = re.search(rf"^{re.escape(key)}[ \t]*:[ \t]*(.*\S)", cpuinfo, re.MULTILINE)
    return match.group(1) if match else None
