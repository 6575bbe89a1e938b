// AscendC::Add, Mul, And, Exp, ... : the public functions over elementwise.h, each in two forms:
// (..., count) and (..., mask, repeatTime, strides), the mask being bits or a number of elements.
#pragma once

#include "vector/elementwise.h"

namespace AscendC {

using emulator::Site;

// dst = src0 (op) src1
#define EMULATOR_BINARY(Name, TYPES, COST, ACCUMULATES, OPERATION)                                 \
    template <typename T>                                                                          \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,   \
              const int32_t& count, Site site = Site::here()) {                                    \
        emulator::run_binary<T, TYPES>(#Name, emulator::vector_cost::COST, ACCUMULATES, dst, src0, \
                                       src1, emulator::Form::first(count), BinaryRepeatParams(),   \
                                       OPERATION{}, site);                                         \
    }                                                                                              \
    template <typename T, bool isSetMask = true, typename Mask>                                    \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,   \
              Mask mask, int64_t repeatTime, const BinaryRepeatParams& repeatParams,               \
              Site site = Site::here()) {                                                          \
        emulator::run_binary<T, TYPES>(#Name, emulator::vector_cost::COST, ACCUMULATES, dst, src0, \
                                       src1, emulator::Form::masked(isSetMask, mask, repeatTime),  \
                                       repeatParams, OPERATION{}, site);                           \
    }

using BinaryTypes = emulator::ByArch<emulator::Arithmetic, emulator::WideArithmetic>;
using LogicTypes = emulator::ByArch<emulator::Integers16, emulator::Integers1632>;
using AddReluTypes = emulator::TypeList<half, float, int16_t>;

EMULATOR_BINARY(Add, BinaryTypes, kAdd, true, emulator::AddOf)
EMULATOR_BINARY(Sub, BinaryTypes, kAdd, true, emulator::SubOf)
EMULATOR_BINARY(Mul, BinaryTypes, kMul, true, emulator::MulOf)
EMULATOR_BINARY(Div, emulator::Reals, kDiv, false, emulator::DivOf)
EMULATOR_BINARY(Max, BinaryTypes, kMax, true, emulator::MaxOf)
EMULATOR_BINARY(Min, BinaryTypes, kMax, true, emulator::MinOf)
EMULATOR_BINARY(And, LogicTypes, kLogic, false, emulator::AndOf)
EMULATOR_BINARY(Or, LogicTypes, kLogic, false, emulator::OrOf)
EMULATOR_BINARY(AddRelu, AddReluTypes, kAdd, true, emulator::ReluOf<emulator::AddOf>)
EMULATOR_BINARY(SubRelu, AddReluTypes, kAdd, true, emulator::ReluOf<emulator::SubOf>)
#undef EMULATOR_BINARY

// dst = op(src)
#define EMULATOR_UNARY(Name, TYPES, COST, OPERATION)                                               \
    template <typename T>                                                                          \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const int32_t& count,          \
              Site site = Site::here()) {                                                          \
        emulator::run_unary<T, TYPES>(#Name, emulator::vector_cost::COST, dst, src,                \
                                      emulator::Form::first(count), UnaryRepeatParams(),           \
                                      OPERATION{}, site);                                          \
    }                                                                                              \
    template <typename T, bool isSetMask = true, typename Mask>                                    \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src, Mask mask, int64_t repeatTime, \
              const UnaryRepeatParams& repeatParams, Site site = Site::here()) {                   \
        emulator::run_unary<T, TYPES>(#Name, emulator::vector_cost::COST, dst, src,                \
                                      emulator::Form::masked(isSetMask, mask, repeatTime),         \
                                      repeatParams, OPERATION{}, site);                            \
    }

using SignedTypes = emulator::TypeList<half, float, int16_t, int32_t>;
using AbsTypes = emulator::ByArch<emulator::Reals, SignedTypes>;
using ReluTypes = emulator::TypeList<half, float, int32_t>;

