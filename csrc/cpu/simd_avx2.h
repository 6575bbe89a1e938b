// Vectors of 256 bits: AVX2, FMA and F16C.
#pragma once

#include <immintrin.h>

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
using F = Vec<float>;
using D = Vec<double>;

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

#define NT_SCALAR_HALF  // F16C converts single numbers, too
inline float widen(Half a) { return _cvtsh_ss(a.bits); }
inline Half round_to_half(float a) {
    return {static_cast<uint16_t>(_cvtss_sh(a, _MM_FROUND_TO_NEAREST_INT))};
}

}  // namespace neumann_tril::NT_ISA
