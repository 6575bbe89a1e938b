// Filling and moving within the Unified Buffer: Duplicate, CreateVecIndex, Brcb, Copy, Gather,
// Gatherb, GatherMask.
#pragma once

#include "vector/elementwise.h"

namespace emulator {

using Words = TypeList<int16_t, uint16_t, half, bfloat16_t, int32_t, uint32_t, float>;

// dst = value(index of the element), index counting whole iterations.
template <typename T, typename Types, typename Value>
void run_fill(const char* name, const AscendC::LocalTensor<T>& dst, Value value, const Form& form,
              uint32_t block_stride, uint32_t repeat_stride, Site site) {
    require_type<T, Types>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const Operand to = call.operand(dst, "dst", block_stride, repeat_stride);
    call.writes(to, lanes);
    for_each_segment(lanes, std::array{to}, [&](uint32_t r, uint32_t lane, uint32_t count) {
        uint8_t* out = to.at(r, lane);
        for (uint32_t i = 0; i < count; ++i) {
            store(out + i * sizeof(T), value(uint64_t{r} * lanes.width() + lane + i));
        }
    });
    call.issue(vector_cost::kFill, lanes);
}

template <typename T>
void run_brcb(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
              int64_t repeats, const AscendC::BrcbRepeatParams& p, Site site) {
    require_type<T, Words>();
    VectorCall call("Brcb", site);
    const uint32_t times = require_range("Brcb", "repeatTime", repeats, 0, kMaxRepeats, site);
    constexpr uint32_t width = kIterationBytes / sizeof(T);
    const Lanes lanes = Lanes::bits({~0ull, ~0ull}, width, times);
    const Operand from = call.operand(src, "src");
    const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
    const Lanes sources = Lanes::counted(uint64_t{kBlocks} * times, width);
    if (times != 0 && from.base <= to.offset(times - 1, width - 1) &&
        to.base < from.base + uint64_t{kBlocks} * times * sizeof(T)) {
        fail(site, "Brcb: dst overlaps src");
    }
    call.reads(from, sources);
    call.writes(to, lanes);
    for (uint32_t r = 0; r < times; ++r) {
        for (uint32_t lane = 0; lane < width; ++lane) {
            const uint32_t index = r * kBlocks + lane / to.per_block();
            store(to.at(r, lane), load<T>(from.memory + from.base + index * sizeof(T)));
        }
    }
    call.issue(vector_cost::kFill, lanes);
}

template <typename T>
void run_copy(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
              const Form& form, const AscendC::CopyRepeatParams& p, Site site) {
    require_type<T, Words>();
    require_range("Copy", "dstRepeatSize", p.dstRepeatSize, 0, 4095, site);
    require_range("Copy", "srcRepeatSize", p.srcRepeatSize, 0, 4095, site);
    VectorCall call("Copy", site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    // In counter mode the mask counts the elements of every repeat, whose DataBlocks follow each
    // other at the block stride however many they are (documented exception).
    const bool counts = lanes.counted() && form.kind != Form::kCount;
    const auto parts = counts ? static_cast<uint32_t>(form.number) : 1;
    Operand from = call.operand(src, "src", p.srcStride,
                                counts ? kBlocks * p.srcStride : uint32_t{p.srcRepeatSize});
    Operand to = call.operand(dst, "dst", p.dstStride,
                              counts ? kBlocks * p.dstStride : uint32_t{p.dstRepeatSize});
    const auto each_part = [&](auto visit) {
        for (uint32_t part = 0; part < parts; ++part) {
            Operand source = from, target = to;
            source.base += uint64_t{part} * p.srcRepeatSize * kBlockBytes;
            target.base += uint64_t{part} * p.dstRepeatSize * kBlockBytes;
            visit(source, target);
        }
    };
    each_part([&](const Operand& source, const Operand& target) {
        call.require_no_overlap(target, source, lanes);
        call.moves_from(source, lanes);
    });
    each_part([&](const Operand&, const Operand& target) { call.moves_to(target, lanes); });
    each_part([&](const Operand& source, const Operand& target) {
        for_each_segment(lanes, std::array{target, source},
                         [&](uint32_t r, uint32_t lane, uint32_t count) {
                             call.move(target, source, r, lane, count);
                         });
    });
    const uint64_t width = lanes.width(), iterations = uint64_t{parts} * lanes.iterations();
    call.issue(vector_cost::kFill,
               counts ? Lanes::counted(iterations * width, lanes.width()) : lanes);
}

// dst[i] = element of src at byte base + offset[i].
template <typename T>
void run_gather(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                const AscendC::LocalTensor<uint32_t>& offsets, uint32_t base, const Form& form,
                uint32_t repeat_stride, Site site) {
    require_type<T, Words>();
    VectorCall call("Gather", site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const Operand from = call.operand(src, "src");
    const Operand index = call.operand(offsets, "srcOffset");
    const Operand to = call.operand(dst, "dst", 1, repeat_stride);
    for_each_segment(lanes, std::array{to}, [&](uint32_t r, uint32_t lane, uint32_t count) {
        const uint64_t first = (uint64_t{r} * lanes.width() + lane) * sizeof(uint32_t);
        call.reads_bytes(index, index.base + first, {0, uint64_t{count} * sizeof(uint32_t)});
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t offset =
                uint64_t{base} + load<uint32_t>(index.memory + index.base + first + i * 4);
            if (offset % sizeof(T) != 0) {
                fail(site, "Gather: offset %llu of element %u is not a multiple of %u bytes",
                     static_cast<unsigned long long>(offset), lane + i,
                     static_cast<unsigned>(sizeof(T)));
            }
            call.reads_bytes(from, from.base + offset, {0, sizeof(T)});
        }
    });
    call.writes(to, lanes);
    for_each_segment(lanes, std::array{to}, [&](uint32_t r, uint32_t lane, uint32_t count) {
        for (uint32_t i = lane; i < lane + count; ++i) {
            const uint64_t at = (uint64_t{r} * lanes.width() + i) * sizeof(uint32_t);
            const uint64_t offset = uint64_t{base} + load<uint32_t>(index.memory + index.base + at);
            store(to.at(r, i), load<T>(from.memory + from.base + offset));
        }
    });
    call.issue(vector_cost::kGather, lanes);
}

// DataBlock i of dst = DataBlock of src at byte offset[i].
template <typename T>
void run_gather_blocks(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                       const AscendC::LocalTensor<uint32_t>& offsets, int64_t repeats,
                       const AscendC::GatherRepeatParams& p, Site site) {
    require_type<T, ByArch<TypeList<uint16_t, uint32_t>, Words>>();
    VectorCall call("Gatherb", site);
    const uint32_t times = require_range("Gatherb", "repeatTime", repeats, 0, kMaxRepeats, site);
    const Lanes lanes = Lanes::bits({~0ull, ~0ull}, kIterationBytes / sizeof(T), times);
    const Operand from = call.operand(src, "src");
    const Operand index = call.operand(offsets, "offset");
    const uint32_t stride = std::max<uint32_t>(1, p.dstBlkStride);
    const Operand to = call.operand(dst, "dst", stride, p.dstRepStride);
    if (times != 0) call.reads_bytes(index, index.base, {0, uint64_t{times} * kBlocks * 4});
    const auto source = [&](uint32_t block) {
        return from.base + load<uint32_t>(index.memory + index.base + block * 4);
    };
    for (uint32_t block = 0; block < times * kBlocks; ++block) {
        if (source(block) % kBlockBytes != 0) {
            fail(site, "Gatherb: block %u starts at address %llu, not a multiple of 32", block,
                 static_cast<unsigned long long>(source(block)));
        }
        call.reads_bytes(from, source(block), {0, kBlockBytes});
    }
    call.writes(to, lanes);
    for (uint32_t block = 0; block < times * kBlocks; ++block) {
        std::memmove(to.at(block / kBlocks, block % kBlocks * to.per_block()),
                     from.memory + source(block), kBlockBytes);
    }
    call.issue(vector_cost::kGatherBlocks, lanes);
}

// Packs the elements whose mask bit is 1; the bits come from a built-in pattern (1-7) or a tensor.
template <typename T, typename Pattern>
uint64_t run_gather_mask(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                         const Pattern& pattern, bool counter, uint32_t mask,
                         const AscendC::GatherMaskParams& p, Site site) {
    constexpr bool built_in = std::is_integral_v<Pattern>;
    require_type<T, Words>();
    VectorCall call("GatherMask", site);
    constexpr uint32_t width = kIterationBytes / sizeof(T);
    const uint32_t length = counter ? mask : width;
    const uint32_t times =
        require_range("GatherMask", "repeatTimes", p.repeatTimes, 0, UINT16_MAX, site);
    const Operand from = call.operand(src, "src0", p.src0BlockStride, p.src0RepeatStride);
    const Operand to = call.operand(dst, "dst");
    Operand bits;
    if constexpr (built_in) {
        require_range("GatherMask", "src1Pattern", pattern, 1, 7, site);
    } else {
        bits = call.operand(pattern, "src1Pattern");
        if (sizeof(typename Pattern::PrimType) != sizeof(T)) {
            fail(site, "GatherMask: src1Pattern must have elements of %u bytes, as src0",
                 static_cast<unsigned>(sizeof(T)));
        }
    }
    const auto chosen = [&](uint32_t r, uint32_t lane) {
        if constexpr (built_in) {
            constexpr uint8_t patterns[] = {0, 0x5, 0xa, 0x1, 0x2, 0x4, 0x8, 0xf};
            return (patterns[pattern] >> (lane % 4) & 1) != 0;
        } else {
            const uint8_t* row =
                bits.memory + bits.base + uint64_t{r} * p.src1RepeatStride * kBlockBytes;
            return (row[lane / 8] >> (lane % 8) & 1) != 0;
        }
    };
    std::vector<T> kept;
    for (uint32_t r = 0; r < times; ++r) {
        if constexpr (!built_in) {
            call.reads_bytes(bits, bits.base + uint64_t{r} * p.src1RepeatStride * kBlockBytes,
                             {0, (length + 7) / 8});
        }
        for (uint32_t lane = 0; lane < length; lane += from.per_block()) {
            const uint32_t count = std::min(from.per_block(), length - lane);
            call.reads_bytes(from, from.offset(r, lane), {0, uint64_t{count} * sizeof(T)});
        }
        for (uint32_t lane = 0; lane < length; ++lane) {
            if (chosen(r, lane)) kept.push_back(load<T>(from.at(r, lane)));
        }
    }
    if (!kept.empty()) call.writes_bytes(to, to.base, {0, kept.size() * sizeof(T)});
    for (size_t i = 0; i < kept.size(); ++i) {
        store(to.memory + to.base + i * sizeof(T), kept[i]);
    }
    call.state().counter_mode = false;
    call.issue(vector_cost::kGatherMask,
               Lanes::counted(uint64_t{times} * ((length + width - 1) / width) * width, width));
    return kept.size();
}

}  // namespace emulator

namespace AscendC {

using IndexTypes = emulator::TypeList<int16_t, half, int32_t, float>;

template <typename T>
void Duplicate(const LocalTensor<T>& dst, const T& scalarValue, const int32_t& count,
               Site site = Site::here()) {
    emulator::run_fill<T, emulator::Words>(
        "Duplicate", dst, [&](uint64_t) { return scalarValue; }, emulator::Form::first(count), 1, 8,
        site);
}
template <typename T, bool isSetMask = true, typename Mask>
void Duplicate(const LocalTensor<T>& dst, const T& scalarValue, Mask mask, int64_t repeatTime,
               emulator::Field16 dstBlockStride, emulator::Field8 dstRepeatStride,
               Site site = Site::here()) {
    emulator::run_fill<T, emulator::Words>(
        "Duplicate", dst, [&](uint64_t) { return scalarValue; },
        emulator::Form::masked(isSetMask, mask, repeatTime), dstBlockStride, dstRepeatStride, site);
}

// dst[i] = firstValue + i.
template <typename T>
void CreateVecIndex(const LocalTensor<T>& dst, const T& firstValue, uint32_t count,
                    Site site = Site::here()) {
    const double first = static_cast<double>(emulator::widen(firstValue));
    emulator::run_fill<T, IndexTypes>(
        "CreateVecIndex", dst,
        [&](uint64_t i) { return static_cast<T>(first + static_cast<double>(i)); },
        emulator::Form::first(count), 1, 8, site);
}
template <typename T, typename Mask>
void CreateVecIndex(const LocalTensor<T>& dst, const T& firstValue, Mask mask, int64_t repeatTime,
                    emulator::Field16 dstBlkStride, emulator::Field8 dstRepStride,
                    Site site = Site::here()) {
    const double first = static_cast<double>(emulator::widen(firstValue));
    emulator::run_fill<T, IndexTypes>(
        "CreateVecIndex", dst,
        [&](uint64_t i) { return static_cast<T>(first + static_cast<double>(i)); },
        emulator::Form::masked(true, mask, repeatTime), dstBlkStride, dstRepStride, site);
}

// Element i of src fills DataBlock i of dst.
template <typename T>
void Brcb(const LocalTensor<T>& dst, const LocalTensor<T>& src, int64_t repeatTime,
          const BrcbRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_brcb(dst, src, repeatTime, repeatParams, site);
}

template <typename T, bool isSetMask = true, typename Mask>
void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, Mask mask, int64_t repeatTime,
          const CopyRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_copy(dst, src, emulator::Form::masked(isSetMask, mask, repeatTime), repeatParams,
                       site);
}
template <typename T, bool isSetMask = true>
EMULATOR_ONLY_ON_3510("Copy with a count")
void Copy(const LocalTensor<T>& dst, const LocalTensor<T>& src, const uint32_t count,
          Site site = Site::here()) {
    emulator::run_copy(dst, src, emulator::Form::first(count), CopyRepeatParams(), site);
}

template <typename T>
void Gather(const LocalTensor<T>& dst, const LocalTensor<T>& src,
            const LocalTensor<uint32_t>& srcOffset, const uint32_t srcBaseOffset,
            const uint32_t count, Site site = Site::here()) {
    emulator::run_gather(dst, src, srcOffset, srcBaseOffset, emulator::Form::first(count), 8, site);
}
template <typename T, typename Mask>
void Gather(const LocalTensor<T>& dst, const LocalTensor<T>& src,
            const LocalTensor<uint32_t>& srcOffset, const uint32_t srcBaseOffset, Mask mask,
            int64_t repeatTime, emulator::Field16 dstRepStride, Site site = Site::here()) {
    emulator::run_gather(dst, src, srcOffset, srcBaseOffset,
                         emulator::Form::masked(true, mask, repeatTime), dstRepStride, site);
}
template <typename T>
void Gatherb(const LocalTensor<T>& dst, const LocalTensor<T>& src,
             const LocalTensor<uint32_t>& offset, int64_t repeatTime,
             const GatherRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_gather_blocks(dst, src, offset, repeatTime, repeatParams, site);
}
template <typename T>
void GatherMask(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const uint8_t src1Pattern,
                const bool reduceMode, const uint32_t mask, const GatherMaskParams& params,
                uint64_t& rsvdCnt, Site site = Site::here()) {
    rsvdCnt = emulator::run_gather_mask(dst, src0, src1Pattern, reduceMode, mask, params, site);
}
template <typename T, typename U>
void GatherMask(const LocalTensor<T>& dst, const LocalTensor<T>& src0,
                const LocalTensor<U>& src1Pattern, const bool reduceMode, const uint32_t mask,
                const GatherMaskParams& params, uint64_t& rsvdCnt, Site site = Site::here()) {
    rsvdCnt = emulator::run_gather_mask(dst, src0, src1Pattern, reduceMode, mask, params, site);
}

}  // namespace AscendC
