// Device scalar types on the host: half, bfloat16_t, and the roundings of an Ascend C Cast.
//
// `half` and `bfloat16_t` are compiler types on the device, hence the global namespace. `half`
// converts implicitly from and to the built-in types, as it does there; `bfloat16_t` has no scalar
// arithmetic on dav-2201, so its conversions are explicit (ToFloat, ToBfloat16), but for that from
// an integer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace AscendC {

// How a conversion drops digits. CAST_NONE means CAST_RINT wherever digits are lost.
enum class RoundMode {
    CAST_NONE = 0,
    CAST_RINT,   // to nearest, ties to even
    CAST_FLOOR,  // towards minus infinity
    CAST_CEIL,   // towards plus infinity
    CAST_ROUND,  // to nearest, ties away from zero
    CAST_TRUNC,  // towards zero
    CAST_ODD,    // inexact: to the neighbour whose last digit is odd (von Neumann)
    CAST_HYBRID,
};

}  // namespace AscendC

namespace emulator {

using AscendC::RoundMode;

// What a result beyond the largest finite number becomes: CTRL[48] of the core (0 saturates:
// infinity becomes the largest finite number, NaN becomes 0; 1 keeps infinity and NaN).
enum class Overflow { kSaturate, kInfinity };

template <typename To, typename From>
To bit_cast(const From& from) {
    static_assert(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<From>);
    To to;
    std::memcpy(&to, &from, sizeof(to));
    return to;
}

// x rounded to an integer, still as a floating-point number. `Real` must hold x exactly.
template <typename Real>
Real round_to_integer(Real x, RoundMode mode) {
    switch (mode) {
        case RoundMode::CAST_FLOOR:
            return std::floor(x);
        case RoundMode::CAST_CEIL:
            return std::ceil(x);
        case RoundMode::CAST_ROUND:
            return std::round(x);
        case RoundMode::CAST_TRUNC:
            return std::trunc(x);
        case RoundMode::CAST_ODD: {
            const Real towards_zero = std::trunc(x);
            const bool even = std::fmod(towards_zero, Real{2}) == 0;
            return towards_zero == x || !even ? towards_zero
                                              : towards_zero + std::copysign(Real{1}, x);
        }
        default:
            return std::nearbyint(x);
    }
}

// Binary formats: digits behind the leading one, exponent of the smallest normal and of the largest
// number.
struct BinaryFormat {
    int fraction_bits;
    int min_exponent;
    int max_exponent;

