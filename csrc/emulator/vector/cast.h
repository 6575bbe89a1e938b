// Cast: the documented pairs of element types and roundings, and the conversion itself.
#pragma once

#include "vector/elementwise.h"

namespace emulator {

using RoundModes = uint32_t;  // one bit per RoundMode
constexpr RoundModes mode_bit(RoundMode mode) { return 1u << static_cast<int>(mode); }
constexpr RoundModes kExact = mode_bit(RoundMode::CAST_NONE);
constexpr RoundModes kRounded = mode_bit(RoundMode::CAST_RINT) | mode_bit(RoundMode::CAST_FLOOR) |
                                mode_bit(RoundMode::CAST_CEIL) | mode_bit(RoundMode::CAST_ROUND) |
                                mode_bit(RoundMode::CAST_TRUNC);
constexpr RoundModes kOdd = mode_bit(RoundMode::CAST_ODD);
constexpr RoundModes kAnyMode = ~0u;

// The roundings with which To <- From exists; 0: it does not.
template <typename To, typename From>
constexpr RoundModes cast_modes() {
    constexpr auto is = [](auto to, auto from) {
        return std::is_same_v<To, decltype(to)> && std::is_same_v<From, decltype(from)>;
    };
    using I8 = int8_t;
    using U8 = uint8_t;
    using I16 = int16_t;
    using I32 = int32_t;
    using I64 = int64_t;
    constexpr half f16{};
    constexpr bfloat16_t bf16{};
    constexpr bool v2201 = __NPU_ARCH__ == 2201;
    if (is(f16, I8{}) || is(f16, U8{}) || is(0.0f, I16{}) || is(0.0f, f16) || is(0.0f, bf16)) {
        return kExact;
    }
    if (is(I16{}, I32{}) || is(I64{}, I32{}) || is(I32{}, I64{})) return kExact;
    if (is(f16, I32{})) return kAnyMode;  // scaled by DEQSCALE, the rounding is ignored
    if (is(f16, I16{}) || is(I8{}, f16) || is(U8{}, f16) || is(0.0f, I32{})) {
        return v2201 ? kRounded | kExact : kRounded;
    }
    if (is(f16, 0.0f)) return kRounded | kExact | kOdd;
    if (is(I16{}, f16) || is(I32{}, f16) || is(I32{}, bf16) || is(I16{}, 0.0f) || is(bf16, 0.0f) ||
        is(I32{}, 0.0f) || is(0.0f, 0.0f) || is(I64{}, 0.0f) || is(0.0f, I64{})) {
        return kRounded;
    }
    if (v2201) return 0;
    if (is(f16, bf16) || is(bf16, f16)) return kRounded;
    if (is(I16{}, I8{}) || is(I32{}, I8{}) || is(uint16_t{}, U8{}) || is(uint32_t{}, U8{}) ||
        is(U8{}, I16{}) || is(I32{}, I16{}) || is(uint32_t{}, I16{}) || is(U8{}, uint16_t{}) ||
        is(uint32_t{}, uint16_t{}) || is(U8{}, I32{}) || is(uint16_t{}, I32{}) ||
        is(U8{}, uint32_t{}) || is(I16{}, uint32_t{}) || is(uint16_t{}, uint32_t{})) {
        return kExact;
    }
    return 0;
}

constexpr const char* round_mode_name(RoundMode mode) {
    constexpr const char* names[] = {"CAST_NONE",  "CAST_RINT",  "CAST_FLOOR", "CAST_CEIL",
                                     "CAST_ROUND", "CAST_TRUNC", "CAST_ODD",   "CAST_HYBRID"};
    return names[static_cast<int>(mode)];
}

// convert(), but what an integer cannot hold is cut instead of saturated where CTRL[59] says so.
template <typename To, typename From>
To convert_or_cut(From value, RoundMode mode, Overflow overflow, bool cut) {
    if constexpr (std::is_integral_v<To>) {
        if (cut) return static_cast<To>(convert<int64_t>(value, mode, overflow));
    }
    return convert<To>(value, mode, overflow);
}

template <typename To, typename From>
void run_cast(const AscendC::LocalTensor<To>& dst, const AscendC::LocalTensor<From>& src,
              RoundMode mode, const Form& form, const AscendC::UnaryRepeatParams& p, Site site) {
    constexpr RoundModes modes = cast_modes<To, From>();
    if constexpr (modes == 0) {
        fail(site, "Cast from %s to %s does not exist on dav-%d", type_name<From>(),
             type_name<To>(), __NPU_ARCH__);
    } else {
        if ((modes & mode_bit(mode)) == 0) {
            fail(site, "Cast from %s to %s does not take %s on dav-%d", type_name<From>(),
                 type_name<To>(), round_mode_name(mode), __NPU_ARCH__);
        }
        VectorCall call("Cast", site);
        const Lanes lanes = call.lanes(form, std::max(sizeof(To), sizeof(From)));
        const Operand from = call.operand(src, "src", p.srcBlkStride, p.srcRepStride);
        const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
        // Narrowing in place writes only what this or an earlier iteration has read.
        const bool narrows_in_place = sizeof(To) < sizeof(From) && to.base == from.base &&
                                      to.repeat_stride <= from.repeat_stride &&
                                      to.block_stride <= from.block_stride;
        if (!narrows_in_place) call.require_no_overlap(to, from, lanes);
        call.reads(from, lanes);
        call.writes(to, lanes);
        const Overflow overflow = call.overflow();
        const bool cut = call.state().cut_integers;
        [[maybe_unused]] const float scale = call.state().deq_scale;
        const auto body = [&](uint32_t r, uint32_t lane, uint32_t count) {
            uint8_t* out = to.at(r, lane);
            const uint8_t* a = from.at(r, lane);
            for (uint32_t i = 0; i < count; ++i) {
                const From value = load<From>(a + i * sizeof(From));
                if constexpr (std::is_same_v<To, half> && std::is_same_v<From, int32_t>) {
                    const double scaled = static_cast<double>(value) * scale;
                    const double rounded =
                        round_to_format(scaled, kHalfFormat, RoundMode::CAST_RINT);
                    store(out + i * sizeof(To),
                          narrow<half>(static_cast<float>(rounded), overflow));
                } else {
                    store(out + i * sizeof(To), convert_or_cut<To>(value, mode, overflow, cut));
                }
            }
        };
        for_each_segment(lanes, std::array{to, from}, body);
        call.issue(vector_cost::kCast, lanes);
    }
}

}  // namespace emulator

