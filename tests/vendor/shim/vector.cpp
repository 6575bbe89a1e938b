// Arithmetic of a vector core: the library's words taken apart and given to the emulator's API,
// with the mask that the library has put into the mask registers.
#include "vector.h"

namespace {

using namespace AscendC;
using emulator::Site;
using vendor::binary;
using vendor::field;
using vendor::repeats;
using vendor::ub;
using vendor::unary;
using vendor::value_of;

}  // namespace

extern "C" {

// Mask registers: 0 is the lower half, or the number of elements, 1 the upper half.
void hivm_MOVEMASK(uint64_t half, uint64_t bits) { emulator::vector_state().mask[half] = bits; }

// --- dst = src0 (op) src1
#define VENDOR_BINARY(NAME, SUFFIX, FUNCTION, TYPE)                                            \
    void hivm_##NAME##_##SUFFIX(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word) {   \
        const Site site = Site::here();                                                        \
        FUNCTION<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src0, site), ub<TYPE>(src1, site), \
                              MASK_PLACEHOLDER, repeats(word), binary(word), site);            \
    }
#define VENDOR_ARITHMETIC(NAME, FUNCTION)       \
    VENDOR_BINARY(NAME, f16, FUNCTION, half)    \
    VENDOR_BINARY(NAME, f32, FUNCTION, float)   \
    VENDOR_BINARY(NAME, s16, FUNCTION, int16_t) \
    VENDOR_BINARY(NAME, s32, FUNCTION, int32_t)
VENDOR_ARITHMETIC(VADD, Add)
VENDOR_ARITHMETIC(VSUB, Sub)
VENDOR_ARITHMETIC(VMUL, Mul)
VENDOR_ARITHMETIC(VMAX, Max)
VENDOR_ARITHMETIC(VMIN, Min)
VENDOR_BINARY(VDIV, f16, Div, half)
VENDOR_BINARY(VDIV, f32, Div, float)
VENDOR_BINARY(VAND, s16, And, int16_t)
VENDOR_BINARY(VAND, u16, And, uint16_t)
VENDOR_BINARY(VOR, s16, Or, int16_t)
VENDOR_BINARY(VOR, u16, Or, uint16_t)
#undef VENDOR_ARITHMETIC
#undef VENDOR_BINARY

// --- dst = op(src)
#define VENDOR_UNARY(NAME, SUFFIX, FUNCTION, TYPE)                                        \
    void hivm_##NAME##_##SUFFIX(uint64_t dst, uint64_t src, uint64_t word) {              \
        const Site site = Site::here();                                                   \
        FUNCTION<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site), MASK_PLACEHOLDER, \
                              repeats(word), unary(word), site);                          \
    }
#define VENDOR_REAL(NAME, FUNCTION)         \
    VENDOR_UNARY(NAME, f16, FUNCTION, half) \
    VENDOR_UNARY(NAME, f32, FUNCTION, float)
VENDOR_REAL(VABS, Abs)
VENDOR_REAL(VEXP, Exp)
VENDOR_REAL(VLN, Ln)
VENDOR_REAL(VSQRT, Sqrt)
VENDOR_REAL(VRSQRT, Rsqrt)
VENDOR_REAL(VREC, Reciprocal)
VENDOR_REAL(VRELU, Relu)
VENDOR_UNARY(VRELU, s32, Relu, int32_t)
VENDOR_UNARY(VNOT, s16, Not, int16_t)
VENDOR_UNARY(VNOT, u16, Not, uint16_t)
#undef VENDOR_REAL
#undef VENDOR_UNARY

// --- dst = src (op) scalar. half comes as its bits, integers in 64 bits.
#define VENDOR_SCALAR(NAME, SUFFIX, FUNCTION, TYPE, ARGUMENT)                                   \
    void hivm_##NAME##_##SUFFIX(uint64_t dst, uint64_t src, ARGUMENT scalar, uint64_t word) {   \
        const Site site = Site::here();                                                         \
        FUNCTION<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site), value_of<TYPE>(scalar), \
                              MASK_PLACEHOLDER, repeats(word), unary(word), site);              \
    }
