// Conversions of single numbers, rounding to nearest even; NaN stays NaN, subnormals are kept.
#pragma once

#include <cstring>

#include "job.h"

namespace neumann_tril::NT_ISA {

inline uint32_t bits_of(float a) {
    uint32_t bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}
inline float float_of(uint32_t bits) {
    float a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
}

#ifndef NT_SCALAR_HALF
inline float widen(Half a) {
    const uint32_t sign = static_cast<uint32_t>(a.bits & 0x8000) << 16;
    const uint32_t exponent = (a.bits >> 10) & 0x1f;
    const uint32_t fraction = a.bits & 0x3ff;
    if (exponent == 0x1f) {  // infinity, or a NaN made quiet
        return float_of(sign | 0x7f800000 | (fraction << 13) | (fraction ? 0x400000 : 0));
    }
    if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
        return float_of(sign | bits_of(static_cast<float>(fraction) * 0x1p-24f));
    }
    return float_of(sign | ((exponent + 112) << 23) | (fraction << 13));
}

inline Half round_to_half(float a) {
    const uint32_t sign = (bits_of(a) >> 16) & 0x8000;
    const uint32_t bits = bits_of(a) & 0x7fffffff;
    uint32_t result;
    if (bits > 0x7f800000) {  // NaN
        result = 0x7e00 | ((bits >> 13) & 0x3ff);
    } else if (bits >= 0x477ff000) {  // from 65520 on the nearest is infinity
        result = 0x7c00;
    } else if (bits < 0x38800000) {  // below 2^-14: the sum has the spacing 2^-24 of the result
        result = bits_of(float_of(bits) + 0.5f) - bits_of(0.5f);
    } else {
        result = (bits - (112u << 23) + 0xfff + ((bits >> 13) & 1)) >> 13;
    }
    return {static_cast<uint16_t>(sign | result)};
}
#endif

inline float widen(BFloat16 a) { return float_of(static_cast<uint32_t>(a.bits) << 16); }

inline BFloat16 round_to_bfloat16(float a) {
    const uint32_t bits = bits_of(a);
    if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

// Rounds to odd: a later rounding to fewer digits is then as if made from `a` itself.
inline float round_to_odd(double a) {
    const float nearest = static_cast<float>(a);
    const double back = static_cast<double>(nearest);
    if (back == a || a != a) return nearest;
    uint32_t bits = bits_of(nearest);
    const bool away = a < 0 ? back < a : back > a;
    if (away) --bits;  // towards zero: magnitudes are ordered as their bits
    return float_of(bits | 1);
}

template <class To, class From>
struct Converter {
    static To convert(From a) { return static_cast<To>(a); }
};
template <class To>
struct Converter<To, Half> {
    static To convert(Half a) { return static_cast<To>(widen(a)); }
};
template <class To>
struct Converter<To, BFloat16> {
    static To convert(BFloat16 a) { return static_cast<To>(widen(a)); }
};
template <>
struct Converter<Half, float> {
    static Half convert(float a) { return round_to_half(a); }
};
template <>
struct Converter<BFloat16, float> {
    static BFloat16 convert(float a) { return round_to_bfloat16(a); }
};
template <>
struct Converter<Half, double> {
    static Half convert(double a) { return round_to_half(round_to_odd(a)); }
};
template <>
struct Converter<BFloat16, double> {
    static BFloat16 convert(double a) { return round_to_bfloat16(round_to_odd(a)); }
};

template <class To, class From>
inline To convert(From a) {
    return Converter<To, From>::convert(a);
}

}  // namespace neumann_tril::NT_ISA
