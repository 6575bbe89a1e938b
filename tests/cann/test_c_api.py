"""The C interface: used from plain C, and the same plans, versions and layouts as Python's."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import neumann_tril
from neumann_tril import native
from neumann_tril.layout import LAYOUTS, chunk_table, time_view
from neumann_tril.native import DTYPE_CODES, Chunks, PlanStruct
from neumann_tril.plan import CHUNK_SIZES, Plan, plan_for

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = native.FOLDER / native.LIBRARY
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(LIBRARY))
    for name in ("nt_version_string", "nt_plan_named", "nt_plan_error", "nt_chunks_dense"):
        getattr(loaded, name).restype = ctypes.c_char_p
    for name in ("nt_chunks_time", "nt_chunks_packed"):
        getattr(loaded, name).restype = ctypes.c_char_p
    loaded.nt_chunk_table.restype = ctypes.c_int64
    return loaded


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_plain_c_program(tmp_path: Path) -> None:
    program = tmp_path / "interface"
    command = [
        *(str(COMPILER), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(f"-I{ROOT / 'csrc' / 'include'}", str(Path(__file__).with_name("interface.c"))),
        *("-o", str(program), str(LIBRARY), "-lm", f"-Wl,-rpath,{LIBRARY.parent}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_are_the_packages(library: ctypes.CDLL) -> None:
    assert library.nt_version() == native.VERSION
    assert library.nt_version_string().decode() == neumann_tril.__version__


def named(library: ctypes.CDLL, name: str, size: int, dtype: torch.dtype) -> list[int] | None:
    """The fields of the plan, None if there is none."""
    plan = PlanStruct()
    if library.nt_plan_named(ctypes.byref(plan), name.encode(), size, DTYPE_CODES[dtype]):
        return None
    return [getattr(plan, field) for field, _ in PlanStruct._fields_]


@pytest.mark.parametrize("name", ["exact", "fast", "paper"])
def test_named_plans_are_pythons(library: ctypes.CDLL, name: str) -> None:
    for size in range(0, 145):
        for dtype in DTYPE_CODES:
            try:
                expected = plan_for(size, name, dtype).to_ints()
            except ValueError:
                expected = None
            assert named(library, name, size, dtype) == expected, (size, dtype)


def test_plans_are_read_and_refused_as_in_python(library: ctypes.CDLL) -> None:
    fields = [
        (size, w, terms, form, splits, refinements)
        for size in (16, 48, 64)
        for w in (-1, 0, 3, 15, 16, 63)
        for terms in (0, 1, 2, 3, 16, 17)
        for form in ("sequential", "doubling")
        for splits in (-1, 0, 1, 2, 4)
        for refinements in (-1, 0, 8, 9)
    ]
    accepted = 0
    for values in fields:
        text = ":".join(map(str, values))
        try:
            expected = Plan.from_text(text).to_ints()
            accepted += 1
        except ValueError:
            expected = None
        assert named(library, text, values[0], torch.float16) == expected, text
    assert accepted > 100


def places(chunks: Chunks) -> list[object]:
    """What decides where the matrices lie: not the stride of the chunk axis or of a size of 1."""
    batch = range(chunks.dims)
    strides = [
        [0 if d == chunks.chunk_dim or chunks.size[d] == 1 else stride[d] for d in batch]
        for stride in (chunks.a_stride, chunks.x_stride)
    ]
    arrays = ("size", "a_stride", "x_stride")
    rest = [getattr(chunks, name) for name, _ in Chunks._fields_ if name not in arrays]
    return [chunks.size[: chunks.dims], strides, rest]


def test_dense_layout(library: ctypes.CDLL) -> None:
    A = torch.empty(5, 48, 48)
    chunks = Chunks()
    assert library.nt_chunks_dense(ctypes.byref(chunks), 48, ctypes.c_int64(5)) is None
    assert places(chunks) == places(native.dense_chunks(A, A))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_time_layouts(library: ctypes.CDLL, layout: str) -> None:
    size, length, heads, batch = 16, 41, 3, 2
    code = {"bthc": 0, "thc": 0, "bhtc": 1, "htc": 1}[layout]
    extents = {"b": batch, "t": length, "h": heads, "c": size}
    A = torch.empty([extents[axis] for axis in layout])
    view = time_view(A, layout)
    chunks = Chunks()
    if layout.startswith("b"):
        arguments = [ctypes.c_int64(value) for value in (batch, length, heads)]
        assert library.nt_chunks_time(ctypes.byref(chunks), size, code, *arguments) is None
        assert places(chunks) == places(native.time_chunks(view, view, None))
        return
    bounds = torch.tensor([0, 17, 17, 41])
    table = chunk_table(length, size, bounds, None)
    first, valid = torch.empty_like(table.first_row), torch.empty_like(table.valid_rows)
    pointers = [ctypes.c_void_p(t.data_ptr()) for t in (bounds, first, valid)]
    count = library.nt_chunk_table(pointers[0], ctypes.c_int64(3), size, *pointers[1:])
    assert count == len(table.first_row)
    assert torch.equal(first, table.first_row) and torch.equal(valid, table.valid_rows)
    arguments = [ctypes.c_int64(value) for value in (length, heads, count)]
    tables = [ctypes.c_void_p(t.data_ptr()) for t in (table.first_row, table.valid_rows)]
    reason = library.nt_chunks_packed(ctypes.byref(chunks), size, code, *arguments, *tables)
    assert reason is None
    assert places(chunks) == places(native.time_chunks(view, view, table))


def test_chunk_sizes_of_plans_are_pythons(library: ctypes.CDLL) -> None:
    plan = PlanStruct(0, 0, 1, 0, 0, 0)
    accepted = []
    for size in range(200):
        plan.chunk_size = size
        if library.nt_plan_error(ctypes.byref(plan)) is None:
            accepted.append(size)
    assert tuple(accepted) == CHUNK_SIZES
