"""The entries of the emulator's API, read from its headers, and uses of what an architecture lacks.

Run as a script it writes the tables of docs/emulator.md anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = ROOT / "csrc" / "emulator"
PAGE = ROOT / "docs" / "emulator.md"
ARCHITECTURES = (2201, 3510)

HEADERS = {
    "Tensors, positions, flags": (
        *("tensor", "types", "sync", "qualifiers", "builtins", "custom_operator"),
    ),
    "Queues and buffers": ("pipe", "queue", "buffers"),
    "Data movement": ("params", "copy_pad", "loop_mode"),
    "Matrix unit, Fixpipe": ("cube", "load3d_packed", "atomic"),
    "Vector arithmetic": ("arithmetic", "cast", "scalar_types"),
    "Comparison, selection, reduction": ("compare_select", "reduce"),
    "Filling, gathering, transposition": ("fill_gather", "broadcast", "transpose"),
    "Masks, modes, debugging": ("mask", "debug"),
}
"""Row of the table -> headers, by their stems."""

OWN_HEADERS = {
    *("api", "call", "cost", "cube_types", "elementwise", "events", "field", "operand", "state")
}
"""Headers with nothing for kernels."""

OWN = re.compile(
    r"(?i:emulator).*|\w+Types|Field\w*|Nd\w+Field|Site|\w*[eE]vent_?[pP]ipes|\w*operator|IsSameTypeHelper|\w+Of3510"
    r"|load_element|assert_in_kernel|static_assert|(buffer|position)_of"
    r"|(\w+)::\2|LocalTensor::Element"
)
"""Names in the headers that are the emulator's own, not the API's."""

LABEL = re.compile(r'EMULATOR_ONLY_ON_(\d+)\(\s*"([^"]+)"\)')


BASES = {"BufferSource": "TPipe"}
"""Classes of the emulator's own -> the class under whose name their members are known."""


class Entry(NamedTuple):
    name: str
    architectures: tuple[int, ...]


