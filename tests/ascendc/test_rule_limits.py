"""What the kernel of the chunk rule moves through HBM, and which calls it refuses."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from ascendc.rule_calls import BF16, CHUNK, F16, F32, Call, draw
from helpers import needs_emulator
from neumann_tril import emulator
from neumann_tril.native.rule import launch_of, refusal
from neumann_tril.native.structures import DTYPE_CODES, NONE_CODE, PlanStruct, Rule
from neumann_tril.plan import Plan

pytestmark = needs_emulator


class Traffic(NamedTuple):
    """Bytes: through HBM, of the workspace, of inputs and outputs."""

    moved: int
    workspace: int
    tensors: int


def traffic(call: Call) -> Traffic:
    """Of a call on one core."""
    outputs = ("o", "final_state")
    details = call.run(outputs, cores=1).report.details
    given = call.given(call.blank(outputs))
    workspace = launch_of(emulator.kernels(cube_cores=1), given, call.work).workspace_bytes
    moved = details["hbm_read_bytes"] + details["hbm_write_bytes"]
    return Traffic(moved, workspace, sum(x.nbytes for x in given.inputs + given.outputs))


def test_hbm_holds_inputs_and_outputs_alone():
    """The workspace is touched once, whatever the length. With one head and 64 columns of values no
    line of memory serves two copies, and the emulator's account of first touches is exact."""
    short, long = (traffic(Call(draw(n * CHUNK, sizes=(128, 64)))) for n in (48, 96))
    assert short.workspace == long.workspace
    assert long.moved - long.workspace <= 1.15 * long.tensors
    assert 1 <= (long.moved - short.moved) / (long.tensors - short.tensors) <= 1.15


def rule(**changed) -> Rule:
    fields = {
        "plan": PlanStruct.of(Plan(64, 15, 1, splits=2)),
        "dtype": DTYPE_CODES[BF16],
        "compute_dtype": DTYPE_CODES[F16],
        "heads": 2,
        "value_heads": 4,
        "key_size": 128,
        "value_size": 128,
        "sequences": 1,
        "length": 100,
        "cube_cores": 20,
    }
    gates = {name: changed.pop(name, DTYPE_CODES[F32]) for name in ("g", "beta")}
    made = Rule(**(fields | changed))
    for name, code in gates.items():
        getattr(made, name).data_dtype = code
    return made


I8, F64 = 4, DTYPE_CODES[torch.float64]
SIZES = "K and V must be multiples of 16 from 16 to 256"
REFUSED = [
    ("chunk_size must be 64", {"plan": PlanStruct.of(Plan(32, 31, 1))}),
    ("bandwidth must be at least 0", {"plan": PlanStruct(64, 64, 1, 0, 0, 0)}),
    ("takes plans with products", {"plan": PlanStruct.of(Plan(64, 63, 1))}),
    ("q, k, v must be float16 or bfloat16", {"dtype": DTYPE_CODES[F32]}),
    ("q, k, v must be float16 or bfloat16", {"dtype": NONE_CODE}),
    ("compute_dtype must be float16, or", {"compute_dtype": DTYPE_CODES[F32]}),
    ("compute_dtype must be float16, or", {"dtype": 0, "compute_dtype": DTYPE_CODES[BF16]}),
    ("g must be float16, bfloat16 or float32", {"g": F64}),
    ("beta must be float16, bfloat16 or float32", {"beta": I8}),
    ("beta must be float16, bfloat16 or float32", {"beta": NONE_CODE}),
    (SIZES, {"key_size": 0}),
    (SIZES, {"key_size": 120}),
    (SIZES, {"value_size": 272}),
    (SIZES, {"value_size": 8}),
    ("HV must be a positive multiple of H", {"heads": 3}),
    ("HV must be a positive multiple of H", {"heads": 0}),
    ("HV must be a positive multiple of H", {"value_heads": 0}),
    ("sequences and length must not be negative", {"sequences": -1}),
    ("sequences and length must not be negative", {"length": -1}),
    ("HV K and HV V must be below 2", {"value_heads": 1 << 23}),
    ("cube_cores must be at least 1", {"cube_cores": 0}),
]


@pytest.mark.parametrize("reason, changed", REFUSED)
def test_refusals_name_the_reason(reason, changed):
    kernels = emulator.kernels()
    refused = rule(**changed)
    assert reason in str(refusal(kernels, refused))
    assert kernels.library.nt_npu_rule_workspace_bytes(refused) == 0
    assert reason in kernels.library.nt_npu_gated_delta_rule(refused, None).decode()


@pytest.mark.parametrize("changed", ({}, {"g": NONE_CODE}, {"sequences": 0}, {"length": 0}))
def test_calls_that_are_taken(changed):
    kernels = emulator.kernels()
    assert refusal(kernels, rule(**changed)) is None
    bytes_needed = kernels.library.nt_npu_rule_workspace_bytes(rule(**changed))
    assert bytes_needed % 512 == 0 and (bytes_needed > 0) == (changed.get("sequences") != 0)


def test_a_refusal_is_a_value_error():
    with pytest.raises(ValueError, match=SIZES):
        Call(draw(70, sizes=(24, 32))).run()