#define VENDOR_SCALARS(NAME, FUNCTION)                    \
    VENDOR_SCALAR(NAME, f16, FUNCTION, half, uint16_t)    \
    VENDOR_SCALAR(NAME, f32, FUNCTION, float, float)      \
    VENDOR_SCALAR(NAME, s16, FUNCTION, int16_t, uint64_t) \
    VENDOR_SCALAR(NAME, s32, FUNCTION, int32_t, uint64_t)
VENDOR_SCALARS(VADDS, Adds)
VENDOR_SCALARS(VMULS, Muls)
VENDOR_SCALARS(VMAXS, Maxs)
VENDOR_SCALARS(VMINS, Mins)
VENDOR_SCALAR(VSHL, s16, ShiftLeft, int16_t, uint64_t)
VENDOR_SCALAR(VSHL, u16, ShiftLeft, uint16_t, uint64_t)
VENDOR_SCALAR(VSHL, s32, ShiftLeft, int32_t, uint64_t)
VENDOR_SCALAR(VSHL, u32, ShiftLeft, uint32_t, uint64_t)
#undef VENDOR_SCALARS
#undef VENDOR_SCALAR
#define VENDOR_SHIFT_RIGHT(SUFFIX, TYPE)                                                          \
    void hivm_VSHR_##SUFFIX(uint64_t dst, uint64_t src, uint64_t bits, uint64_t word,             \
                            uint64_t rounds) {                                                    \
        const Site site = Site::here();                                                           \
        ShiftRight<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site), value_of<TYPE>(bits),   \
                                MASK_PLACEHOLDER, repeats(word), unary(word), rounds != 0, site); \
    }
VENDOR_SHIFT_RIGHT(s16, int16_t)
VENDOR_SHIFT_RIGHT(u16, uint16_t)
VENDOR_SHIFT_RIGHT(s32, int32_t)
VENDOR_SHIFT_RIGHT(u32, uint32_t)
#undef VENDOR_SHIFT_RIGHT

// --- conversions; the last letter of a name is the rounding
#define VENDOR_CONVERT(NAME, TO, FROM, MODE)                                                  \
    void hivm_VCONV_##NAME##_v220(uint64_t dst, uint64_t src, uint64_t word) {                \
        const Site site = Site::here();                                                       \
        Cast<TO, FROM, false>(ub<TO>(dst, site), ub<FROM>(src, site), RoundMode::CAST_##MODE, \
                              MASK_PLACEHOLDER, repeats(word), unary(word), site);            \
    }
