// Reductions: within a DataBlock, an iteration, pairs of neighbours, or over everything.
//
// Sums follow a binary tree of neighbours, each node rounded to the element type (documented).
// Elements outside the mask take no part.
#pragma once

#include <optional>

#include "vector/elementwise.h"

namespace emulator {

using AscendC::ReduceOrder;
using AscendC::ReduceType;

// The value of a reduction and, for MAX and MIN, the first index that holds it.
template <typename T>
struct Reduced {
    T value;
    uint32_t index;
};

template <ReduceType type, typename T>
Reduced<T> combine(const Reduced<T>& a, const Reduced<T>& b, Overflow overflow) {
    const float x = static_cast<float>(a.value), y = static_cast<float>(b.value);
    if constexpr (type == ReduceType::SUM) {
        return {narrow<T>(x + y, overflow), 0};
    } else {
        const bool keep_first = x != x || (y == y && (type == ReduceType::MAX ? x >= y : x <= y));
        return keep_first ? a : b;
    }
}

template <typename T>
void keep_result(VectorState& state, const Reduced<T>& result) {
    state.reduced_value = static_cast<float>(result.value);
    state.reduced_index = result.index;
}

// Reduces the elements first .. first + count - 1 of an iteration; empty when none is active.
template <ReduceType type, typename T>
std::optional<Reduced<T>> reduce_range(const Operand& from, const Lanes& lanes, uint32_t iteration,
                                       uint32_t first, uint32_t count, Overflow overflow) {
    if (count == 1) {
        if (!lanes.active(iteration, first)) return std::nullopt;
        return Reduced<T>{load<T>(from.at(iteration, first)), first};
    }
    const auto left = reduce_range<type, T>(from, lanes, iteration, first, count / 2, overflow);
    const auto right =
        reduce_range<type, T>(from, lanes, iteration, first + count / 2, count / 2, overflow);
    if (!left || !right) return left ? left : right;
    return combine<type>(*left, *right, overflow);
}

// How the result of one iteration lies in dst: bytes, and the unit of dstRepStride.
template <typename T>
uint32_t result_bytes(ReduceType type, ReduceOrder order) {
    if (type == ReduceType::SUM || order == ReduceOrder::ORDER_ONLY_VALUE) return sizeof(T);
    return order == ReduceOrder::ORDER_ONLY_INDEX ? 4 : 2 * sizeof(T);
}

template <typename T>
void store_reduced(uint8_t* to, const Reduced<T>& result, ReduceType type, ReduceOrder order) {
    const auto store_index = [&](uint8_t* place) {
        if constexpr (sizeof(T) == 2) {
            store(place, static_cast<uint16_t>(result.index));
        } else {
            store(place, result.index);
        }
    };
    if (type == ReduceType::SUM || order == ReduceOrder::ORDER_ONLY_VALUE) {
        store(to, result.value);
    } else if (order == ReduceOrder::ORDER_ONLY_INDEX) {
        store(to, result.index);
    } else if (order == ReduceOrder::ORDER_VALUE_INDEX) {
        store(to, result.value);
        store_index(to + sizeof(T));
    } else {
        store_index(to);
        store(to + sizeof(T), result.value);
    }
}

struct ReduceStrides {
    uint32_t dst_repeat, src_block, src_repeat;
    ReduceStrides(const char* name, int64_t dst_repeat_, int64_t src_block_, int64_t src_repeat_,
                  Site site)
        : dst_repeat(require_range(name, "dstRepStride", dst_repeat_, 0, UINT16_MAX, site)),
          src_block(require_range(name, "srcBlkStride", src_block_, 0, UINT16_MAX, site)),
          src_repeat(require_range(name, "srcRepStride", src_repeat_, 0, UINT16_MAX, site)) {}
};

// One result per iteration.
template <ReduceType type, typename T>
void run_reduce_repeat(const char* name, const AscendC::LocalTensor<T>& dst,
                       const AscendC::LocalTensor<T>& src, const Form& form,
                       const ReduceStrides& strides, ReduceOrder order, Site site) {
    require_type<T, Reals>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const uint32_t bytes = result_bytes<T>(type, order);
    const Operand from = call.operand(src, "src", strides.src_block, strides.src_repeat);
    const Operand to = call.operand(dst, "dst", 1, 8, bytes);
    call.reads(from, lanes);
    const uint64_t step = uint64_t{strides.dst_repeat} * bytes;
    if (!lanes.empty()) {
        call.writes_bytes(to, to.base, {0, bytes, lanes.iterations(), static_cast<int64_t>(step)});
    }
    std::optional<Reduced<T>> best;  // over all iterations
    for (uint32_t r = 0; r < lanes.iterations(); ++r) {
        const auto result =
            reduce_range<type, T>(from, lanes, r, 0, lanes.width(), call.overflow());
        if (!result) continue;
        store_reduced(to.memory + to.base + r * step, *result, type, order);
        const Reduced<T> here{result->value, result->index + r * lanes.width()};
        best = best ? combine<type>(*best, here, call.overflow()) : here;
    }
    if (best && type != ReduceType::SUM) keep_result(call.state(), *best);
    call.issue(
        type == ReduceType::SUM ? vector_cost::kReduceRepeatSum : vector_cost::kReduceRepeatMax,
        lanes);
}

// One result per group of `group` elements (a DataBlock, or 2); dst packs the groups of an
// iteration.
template <ReduceType type, typename T>
void run_reduce_groups(const char* name, const AscendC::LocalTensor<T>& dst,
                       const AscendC::LocalTensor<T>& src, uint32_t group, const Form& form,
                       const ReduceStrides& strides, const VectorCost& cost, Site site) {
    require_type<T, Reals>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const uint32_t groups = lanes.width() / group;
    const uint32_t bytes = groups * sizeof(T);  // of one iteration's results
    const Operand from = call.operand(src, "src", strides.src_block, strides.src_repeat);
    const Operand to = call.operand(dst, "dst", 1, 8, std::min(bytes, kBlockBytes));
    call.reads(from, lanes);
    std::vector<std::pair<uint64_t, T>> results;
    for (uint32_t r = 0; r < lanes.iterations(); ++r) {
        for (uint32_t g = 0; g < groups; ++g) {
            auto result = reduce_range<type, T>(from, lanes, r, g * group, group, call.overflow());
            if (!result && __NPU_ARCH__ == 3510) {
                const float infinity = std::numeric_limits<float>::infinity();
                result = Reduced<T>{static_cast<T>(type == ReduceType::SUM   ? 0.0f
                                                   : type == ReduceType::MAX ? -infinity
                                                                             : infinity),
                                    0};
            }
            if (!result) continue;
            const uint64_t at = uint64_t{r} * strides.dst_repeat * bytes + g * sizeof(T);
            call.writes_bytes(to, to.base + at, {0, sizeof(T)});
            results.emplace_back(at, result->value);
        }
    }
    for (const auto& [at, value] : results) store(to.memory + to.base + at, value);
    call.issue(cost, lanes);
}

// One result over all iterations. The count form adds iterations in order, the repeat form by trees
// of trees (dav-2201). `scratch` holds intermediate results and loses its content.
template <ReduceType type, typename T>
void run_reduce_all(const char* name, const AscendC::LocalTensor<T>& dst,
                    const AscendC::LocalTensor<T>& src, const AscendC::LocalTensor<T>& scratch,
                    const Form& form, uint32_t src_repeat, bool with_index, Site site) {
    require_type<T, Reals>();
    VectorCall call(name, site);
    Form limited = form;
    const bool counts = form.kind == Form::kCount;
    const uint32_t repeats =
        counts ? 1 : require_range(name, "repeatTime", form.number, 0, INT32_MAX, site);
    if (!counts) limited.number = std::min<int64_t>(form.number, kMaxRepeats);
    Lanes lanes = call.lanes(limited, sizeof(T));
    if (!counts && !lanes.counted()) lanes = Lanes::bits(call.state().mask, lanes.width(), repeats);
    if (lanes.empty()) return call.issue(vector_cost::kAdd, lanes);
    const uint32_t bytes = (with_index ? 2 : 1) * sizeof(T);
    const Operand from = call.operand(src, "src", 1, src_repeat);
    const Operand temporary = call.operand(scratch, "sharedTmpBuffer");
    const Operand to = call.operand(dst, "dst", 1, 8, bytes);
    call.reads(from, lanes);
    const Overflow overflow = call.overflow();
    std::vector<Reduced<T>> partial;
    for (uint32_t r = 0; r < lanes.iterations(); ++r) {
        auto result = reduce_range<type, T>(from, lanes, r, 0, lanes.width(), overflow);
        if (!result) continue;
        result->index += r * lanes.width();
        partial.push_back(*result);
    }
    if (type != ReduceType::SUM || !counts) {
        const uint64_t elements = partial.size() * (type == ReduceType::SUM ? 1 : 2);
        const uint64_t used = (elements * sizeof(T) + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
        call.writes_bytes(temporary, temporary.base, {0, used});
        std::memset(temporary.memory + temporary.base, kPoison, used);
    }
    Reduced<T> total = partial[0];
    if (counts || type != ReduceType::SUM) {
        for (size_t i = 1; i < partial.size(); ++i)
            total = combine<type>(total, partial[i], overflow);
    } else {
        while (partial.size() > 1) {
            std::vector<Reduced<T>> next;
            for (size_t i = 0; i < partial.size(); i += 2) {
                next.push_back(i + 1 < partial.size()
                                   ? combine<type>(partial[i], partial[i + 1], overflow)
                                   : partial[i]);
            }
            partial.swap(next);
        }
        total = partial[0];
    }
    keep_result(call.state(), total);
    call.writes_bytes(to, to.base, {0, bytes});
    store_reduced(to.memory + to.base, total, type,
                  with_index ? ReduceOrder::ORDER_VALUE_INDEX : ReduceOrder::ORDER_ONLY_VALUE);
    // A second and third pass over the partial results, each behind a barrier of the vector pipe.
    const double passes = 2 * (kVectorLatency + vector_cost::kReduceRepeatSum.head);
    call.issue(vector_cost::kReduceRepeatSum, lanes, passes);
}

}  // namespace emulator

namespace AscendC {

#define EMULATOR_REDUCE_PARAMETERS(U)                                                        \
    const LocalTensor<T>&dst, const LocalTensor<U>&src, Mask mask, const int32_t repeatTime, \
        const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride

template <ReduceType type, typename T, typename U, bool isSetMask = true, typename Mask>
void ReduceRepeat(EMULATOR_REDUCE_PARAMETERS(U), ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX,
                  Site site = Site::here()) {
    static_assert(std::is_same_v<T, U>, "ReduceRepeat: source and destination differ in type");
    emulator::run_reduce_repeat<type>(
        "ReduceRepeat", dst, src, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"ReduceRepeat", dstRepStride, srcBlkStride, srcRepStride, site}, order, site);
}
template <ReduceType type, typename T, typename U, bool isSetMask = true, typename Mask>
void ReduceDataBlock(EMULATOR_REDUCE_PARAMETERS(U), Site site = Site::here()) {
    static_assert(std::is_same_v<T, U>, "ReduceDataBlock: source and destination differ in type");
    emulator::run_reduce_groups<type>(
        "ReduceDataBlock", dst, src, 32 / sizeof(T),
        emulator::Form::masked(isSetMask, mask, repeatTime),
        {"ReduceDataBlock", dstRepStride, srcBlkStride, srcRepStride, site},
        emulator::vector_cost::kReduceBlock, site);
}
template <ReduceType type, typename T, typename U, bool isSetMask = true, typename Mask>
void ReducePairElem(EMULATOR_REDUCE_PARAMETERS(U), Site site = Site::here()) {
    static_assert(type == ReduceType::SUM && std::is_same_v<T, U>, "ReducePairElem: sums only");
    emulator::run_reduce_groups<type>(
        "ReducePairElem", dst, src, 2, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"ReducePairElem", dstRepStride, srcBlkStride, srcRepStride, site},
        emulator::vector_cost::kReducePair, site);
}

