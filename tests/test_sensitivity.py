"""Costs by name, launches priced again at other costs, and the ranges that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch

from neumann_tril import emulator, plan_for, testing
from neumann_tril.emulator import Cost, Recording
from neumann_tril.native import dense_chunks
from neumann_tril.sensitivity import Study, choices, study

F16 = torch.float16
MATRICES = testing.chunk_matrices("qwen3.5-0.8b rho 0.7", 64, 60, dtype=F16)
COSTS = {cost.name: cost for cost in emulator.costs()}
OPEN = [name for name, cost in COSTS.items() if choices(cost)]


def launch() -> tuple[torch.Tensor, float]:
    """The kernel's result and its modelled time in us."""
    X = torch.empty_like(MATRICES)
    plan = plan_for(64, "exact", F16)
    report = emulator.inverse(MATRICES, X, plan, F16, dense_chunks(MATRICES, X))
    return X, report.time_us


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    with emulator.options(record=1):
        launch()
    with Recording() as found:
        yield found


@pytest.fixture(scope="module")
def baseline() -> Iterator[Recording]:
    with emulator.options(record=1):
        emulator.peer_baseline(MATRICES)
    with Recording() as found:
        yield found


@pytest.fixture(scope="module")
def ranges(recording: Recording, baseline: Recording) -> Study:
    return study(recording, baseline, emulator.costs(), draws=20)


def test_every_cost_says_what_it_is_and_where_it_is_from() -> None:
    for cost in COSTS.values():
        assert cost.value > 0 and cost.unit and cost.source
        assert cost.evidence in ("published", "calibrated", "assumed")
    assert (COSTS["gm_read_latency"].second, COSTS["gm_write_latency"].second) == (347, 203)
    assert COSTS["cross_core_ns"] == Cost(
        "cross_core_ns", 200, "ns", "assumed", "CrossCoreSetFlag to CrossCoreWaitFlag", 0
    )


def test_chips_differ_in_their_tables() -> None:
    larger = {cost.name: cost.value for cost in emulator.costs("Ascend910B2")}
    assert larger["hbm_bytes_per_ns"] == 2 * COSTS["hbm_bytes_per_ns"].value
    assert not any(cost.second for cost in emulator.costs("Ascend950PR_9599"))
    with pytest.raises(ValueError, match="soc must be one of"):
        emulator.costs("Ascend310")


def test_a_launch_and_its_recording_agree_at_all_costs(recording: Recording) -> None:
    X, base = launch()
    assert recording.time_us() == base
    changes = {"mte1_gap": 8, "launch_ns": 3000.5, "vector_head": 12}
    with emulator.options(costs=changes):
        other, slower = launch()
    assert recording.time_us(changes) == slower > base
    assert torch.equal(X, other)
    assert launch()[1] == base


def test_launch_time_is_added_as_it_is(recording: Recording) -> None:
    base = COSTS["launch_ns"].value
    for launch_ns in (base / 2, base * 2):
        longer = recording.time_us({"launch_ns": launch_ns}) - recording.time_us()
        assert longer == pytest.approx((launch_ns - base) / 1e3, abs=1e-6)


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_far_off_moves_the_time_the_right_way(recording: Recording, name: str) -> None:
    """A hundred times the cost is slower, or no different where the kernel has no use for it;
    where the cost is a rate, a hundredth of it."""
    is_rate = "/" in COSTS[name].unit
    worse = COSTS[name].value * (0.01 if is_rate else 100)
    assert recording.time_us({name: worse}) >= recording.time_us()


@pytest.mark.parametrize("changes, message", [
    ({"gm_gpa": 1}, 'unknown cost "gm_gpa"; known: cube_k_b4, '),
    ({"gm_gap": 0}, 'cost gm_gap is "0"; accepted: a finite number above 0'),
    ({"gm_gap": -2.5}, 'cost gm_gap is "-2.5"'),
    ({"gm_gap": float("nan")}, 'cost gm_gap is "nan"'),
    ({"mte1_gap": 4, "gm_gap": float("inf")}, 'cost gm_gap is "inf"'),
])  # fmt: skip
def test_what_is_no_cost_is_refused(
    recording: Recording, changes: Mapping[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message), emulator.options(costs=changes):
        pass
    with pytest.raises(ValueError, match=message):
        recording.time_us(changes)


def test_a_launch_that_was_not_recorded_is_refused() -> None:
    launch()
    with pytest.raises(ValueError, match="was not recorded: set the option record"):
        Recording()


def test_every_open_cost_is_tried(ranges: Study) -> None:
    assert {swing.cost.name for swing in ranges.swings} == set(OPEN)
    for swing in ranges.swings:
        values = [priced.table[swing.cost.name] for priced in swing.priced]
        if swing.cost.evidence == "published":
            assert values == [swing.cost.second]
        else:
            assert values == [swing.cost.value / 2, swing.cost.value * 2]
    assert len(ranges.joint) == 20 and all(set(draw.table) == set(OPEN) for draw in ranges.joint)


def test_swings_come_widest_first(ranges: Study) -> None:
    widths = [high - low for low, high in (s.time_range(ranges.base) for s in ranges.swings)]
    assert widths == sorted(widths, reverse=True) and widths[0] > 0


def test_ranges_hold_all_that_was_tried(ranges: Study, recording: Recording) -> None:
    low, high = ranges.time_range
    single_low, single_high = ranges.single_time_range
    assert low <= single_low < recording.time_us() == ranges.base.time_us < single_high <= high
    assert ranges.ratio_range is not None and ranges.baseline_range is not None
    for priced in ranges.singles + ranges.joint:
        assert low <= priced.time_us <= high
        assert priced.ratio is not None and priced.baseline_us is not None
        assert priced.ratio == priced.baseline_us / priced.time_us
        assert ranges.ratio_range[0] <= priced.ratio <= ranges.ratio_range[1]
        assert ranges.baseline_range[0] <= priced.baseline_us <= ranges.baseline_range[1]


def test_both_kernels_are_priced_at_the_same_costs(
    ranges: Study, recording: Recording, baseline: Recording
) -> None:
    draw = ranges.joint[7]
    assert draw.time_us == recording.time_us(draw.table)
    assert draw.baseline_us == baseline.time_us(draw.table)


def test_the_same_draws_again(ranges: Study, recording: Recording) -> None:
    alone = study(recording, None, emulator.costs(), draws=20)
    assert [d.time_us for d in alone.joint] == [d.time_us for d in ranges.joint]
    assert alone.ratio_range is None and alone.baseline_range is None
    other = study(recording, None, emulator.costs(), draws=20, seed=1)
    assert [d.time_us for d in other.joint] != [d.time_us for d in ranges.joint]
