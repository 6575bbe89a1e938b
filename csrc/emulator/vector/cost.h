// Cost of vector instructions, in cycles of the vector clock.
//
// An instruction occupies the vector pipe for its head and then for every iteration of 256 bytes;
// its result is visible kVectorLatency cycles later.
//   elements per cycle: public Ascend C documentation, "theoretical performance of vector
//     instructions", tables 3-13 (dav-2201). dav-3510 states none for this API; the same figures
//     are assumed there.
//   head, kVectorLatency: the public cost table of the PyPTO framework (operation/cycles.h), which
//     charges every instruction its head, and 18 cycles for a barrier of the vector pipe. Where
//     that table is silent (And, Cast, Select, Gather, ...) the head is Costs::vector_head.
// Conflicts between banks of the Unified Buffer are not modelled: they can halve the rate.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/trace.h"
#include "vector/state.h"

namespace emulator {

constexpr double kVectorLatency = 18;
constexpr double kMaskWrite = 1;  // SetVectorMask, SetMaskCount, ...: documented, one cycle each

constexpr double kAssumedHead = 0;

struct VectorCost {
    double per_cycle_16;  // elements per cycle, widest operand of 8 or 16 bits
    double per_cycle_32;  // widest operand of 32 bits
    double head;          // kAssumedHead: Costs::vector_head

    double per_cycle(uint32_t width) const {
        // 64-bit operands: half the rate of 32-bit ones (documented for Cast only).
        return width >= 128 ? per_cycle_16 : width == 64 ? per_cycle_32 : per_cycle_32 / 2;
    }
    // `iterations` of `width` elements each; a partly masked iteration costs a whole one.
    // `extra` cycles are spent on what else the call does.
    Work work(const Lanes& lanes, double extra) const {
        const double cycles =
            lanes.iterations() * std::max(1.0, lanes.width() / per_cycle(lanes.width()));
        return {head == kAssumedHead ? &Costs::vector_head : nullptr,
                0,
                nullptr,
                nullptr,
                head + cycles + extra,
                kVectorLatency};
    }
};

namespace vector_cost {
constexpr VectorCost kAdd = {128, 64, 6};  // also Sub, Adds, Abs, Relu
constexpr VectorCost kMul = {128, 64, 7};  // also Muls
constexpr VectorCost kMax = {128, 64, 4};  // also Min, Maxs, Mins
constexpr VectorCost kDiv = {32, 32, 13};
constexpr VectorCost kExp = {32, 32, 12};  // also Ln
constexpr VectorCost kSqrt = {32, 32, 13};
constexpr VectorCost kReciprocal = {128, 64, 5};        // also Rsqrt
constexpr VectorCost kLogic = {128, 64, kAssumedHead};  // And, Or, Not, shifts
constexpr VectorCost kMulAddDst = {64, 32, 7};
constexpr VectorCost kFused = {128, 64, 7};  // Axpy, FusedMulAdd, MulAddRelu
constexpr VectorCost kCast = {128, 64, kAssumedHead};
constexpr VectorCost kCompare = {128, 64, kAssumedHead};  // also Select
constexpr VectorCost kFill = {128, 64, kAssumedHead};     // Duplicate, CreateVecIndex, Copy, Brcb
constexpr VectorCost kTranspose = {128, 64, kAssumedHead};
constexpr VectorCost kGather = {5, 5, kAssumedHead};
constexpr VectorCost kGatherBlocks = {42, 21, kAssumedHead};
constexpr VectorCost kGatherMask = {64, 32, kAssumedHead};
constexpr VectorCost kReduceBlock = {128.0 / 7, 64, kAssumedHead};
constexpr VectorCost kReducePair = {128, 64, kAssumedHead};
constexpr VectorCost kReduceRepeatSum = {128.0 / 7, 64.0 / 7, 20};
constexpr VectorCost kReduceRepeatMax = {128.0 / 7, 64.0 / 7, 8};
}  // namespace vector_cost

}  // namespace emulator