EMULATOR_UNARY(Abs, AbsTypes, kAdd, emulator::AbsOf)
EMULATOR_UNARY(Exp, emulator::Reals, kExp, emulator::ExpOf)
EMULATOR_UNARY(Ln, emulator::Reals, kExp, emulator::LnOf)
EMULATOR_UNARY(Sqrt, emulator::Reals, kSqrt, emulator::SqrtOf)
EMULATOR_UNARY(Rsqrt, emulator::Reals, kReciprocal, emulator::RsqrtOf)
EMULATOR_UNARY(Reciprocal, emulator::Reals, kReciprocal, emulator::ReciprocalOf)
EMULATOR_UNARY(Relu, ReluTypes, kAdd, emulator::RectifiedOf)
EMULATOR_UNARY(Not, LogicTypes, kLogic, emulator::NotOf)
#undef EMULATOR_UNARY

template <typename T>
EMULATOR_ONLY_ON_3510("Neg")
void Neg(const LocalTensor<T>& dst, const LocalTensor<T>& src, uint32_t count,
         Site site = Site::here()) {
    emulator::run_unary<T, SignedTypes>("Neg", emulator::vector_cost::kAdd, dst, src,
                                        emulator::Form::first(count), UnaryRepeatParams(),
                                        emulator::NegOf{}, site);
}

// dst = src (op) scalar
#define EMULATOR_SCALAR(Name, TYPES, COST, OPERATION)                                             \
    template <typename T, bool isSetMask = true>                                                  \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue,         \
              const int32_t& count, Site site = Site::here()) {                                   \
        emulator::run_scalar<T, TYPES>(#Name, emulator::vector_cost::COST, dst, src, scalarValue, \
                                       emulator::Form::first(count, isSetMask),                   \
                                       UnaryRepeatParams(), OPERATION{}, site);                   \
    }                                                                                             \
    template <typename T, bool isSetMask = true, typename Mask>                                   \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue,         \
              Mask mask, int64_t repeatTime, const UnaryRepeatParams& repeatParams,               \
              Site site = Site::here()) {                                                         \
        emulator::run_scalar<T, TYPES>(#Name, emulator::vector_cost::COST, dst, src, scalarValue, \
                                       emulator::Form::masked(isSetMask, mask, repeatTime),       \
                                       repeatParams, OPERATION{}, site);                          \
    }

using ScalarTypes = emulator::ByArch<emulator::Arithmetic,
                                     emulator::TypeList<half, bfloat16_t, float, int16_t, int32_t>>;

EMULATOR_SCALAR(Adds, ScalarTypes, kAdd, emulator::AddOf)
EMULATOR_SCALAR(Muls, ScalarTypes, kMul, emulator::MulOf)
EMULATOR_SCALAR(Maxs, ScalarTypes, kMax, emulator::MaxOf)
EMULATOR_SCALAR(Mins, ScalarTypes, kMax, emulator::MinOf)
EMULATOR_SCALAR(LeakyRelu, emulator::Reals, kAdd, emulator::LeakyReluOf)
EMULATOR_SCALAR(ShiftLeft, emulator::Integers1632, kLogic, emulator::ShiftLeftOf)
#undef EMULATOR_SCALAR

// Arithmetic shift of signed, logical shift of unsigned integers. roundEn adds the last bit that is
// shifted out (int16_t and int32_t, dav-2201).
template <typename T, bool isSetMask = true>
void ShiftRight(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue,
                const int32_t& count, Site site = Site::here()) {
    emulator::run_scalar<T, emulator::Integers1632>(
        "ShiftRight", emulator::vector_cost::kLogic, dst, src, scalarValue,
        emulator::Form::first(count, isSetMask), UnaryRepeatParams(), emulator::ShiftRightOf{},
        site);
}
template <typename T, bool isSetMask = true, typename Mask>
void ShiftRight(const LocalTensor<T>& dst, const LocalTensor<T>& src, const T& scalarValue,
                Mask mask, int64_t repeatTime, const UnaryRepeatParams& repeatParams,
                bool roundEn = false, Site site = Site::here()) {
    emulator::run_scalar<T, emulator::Integers1632>(
        "ShiftRight", emulator::vector_cost::kLogic, dst, src, scalarValue,
        emulator::Form::masked(isSetMask, mask, repeatTime), repeatParams,
        emulator::ShiftRightOf{roundEn && std::is_signed_v<T>}, site);
}