    double largest() const {
        return std::ldexp(2.0 - std::ldexp(1.0, -fraction_bits), max_exponent);
    }
};

inline constexpr BinaryFormat kHalfFormat{10, -14, 15};
inline constexpr BinaryFormat kBfloat16Format{7, -126, 127};
inline constexpr BinaryFormat kFloatFormat{23, -126, 127};

// x rounded once to `format` (subnormal numbers included). Overflow without saturation follows IEEE
// 754: to infinity, except that a mode which rounds towards zero on that side stops at the largest
// number.
template <typename Real>
Real round_to_format(Real x, const BinaryFormat& format, RoundMode mode) {
    if (x == 0 || !std::isfinite(x)) return x;
    const int exponent = std::max(std::ilogb(x), format.min_exponent);
    const int quantum = exponent - format.fraction_bits;
    const Real rounded = std::ldexp(round_to_integer(std::ldexp(x, -quantum), mode), quantum);
    const Real largest = static_cast<Real>(format.largest());
    if (std::fabs(rounded) <= largest) return rounded;
    const bool towards_zero = mode == RoundMode::CAST_TRUNC || mode == RoundMode::CAST_ODD ||
                              (mode == RoundMode::CAST_FLOOR && x > 0) ||
                              (mode == RoundMode::CAST_CEIL && x < 0);
    return std::copysign(towards_zero ? largest : std::numeric_limits<Real>::infinity(), x);
}

// The integer `To` nearest to the (already integral) number x; NaN gives 0.
template <typename To, typename Real>
To saturate_to_integer(Real x) {
    static_assert(std::is_integral_v<To>);
    if constexpr (std::is_floating_point_v<Real>) {
        if (std::isnan(x)) return 0;
        // 2^digits is exact in every floating-point type, the largest integer itself need not be.
        const Real bound = std::ldexp(Real{1}, std::numeric_limits<To>::digits);
        if (x >= bound) return std::numeric_limits<To>::max();
        if (x < (std::is_signed_v<To> ? -bound : Real{0})) return std::numeric_limits<To>::min();
        return static_cast<To>(x);
    } else if constexpr (std::is_signed_v<Real> && std::is_signed_v<To> &&
                         sizeof(To) >= sizeof(Real)) {
        return x;
    } else {
        constexpr Real low =
            std::is_signed_v<Real> ? static_cast<Real>(std::numeric_limits<To>::min()) : Real{0};
        if (std::is_signed_v<Real> && x < low) return std::numeric_limits<To>::min();
        if (static_cast<std::make_unsigned_t<Real>>(x) >
                static_cast<std::make_unsigned_t<To>>(std::numeric_limits<To>::max()) &&
            x > 0) {
            return std::numeric_limits<To>::max();
        }
        return static_cast<To>(x);
    }
}

// float -> half, to nearest even: 13 digits fall away; adding 2^-14-scaled magic rounds subnormal
// results.
inline uint16_t half_bits(float value) {
    const uint32_t bits = bit_cast<uint32_t>(value);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // >= 65520
    if (magnitude < 0x38800000u) {                                               // < 2^-14
        // 0.5 has a quantum of 2^-24, that of a subnormal half: the addition does the rounding.
        const float shifted = bit_cast<float>(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (bit_cast<uint32_t>(shifted) - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

inline float float_of_half_bits(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    const uint32_t magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u)
        return bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    if (magnitude >= 0x0400u) return bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -value : value;
}

inline uint16_t bfloat16_bits(float value) {
    const uint32_t bits = bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7fc0u);
    return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float float_of_bfloat16_bits(uint16_t bits) {
    return bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// What is to be rounded to half or bfloat16: a value that a float may not hold goes through
// round-to-odd, so that the second rounding is the only one that counts.
template <typename T>
float float_before(T value) {
    if constexpr (std::is_same_v<T, float> || sizeof(T) <= 2) {
        return static_cast<float>(value);
    } else {
        return static_cast<float>(round_to_format<long double>(static_cast<long double>(value),
                                                               kFloatFormat, RoundMode::CAST_ODD));
    }
}

}  // namespace emulator

// IEEE 754 binary16. Arithmetic forms the result in float and rounds it to nearest even, which
// equals one rounding for + - * / (float has more than twice the digits).
struct half {
    uint16_t bits;

    half() = default;
    template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
    constexpr half(T value)  // NOLINT: implicit, as on the device
        : bits(emulator::half_bits(emulator::float_before(value))) {}
    operator float() const { return emulator::float_of_half_bits(bits); }

    static half from_bits(uint16_t bits) {
        half value;
        value.bits = bits;
        return value;
    }

    half operator-() const { return from_bits(static_cast<uint16_t>(bits ^ 0x8000u)); }
    half& operator+=(float other) { return *this = half(float(*this) + other); }
    half& operator-=(float other) { return *this = half(float(*this) - other); }
    half& operator*=(float other) { return *this = half(float(*this) * other); }
    half& operator/=(float other) { return *this = half(float(*this) / other); }
};

// Templates that take exactly two halves: mixed operands then use the built-in float operators.
#define EMULATOR_HALF_OPERATOR(op)                                                               \
    template <typename T>                                                                        \
    inline std::enable_if_t<std::is_same_v<T, half>, half> operator op(const T& a, const T& b) { \
        return half(float(a) op float(b));                                                       \
    }
EMULATOR_HALF_OPERATOR(+)
EMULATOR_HALF_OPERATOR(-)
EMULATOR_HALF_OPERATOR(*)
EMULATOR_HALF_OPERATOR(/)
#undef EMULATOR_HALF_OPERATOR

// bfloat16: the upper half of a float.
struct bfloat16_t {
    uint16_t bits;

    bfloat16_t() = default;
    explicit bfloat16_t(float value) : bits(emulator::bfloat16_bits(value)) {}
    template <typename T, typename = std::enable_if_t<std::is_integral_v<T>>>
    constexpr bfloat16_t(T value)  // NOLINT: implicit, aggregates are initialised from 0
        : bits(emulator::bfloat16_bits(emulator::float_before(value))) {}
    explicit operator float() const { return emulator::float_of_bfloat16_bits(bits); }

    static bfloat16_t from_bits(uint16_t bits) {
        bfloat16_t value;
        value.bits = bits;
        return value;
    }
    friend bool operator==(bfloat16_t a, bfloat16_t b) { return float(a) == float(b); }
    friend bool operator!=(bfloat16_t a, bfloat16_t b) { return !(a == b); }
};

static_assert(std::is_trivial_v<half> && sizeof(half) == 2);
static_assert(std::is_trivial_v<bfloat16_t> && sizeof(bfloat16_t) == 2);

namespace AscendC {

inline float ToFloat(const bfloat16_t& value) { return static_cast<float>(value); }
inline bfloat16_t ToBfloat16(const float& value) { return bfloat16_t(value); }

}  // namespace AscendC

namespace emulator {

template <typename T>
inline constexpr bool kIsFloat16 = std::is_same_v<T, half> || std::is_same_v<T, bfloat16_t>;
template <typename T>
inline constexpr bool kIsReal = kIsFloat16<T> || std::is_floating_point_v<T>;

// The number a device element stands for, in a type that holds it exactly and computes like a host.
template <typename T>
auto widen(T value) {
    if constexpr (kIsFloat16<T>) {
        return static_cast<float>(value);
    } else {
        return value;
    }
}

// A wider result narrowed once to T, to nearest even, under the overflow rule of the core.
template <typename T>
T narrow(float value, Overflow overflow) {
    static_assert(kIsReal<T>);
    const T result = static_cast<T>(value);
    if constexpr (kIsFloat16<T>) {
        constexpr uint16_t infinity = std::is_same_v<T, half> ? 0x7c00u : 0x7f80u;
        const uint16_t magnitude = result.bits & 0x7fffu;
        if (overflow == Overflow::kSaturate && magnitude >= infinity) {
            if (magnitude > infinity) return T::from_bits(0);
            return T::from_bits(static_cast<uint16_t>((result.bits & 0x8000u) | (infinity - 1u)));
        }
    }
    return result;
}

// The conversion rule between two element types: one rounding in `mode`; integers saturate, NaN
// becomes the integer 0; half and bfloat16_t results follow `overflow`.
template <typename To, typename From>
To convert(From value, RoundMode mode, Overflow overflow) {
    const bool nearest_even = mode == RoundMode::CAST_NONE || mode == RoundMode::CAST_RINT;
    if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
        return saturate_to_integer<To>(value);
    } else if constexpr (std::is_integral_v<To>) {
        return saturate_to_integer<To>(round_to_integer(static_cast<double>(float(value)), mode));
    } else if constexpr (std::is_same_v<To, From>) {
        return static_cast<To>(round_to_integer(static_cast<double>(float(value)), mode));
    } else if constexpr (std::is_integral_v<From> && sizeof(From) == 8) {
        static_assert(std::is_same_v<To, float>);
        return static_cast<float>(
            round_to_format(static_cast<long double>(value), kFloatFormat, mode));
    } else {
        constexpr BinaryFormat format = std::is_same_v<To, half>         ? kHalfFormat
                                        : std::is_same_v<To, bfloat16_t> ? kBfloat16Format
                                                                         : kFloatFormat;
        // An integer of 32 bits is exact in double but not in float: it must be rounded by hand.
        if (nearest_even && !(std::is_integral_v<From> && sizeof(From) == 4)) {
            return narrow<To>(static_cast<float>(value), overflow);
        }
        double wide;
        if constexpr (std::is_integral_v<From>) {
            wide = static_cast<double>(value);
        } else {
            wide = static_cast<double>(static_cast<float>(value));
        }
        return narrow<To>(static_cast<float>(round_to_format(wide, format, mode)), overflow);
    }
}

}  // namespace emulator
