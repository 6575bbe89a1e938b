"""Quantised plans: what they accept, and that they survive their text."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest

from neumann_tril.grids import Constants, QuantPlan, steps
from neumann_tril.grids.plan import rounded_scale
from neumann_tril.plan import Plan

JOINED = Plan(32, 15, 1, "doubling", 1)
SUMMED = Plan(32, 7, 4)
SCALES = {"A": [1 / 254], "X": [1 / 127], "T0": [1 / 100]}


def static(**changes):
    fields = {"plan": JOINED, "bits": 8, "granularity": "tensor", "scales": SCALES} | changes
    return QuantPlan(**fields)


def test_steps_name_every_rounded_intermediate():
    names = [step.name for step in steps(Plan(128, 7, 4, "doubling", 1, 2))]
    assert names == ["A", "X", "R", "P1", "T0", "E0", "E1"]
    assert [step.name for step in steps(Plan(64, 3, 8, "sequential"))] == ["A", "X", "R"]
    assert [step.unit for step in steps(JOINED)] == [False, True, False]
    assert steps(SUMMED)[0].unit  # M = I + A is an operand of the residual


@pytest.mark.parametrize("plan", ["exact", "fast"])
def test_names_stand_for_the_blocked_plan_without_refinement(plan):
    assert QuantPlan.dynamic(chunk_size=64, plan=plan).plan == Plan(64, 15, 1, "doubling", 2, 0)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"plan": "exact"}, "plan"),
        ({"bits": 4}, "bits"),
        ({"bits": 8.0}, "bits"),
        ({"bits": [8]}, "bits"),
        ({"scales": None}, "scales must map"),
        ({"scales": dict.fromkeys(SCALES, 0.1)}, "scales of A must be a sequence"),
        ({"granularity": "row"}, "granularity"),
        ({"granularity": "chunk"}, "scales"),
        ({"scales": {"A": [1.0], "X": [1.0]}}, "T0"),
        ({"scales": SCALES | {"R": [1.0]}}, "R"),
        ({"scales": SCALES | {"T0": [0.0]}}, "scale of T0"),
        ({"scales": SCALES | {"T0": [float("nan")]}}, "scale of T0"),
        ({"scales": SCALES | {"A": [2.0]}}, "scale of A"),
        ({"scales": SCALES | {"X": [1 / 127.5]}}, "scale of X"),
        ({"scales": SCALES | {"X": [1 / 128]}}, "scale of X"),
        ({"scales": SCALES | {"X": [1 / 127, 1 / 127]}}, "one value for each group"),
        ({"scales": {name: value * 2 for name, value in SCALES.items()}}, "one number each"),
        ({"scales": {name: [] for name in SCALES}, "granularity": "head"}, "each head"),
    ],
)
def test_wrong_fields_are_named(changes, named):
    with pytest.raises((TypeError, ValueError), match=named):
        static(**changes)


def test_json_gives_the_same_plan_back(tmp_path):
    per_head = {name: value * 3 for name, value in SCALES.items()}
    for qplan in (static(), static(granularity="head", scales=per_head), QuantPlan.dynamic()):
        assert QuantPlan.from_json(qplan.to_json()) == qplan
        assert QuantPlan.from_json(qplan.text) == qplan
        qplan.save(tmp_path / "plan.json")
        assert QuantPlan.load(tmp_path / "plan.json") == qplan


@pytest.mark.parametrize(
    "edit, named",
    [
        ({"version": 2}, "version"),
        ({"format": "other"}, "format"),
        ({"plan": "64:3:8"}, "plan"),
        ({"plan": 3}, "plan"),
        ({"scales": {"A": 1.0}}, "scales"),
        ({"scales": {"A": ["1"]}}, "scales"),
        ({"bits": 12}, "bits"),
        ({"report": 5}, "report"),
    ],
)
def test_loading_refuses_what_it_does_not_know(edit, named):
    fields = json.loads(static().to_json()) | edit
    with pytest.raises(ValueError, match=named):
        QuantPlan.from_json(json.dumps(fields))


def test_loading_refuses_text_that_is_no_plan():
    for text in ("", "[]", "{}"):
        with pytest.raises(ValueError):
            QuantPlan.from_json(text)
    with pytest.raises(ValueError, match="lacks scales"):
        fields = json.loads(static().to_json())
        del fields["scales"]
        QuantPlan.from_json(json.dumps(fields))


def test_eight_bit_multipliers_are_those_that_the_cube_can_hold():
    constants = static().constants
    for group in (constants.to_grid, constants.to_x, constants.wide):
        for values in group.values():
            assert not (values.view(np.uint32) & 0x1FFF).any()
    assert rounded_scale(np.float32(1 / 3)) == np.float32(np.round(2048 / 3 * 2) / 4096)
    assert constants.to_x["T0"][0] == pytest.approx(1 / 100, rel=2**-11)


def test_sixteen_bit_multipliers_are_float32():
    scales = {"A": [1 / 32639], "X": [1 / 32639], "T0": [1 / 30000]}
    wide = static(bits=16, scales=scales).constants.wide["T0"][0]
    assert wide == pytest.approx(1 / 32639 / 30000, rel=2**-22)


def test_scales_per_chunk_have_no_constants():
    with pytest.raises(ValueError, match="scales per chunk"):
        Constants.of(QuantPlan.dynamic())


def test_scales_cannot_be_changed():
    qplan = static()
    with pytest.raises(TypeError):
        qplan.scales["A"] = (1.0,)
    with pytest.raises(AttributeError):
        qplan.scales.clear()
    assert qplan.scales == {name: tuple(values) for name, values in SCALES.items()}


def test_copies_are_equal_plans():
    qplan = static()
    assert qplan.constants is qplan.constants  # what is computed on the way comes along
    for copied in (pickle.loads(pickle.dumps(qplan)), copy.deepcopy(qplan)):
        assert copied == qplan and hash(copied) == hash(qplan) and copied.text == qplan.text
        assert copied.scales == qplan.scales
    assert dataclasses.replace(qplan, report={"seen": 1}) == qplan
    assert dataclasses.asdict(qplan)["scales"] == qplan.scales


def test_a_plan_repeated_has_the_same_scales_for_more_heads():
    heads = {name: [value[0], value[0] / 2] for name, value in SCALES.items()}
    heads["X"] = [1 / 127, 1 / 100]
    qplan = static(granularity="head", scales=heads)
    assert qplan.repeated(3).groups == 6
    assert qplan.repeated(3).scales["X"] == (1 / 127, 1 / 100) * 3
    assert static().repeated(3) == static()