def declarations(path: Path) -> Iterator[str]:
    """The heads of what a header declares outside of namespace emulator, up to a brace or the end.

    Members that begin with a capital, as those of the API do, follow as ``Class::Member(``.
    """
    own, head, owner = False, "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line == "namespace emulator {":
            own = True
        elif line == "}  // namespace emulator":
            own = False
        elif own or line.startswith(("//", "#", "namespace", "}")):
            continue
        elif head or re.match(r"\w", line):
            head = f"{head} {line.strip()}".strip()
            if re.search(r"[{;}]$", head) or re.match(r"EMULATOR_(?!ONLY)\w+\(.*\)$", head):
                owner = (re.search(r"\b(struct|class) ", head) and name_of(head)) or ""
                yield head
                head = ""
        elif owner and (
            member := re.match(r"    (?!EMULATOR|return|friend)[\w:<>,*& ]+ ([A-Z]\w+)\(", line)
        ):
            yield f"{owner}::{member[1]}("


def name_of(declaration: str) -> str | None:
    """What a declaration declares for kernels; None for what is the emulator's own."""
    function = r"EMULATOR_\w+\((\w+)[,)]" if declaration.startswith("EMULATOR_") else r"([\w:]+)\("
    other = r"(?:using|struct|class|enum(?: class)?|constexpr [\w:]+) (\w+)"
    found = re.search(function if "(" in declaration else other, declaration)
    return BASES.get(found[1], found[1]) if found and not OWN.fullmatch(found[1]) else None


def entries() -> dict[str, list[Entry]]:
    """Row of the table -> its entries."""
    rows = {}
    for row, stems in HEADERS.items():
        found: dict[str, tuple[int, ...]] = {}
        for stem in stems:
            for folder in ("include/ascendc", "vector", "."):
                path = EMULATOR / folder / f"{stem}.h"
                if not path.is_file():
                    continue
                for declaration in declarations(path):
                    if "EMULATOR_ONLY" not in declaration and (name := name_of(declaration)):
                        found[name] = ARCHITECTURES
                for arch, label in LABEL.findall(path.read_text(encoding="utf-8")):
                    found[label] = (int(arch),)
        rows[row] = [Entry(name, found[name]) for name in sorted(found, key=str.lower)]
    return rows


def refused() -> dict[str, int]:
    """Entries of one architecture alone, and which it is."""
    every = (entry for row in entries().values() for entry in row)
    return {entry.name: entry.architectures[0] for entry in every if len(entry.architectures) == 1}


def pair(types: tuple[str, ...]) -> str:
    """How the page writes the types of one use: the destination, and what it comes from."""
    return f"{types[0]} from {' and '.join(types[1:])}" if len(types) > 1 else types[0]


def tables() -> str:
    """The tables of the page."""
    lines = ["| | dav-2201 and dav-3510 | dav-2201 only | dav-3510 only |", "|---|---|---|---|"]
    for row, found in entries().items():
        cells = [
            ", ".join(f"`{entry.name}`" for entry in found if entry.architectures == which)
            for which in (ARCHITECTURES, (2201,), (3510,))
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    lines += ["", "| Element types | dav-2201 only | dav-3510 only |", "|---|---|---|"]
    rows: dict[str, list[str]] = {}  # entries of the same types share a row
    for entry in TYPES:
        cells = [
            ", ".join(f"`{pair(types)}`" for types in entry.only.get(which, ()))
            for which in ARCHITECTURES
        ]
        if any(cells):
            rows.setdefault(" | ".join(cells), []).append(f"`{entry.name}`")
    lines += [f"| {', '.join(dict.fromkeys(names))} | {cells} |" for cells, names in rows.items()]
    return "\n".join(lines)


def page() -> tuple[str, str]:
    """The page as it is, and with the tables as they should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return text, f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"


BEGIN = "<!-- tests/emulator/entries.py writes what follows -->"
END = "<!-- up to here -->"

USES = {
    "MmadParams::disableGemv": "MmadParams x; x.disableGemv = true;",
    "FixpipeConfig::isToUB": "bool x = CFG_NZ.isToUB;",
    "CFG_COLUMN_MAJOR": "auto x = CFG_COLUMN_MAJOR;",
    "GlobalTensor::ReinterpretCast": "GlobalTensor<half>().ReinterpretCast<int16_t>();",
    "SyncAllConfig": "SyncAllConfig x{PIPE_ALL, PIPE_ALL};",
    "DEFAULT_SYNC_ALL_CONFIG": "auto x = DEFAULT_SYNC_ALL_CONFIG;",
    "SyncAll with SyncAllConfig": "SyncAll<true, DEFAULT_SYNC_ALL_CONFIG>();",
    "DataCopy with enableSmallC0": "DataCopy<half, false>(local, global, Nd2NzParams());",
    "DataCopyPad into UB with DataCopyExtParams and PaddingMode": (
        "DataCopyPad<half, PaddingMode::Normal>"
        "(local, global, DataCopyExtParams(), DataCopyPadExtParams<half>());"
    ),
    "DataCopyPad out of UB with DataCopyExtParams and PaddingMode": (
        "DataCopyPad<half, PaddingMode::Normal>(global, local, DataCopyExtParams());"
    ),
    "DataCopyPad into UB with DataCopyParams and PaddingMode": (
        "DataCopyPad<half, PaddingMode::Normal>"
        "(local, global, DataCopyParams(), DataCopyPadParams());"
    ),
    "DataCopyPad out of UB with DataCopyParams and PaddingMode": (
        "DataCopyPad<half, PaddingMode::Normal>(global, local, DataCopyParams());"
    ),
    "SetLoopModePara": "SetLoopModePara(LoopModeParams(), DataCopyMVType::UB_TO_OUT);",
    "ResetLoopModePara": "ResetLoopModePara(DataCopyMVType::UB_TO_OUT);",
    "LoadData with LoadData2DParamsV2": "LoadData(local, local, LoadData2DParamsV2());",
    "LoadDataWithTranspose with LoadData2dTransposeParamsV2": (
        "LoadDataWithTranspose(local, local, LoadData2dTransposeParamsV2());"
    ),
    "LoadDataRepeatParamWithStride": "LoadDataRepeatParamWithStride x;",
    "SetLoadDataRepeatWithStride": "SetLoadDataRepeatWithStride({1, 1, 0, 1});",
    "LoadDataWithStride": "LoadDataWithStride(local, local, LoadData3DParamsV2<half>());",
    "Fixpipe with FixpipeParamsArch3510 to a LocalTensor": (
        "Fixpipe(local, sums, FixpipeParamsArch3510<>());"
    ),
    "Fixpipe with FixpipeParamsArch3510 to a GlobalTensor": (
        "Fixpipe(global, sums, FixpipeParamsArch3510<>());"
    ),
    "Fixpipe with FixpipeParamsArch3510 to a LocalTensor with scales": (
        "Fixpipe(local, sums, scales, FixpipeParamsArch3510<>());"
    ),
    "Fixpipe with FixpipeParamsArch3510 to a GlobalTensor with scales": (
        "Fixpipe(global, sums, scales, FixpipeParamsArch3510<>());"
    ),
    "RoundMode::CAST_HYBRID": "auto x = RoundMode::CAST_HYBRID;",
    "Nz2NdParams": "Nz2NdParams x;",
    "Copy with a count": "Copy(local, local, 64u);",
    "Neg": "Neg(local, local, 64u);",
    "GetReduceRepeatMaxMinSpr": "float x, y; GetReduceRepeatMaxMinSpr(x, y);",
    **{
        name: f"QuantMode_t x = QuantMode_t::{name};"
        for form in ("", "V")
        for name in (
            f"{form}QS322BF16_PRE",
            f"{form}QF322F16_PRE",
            f"{form}QF322BF16_PRE",
            f"{form}QF322F32_PRE",
        )
    },
}
"""A use of each entry of one architecture alone; `local`, `global` are of half, `sums` of float."""


class Types(NamedTuple):
    name: str
    use: str
    """A use, T0, T1 ... being the element types."""
    only: dict[int, tuple[tuple[str, ...], ...]]
    """Types that this architecture alone takes; 0: that none takes."""

    def with_types(self, types: tuple[str, ...]) -> str:
        return re.sub(r"\bT(\d)\b", lambda place: types[int(place[1])], self.use)


def one(*types: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in types)


def calls(names: str, arguments: str, only: dict[int, tuple[tuple[str, ...], ...]]) -> list[Types]:
    return [Types(name, f"{name}({arguments});", only) for name in names.split()]


X = "LocalTensor<T0>()"
WIDE = one("bfloat16_t", "uint16_t", "uint32_t")
TYPES = [
    *calls("Add Sub Mul Max Min", f"{X}, {X}, {X}, 8", {3510: WIDE, 0: one("double")}),
    *calls("Div", f"{X}, {X}, {X}, 8", {0: one("int32_t")}),
    *calls("And Or", f"{X}, {X}, {X}, 8", {3510: one("int32_t", "uint32_t"), 0: one("float")}),
    *calls("Not", f"{X}, {X}, 8", {3510: one("int32_t", "uint32_t"), 0: one("double")}),
    *calls("AddRelu SubRelu", f"{X}, {X}, {X}, 8", {0: one("int32_t")}),
    *calls("Abs", f"{X}, {X}, 8", {3510: one("int16_t", "int32_t"), 0: one("uint16_t")}),
    *calls("Exp Ln Sqrt Rsqrt Reciprocal", f"{X}, {X}, 8", {0: one("bfloat16_t", "int32_t")}),
    *calls("Relu", f"{X}, {X}, 8", {0: one("int16_t")}),
    *calls("Adds Muls Maxs Mins", f"{X}, {X}, T0(), 8", {3510: one("bfloat16_t")}),
    *calls("LeakyRelu", f"{X}, {X}, T0(), 8", {0: one("bfloat16_t", "int32_t")}),
    *calls("ShiftLeft ShiftRight", f"{X}, {X}, T0(), 8", {0: one("half", "float")}),
    *calls("MulAddDst", f"{X}, LocalTensor<T1>(), LocalTensor<T1>(), 8", {0: (("half", "float"),)}),
    *calls("Axpy", f"{X}, LocalTensor<T1>(), T1(), 8", {0: (("half", "float"),)}),
    *calls("FusedMulAdd MulAddRelu FusedMulAddRelu", f"{X}, {X}, {X}, 8", {0: one("bfloat16_t")}),
    *calls(
        "Compare",
        f"LocalTensor<uint8_t>(), {X}, {X}, CMPMODE::EQ, 128",
        {3510: (*WIDE, ("int16_t",)), 0: one("double")},
    ),
    *calls(
        "Compares CompareScalar",
        f"LocalTensor<uint8_t>(), {X}, T0(), CMPMODE::EQ, 128",
        {3510: (*WIDE, ("int16_t",)), 0: one("double")},
    ),
    *calls(
        "Select",
        f"{X}, LocalTensor<uint8_t>(), {X}, {X}, SELMODE::VSEL_TENSOR_TENSOR_MODE, 128",
        {3510: (*WIDE, ("int16_t",), ("int32_t",)), 0: one("double")},
    ),
    *calls(
        "ReduceSum ReduceMax ReduceMin", f"{X}, {X}, {X}, 64", {0: one("bfloat16_t", "int32_t")}
    ),
    *calls("BlockReduceSum PairReduceSum", f"{X}, {X}, 1, 64, 1, 1, 8", {0: one("bfloat16_t")}),
    *calls("WholeReduceSum WholeReduceMax", f"{X}, {X}, 64, 1, 1, 1, 8", {0: one("bfloat16_t")}),
    *calls("Duplicate", f"{X}, T0(), 8", {0: one("int8_t", "int64_t")}),
    *calls("CreateVecIndex", f"{X}, T0(), 8u", {0: one("bfloat16_t", "uint16_t")}),
    *calls("Brcb", f"{X}, {X}, 1, BrcbRepeatParams()", {0: one("int8_t")}),
    Types(
        "Broadcast",
        "uint32_t shape[1] = {8}; LocalTensor<uint8_t> shared; "
        f"Broadcast<T0, 1, 0>({X}, {X}, shape, shape, shared);",
        {3510: (*WIDE, ("int16_t",), ("int32_t",)), 0: one("double")},
    ),
    *calls("Copy", f"{X}, {X}, uint64_t(64), 1, CopyRepeatParams()", {0: one("int8_t")}),
    *calls("Gather", f"{X}, {X}, LocalTensor<uint32_t>(), 0u, 64u", {0: one("int8_t")}),
    *calls(
        "Gatherb",
        f"{X}, {X}, LocalTensor<uint32_t>(), 1, GatherRepeatParams()",
        {3510: one("int16_t", "half", "bfloat16_t", "int32_t", "float"), 0: one("int8_t")},
    ),
    *calls(
        "Transpose",
        f"{X}, {X}, LocalTensor<uint8_t>(), TransposeParamsExt()",
        {3510: one("bfloat16_t"), 0: one("int64_t")},
    ),
    Types(
        "TransDataTo5HD",
        "uint64_t x[16]; TransDataTo5HD<T0>(x, x, TransDataTo5HDParams());",
        {3510: one("bfloat16_t"), 0: one("int64_t")},
    ),
    *calls("Transpose", f"{X}, {X}", {0: one("bfloat16_t", "float")}),
    *calls(
        "Cast",
        f"{X}, LocalTensor<T1>(), RoundMode::CAST_NONE, 64",
        {
            3510: (
                ("int16_t", "int4b_t"),
                ("bfloat16_t", "int4b_t"),
                ("int4b_t", "int16_t"),
                ("half", "bfloat16_t"),
                ("bfloat16_t", "half"),
                ("int16_t", "int8_t"),
                ("int32_t", "int8_t"),
                ("uint16_t", "uint8_t"),
                ("uint32_t", "uint8_t"),
                ("uint8_t", "int16_t"),
                ("int32_t", "int16_t"),
                ("uint32_t", "int16_t"),
                ("uint8_t", "uint16_t"),
                ("uint32_t", "uint16_t"),
                ("uint8_t", "int32_t"),
                ("uint16_t", "int32_t"),
                ("uint8_t", "uint32_t"),
                ("int16_t", "uint32_t"),
                ("uint16_t", "uint32_t"),
            ),
            0: (("int8_t", "float"), ("bfloat16_t", "int32_t"), ("int4b_t", "float")),
        },
    ),
    Types(
        "Cast",
        "Cast<T0, T1, RoundMode::T2>(T0());",
        {
            0: (
                ("float", "half", "CAST_RINT"),
                ("float", "int32_t", "CAST_TRUNC"),
                ("half", "int32_t", "CAST_RINT"),
            )
        },
    ),
    Types(
        "Mmad",
        f"Mmad({X}, LocalTensor<T1>(), LocalTensor<T2>(), MmadParams());",
        {
            2201: (("int32_t", "int4b_t", "int4b_t"),),
            0: (("float", "half", "bfloat16_t"), ("half", "half", "half")),
        },
    ),
    Types(
        "Mmad",
        f"Mmad({X}, LocalTensor<T1>(), LocalTensor<T1>(), {X}, MmadParams());",
        {0: (("int32_t", "int4b_t"), ("int32_t", "half"))},
    ),
    *calls("LoadData", f"{X}, {X}, LoadData2DParams()", {2201: one("int4b_t"), 0: one("int64_t")}),
    *calls("LoadData", f"{X}, GlobalTensor<T0>(), LoadData2DParams()", {0: one("int4b_t")}),
    *calls(
        "LoadData",
        f"{X}, {X}, LoadData3DParamsV2<T0>()",
        {2201: one("int4b_t"), 0: one("int16_t")},
    ),
    *calls(
        "LoadDataWithTranspose",
        f"{X}, {X}, LoadData2dTransposeParams()",
        {2201: one("int4b_t"), 0: one("int16_t")},
    ),
    *calls(
        "DataCopy",
        f"{X}, GlobalTensor<T0>(), Nd2NzParams()",
        {2201: one("int4b_t"), 0: one("int64_t")},
    ),
    *calls(
        "DataCopyPad",
        f"GlobalTensor<T0>(), {X}, DataCopyExtParams()",
        {3510: one("bool"), 0: one("int4b_t")},
    ),
]
"""The entries that do not take the same types everywhere, and types that they take nowhere."""

if __name__ == "__main__":
    PAGE.write_text(page()[1], encoding="utf-8")