namespace AscendC {

// dst = src converted with one rounding; strides of the count form are dense on both sides.
template <typename T, typename U>
void Cast(const LocalTensor<T>& dst, const LocalTensor<U>& src, const RoundMode& roundMode,
          const uint32_t count, Site site = Site::here()) {
    constexpr int widest = sizeof(T) > sizeof(U) ? sizeof(T) : sizeof(U);
    emulator::run_cast(dst, src, roundMode, emulator::Form::first(count),
                       UnaryRepeatParams(1, 1, 8 * sizeof(T) / widest, 8 * sizeof(U) / widest),
                       site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void Cast(const LocalTensor<T>& dst, const LocalTensor<U>& src, const RoundMode& roundMode,
          Mask mask, int64_t repeatTime, const UnaryRepeatParams& repeatParams,
          Site site = Site::here()) {
    emulator::run_cast(dst, src, roundMode, emulator::Form::masked(isSetMask, mask, repeatTime),
                       repeatParams, site);
}

inline void SetDeqScale(half scale) { emulator::vector_state().deq_scale = scale; }

// Scalar conversion on the scalar unit.
template <typename T, typename U, RoundMode roundMode>
U Cast(T value) {
    return emulator::convert<U>(value, roundMode,
                                emulator::overflow_rule(emulator::current_core()));
}

}  // namespace AscendC