// The former names of the three functions above. Block and pair reductions had mask and repeatTime
// the other way round.
template <typename T, bool isSetMask = true, typename Mask>
void WholeReduceSum(EMULATOR_REDUCE_PARAMETERS(T), Site site = Site::here()) {
    emulator::run_reduce_repeat<ReduceType::SUM>(
        "WholeReduceSum", dst, src, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"WholeReduceSum", dstRepStride, srcBlkStride, srcRepStride, site},
        ReduceOrder::ORDER_ONLY_VALUE, site);
}
template <typename T, bool isSetMask = true, typename Mask>
void WholeReduceMax(EMULATOR_REDUCE_PARAMETERS(T),
                    ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX, Site site = Site::here()) {
    emulator::run_reduce_repeat<ReduceType::MAX>(
        "WholeReduceMax", dst, src, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"WholeReduceMax", dstRepStride, srcBlkStride, srcRepStride, site}, order, site);
}
template <typename T, bool isSetMask = true, typename Mask>
void WholeReduceMin(EMULATOR_REDUCE_PARAMETERS(T),
                    ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX, Site site = Site::here()) {
    emulator::run_reduce_repeat<ReduceType::MIN>(
        "WholeReduceMin", dst, src, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"WholeReduceMin", dstRepStride, srcBlkStride, srcRepStride, site}, order, site);
}
// The older name of a sum per iteration; dstBlkStride says nothing.
template <typename T, bool isSetMask = true>
void RepeatReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t repeatTime,
                     const int32_t mask, const int32_t dstBlkStride, const int32_t srcBlkStride,
                     const int32_t dstRepStride, const int32_t srcRepStride,
                     Site site = Site::here()) {
    (void)dstBlkStride;
    emulator::run_reduce_repeat<ReduceType::SUM>(
        "RepeatReduceSum", dst, src, emulator::Form::masked(isSetMask, mask, repeatTime),
        {"RepeatReduceSum", dstRepStride, srcBlkStride, srcRepStride, site},
        ReduceOrder::ORDER_ONLY_VALUE, site);
}
#undef EMULATOR_REDUCE_PARAMETERS