// dst = src0 * src1 + dst, in float also from half sources.
template <typename T, typename U>
void MulAddDst(const LocalTensor<T>& dst, const LocalTensor<U>& src0, const LocalTensor<U>& src1,
               const int32_t& count, Site site = Site::here()) {
    emulator::run_multiply_add<T, U>("MulAddDst", emulator::vector_cost::kMulAddDst, dst, src0,
                                     &src1, U{}, emulator::Form::first(count),
                                     emulator::dense_strides<T, U>(), emulator::MulAddDstOf<T>{},
                                     site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void MulAddDst(const LocalTensor<T>& dst, const LocalTensor<U>& src0, const LocalTensor<U>& src1,
               Mask mask, int64_t repeatTime, const BinaryRepeatParams& repeatParams,
               Site site = Site::here()) {
    emulator::run_multiply_add<T, U>("MulAddDst", emulator::vector_cost::kMulAddDst, dst, src0,
                                     &src1, U{},
                                     emulator::Form::masked(isSetMask, mask, repeatTime),
                                     repeatParams, emulator::MulAddDstOf<T>{}, site);
}

// dst = scalar * src + dst, in float also from a half source.
template <typename T, typename U>
void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U& scalarValue,
          const int32_t& count, Site site = Site::here()) {
    emulator::run_multiply_add<T, U, LocalTensor<T>, LocalTensor<U>>(
        "Axpy", emulator::vector_cost::kFused, dst, src, nullptr, scalarValue,
        emulator::Form::first(count), emulator::dense_strides<T, U>(), emulator::MulAddDstOf<T>{},
        site);
}
template <typename T, typename U, bool isSetMask = true, typename Mask>
void Axpy(const LocalTensor<T>& dst, const LocalTensor<U>& src, const U& scalarValue, Mask mask,
          int64_t repeatTime, const UnaryRepeatParams& repeatParams, Site site = Site::here()) {
    emulator::run_multiply_add<T, U, LocalTensor<T>, LocalTensor<U>>(
        "Axpy", emulator::vector_cost::kFused, dst, src, nullptr, scalarValue,
        emulator::Form::masked(isSetMask, mask, repeatTime),
        BinaryRepeatParams(repeatParams.dstBlkStride, repeatParams.srcBlkStride, 1,
                           repeatParams.dstRepStride, repeatParams.srcRepStride, 8),
        emulator::MulAddDstOf<T>{}, site);
}

// dst = src0 * dst + src1, and its rectified form.
#define EMULATOR_FUSED(Name, OPERATION)                                                            \
    template <typename T>                                                                          \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,   \
              const int32_t& count, Site site = Site::here()) {                                    \
        emulator::run_multiply_add<T, T>(#Name, emulator::vector_cost::kFused, dst, src0, &src1,   \
                                         T{}, emulator::Form::first(count), BinaryRepeatParams(),  \
                                         OPERATION<T>{}, site);                                    \
    }                                                                                              \
    template <typename T, bool isSetMask = true, typename Mask>                                    \
    void Name(const LocalTensor<T>& dst, const LocalTensor<T>& src0, const LocalTensor<T>& src1,   \
              Mask mask, int64_t repeatTime, const BinaryRepeatParams& repeatParams,               \
              Site site = Site::here()) {                                                          \
        emulator::run_multiply_add<T, T>(#Name, emulator::vector_cost::kFused, dst, src0, &src1,   \
                                         T{}, emulator::Form::masked(isSetMask, mask, repeatTime), \
                                         repeatParams, OPERATION<T>{}, site);                      \
    }

EMULATOR_FUSED(FusedMulAdd, emulator::FusedMulAddOf)
EMULATOR_FUSED(MulAddRelu, emulator::FusedMulAddReluOf)
EMULATOR_FUSED(FusedMulAddRelu, emulator::FusedMulAddReluOf)
#undef EMULATOR_FUSED

}  // namespace AscendC
