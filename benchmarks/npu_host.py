"""What a call of the operator costs the host, with torch_npu on the stand-in runtime.

    python benchmarks/npu_host.py

The device's stream is held up while calls are put on it, so that nothing but the host runs. Shown
is the median of a call, the median of the launch alone (the C function of the NPU library, called
with everything prepared), and their difference: what torch, torch_npu and this package add. On an
NPU the launch itself costs something else.

The methods take turns. Of several medians the lowest counts: what other programs take from a
shared machine only adds.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

LIMIT_US = 40.0
"""The median of `inverse` must not add more."""

BLOCKS, ROUNDS, CALLS = 8, 15, 10


def main() -> int:
    """Run the measurement in a process that has the stand-in; print it."""
    from neumann_tril import acl_stand_in

    environment = {**os.environ, **acl_stand_in.environment(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--measure"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    print("microseconds of the host, median (measured; the runtime is the stand-in)")
    for name, cost in figures.items():
        print(f"  {name:34} {cost:6.1f}   {cost - figures['launch alone']:+6.1f}")
    added = figures["inverse"] - figures["launch alone"]
    print(f"inverse adds {added:.1f} us to the launch; the limit is {LIMIT_US:.0f} us")
    return 0 if added <= LIMIT_US else 1


def measure() -> dict[str, float]:
    """Median microseconds of a call, by its name."""
    import torch

    import neumann_tril
    from neumann_tril import npu

    A = torch.zeros(4, 2, 64, 64, device="npu")
    T = torch.zeros(1, 256, 2, 64, device="npu")
    sequences = torch.tensor([0, 100, 256])
    on_device = sequences.npu()
    out = torch.empty_like(A)
    calls: dict[str, Callable[[], object]] = {
        "launch alone": _launch_alone(A, out),
        "inverse": lambda: neumann_tril.inverse(A),
        "inverse, out given": lambda: neumann_tril.inverse(A, out=out),
        "solve_tril": lambda: neumann_tril.solve_tril(T),
        "solve_tril, cu_seqlens on the CPU": lambda: neumann_tril.solve_tril(T, sequences),
        "solve_tril, cu_seqlens on the NPU": lambda: neumann_tril.solve_tril(T, on_device),
        "torch.empty_like, for comparison": lambda: torch.empty_like(A),
    }
    for call in calls.values():
        call()
    torch.npu.synchronize()
    _hold(npu.runtime()[1](0), seconds=60)
    blocks = [_medians(calls) for _ in range(BLOCKS)]
    return {name: min(block[name] for block in blocks) for name in calls}


def _medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of each, by turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()  # warm again after the others
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            times[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def _launch_alone(A, out) -> Callable[[], object]:  # type: ignore[no-untyped-def]
    import torch

    from neumann_tril import npu
    from neumann_tril.layout import Problem
    from neumann_tril.native.launches import Floating, aligned
    from neumann_tril.plan import plan_for

    work = Floating(plan_for(64, "exact", torch.float16), torch.float16)
    layout = (A.shape, A.stride(), out.stride(), None)
    launch = npu.prepared(0, work, A.dtype, out.dtype, *layout)
    argument = launch.filled(Problem(A, out))
    workspace = torch.empty(launch.allocation, dtype=torch.uint8, device="npu")
    argument.workspace = aligned(workspace)
    start, stream = launch.start, npu.runtime()[1](0)
    kept = [A, out, workspace]
    return lambda: (start(argument, stream), kept)


def _hold(stream: int, seconds: int) -> None:
    """Let a stream sleep, by a host function on it."""
    sleep = ctypes.cast(ctypes.CDLL(None).sleep, ctypes.c_void_p)
    runtime = ctypes.CDLL("libascendcl.so")
    runtime.aclrtLaunchHostFunc.argtypes = [ctypes.c_void_p] * 3
    runtime.aclrtLaunchHostFunc(stream, sleep, seconds)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure()), flush=True)
        os._exit(0)  # without waiting for the stream
    sys.exit(main())
