"""The stand-in for the Ascend runtime: torch_npu, and C++ applications, without an NPU.

Under it the genuine torch_npu allocates, copies, orders streams and dispatches as on a machine with
NPUs, and this package's kernels run in the emulator. It shows that the host's side works; it is no
NPU, and a handful of torch's other operators is all that it has.

    environment = {**os.environ, **neumann_tril.acl_stand_in.environment()}
    subprocess.run([sys.executable, "-m", "pytest", "tests/npu"], env=environment)

The dynamic linker reads these variables when a process starts, hence the process of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from .native import LIBRARY_VARIABLE

__all__ = ["FOLDER", "environment"]

FOLDER = Path(__file__).with_name("acl_stand_in")
"""The libraries of the stand-in, and the NPU library that runs on it."""


def environment(
    *,
    devices: int = 1,
    memory_mb: int = 4096,
    delay_us: int = 0,
    seed: int = 0,
    soc: str = "Ascend910B4",
) -> dict[str, str]:
    """The environment variables of a process that takes the stand-in for the Ascend runtime.

    Args:
        devices: NPUs that it shows.
        memory_mb: memory of each, in MiB; beyond it allocations fail.
        delay_us: every task is put on its stream, and starts there, up to so many microseconds
            late, at random. Errors of ordering, and memory given back too early, show only then.
        seed: of these delays.
        soc: name of the chip, which decides the kernels' architecture and number of cores.

    Raises:
        ValueError: a number is negative.
        FileNotFoundError: this package was built without the emulator.
    """
    if not (FOLDER / "libascendcl.so").is_file():
        raise FileNotFoundError(
            f"{FOLDER} holds no stand-in: it is built with the emulator (NT_BUILD_EMULATOR)"
        )
    numbers = {"devices": devices, "memory_mb": memory_mb, "delay_us": delay_us, "seed": seed}
    for name, value in numbers.items():
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    paths = [str(FOLDER), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(paths),
        LIBRARY_VARIABLE: str(FOLDER),
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "1",
        "NT_ACL_DEVICES": str(devices),
        "NT_ACL_MEMORY_MB": str(memory_mb),
        "NT_ACL_DELAY_US": str(delay_us),
        "NT_ACL_SEED": str(seed),
        "NT_ACL_SOC": soc,
    }