#define VENDOR_ROUNDINGS(NAME, SUFFIX, TO, FROM)     \
    VENDOR_CONVERT(NAME##r##SUFFIX, TO, FROM, RINT)  \
    VENDOR_CONVERT(NAME##a##SUFFIX, TO, FROM, ROUND) \
    VENDOR_CONVERT(NAME##f##SUFFIX, TO, FROM, FLOOR) \
    VENDOR_CONVERT(NAME##c##SUFFIX, TO, FROM, CEIL)  \
    VENDOR_CONVERT(NAME##z##SUFFIX, TO, FROM, TRUNC)
VENDOR_ROUNDINGS(f322f32, , float, float)
VENDOR_ROUNDINGS(f322f16, , half, float)
VENDOR_CONVERT(f322f16o, half, float, ODD)
VENDOR_ROUNDINGS(f322bf16, , bfloat16_t, float)
VENDOR_ROUNDINGS(f322s64, , int64_t, float)
VENDOR_ROUNDINGS(f322s32, , int32_t, float)
VENDOR_ROUNDINGS(f322s16, , int16_t, float)
VENDOR_ROUNDINGS(f162s32, , int32_t, half)
VENDOR_ROUNDINGS(f162s16, , int16_t, half)
VENDOR_ROUNDINGS(f162s8, , int8_t, half)
VENDOR_ROUNDINGS(f162u8, , uint8_t, half)
VENDOR_ROUNDINGS(bf162s32, , int32_t, bfloat16_t)
VENDOR_ROUNDINGS(s642f32, _1, float, int64_t)
VENDOR_ROUNDINGS(s322f32, , float, int32_t)
VENDOR_ROUNDINGS(s162f16, , half, int16_t)
VENDOR_CONVERT(f162f32, float, half, NONE)
VENDOR_CONVERT(bf162f32, float, bfloat16_t, NONE)
VENDOR_CONVERT(s162f32, float, int16_t, NONE)
VENDOR_CONVERT(s82f16, half, int8_t, NONE)
VENDOR_CONVERT(u82f16, half, uint8_t, NONE)
VENDOR_CONVERT(s322s16, int16_t, int32_t, NONE)
VENDOR_CONVERT(s322s64_1, int64_t, int32_t, NONE)
VENDOR_CONVERT(s642s32_1, int32_t, int64_t, NONE)
#undef VENDOR_ROUNDINGS
#undef VENDOR_CONVERT

// --- comparisons and selections
#define VENDOR_COMPARE(MODE, SUFFIX, TYPE, ARGUMENT)                                               \
    void hivm_VCMPV_##MODE##_##SUFFIX(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word) { \
        const Site site = Site::here();                                                            \
        Compare<TYPE, uint8_t, false>(ub<uint8_t>(dst, site), ub<TYPE>(src0, site),                \
                                      ub<TYPE>(src1, site), CMPMODE::MODE, MASK_PLACEHOLDER,       \
                                      repeats(word), binary(word), site);                          \
    }                                                                                              \
    void hivm_VCMPVS_##MODE##_##SUFFIX(uint64_t dst, uint64_t src, ARGUMENT scalar,                \
                                       uint64_t word) {                                            \
        const Site site = Site::here();                                                            \
        Compares<TYPE, uint8_t, false>(ub<uint8_t>(dst, site), ub<TYPE>(src, site),                \
                                       value_of<TYPE>(scalar), CMPMODE::MODE, MASK_PLACEHOLDER,    \
                                       repeats(word), unary(word), site);                          \
    }
#define VENDOR_COMPARISONS(MODE)              \
    VENDOR_COMPARE(MODE, f16, half, uint16_t) \
    VENDOR_COMPARE(MODE, f32, float, float)
VENDOR_COMPARISONS(EQ)
VENDOR_COMPARISONS(NE)
VENDOR_COMPARISONS(LT)
VENDOR_COMPARISONS(GT)
VENDOR_COMPARISONS(GE)
VENDOR_COMPARISONS(LE)
VENDOR_COMPARE(EQ, s32, int32_t, uint64_t)
#undef VENDOR_COMPARISONS
#undef VENDOR_COMPARE

void hivm_SET_CMPMASK(uint64_t src) {
    const Site site = Site::here();
    SetCmpMask(ub<uint8_t>(src, site), site);
}

}  // extern "C"

namespace {

// Bits 49:48 are the mode. CMPMASK holds what is missing: the bits (0), the scalar that is selected
// where a bit is 0 (1; src1 are the bits), or the address of the bits (2).
template <typename T>
void select(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word, Site site) {
    const uint64_t register_bits = emulator::vector_state().compare_mask[0];
    const auto mode = static_cast<SELMODE>(field(word, 48, 2));
    const auto to = ub<T>(dst, site), first = ub<T>(src0, site);
    switch (mode) {
        case SELMODE::VSEL_TENSOR_SCALAR_MODE: {
            T scalar;
            std::memcpy(&scalar, &register_bits, sizeof(T));
            return Select<T, uint8_t, false>(to, ub<uint8_t>(src1, site), first, scalar, mode,
                                             MASK_PLACEHOLDER, repeats(word), binary(word), site);
        }
        case SELMODE::VSEL_TENSOR_TENSOR_MODE:
            return Select<T, uint8_t, false>(to, ub<uint8_t>(field(register_bits, 0, 32), site),
                                             first, ub<T>(src1, site), mode, MASK_PLACEHOLDER,
                                             repeats(word), binary(word), site);
        default:
            return Select<T, SELMODE::VSEL_CMPMASK_SPR>(to, first, ub<T>(src1, site),
                                                        static_cast<uint8_t>(repeats(word)),
                                                        binary(word), site);
    }
}

}  // namespace

extern "C" {

void hivm_VSEL_f16_1(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word) {
    select<half>(dst, src0, src1, word, Site::here());
}
void hivm_VSEL_f32_1(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word) {
    select<float>(dst, src0, src1, word, Site::here());
}

}  // extern "C"
