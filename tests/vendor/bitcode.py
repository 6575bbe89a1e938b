"""The vendor's tile library as x86 code: found in its package, rewritten, compiled, linked.

The library is LLVM bitcode. Each function that is asked for is taken out of it together with what
it calls, disassembled, and changed in three ways, so that a compiler for x86 takes it:

- ``llvm.hivm.X.y(...)``, an instruction of the device, becomes a call of the C function
  ``hivm_X_y(...)``, which the shim offers (``shim/*.cpp``). half and bfloat16 travel as 16 bits.
- A scalar load or store in a memory of the device becomes a call of ``scalar_load_T`` or
  ``scalar_store_T`` with the number of the address space. All other pointers of such a space are
  only added to and passed on, so they stay what they are: byte offsets in a local buffer, or
  addresses in global memory.
- Target, attributes and assertions of the device go, and null is an address that can be read.

Nothing of the package is kept: the work happens in a folder of the caller.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

PACKAGE = "ascendnpu-ir"
TOOLS = ("llvm-extract-19", "clang-19", "cmake", "c++")
INSTALL = f"pip install --no-deps {PACKAGE}==1.2.0; apt-get install clang-19 llvm-19 cmake g++"
ENTRY = "_mlir_ciface_"
"""What precedes the name of a function that takes pointers to memrefs."""
ASSERTION = "@_Z16npuir_cce_assertIcEvbPKT_l"

LAYOUT = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
TARGET = f'target datalayout = "{LAYOUT}"\ntarget triple = "x86_64-unknown-linux-gnu"\n'
OURS = """@vendor_null = private global [1024 x i8] zeroinitializer, align 16
declare i16 @scalar_to_bfloat(float)
define weak bfloat @__truncsfbf2(float %value) {
  %bits = call i16 @scalar_to_bfloat(float %value)
  %result = bitcast i16 %bits to bfloat
  ret bfloat %result
}
"""
"""What null pointers become, and what compilers call for bfloat and their library may lack."""
NULL = r"(ptr (?:noundef )?|icmp \w+ ptr %[\w.]+, |phi ptr .*\[ )null\b"
"""A null pointer to memory of the host. The device can read address 0, and the library does."""
INTEGER = {"half": "i16", "bfloat": "i16"}
"""What stands for a type in calls of the shim."""
SCALAR = r"(i1|i8|i16|i32|i64|half|bfloat|float)"
POINTER = r"ptr addrspace\((\d+)\)"
PLACE = rf"{POINTER} (.*?)(?:, align.*)?$"
VALUE = r"(%[\w.]+|[-\w.+]+)"


class Missing(RuntimeError):
    """The package or a tool is not installed."""


def version() -> str:
    """The version of the installed package."""
    return importlib.metadata.version(PACKAGE)


def library(core: str) -> Path:
    """The bitcode for 220x of a core type, "aic" or "aiv"."""
    spec = importlib.util.find_spec("ascendnpuir")
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if spec is None or spec.origin is None:
        absent.insert(0, f"the Python package {PACKAGE}")
    if absent:
        raise Missing(f"vendor-check needs {', '.join(absent)}: {INSTALL}")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "lib" / f"meta_op.{core}.c220.bc"


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def without_target(text: str) -> Iterator[str]:
    """The lines of a module that say nothing of the device."""
    for line in text.splitlines():
        if line.startswith(("target ", "attributes ")):
            continue
        if line.startswith(("define", "declare")):
            line = re.sub(r" #\d+", " uwtable" if line.startswith("define") else "", line)
        else:
            line = re.sub(r" #\d+(?=,|$)", "", line)
        line = re.sub(NULL, r"\1@vendor_null", line)
        yield re.sub(r", !(?:tbaa|asan|srcloc|llvm\.loop)[\w.]* !\d+", "", line)


def as_calls(line: str, number: int) -> list[str]:
    """A line of a function, with instructions and scalar accesses of the device as calls.

    ``number`` makes the names of new values unique.
    """
    if "@llvm.hivm." in line:
        return instruction(line, number)
    load = re.match(rf"  (%[\w.]+) = load (?:volatile )?{SCALAR}, {PLACE}", line)
    if load:
        return scalar_load(*load.groups(), number)
    store = re.match(rf"  store (?:volatile )?{SCALAR} {VALUE}, {PLACE}", line)
    if store:
        return scalar_store(*store.groups(), number)
    return [line]


def instruction(line: str, number: int) -> list[str]:
    """The call of an intrinsic as one of the shim."""
    before: list[str] = []

    def bits(match: re.Match[str]) -> str:
        name = f"%bits{number}.{len(before)}"
        before.append(f"  {name} = bitcast {match[1]} {match[2]} to i16")
        return f"i16 {name}"

    line = re.sub(rf"\b(half|bfloat)(?: noundef)? {VALUE}", bits, line)
    return [*before, of_shim(line)]


def scalar_load(name: str, kind: str, space: str, place: str, number: int) -> list[str]:
    by = INTEGER.get(kind, kind)
    loaded = f"%bits{number}" if kind in INTEGER else name
    lines = [
        f"  %at{number} = ptrtoint ptr addrspace({space}) {place} to i64",
        f"  {loaded} = call {by} @scalar_load_{by}(i32 {space}, i64 %at{number})",
    ]
    if kind in INTEGER:
        lines.append(f"  {name} = bitcast {by} {loaded} to {kind}")
    return lines


def scalar_store(kind: str, value: str, space: str, place: str, number: int) -> list[str]:
    by = INTEGER.get(kind, kind)
    lines = [f"  %at{number} = ptrtoint ptr addrspace({space}) {place} to i64"]
    if kind in INTEGER:
        lines.append(f"  %bits{number} = bitcast {kind} {value} to {by}")
        value = f"%bits{number}"
    call = f"@scalar_store_{by}(i32 {space}, i64 %at{number}, {by} {value})"
    return [*lines, f"  call void {call}"]


def of_shim(line: str) -> str:
    """A line with the shim's name of an intrinsic."""
    return re.sub(r"@llvm\.hivm\.([\w.]+)", lambda m: "@hivm_" + m[1].replace(".", "_"), line)


