"""Programs of functions of the tile library, run on one core of the emulator."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vendor import numbers

PIPES = {"S": 0, "V": 1, "M": 2, "MTE1": 3, "MTE2": 4, "MTE3": 5, "ALL": 6, "FIX": 10}
OURS = {"barrier", "set_flag", "wait_flag"}
"""Steps that are no functions of the library."""
BLOCK = 32
"""Bytes of a block, the unit of addresses of local buffers."""


@dataclass(frozen=True)
class Operand:
    """Elements in a memory of the core: what a memref says of them.

    Attributes:
        type: the name that functions of the library have for the element type.
        address: in global memory; in a local buffer, in bytes from its start.
        shape, strides: in elements.
    """

    type: str
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def viewed(self, *shape: int, strides: Sequence[int] | None = None) -> Operand:
        """The same place with another shape; dense where no strides are given."""
        return Operand(self.type, self.address, shape, tuple(strides or dense(shape)))


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[n + 1 :]) for n in range(len(shape)))


class Step(ctypes.Structure):
    _fields_ = [("function", ctypes.c_void_p), ("words", ctypes.c_void_p)]


class Library:
    """A shared library of ``bitcode.build``."""

    def __init__(self, core: str, path: Path) -> None:
        self.core = core
        self.functions = ctypes.CDLL(str(path))
        self.functions.vendor_run.restype = ctypes.c_char_p
        register = self.functions.emulator_register_memory
        register.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_int]
        self.functions.emulator_unregister_memory.argtypes = [ctypes.c_void_p]


class Program:
    """Calls in their order, and the buffers that they work on.

    Arrays come in and go out through global memory. Local buffers are handed out from the start.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[str, ctypes.Array[ctypes.c_uint64]]] = []
        self.arrays: list[tuple[np.ndarray, bool, bool]] = []
        self.kept: list[object] = []
        self.used: dict[str, int] = {}
        self.flags: dict[tuple[str, str], int] = {}

    # --- places
    def given(self, array: np.ndarray, kind: str) -> Operand:
        """An array in global memory that the program reads."""
        return self._global(np.ascontiguousarray(array), kind, written=True)

    def result(self, shape: Sequence[int], kind: str) -> tuple[Operand, np.ndarray]:
        """Room in global memory that the program writes, and the array to look at afterwards."""
        array: np.ndarray = np.zeros(shape, numbers.STORED[kind])
        return self._global(array, kind, written=False), array

    def updated(self, array: np.ndarray, kind: str) -> Operand:
        """An array in global memory that the program changes."""
        return self._global(array, kind, written=True, read_only=False)

    def _global(
        self, array: np.ndarray, kind: str, written: bool, read_only: bool | None = None
    ) -> Operand:
        self.arrays.append((array, written, written if read_only is None else read_only))
        return Operand(kind, array.ctypes.data, array.shape, dense(array.shape))

    def local(self, buffer: str, shape: Sequence[int], kind: str) -> Operand:
        """Room in a local buffer."""
        address = self.used.get(buffer, 0)
        size = math.prod(shape) * np.dtype(numbers.STORED[kind]).itemsize
        self.used[buffer] = address + (size + BLOCK - 1) // BLOCK * BLOCK
        return Operand(kind, address, tuple(shape), dense(shape))

    def host(self, size: int) -> int:
        """The address of memory of the scalar unit."""
        memory = np.zeros(size, np.uint8)
        self.kept.append(memory)
        return memory.ctypes.data

    # --- steps
    def call(self, function: str, *arguments: object) -> None:
        """``function`` of the library. Operands are passed as memrefs, numbers by their bytes."""
        words = (ctypes.c_uint64 * max(1, len(arguments)))(*map(self._word, arguments))
        self.steps.append((function, words))

    def _word(self, argument: object) -> int:
        if isinstance(argument, Operand):
            place = (argument.address, argument.address, 0)
            memref = np.array([*place, *argument.shape, *argument.strides], np.int64)
            self.kept.append(memref)
            return memref.ctypes.data
        data = np.asarray(argument).tobytes()
        return int.from_bytes(data.ljust(8, b"\0"), "little")

    def barrier(self, pipe: str) -> None:
        self.call("barrier", PIPES[pipe])

    def set_flag(self, source: str, target: str, number: int = 0) -> None:
        self.call("set_flag", PIPES[source], PIPES[target], number)

    def wait_flag(self, source: str, target: str, number: int = 0) -> None:
        self.call("wait_flag", PIPES[source], PIPES[target], number)

    def order(self, source: str, target: str) -> None:
        """What follows on ``target`` waits for what ``source`` has been given so far."""
        number = self.flags.get((source, target), 0)
        self.flags[source, target] = number + 1  # a flag of its own each time
        self.set_flag(source, target, number)
        self.wait_flag(source, target, number)

    # --- run
    def functions(self) -> set[str]:
        """The functions of the library that the program calls."""
        return {function for function, _ in self.steps} - OURS

    def run(self, library: Library, checks: bool = True, strict: bool = True) -> str:
        """Runs the steps; returns what the emulator has against them, or an empty text."""
        functions = library.functions
        for array, written, read_only in self.arrays:
            functions.emulator_register_memory(array.ctypes.data, array.nbytes, written, read_only)
        steps = (Step * len(self.steps))()
        for step, (function, words) in zip(steps, self.steps, strict=True):
            entry = getattr(functions, f"run_{function}")
            step.function = ctypes.cast(entry, ctypes.c_void_p)
            step.words = ctypes.addressof(words)
        cube = library.core == "aic"
        error: bytes = functions.vendor_run(cube, checks, strict, steps, len(steps))
        for array, *_ in self.arrays:
            functions.emulator_unregister_memory(array.ctypes.data)
        return error.decode()
