// Vectors of 128 bits: AArch64 Advanced SIMD.
#pragma once

#include <arm_neon.h>

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
using F = Vec<float>;
using D = Vec<double>;

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

}  // namespace neumann_tril::NT_ISA