def entry(definition: str) -> tuple[str, str] | None:
    """The name of a defined function, and ``run_<name>(words)``, which calls it.

    The arguments lie in an array of 64-bit words.
    """
    found = re.match(r"define .*?@(\w+)\((.*)\)", definition)
    if found is None:
        return None
    symbol, inside = found.groups()
    name = symbol.removeprefix(ENTRY)
    lines, passed = [f"define void @run_{name}(ptr %words) uwtable {{"], []
    for n, part in enumerate(filter(None, inside.split(", "))):
        kind = re.match(rf"{POINTER}|\S+", part)
        assert kind is not None
        extended = re.search("(?:zero|sign)ext", part)
        lines.append(f"  %p{n} = getelementptr i64, ptr %words, i64 {n}")
        lines.append(f"  %a{n} = load {kind[0]}, ptr %p{n}")
        passed.append(f"{kind[0]} {extended[0] if extended else ''} %a{n}")
    lines += [f"  call void @{symbol}({', '.join(passed)})", "  ret void", "}"]
    return name, "\n".join(lines)


def for_x86(text: str, wanted: Collection[str]) -> str:
    """A disassembled module as a compiler for x86 takes it, with entries for some functions."""
    lines = [TARGET]
    entries: list[str] = []
    skipping = False
    for number, line in enumerate(without_target(text)):
        if line.startswith("define"):
            if ASSERTION in line:  # the shim has its own
                skipping = True
                lines.append(f"declare void {ASSERTION}(i1 zeroext, ptr, i64)")
            made = entry(line)
            if made is not None and made[0] in wanted:
                entries.append(made[1])
        if not skipping:
            lines += declaration(line) if line.startswith("declare") else as_calls(line, number)
        if line == "}":
            skipping = False
    lines.append("declare void @vendor_no_body()")
    for kind in ("i1", "i8", "i16", "i32", "i64", "float"):
        lines.append(f"declare {kind} @scalar_load_{kind}(i32, i64)")
        lines.append(f"declare void @scalar_store_{kind}(i32, i64, {kind})")
    return "\n".join([*lines, *entries, OURS])


def declaration(line: str) -> list[str]:
    external = re.match(r"declare (?:dso_local )?void (@_Z\w+)\((.*)\)", line)
    if external:  # a template that the library names and does not instantiate
        kinds = ", ".join(part.replace("noundef", "") for part in external[2].split(", "))
        return [
            f"define void {external[1]}({kinds}) {{",
            "  call void @vendor_no_body()",
            "  ret void",
            "}",
        ]
    if "@llvm.hivm." not in line:
        return [line]
    return [re.sub(r"\b(?:half|bfloat)\b", "i16", of_shim(line))]


def compile_functions(core: str, functions: Collection[str], folder: Path) -> Path:
    """An object file of some functions, each with an entry ``run_<name>``."""
    symbols = [name if name.startswith("_Z") else ENTRY + name for name in sorted(functions)]
    taken, rewritten = folder / f"{core}.ll", folder / f"{core}.x86.ll"
    wanted = [f"--func={symbol}" for symbol in symbols]
    run("llvm-extract-19", "--recursive", *wanted, "-S", library(core), "-o", taken)
    rewritten.write_text(for_x86(taken.read_text(), functions))
    compiled = folder / f"{core}.o"
    run("clang-19", "-x", "ir", "-O1", "-fPIC", "-c", rewritten, "-o", compiled)
    return compiled


def build(functions: Mapping[str, Collection[str]], folder: Path) -> Mapping[str, Path]:
    """Shared libraries of some functions of each type of core, the shim and the emulator."""
    folder.mkdir(parents=True, exist_ok=True)
    for core, wanted in functions.items():
        compile_functions(core, wanted, folder)
    made = folder / "libraries"
    configure = ("cmake", "-S", Path(__file__).parent, "-B", made, "-DCMAKE_BUILD_TYPE=Release")
    run(*configure, f"-DNT_VENDOR_OBJECTS={folder}")
    run("cmake", "--build", made, "--parallel", "2")
    return {core: made / f"libvendor_{core}.so" for core in functions}