#define EMULATOR_GROUP_REDUCE(Name, TYPE, GROUP, COST)                                            \
    template <typename T, bool isSetMask = true, typename Mask>                                   \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t repeatTime,     \
              Mask mask, const int32_t dstRepStride, const int32_t srcBlkStride,                  \
              const int32_t srcRepStride, Site site = Site::here()) {                             \
        emulator::run_reduce_groups<ReduceType::TYPE>(                                            \
            #Name, dst, src, GROUP, emulator::Form::masked(isSetMask, mask, repeatTime),          \
            {#Name, dstRepStride, srcBlkStride, srcRepStride, site}, emulator::vector_cost::COST, \
            site);                                                                                \
    }
EMULATOR_GROUP_REDUCE(BlockReduceSum, SUM, 32 / sizeof(T), kReduceBlock)
EMULATOR_GROUP_REDUCE(BlockReduceMax, MAX, 32 / sizeof(T), kReduceBlock)
EMULATOR_GROUP_REDUCE(BlockReduceMin, MIN, 32 / sizeof(T), kReduceBlock)
EMULATOR_GROUP_REDUCE(PairReduceSum, SUM, 2, kReducePair)
#undef EMULATOR_GROUP_REDUCE

template <typename T, bool isSetMask = true>
void ReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src,
               const LocalTensor<T>& sharedTmpBuffer, const int32_t count,
               Site site = Site::here()) {
    emulator::run_reduce_all<ReduceType::SUM>("ReduceSum", dst, src, sharedTmpBuffer,
                                              emulator::Form::first(count, isSetMask), 8, false,
                                              site);
}
template <typename T, typename Mask>
void ReduceSum(const LocalTensor<T>& dst, const LocalTensor<T>& src,
               const LocalTensor<T>& sharedTmpBuffer, Mask mask, const int32_t repeatTime,
               emulator::Field16 srcRepStride, Site site = Site::here()) {
    emulator::run_reduce_all<ReduceType::SUM>("ReduceSum", dst, src, sharedTmpBuffer,
                                              emulator::Form::masked(true, mask, repeatTime),
                                              srcRepStride, false, site);
}
#define EMULATOR_EXTREMUM(Name, TYPE)                                                              \
    template <typename T>                                                                          \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src,                                \
              const LocalTensor<T>& sharedTmpBuffer, const int32_t count, bool calIndex = false,   \
              Site site = Site::here()) {                                                          \
        emulator::run_reduce_all<ReduceType::TYPE>(                                                \
            #Name, dst, src, sharedTmpBuffer, emulator::Form::first(count), 8, calIndex, site);    \
    }                                                                                              \
    template <typename T, typename Mask>                                                           \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src,                                \
              const LocalTensor<T>& sharedTmpBuffer, Mask mask, const int32_t repeatTime,          \
              emulator::Field16 srcRepStride, bool calIndex = false, Site site = Site::here()) {   \
        emulator::run_reduce_all<ReduceType::TYPE>(#Name, dst, src, sharedTmpBuffer,               \
                                                   emulator::Form::masked(true, mask, repeatTime), \
                                                   srcRepStride, calIndex, site);                  \
    }
EMULATOR_EXTREMUM(ReduceMax, MAX)
EMULATOR_EXTREMUM(ReduceMin, MIN)
#undef EMULATOR_EXTREMUM

// The result of the last ReduceSum (count form), and of the last maximum or minimum.
template <typename T>
T GetReduceRepeatSumSpr() {
    return static_cast<T>(emulator::vector_state().reduced_value);
}
template <typename T>
EMULATOR_ONLY_ON_2201("GetReduceRepeatMaxMinSpr")
void GetReduceRepeatMaxMinSpr(T& maxMinValue, T& maxMinIndex) {
    const emulator::VectorState& state = emulator::vector_state();
    maxMinValue = static_cast<T>(state.reduced_value);
    if constexpr (sizeof(T) == 2) {
        maxMinIndex = T::from_bits(static_cast<uint16_t>(state.reduced_index));
    } else {
        maxMinIndex = emulator::bit_cast<T>(state.reduced_index);
    }
}

}  // namespace AscendC
