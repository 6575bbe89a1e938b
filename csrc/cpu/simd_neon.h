// Vectors of 128 bits: AArch64 Advanced SIMD.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "job.h"

namespace neumann_tril::NT_ISA {

constexpr int kRows = 4;  // rows of a register block: 4 x 4 of the 32 registers accumulate

template <class T>
struct Vec;
template <>
struct Vec<float> {
    static constexpr int lanes = 4;
    float32x4_t v;
};
template <>
struct Vec<double> {
    static constexpr int lanes = 2;
    float64x2_t v;
};
template <>
struct Vec<int32_t> {
    static constexpr int lanes = 4;
    int32x4_t v;
};
using F = Vec<float>;
using D = Vec<double>;
using I = Vec<int32_t>;

inline F load(const float* p) { return {vld1q_f32(p)}; }
inline D load(const double* p) { return {vld1q_f64(p)}; }
inline F load(const Half* p) {
    const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(p));
    return {vcvt_f32_f16(vreinterpret_f16_u16(bits))};
}
inline F load(const BFloat16* p) {
    const uint16x4_t bits = vld1_u16(reinterpret_cast<const uint16_t*>(p));
    return {vreinterpretq_f32_u32(vshll_n_u16(bits, 16))};
}

inline void store(float* p, F a) { vst1q_f32(p, a.v); }
inline void store(double* p, D a) { vst1q_f64(p, a.v); }
inline void store(Half* p, F a) {
    vst1_u16(reinterpret_cast<uint16_t*>(p), vreinterpret_u16_f16(vcvt_f16_f32(a.v)));
}
inline void store(BFloat16* p, F a) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a.v);
    const uint32x4_t high = vshrq_n_u32(bits, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t bias = vaddq_u32(odd, vdupq_n_u32(0x7fff));
    const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, bias), 16);
    const uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
    const uint32x4_t number = vceqq_f32(a.v, a.v);
    vst1_u16(reinterpret_cast<uint16_t*>(p), vmovn_u32(vbslq_u32(number, rounded, quiet)));
}
template <class E, class V>
inline void stream(E* p, V a) {
    store(p, a);
}
inline void fence() {}

inline F broadcast(float a) { return {vdupq_n_f32(a)}; }
inline D broadcast(double a) { return {vdupq_n_f64(a)}; }
inline F add(F a, F b) { return {vaddq_f32(a.v, b.v)}; }
inline D add(D a, D b) { return {vaddq_f64(a.v, b.v)}; }
// c + a * b and c - a * b, rounded once.
inline F multiply_add(F a, F b, F c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline D multiply_add(D a, D b, D c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
inline F multiply_subtract(F a, F b, F c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
inline D multiply_subtract(D a, D b, D c) { return {vfmsq_f64(c.v, a.v, b.v)}; }
// (a & keep) | fill, bit by bit.
inline F mask(F a, F keep, F fill) {
    const uint32x4_t kept = vandq_u32(vreinterpretq_u32_f32(a.v), vreinterpretq_u32_f32(keep.v));
    return {vreinterpretq_f32_u32(vorrq_u32(kept, vreinterpretq_u32_f32(fill.v)))};
}
inline D mask(D a, D keep, D fill) {
    const uint64x2_t kept = vandq_u64(vreinterpretq_u64_f64(a.v), vreinterpretq_u64_f64(keep.v));
    return {vreinterpretq_f64_u64(vorrq_u64(kept, vreinterpretq_u64_f64(fill.v)))};
}

inline F subtract(F a, F b) { return {vsubq_f32(a.v, b.v)}; }
inline F multiply(F a, F b) { return {vmulq_f32(a.v, b.v)}; }
// Of a NaN and a number b, b.
inline F minimum(F a, F b) { return {vminnmq_f32(a.v, b.v)}; }
inline F maximum(F a, F b) { return {vmaxnmq_f32(a.v, b.v)}; }
inline F magnitude(F a) { return {vabsq_f32(a.v)}; }
inline F zero_if_nan(F a) {
    return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a.v), vceqq_f32(a.v, a.v)))};
}

inline I broadcast(int32_t a) { return {vdupq_n_s32(a)}; }
// Of numbers that int32 holds; half to even.
inline I nearest(F a) { return {vcvtnq_s32_f32(a.v)}; }
inline F to_float(I a) { return {vcvtq_f32_s32(a.v)}; }
inline I add(I a, I b) { return {vaddq_s32(a.v, b.v)}; }
inline I subtract(I a, I b) { return {vsubq_s32(a.v, b.v)}; }
template <int Bits>
inline I shift_left(I a) {
    return {vshlq_n_s32(a.v, Bits)};
}
template <int Bits>
inline I shift_right(I a) {
    return {vshrq_n_s32(a.v, Bits)};
}
// count, and one more in the lanes where a differs from b.
inline I count_unequal(I count, F a, F b) {
    const uint32x4_t equal = vceqq_f32(a.v, b.v);
    return {vsubq_s32(count.v, vreinterpretq_s32_u32(vmvnq_u32(equal)))};
}

inline F load(const int8_t* p) {
    int32_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes)));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)))};
}
inline F load(const int16_t* p) { return {vcvtq_f32_s32(vmovl_s16(vld1_s16(p)))}; }
inline void store(int32_t* p, I a) { vst1q_s32(p, a.v); }
inline void store(int16_t* p, I a) { vst1_s16(p, vmovn_s32(a.v)); }
inline void store(int16_t* p, F a) { store(p, nearest(a)); }
inline void store(int8_t* p, F a) {
    const int16x4_t words = vmovn_s32(nearest(a).v);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    const int32_t bits = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    std::memcpy(p, &bits, sizeof bits);
}

// Two rows of int16 numbers, one in either half; and a pair of numbers for all lanes.
struct Pairs {
    int16x8_t v;
};
struct Pair {
    int16x4_t v;
};
inline void store_pairs(int16_t* p, I even, I odd) {
    vst1q_s16(p, vcombine_s16(vmovn_s32(even.v), vmovn_s32(odd.v)));
}
inline Pairs load_pairs(const int16_t* p) { return {vld1q_s16(p)}; }
inline Pair broadcast_pair(const int16_t* p) {
    int32_t bits;
    std::memcpy(&bits, p, sizeof bits);
    return {vreinterpret_s16_s32(vdup_n_s32(bits))};
}
// sum + f.even * g.even + f.odd * g.odd
inline I add_dot(I sum, Pair f, Pairs g) {
    const int32x4_t even = vmlal_lane_s16(sum.v, vget_low_s16(g.v), f.v, 0);
    return {vmlal_lane_s16(even, vget_high_s16(g.v), f.v, 1)};
}

}  // namespace neumann_tril::NT_ISA
