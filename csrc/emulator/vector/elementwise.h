// Vector arithmetic and logic, element by element: dst = f(src...), in both forms of every function
// (a count; or a mask, repeats and strides). Functions with isSetMask = false take the mask from
// the mask registers.
//
// half and bfloat16_t results are formed in float and rounded once to nearest even. What the public
// documents leave open is assumed: multiply-add instructions round once; integers wrap around; a
// NaN operand of Max, Min or Relu gives NaN; Reciprocal, Rsqrt, Exp, Ln are correctly rounded (the
// hardware's are approximations).
#pragma once

#include <cmath>

#include "vector/call.h"
#include "vector/params.h"

namespace emulator {

using Integers16 = TypeList<int16_t, uint16_t>;
using Integers1632 = TypeList<int16_t, uint16_t, int32_t, uint32_t>;
using Reals = TypeList<half, float>;
using RealsAndBf16 = TypeList<half, bfloat16_t, float>;
using Arithmetic = TypeList<half, float, int16_t, int32_t>;
using WideArithmetic = TypeList<half, bfloat16_t, float, int16_t, uint16_t, int32_t, uint32_t>;

// Rounds a float to T by the overflow rule; integers pass through a wrap-around conversion.
template <typename T, typename Wide>
T result_of(Wide value, Overflow overflow) {
    if constexpr (kIsReal<T>) {
        return narrow<T>(static_cast<float>(value), overflow);
    } else {
        return static_cast<T>(value);
    }
}

// In what type T is computed: float for real numbers, unsigned (wrapping) for integers.
template <typename T>
auto operand_value(T value) {
    if constexpr (kIsReal<T>) {
        return static_cast<float>(value);
    } else {
        return value;
    }
}
template <typename T>
auto wrapping(T value) {
    if constexpr (std::is_integral_v<T>) {
        return static_cast<uint64_t>(static_cast<int64_t>(value));
    } else {
        return value;
    }
}

// --- the operations, on float or on integers
struct AddOf {
    static constexpr bool kShifts = false;
    template <typename T>
    auto operator()(T a, T b) const {
        return wrapping(a) + wrapping(b);
    }
};
struct SubOf {
    template <typename T>
    auto operator()(T a, T b) const {
        return wrapping(a) - wrapping(b);
    }
};
struct MulOf {
    static constexpr bool kShifts = false;
    template <typename T>
    auto operator()(T a, T b) const {
        return wrapping(a) * wrapping(b);
    }
};
struct DivOf {
    template <typename T>
    T operator()(T a, T b) const {
        return a / b;
    }
};
struct MaxOf {
    static constexpr bool kShifts = false;
    template <typename T>
    T operator()(T a, T b) const {
        if (a != a) return a;
        return b > a || b != b ? b : a;
    }
};
struct MinOf {
    static constexpr bool kShifts = false;
    template <typename T>
    T operator()(T a, T b) const {
        if (a != a) return a;
        return b < a || b != b ? b : a;
    }
};
struct AndOf {
    template <typename T>
    T operator()(T a, T b) const {
        return static_cast<T>(a & b);
    }
};
struct OrOf {
    template <typename T>
    T operator()(T a, T b) const {
        return static_cast<T>(a | b);
    }
};
template <typename Operation>
struct ReluOf {
    template <typename T>
    auto operator()(T a, T b) const {
        const T value = static_cast<T>(Operation{}(a, b));
        return value < T{0} ? T{0} : value;
    }
};
struct AbsOf {
    template <typename T>
    T operator()(T a) const {
        return a < T{0} ? static_cast<T>(-a) : a == T{0} ? T{0} : a;
    }
};
struct NotOf {
    template <typename T>
    T operator()(T a) const {
        return static_cast<T>(~a);
    }
};
struct NegOf {
    template <typename T>
    auto operator()(T a) const {
        return -a;
    }
};
struct RectifiedOf {
    template <typename T>
    T operator()(T a) const {
        return a < T{0} ? T{0} : a;
    }
};
struct ExpOf {
    float operator()(float a) const { return static_cast<float>(std::exp(double{a})); }
};
struct LnOf {
    float operator()(float a) const { return static_cast<float>(std::log(double{a})); }
};
struct SqrtOf {
    float operator()(float a) const { return std::sqrt(a); }
};
struct RsqrtOf {
    float operator()(float a) const { return static_cast<float>(1.0 / std::sqrt(double{a})); }
};
struct ReciprocalOf {
    float operator()(float a) const { return 1.0f / a; }
};
struct LeakyReluOf {
    static constexpr bool kShifts = false;
    float operator()(float a, float slope) const { return a >= 0 ? a : a * slope; }
};
struct ShiftLeftOf {
    static constexpr bool kShifts = true;
    template <typename T>
    T operator()(T a, T bits) const {
        return bits >= static_cast<T>(sizeof(T) * 8)
                   ? T{0}
                   : static_cast<T>(static_cast<uint64_t>(static_cast<int64_t>(a)) << bits);
    }
};
struct ShiftRightOf {
    static constexpr bool kShifts = true;
    bool round = false;
    template <typename T>
    T operator()(T a, T bits) const {
        const int64_t wide = static_cast<int64_t>(a);
        const int64_t up = round && bits > 0 ? wide >> (bits - 1) & 1 : 0;
        return static_cast<T>((wide >> bits) + up);
    }
};

// --- the loops
template <typename T, typename Types, typename Tensor, typename Operation>
void run_unary(const char* name, const VectorCost& cost, const Tensor& dst, const Tensor& src,
               const Form& form, const AscendC::UnaryRepeatParams& p, Operation operation,
               Site site) {
    require_type<T, Types>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const Operand from = call.operand(src, "src", p.srcBlkStride, p.srcRepStride);
    const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
    call.require_no_overlap(to, from, lanes);
    call.reads(from, lanes);
    call.writes(to, lanes);
    const Overflow overflow = call.overflow();
    const auto body = [&](uint32_t r, uint32_t lane, uint32_t count) {
        uint8_t* out = to.at(r, lane);
        const uint8_t* a = from.at(r, lane);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t at = i * sizeof(T);
            store(out + at, result_of<T>(operation(operand_value(load<T>(a + at))), overflow));
        }
    };
    for_each_segment(lanes, std::array{to, from}, body);
    call.issue(cost, lanes);
}

