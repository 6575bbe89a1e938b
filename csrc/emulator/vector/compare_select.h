// Compare, Compares, Select: results and masks are bits, element i in bit i % 8 of byte i / 8.
#pragma once

#include "vector/elementwise.h"

namespace emulator {

template <typename T>
bool compare(AscendC::CMPMODE mode, T a, T b) {
    switch (mode) {
        case AscendC::CMPMODE::LT:
            return a < b;
        case AscendC::CMPMODE::GT:
            return a > b;
        case AscendC::CMPMODE::EQ:
            return a == b;
        case AscendC::CMPMODE::LE:
            return a <= b;
        case AscendC::CMPMODE::GE:
            return a >= b;
        default:
            return a != b;
    }
}

using CompareTypes = ByArch<TypeList<half, float, int32_t>, WideArithmetic>;

// dst bit = src0 (mode) src1 (a tensor, or the scalar when src1 is nullptr). On dav-2201 the mask
// of the call is ignored and an iteration always compares 256 bytes.
template <typename T, typename U>
void run_compare(const char* name, const AscendC::LocalTensor<U>& dst,
                 const AscendC::LocalTensor<T>& src0, const AscendC::LocalTensor<T>* src1, T scalar,
                 AscendC::CMPMODE mode, const Form& form, const AscendC::BinaryRepeatParams& p,
                 Site site) {
    require_type<T, CompareTypes>(name, site);
    require_type<U, TypeList<int8_t, uint8_t>>(name, site);
    if (__NPU_ARCH__ == 2201 && std::is_same_v<T, int32_t> && mode != AscendC::CMPMODE::EQ) {
        fail(site, "%s of int32_t knows only CMPMODE::EQ on dav-2201", name);
    }
    if constexpr (CompareTypes::template has<T>) {
        constexpr uint32_t width = kIterationBytes / sizeof(T);
        if (form.kind == Form::kCount && form.number % width != 0) {
            fail(site,
                 "%s: count is %lld, it must fill whole iterations of %u elements (256 bytes)",
                 name, static_cast<long long>(form.number), width);
        }
        VectorCall call(name, site);
        Lanes lanes = call.lanes(form, sizeof(T));
        if (__NPU_ARCH__ == 2201 && form.kind != Form::kCount && !lanes.counted()) {
            lanes = Lanes::bits({~0ull, ~0ull}, width, lanes.iterations());
        }
        const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
        const Operand second =
            src1 == nullptr ? first : call.operand(*src1, "src1", p.src1BlkStride, p.src1RepStride);
        const Operand to = call.operand(dst, "dst");
        call.reads(first, lanes);
        if (src1 != nullptr) call.reads(second, lanes);
        const uint64_t bytes = uint64_t{lanes.iterations()} * width / 8;
        if (bytes != 0) call.writes_bytes(to, to.base, {0, bytes});
        for (uint32_t r = 0; r < lanes.iterations(); ++r) {
            for (uint32_t lane = 0; lane < width; ++lane) {
                const uint64_t index = uint64_t{r} * width + lane;
                uint8_t* byte = to.memory + to.base + index / 8;
                const uint8_t bit = static_cast<uint8_t>(1u << (index % 8));
                bool result = false;
                if (lanes.active(r, lane)) {
                    const auto a = operand_value(load<T>(first.at(r, lane)));
                    const auto b =
                        operand_value(src1 == nullptr ? scalar : load<T>(second.at(r, lane)));
                    result = compare(mode, a, b);
                }
                *byte = static_cast<uint8_t>(result ? *byte | bit : *byte & ~bit);
            }
        }
        call.issue(vector_cost::kCompare, lanes);
    }
}

using SelectTypes = ByArch<Reals, WideArithmetic>;
// Modes 1 and 2 of dav-2201 first put the address of selMask into reserved memory, which takes a
// Duplicate and two barriers of the vector pipe.
constexpr double kSelectSetup = 2 * kVectorLatency + 7;

// dst = bit of selMask ? src0 : src1 (or scalar). Mode 0 uses the same bits in every iteration.
template <typename T, typename U>
void run_select(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<U>& mask,
                const AscendC::LocalTensor<T>& src0, const AscendC::LocalTensor<T>* src1, T scalar,
                AscendC::SELMODE mode, const Form& form, const AscendC::BinaryRepeatParams& p,
                Site site) {
    require_type<T, SelectTypes>("Select", site);
    require_type<U, TypeList<uint8_t, uint16_t, uint32_t, uint64_t>>("Select", site);
    if (src1 == nullptr && mode != AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE) {
        fail(site, "Select: src1 is a scalar, selMode must be VSEL_TENSOR_SCALAR_MODE");
    }
    if (src1 != nullptr && mode == AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE) {
        fail(site, "Select: src1 is a tensor, selMode must not be VSEL_TENSOR_SCALAR_MODE");
    }
    if constexpr (SelectTypes::template has<T>) {
        const bool same_bits = mode == AscendC::SELMODE::VSEL_CMPMASK_SPR;
        constexpr uint32_t width = kIterationBytes / sizeof(T);
        VectorCall call("Select", site);
        const Lanes lanes = call.lanes(form, sizeof(T));
        const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
        const Operand second =
            src1 == nullptr ? first : call.operand(*src1, "src1", p.src1BlkStride, p.src1RepStride);
        const Operand chooser = call.operand(mask, "selMask");
        const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
        call.require_no_overlap(to, first, lanes);
        call.require_no_overlap(to, second, lanes);
        call.reads(first, lanes);
        if (src1 != nullptr) call.reads(second, lanes);
        if (!lanes.empty()) {
            const uint64_t elements = same_bits ? width : uint64_t{lanes.iterations()} * width;
            const uint64_t used = lanes.counted() && !same_bits
                                      ? uint64_t{lanes.iterations() - 1} * width +
                                            lanes.prefix(lanes.iterations() - 1)
                                      : elements;
            call.reads_bytes(chooser, chooser.base, {0, (used + 7) / 8});
        }
        call.writes(to, lanes);
        if (__NPU_ARCH__ == 2201 && !same_bits && !lanes.empty()) call.clobber_reserved(32);
        const uint8_t* bits = chooser.memory + chooser.base;
        for_each_segment(
            lanes, std::array{to, first, second}, [&](uint32_t r, uint32_t lane, uint32_t count) {
                for (uint32_t i = lane; i < lane + count; ++i) {
                    const uint64_t index = same_bits ? i : uint64_t{r} * width + i;
                    const bool chosen = (bits[index / 8] >> (index % 8) & 1) != 0;
                    const T other = src1 == nullptr ? scalar : load<T>(second.at(r, i));
                    store(to.at(r, i), chosen ? load<T>(first.at(r, i)) : other);
                }
            });
        const double setup = __NPU_ARCH__ == 2201 && !same_bits ? kSelectSetup : 0;
        call.issue(vector_cost::kCompare, lanes, setup);
    }
}

// One iteration, compared into the CMPMASK register.
template <typename T>
void run_compare_to_register(const AscendC::LocalTensor<T>& src0,
                             const AscendC::LocalTensor<T>& src1, AscendC::CMPMODE mode,
                             const Form& form, const AscendC::BinaryRepeatParams& p, Site site) {
    require_type<T, Reals>("Compare", site);
    VectorCall call("Compare", site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
    const Operand second = call.operand(src1, "src1", p.src1BlkStride, p.src1RepStride);
    call.reads(first, lanes);
    call.reads(second, lanes);
    call.state().compare_mask = {0, 0};
    call.state().compare_mask_unwritten = 0;
    lanes.runs(0, [&](uint32_t lane, uint32_t end) {
        for (; lane < end; ++lane) {
            const bool result = compare(mode, operand_value(load<T>(first.at(0, lane))),
                                        operand_value(load<T>(second.at(0, lane))));
            call.state().compare_mask[lane / 64] |= uint64_t{result} << (lane % 64);
        }
    });
    call.issue(vector_cost::kCompare, lanes);
}

// What is used of CMPMASK (a bit for each byte) must have been written where SetCmpMask found it.
inline void require_compare_mask(VectorCall& call, uint32_t used) {
    const uint32_t missing = call.state().compare_mask_unwritten & used;
    if (missing != 0) {
        fail(call.site(),
             "%s uses byte %d of CMPMASK, which SetCmpMask read where nothing has written",
             call.name(), __builtin_ctz(missing));
    }
}
inline uint32_t compare_mask_bytes(const Lanes& lanes) {
    uint32_t used = 0;
    if (lanes.empty()) return used;
    lanes.runs(0, [&](uint32_t lane, uint32_t end) {
        for (; lane < end; ++lane) used |= 1u << (lane / 8);
    });
    return used;
}

// CMPMASK to or from the first 16 bytes of a tensor. What a scalar or an address does not fill of
// them may be anything.
template <typename T>
void move_compare_mask(const char* name, const AscendC::LocalTensor<T>& tensor, bool store_it,
                       Site site) {
    VectorCall call(name, site);
    const Operand place = call.operand(tensor, store_it ? "dst" : "src", 1, 8, 16);
    uint8_t* bytes = place.memory + place.base;
    if (store_it) {
        require_compare_mask(call, 0xffff);
        call.writes_bytes(place, place.base, {0, 16});
        std::memcpy(bytes, call.state().compare_mask.data(), 16);
    } else {
        call.moves_bytes(place, place.base, 16, call.state().compare_mask_unwritten);
        std::memcpy(call.state().compare_mask.data(), bytes, 16);
    }
    call.issue(vector_cost::kCompare, Lanes::counted(0, 128));
}

// Select by CMPMASK (mode 0), under the mask registers.
template <typename T>
void run_select_by_register(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src0,
                            const AscendC::LocalTensor<T>& src1, int64_t repeats,
                            const AscendC::BinaryRepeatParams& p, Site site) {
    require_type<T, Reals>("Select", site);
    VectorCall call("Select", site);
    const Lanes lanes = call.lanes(Form::masked(false, uint64_t{0}, repeats), sizeof(T));
    const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
    const Operand second = call.operand(src1, "src1", p.src1BlkStride, p.src1RepStride);
    const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
    call.require_no_overlap(to, first, lanes);
    call.require_no_overlap(to, second, lanes);
    call.reads(first, lanes);
    call.reads(second, lanes);
    call.writes(to, lanes);
    require_compare_mask(call, compare_mask_bytes(lanes));
    const std::array<uint64_t, 2>& bits = call.state().compare_mask;
    for_each_segment(lanes, std::array{to, first, second},
                     [&](uint32_t r, uint32_t lane, uint32_t count) {
                         for (uint32_t i = lane; i < lane + count; ++i) {
                             const bool chosen = (bits[i / 64] >> (i % 64) & 1) != 0;
                             store(to.at(r, i), load<T>(chosen ? first.at(r, i) : second.at(r, i)));
                         }
                     });
    call.issue(vector_cost::kCompare, lanes);
}

inline AscendC::BinaryRepeatParams with_scalar(const AscendC::UnaryRepeatParams& p) {
    return {p.dstBlkStride, p.srcBlkStride, 1, p.dstRepStride, p.srcRepStride, 8};
}

}  // namespace emulator

namespace AscendC {

template <typename T, typename U>
void Compare(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,
             CMPMODE cmpMode, uint32_t count, Site site = Site::here()) {
    emulator::run_compare("Compare", dst, src0, &src1, T{}, cmpMode, emulator::Form::first(count),
                          BinaryRepeatParams(), site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void Compare(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,
             CMPMODE cmpMode, Mask mask, int64_t repeatTime, const BinaryRepeatParams& repeatParams,
             Site site = Site::here()) {
    emulator::run_compare("Compare", dst, src0, &src1, T{}, cmpMode,
                          emulator::Form::masked(isSetMask, mask, repeatTime), repeatParams, site);
}

// The result goes to the CMPMASK register.
template <typename T, bool isSetMask = true, typename Mask>
void Compare(const LocalTensor<T>& src0, const LocalTensor<T>& src1, CMPMODE cmpMode, Mask mask,
             const BinaryRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_compare_to_register(
        src0, src1, cmpMode, emulator::Form::masked(isSetMask, mask, 1), repeatParams, site);
}
template <typename T>
void GetCmpMask(const LocalTensor<T>& dst, Site site = Site::here()) {
    emulator::move_compare_mask("GetCmpMask", dst, true, site);
}
template <typename T>
void SetCmpMask(const LocalTensor<T>& src, Site site = Site::here()) {
    emulator::move_compare_mask("SetCmpMask", src, false, site);
}

// Comparison with a scalar, under its present and its former name.
#define EMULATOR_COMPARE_SCALAR(Name)                                                          \
    template <typename T, typename U>                                                          \
    void Name(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const T src1Scalar,       \
              CMPMODE cmpMode, uint32_t count, Site site = Site::here()) {                     \
        emulator::run_compare<T, U>(#Name, dst, src0, nullptr, src1Scalar, cmpMode,            \
                                    emulator::Form::first(count), BinaryRepeatParams(), site); \
    }                                                                                          \
    template <typename T, typename U, bool isSetMask = true, typename Mask>                    \
    void Name(const LocalTensor<U>& dst, const LocalTensor<T>& src0, const T src1Scalar,       \
              CMPMODE cmpMode, Mask mask, int64_t repeatTime,                                  \
              const UnaryRepeatParams& repeatParams, Site site = Site::here()) {               \
        emulator::run_compare<T, U>(#Name, dst, src0, nullptr, src1Scalar, cmpMode,            \
                                    emulator::Form::masked(isSetMask, mask, repeatTime),       \
                                    emulator::with_scalar(repeatParams), site);                \
    }
EMULATOR_COMPARE_SCALAR(Compares)
EMULATOR_COMPARE_SCALAR(CompareScalar)
#undef EMULATOR_COMPARE_SCALAR

template <typename T, typename U>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            const LocalTensor<T>& src1, SELMODE selMode, uint32_t count, Site site = Site::here()) {
    emulator::run_select(dst, selMask, src0, &src1, T{}, selMode, emulator::Form::first(count),
                         BinaryRepeatParams(), site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            const LocalTensor<T>& src1, SELMODE selMode, Mask mask, int64_t repeatTime,
            const BinaryRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_select(dst, selMask, src0, &src1, T{}, selMode,
                         emulator::Form::masked(isSetMask, mask, repeatTime), repeatParams, site);
}
template <typename T, typename U>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            T src1, SELMODE selMode, uint32_t count, Site site = Site::here()) {
    emulator::run_select<T, U>(dst, selMask, src0, nullptr, src1, selMode,
                               emulator::Form::first(count), BinaryRepeatParams(), site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void Select(const LocalTensor<T>& dst, const LocalTensor<U>& selMask, const LocalTensor<T>& src0,
            T src1, SELMODE selMode, Mask mask, int64_t repeatTime,
            const BinaryRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_select<T, U>(dst, selMask, src0, nullptr, src1, selMode,
                               emulator::Form::masked(isSetMask, mask, repeatTime), repeatParams,
                               site);
}

template <typename T, SELMODE selMode>
void Select(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,
            uint8_t repeatTime, const BinaryRepeatParams& repeatParams, Site site = Site::here()) {
    if (selMode != SELMODE::VSEL_CMPMASK_SPR) {
        emulator::fail(site, "Select without selMask: the emulator models VSEL_CMPMASK_SPR only");
    }
    emulator::run_select_by_register(dst, src0, src1, repeatTime, repeatParams, site);
}

}  // namespace AscendC
