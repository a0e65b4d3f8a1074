"""Processors read from the text of /proc/cpuinfo, and the class derived from them."""

import os

import pytest

from edgepress.benchmark.affinity import pinned_to_fastest_core
from edgepress.benchmark.hardware import cpu_extensions, cpu_name, derive_class, describe_hardware

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 23
model\t\t: 1
model name\t: AMD EPYC 7571
flags\t\t: fpu vme sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2
power management:

processor\t: 1
model name\t: AMD EPYC 7571
flags\t\t: fpu vme sse sse2 ssse3 fma sse4_1 sse4_2 avx f16c avx2 bmi2
"""
XEON = "model name\t: Intel(R) Xeon(R) Platinum 8375C\nflags\t\t: fpu sse4_2 avx fma avx2 avx512f avx512_vnni\n"
ATOM = "model name\t: Intel(R) Atom(TM) CPU\nflags\t\t: fpu sse4_2 ssse3\n"
RASPBERRY_PI_4 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2711
Revision\t: c03111
Model\t\t: Raspberry Pi 4 Model B Rev 1.1
"""
BIG_LITTLE = """processor\t: 0
Features\t: fp asimd aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""
UNKNOWN_ARM = "Features\t: fp asimd asimddp i8mm sve2\nCPU implementer\t: 0x61\nCPU part\t: 0x022\n"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "name", "extensions", "hardware_class"),
    [
        (EPYC, "x86_64", "AMD EPYC 7571", ("avx2", "fma", "avx"), "x86_64-avx2"),
        (XEON, "x86_64", "Intel(R) Xeon(R) Platinum 8375C", ("avx512vnni", "avx512f", "avx2", "fma", "avx"), "x86_64-avx512vnni"),
        (ATOM, "x86_64", "Intel(R) Atom(TM) CPU", (), "x86_64"),
        (RASPBERRY_PI_4, "aarch64", "Raspberry Pi 4 Model B Rev 1.1, Cortex-A72", (), "aarch64"),
        (BIG_LITTLE, "aarch64", "Cortex-A55, Cortex-A76", ("dotprod",), "aarch64-dotprod"),
        (UNKNOWN_ARM, "aarch64", "Arm 0x61/0x022", ("sve2", "i8mm", "dotprod"), "aarch64-sve2"),
        ("", "riscv64", "riscv64", (), "riscv64"),
    ],
)
def test_processors(cpuinfo: str, machine: str, name: str, extensions: tuple[str, ...], hardware_class: str) -> None:
    assert cpu_name(cpuinfo, machine) == name
    assert cpu_extensions(cpuinfo, machine) == extensions
    assert derive_class(machine, extensions) == hardware_class


def test_this_machine_is_described_and_a_stated_class_wins() -> None:
    described = describe_hardware("litert 0.0.0", 1, None, 1)
    assert described.cores == os.cpu_count()
    assert described.cpu
    assert (described.runtime, described.threads, described.pinned_core) == ("litert 0.0.0", 1, 1)
    assert describe_hardware("litert 0.0.0", 1, "lab-board", None).hardware_class == "lab-board"


def test_pinning_keeps_to_one_allowed_core_and_is_undone() -> None:
    before = os.sched_getaffinity(0)
    with pinned_to_fastest_core(pin=True) as core:
        assert os.sched_getaffinity(0) == {core}
        assert core in before
    assert os.sched_getaffinity(0) == before
    with pytest.raises(RuntimeError, match="in the block"), pinned_to_fastest_core(pin=True):
        raise RuntimeError("in the block")
    assert os.sched_getaffinity(0) == before
    with pinned_to_fastest_core(pin=False) as core:
        assert core is None
        assert os.sched_getaffinity(0) == before