// `may_accumulate`: dst may be src1 with a repeat stride of 0, summing over the iterations.
template <typename T, typename Types, typename Tensor, typename Operation>
void run_binary(const char* name, const VectorCost& cost, bool may_accumulate, const Tensor& dst,
                const Tensor& src0, const Tensor& src1, const Form& form,
                const AscendC::BinaryRepeatParams& p, Operation operation, Site site) {
    require_type<T, Types>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(T));
    const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
    const Operand second = call.operand(src1, "src1", p.src1BlkStride, p.src1RepStride);
    const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
    call.require_no_overlap(to, first, lanes);
    call.require_no_overlap(to, second, lanes, may_accumulate);
    call.reads(first, lanes);
    call.reads(second, lanes);
    call.writes(to, lanes);
    const Overflow overflow = call.overflow();
    const auto body = [&](uint32_t r, uint32_t lane, uint32_t count) {
        uint8_t* out = to.at(r, lane);
        const uint8_t* a = first.at(r, lane);
        const uint8_t* b = second.at(r, lane);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t at = i * sizeof(T);
            const auto value =
                operation(operand_value(load<T>(a + at)), operand_value(load<T>(b + at)));
            store(out + at, result_of<T>(value, overflow));
        }
    };
    for_each_segment(lanes, std::array{to, first, second}, body);
    call.issue(cost, lanes);
}

