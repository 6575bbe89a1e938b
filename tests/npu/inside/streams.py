"""Order and lifetimes: several streams, devices and threads, whose tasks start late at random."""

from __future__ import annotations

import threading

import pytest
import torch
from on_stand_in import hold, no_host_waits, random, tokens

import neumann_tril as nt
from neumann_tril.gdn import chunk_gated_delta_rule


def expected(A: torch.Tensor) -> torch.Tensor:
    return nt.inverse(A, backend="emulator")


def test_work_that_torch_npu_still_holds_comes_first() -> None:
    A = random(2, 32, 32)
    for n in range(5):
        X = nt.inverse((A.npu() + n) * 0.5 - n * 0.5)
        Y = X + X
        B = (A + n) * 0.5 - n * 0.5
        assert torch.equal(Y.cpu(), 2 * expected(B))


def test_side_stream() -> None:
    A = random(2, 32, 32)
    side = torch.npu.Stream()
    for n in range(5):
        moved = (A + n / 100).npu()
        side.wait_stream(torch.npu.current_stream())
        with torch.npu.stream(side), no_host_waits():
            X = nt.inverse(moved)
        moved.record_stream(side)
        X.record_stream(torch.npu.current_stream())
        del moved
        other = torch.zeros(2, 32, 32).npu()  # would take the memory of `moved`
        torch.npu.current_stream().wait_stream(side)
        assert torch.equal(X.cpu(), expected(A + n / 100)), other


@pytest.mark.parametrize("recorded", [True, False])
def test_memory_given_back_too_early_is_seen(recorded: bool) -> None:
    """A planted error: without ``record_stream`` A's memory is reused while the kernel waits."""
    A, zero = random(4, 32, 32), torch.zeros(4, 32, 32)
    main, side = torch.npu.current_stream(), torch.npu.Stream()
    moved = A.npu()
    side.wait_stream(main)
    hold(side, milliseconds=300)
    with torch.npu.stream(side):
        X = nt.inverse(moved)
    if recorded:
        moved.record_stream(side)
    place = moved.data_ptr()
    del moved
    other = zero.npu()
    main.synchronize()
    assert (other.data_ptr() == place) == (not recorded)
    side.synchronize()
    assert torch.equal(X.cpu(), expected(A)) == recorded


def test_tables_and_workspace_of_calls_that_overlap() -> None:
    """Nothing that a call allocates may be handed out while its kernel waits."""
    A = random(1, 96, 2, 64)
    sequences = [torch.tensor([0, 96 - n, 96]) for n in (0, 10, 32, 40)]
    streams = [torch.npu.Stream() for _ in range(2)]
    moved, bounds = A.npu(), [cu.npu() for cu in sequences]
    torch.npu.synchronize()
    for stream in streams:
        hold(stream, milliseconds=50)
    results = []
    with no_host_waits():
        for cu, on_device in zip(sequences, bounds, strict=True):
            for stream, given in zip(streams, (cu, on_device), strict=True):
                with torch.npu.stream(stream):
                    results.append((cu, nt.solve_tril(moved, given)))
    torch.npu.synchronize()
    for cu, X in results:
        assert torch.equal(X.cpu(), nt.solve_tril(A, cu, backend="emulator"))


def rule(
    given: list[torch.Tensor], cu_seqlens: torch.Tensor | None = None, backend: str | None = None
) -> torch.Tensor:
    """The last states of the chunk rule, on which all chunks have a part."""
    options = {"output_final_state": True, "state_v_first": True, "backend": backend}
    state: torch.Tensor = chunk_gated_delta_rule(*given, cu_seqlens=cu_seqlens, **options)[1]
    return state


def test_chunk_rules_that_overlap() -> None:
    """As above: neither the workspaces, nor the bounds, nor the states before they are turned."""
    inputs = [tokens(seed=n) for n in range(3)]
    moved = [[x.npu() for x in given] for given in inputs]
    cu = torch.tensor([0, 64, 64, 150])
    places = [cu, cu.npu()]
    streams = [torch.npu.Stream() for _ in range(2)]
    torch.npu.synchronize()
    for stream in streams:
        hold(stream, milliseconds=50)
    results = []
    with no_host_waits():
        for n, given in enumerate(moved):
            for stream, bounds in zip(streams, places, strict=True):
                with torch.npu.stream(stream):
                    results.append((n, rule(given, bounds)))
    torch.npu.synchronize()
    wanted = [rule(given, cu, "emulator") for given in inputs]
    for n, state in results:
        assert torch.equal(state.cpu(), wanted[n])


def test_two_devices() -> None:
    A = random(2, 32, 32)
    assert torch.npu.current_device() == 0
    for device in ("npu:1", "npu:0", "npu:1"):
        moved = A.to(device)
        with no_host_waits():
            X = nt.inverse(moved)
        assert str(X.device) == device and torch.equal(X.cpu(), expected(A))
    packed = random(1, 50, 2, 32)
    for cu in (torch.tensor([0, 20, 50]), torch.tensor([0, 20, 50], device="npu:1")):
        X = nt.solve_tril(packed.to("npu:1"), cu)
        assert torch.equal(X.cpu(), nt.solve_tril(packed, cu.cpu(), backend="emulator"))
    given = tokens()
    state = rule([x.to("npu:1") for x in given])
    assert str(state.device) == "npu:1"
    assert torch.equal(state.cpu(), rule(given, backend="emulator"))
    assert torch.npu.current_device() == 0


def test_four_threads() -> None:
    inputs = [random(2, 32, 32, seed=n) for n in range(4)]
    wanted = [expected(A) for A in inputs]
    failures: list[object] = []

    def work(n: int) -> None:
        try:
            torch.npu.set_device(n % 2)
            with torch.npu.stream(torch.npu.Stream()):
                for _ in range(5):
                    X = nt.inverse(inputs[n].npu())
                    if not torch.equal(X.cpu(), wanted[n]):
                        failures.append(n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
