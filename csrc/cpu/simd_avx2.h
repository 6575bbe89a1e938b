// Vectors of 256 bits: AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "job.h"

namespace neumann_tril::NT_ISA {

constexpr int kRows = 4;  // rows of a register block: 4 x 2 accumulators hide the FMA latency

template <class T>
struct Vec;
template <>
struct Vec<float> {
    static constexpr int lanes = 8;
    __m256 v;
};
template <>
struct Vec<double> {
    static constexpr int lanes = 4;
    __m256d v;
};
template <>
struct Vec<int32_t> {
    static constexpr int lanes = 8;
    __m256i v;
};
using F = Vec<float>;
using D = Vec<double>;
using I = Vec<int32_t>;

inline F load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline D load(const double* p) { return {_mm256_loadu_pd(p)}; }
inline F load(const Half* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline F load(const BFloat16* p) {
    const __m256i wide =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}

inline __m128i to_half(F a) { return _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT); }
inline __m128i to_bfloat16(F a) {
    const __m256i bits = _mm256_castps_si256(a.v);
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, quiet, nan);
    const __m256i packed = _mm256_packus_epi32(result, result);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
}

inline void store(float* p, F a) { _mm256_storeu_ps(p, a.v); }
inline void store(double* p, D a) { _mm256_storeu_pd(p, a.v); }
inline void store(Half* p, F a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_half(a)); }
inline void store(BFloat16* p, F a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_bfloat16(a));
}
inline void stream(float* p, F a) { _mm256_stream_ps(p, a.v); }
inline void stream(double* p, D a) { _mm256_stream_pd(p, a.v); }
inline void stream(Half* p, F a) { _mm_stream_si128(reinterpret_cast<__m128i*>(p), to_half(a)); }
inline void stream(BFloat16* p, F a) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), to_bfloat16(a));
}
inline void fence() { _mm_sfence(); }

inline F broadcast(float a) { return {_mm256_set1_ps(a)}; }
inline D broadcast(double a) { return {_mm256_set1_pd(a)}; }
inline F add(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
inline D add(D a, D b) { return {_mm256_add_pd(a.v, b.v)}; }
// c + a * b and c - a * b, rounded once.
inline F multiply_add(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline D multiply_add(D a, D b, D c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline F multiply_subtract(F a, F b, F c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
inline D multiply_subtract(D a, D b, D c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
// (a & keep) | fill, bit by bit.
inline F mask(F a, F keep, F fill) { return {_mm256_or_ps(_mm256_and_ps(a.v, keep.v), fill.v)}; }
inline D mask(D a, D keep, D fill) { return {_mm256_or_pd(_mm256_and_pd(a.v, keep.v), fill.v)}; }

inline F subtract(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F multiply(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
// Of a NaN and a number b, b.
inline F minimum(F a, F b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F maximum(F a, F b) { return {_mm256_max_ps(a.v, b.v)}; }
inline F magnitude(F a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline F zero_if_nan(F a) { return {_mm256_and_ps(a.v, _mm256_cmp_ps(a.v, a.v, _CMP_ORD_Q))}; }

inline I broadcast(int32_t a) { return {_mm256_set1_epi32(a)}; }
// Of numbers that int32 holds; half to even.
inline I nearest(F a) { return {_mm256_cvtps_epi32(a.v)}; }
inline F to_float(I a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline I add(I a, I b) { return {_mm256_add_epi32(a.v, b.v)}; }
inline I subtract(I a, I b) { return {_mm256_sub_epi32(a.v, b.v)}; }
template <int Bits>
inline I shift_left(I a) {
    return {_mm256_slli_epi32(a.v, Bits)};
}
template <int Bits>
inline I shift_right(I a) {
    return {_mm256_srai_epi32(a.v, Bits)};
}
// count, and one more in the lanes where a differs from b.
inline I count_unequal(I count, F a, F b) {
    const __m256 unequal = _mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ);
    return {_mm256_sub_epi32(count.v, _mm256_castps_si256(unequal))};
}

inline __m128i to_int16(I a) {
    return _mm_packs_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
}
inline F load(const int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
}
inline F load(const int16_t* p) {
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words))};
}
inline void store(int32_t* p, I a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
inline void store(int16_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_int16(a)); }
inline void store(int16_t* p, F a) { store(p, nearest(a)); }
inline void store(int8_t* p, F a) {
    const __m128i words = to_int16(nearest(a));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

// Two rows of int16 numbers, side by side in every lane; and a pair of numbers for all lanes.
struct Pairs {
    __m256i v;
};
using Pair = Pairs;
inline void store_pairs(int16_t* p, I even, I odd) {
    const __m256i pairs = _mm256_blend_epi16(even.v, _mm256_slli_epi32(odd.v, 16), 0xaa);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), pairs);
}
inline Pairs load_pairs(const int16_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline Pair broadcast_pair(const int16_t* p) {
    int32_t bits;
    std::memcpy(&bits, p, sizeof bits);
    return {_mm256_set1_epi32(bits)};
}
// sum + f.even * g.even + f.odd * g.odd
inline I add_dot(I sum, Pair f, Pairs g) {
    return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(f.v, g.v))};
}

#define NT_SCALAR_HALF  // F16C converts single numbers, too
inline float widen(Half a) { return _cvtsh_ss(a.bits); }
inline Half round_to_half(float a) {
    return {static_cast<uint16_t>(_cvtss_sh(a, _MM_FROUND_TO_NEAREST_INT))};
}

}  // namespace neumann_tril::NT_ISA