template <typename T, typename Types, typename Tensor, typename Operation>
void run_scalar(const char* name, const VectorCost& cost, const Tensor& dst, const Tensor& src,
                T scalar, const Form& form, const AscendC::UnaryRepeatParams& p,
                Operation operation, Site site) {
    if constexpr (std::is_integral_v<T> && Operation::kShifts) {
        require_range(name, "scalarValue", static_cast<int64_t>(scalar), 0, sizeof(T) * 8, site);
    }
    const auto value = operand_value(scalar);
    run_unary<T, Types>(
        name, cost, dst, src, form, p, [&](auto element) { return operation(element, value); },
        site);
}

// The value of a * b + c rounded once to T.
template <typename T>
float fused(float a, float b, float c) {
    if constexpr (std::is_same_v<T, float>) {
        return std::fma(a, b, c);
    } else {
        const BinaryFormat& format = std::is_same_v<T, half> ? kHalfFormat : kBfloat16Format;
        const double exact = std::fma(double{a}, double{b}, double{c});
        return static_cast<float>(round_to_format(exact, format, RoundMode::CAST_RINT));
    }
}

template <typename T>
struct MulAddDstOf {
    float operator()(float src0, float src1, float dst) const { return fused<T>(src0, src1, dst); }
};
template <typename T>
struct FusedMulAddOf {
    float operator()(float src0, float src1, float dst) const { return fused<T>(src0, dst, src1); }
};
template <typename T>
struct FusedMulAddReluOf {
    float operator()(float src0, float src1, float dst) const {
        return RectifiedOf{}(fused<T>(src0, dst, src1));
    }
};

// Strides of a count form: sources narrower than dst advance by half an iteration.
template <typename D, typename S>
AscendC::BinaryRepeatParams dense_strides() {
    constexpr int source = 8 * sizeof(S) / sizeof(D);
    return {1, 1, 1, 8, source, source};
}

// dst = operation(src0, src1 or scalar, dst). D, S: both half or float, or float from half.
template <typename D, typename S, typename TensorD, typename TensorS, typename Operation>
void run_multiply_add(const char* name, const VectorCost& cost, const TensorD& dst,
                      const TensorS& src0, const TensorS* src1, S scalar, const Form& form,
                      const AscendC::BinaryRepeatParams& p, Operation operation, Site site) {
    require_type<D, Reals>();
    require_type<S, std::conditional_t<std::is_same_v<D, half>, TypeList<half>, Reals>>();
    VectorCall call(name, site);
    const Lanes lanes = call.lanes(form, sizeof(D));
    const Operand first = call.operand(src0, "src0", p.src0BlkStride, p.src0RepStride);
    const Operand second =
        src1 == nullptr ? first : call.operand(*src1, "src1", p.src1BlkStride, p.src1RepStride);
    const Operand to = call.operand(dst, "dst", p.dstBlkStride, p.dstRepStride);
    call.require_no_overlap(to, first, lanes);
    call.require_no_overlap(to, second, lanes);
    call.reads(first, lanes);
    if (src1 != nullptr) call.reads(second, lanes);
    call.reads(to, lanes);
    call.writes(to, lanes);
    const Overflow overflow = call.overflow();
    const float factor = static_cast<float>(scalar);
    const auto body = [&](uint32_t r, uint32_t lane, uint32_t count) {
        uint8_t* out = to.at(r, lane);
        const uint8_t* a = first.at(r, lane);
        const uint8_t* b = second.at(r, lane);
        for (uint32_t i = 0; i < count; ++i) {
            uint8_t* place = out + i * sizeof(D);
            const float x = static_cast<float>(load<S>(a + i * sizeof(S)));
            const float y =
                src1 == nullptr ? factor : static_cast<float>(load<S>(b + i * sizeof(S)));
            const float old = static_cast<float>(load<D>(place));
            store(place, narrow<D>(operation(x, y, old), overflow));
        }
    };
    for_each_segment(lanes, std::array{to, first, second}, body);
    call.issue(cost, lanes);
}

}  // namespace emulator
