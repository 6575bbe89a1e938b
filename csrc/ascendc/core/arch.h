// The differences between dav-2201 and dav-3510, and nothing else.
//
// Both load square blocks from an image in L1 (fractals in column-major order, `pitch` fractals
// from one column to the next). They differ in the order of the fractals of L0A (2201 row-major,
// 3510 column-major), in the load instruction, and in the units of Fixpipe.
#pragma once

#include "kernel_operator.h"

namespace neumann_tril {

constexpr uint32_t kFractal = 16 * 16;  // elements of a 16 x 16 block

// How Fixpipe rounds the float accumulator to T.
template <typename T>
struct CubeCast;
template <>
struct CubeCast<half> {
    static constexpr QuantMode_t value = QuantMode_t::F322F16;
};
template <>
struct CubeCast<bfloat16_t> {
    static constexpr QuantMode_t value = QuantMode_t::F322BF16;
};
template <>
struct CubeCast<float> {
    static constexpr QuantMode_t value = QuantMode_t::NoQuant;
};

#if defined(__NPU_ARCH__) && (__NPU_ARCH__ == 3510)

// Rows x columns fractals, the left operand of one Mmad.
template <typename T>
__aicore__ inline void LoadLeft(const AscendC::LocalTensor<T>& l0,
                                const AscendC::LocalTensor<T>& l1, uint16_t pitch, uint16_t rows,
                                uint16_t columns) {
    AscendC::LoadData(l0, l1,
                      AscendC::LoadData2DParamsV2{0, 0, rows, columns, pitch, rows, false, 0});
}

// `count` square blocks of `side` fractals, one below the other, left operands of one Mmad each.
template <typename T>
__aicore__ inline void LoadLeftStack(const AscendC::LocalTensor<T>& l0,
                                     const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                     uint16_t count, uint16_t side) {
    for (uint16_t q = 0; q < count; ++q) {
        LoadLeft(l0[q * side * side * kFractal], l1[q * side * kFractal], pitch, side, side);
    }
}

// Rows of fractals, each a left operand of its own.
template <typename T>
__aicore__ inline void LoadLeftRows(const AscendC::LocalTensor<T>& l0,
                                    const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                    uint16_t rows, uint16_t columns) {
    for (uint16_t r = 0; r < rows; ++r) {
        LoadLeft(l0[r * columns * kFractal], l1[r * kFractal], pitch, 1, columns);
    }
}

// The right operand of one Mmad; l1 holds it with its rows as rows.
template <typename T>
__aicore__ inline void LoadRight(const AscendC::LocalTensor<T>& l0,
                                 const AscendC::LocalTensor<T>& l1, uint16_t pitch, uint16_t rows,
                                 uint16_t columns) {
    AscendC::LoadData(l0, l1,
                      AscendC::LoadData2DParamsV2{0, 0, rows, columns, pitch, columns, true, 0});
}

// The right operand of one Mmad; l1 holds its transpose, all of an image: `rows` fractals of
// columns of the operand, `columns` of its rows.
template <typename T>
__aicore__ inline void LoadRightTransposed(const AscendC::LocalTensor<T>& l0,
                                           const AscendC::LocalTensor<T>& l1, uint16_t rows,
                                           uint16_t columns) {
    AscendC::LoadData(l0, l1,
                      AscendC::LoadData2DParamsV2{0, 0, rows, columns, rows, rows, false, 0});
}

// Rows of fractals, each a left operand of its own; l1 holds their transpose, `rows` columns of
// `columns` fractals.
template <typename T>
__aicore__ inline void LoadLeftRowsTransposed(const AscendC::LocalTensor<T>& l0,
                                              const AscendC::LocalTensor<T>& l1, uint16_t rows,
                                              uint16_t columns) {
    for (uint16_t r = 0; r < rows; ++r) {
        AscendC::LoadData(l0[r * columns * kFractal], l1[r * columns * kFractal],
                          AscendC::LoadData2DParamsV2{0, 0, columns, 1, columns, 1, true, 0});
    }
}

template <typename T>
__aicore__ inline void LoadRightStack(const AscendC::LocalTensor<T>& l0,
                                      const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                      uint16_t count, uint16_t side) {
    for (uint16_t q = 0; q < count; ++q) {
        LoadRight(l0[q * side * side * kFractal], l1[q * side * kFractal], pitch, side, side);
    }
}

// `count` fractals of int8, `stride` apart, left operands of 16 x 32.
__aicore__ inline void LoadCodes(const AscendC::LocalTensor<int8_t>& l0,
                                 const AscendC::LocalTensor<int8_t>& l1, uint16_t count,
                                 uint16_t stride) {
    AscendC::LoadData(l0, l1, AscendC::LoadData2DParamsV2{0, 0, 1, count, stride, 1, false, 0});
}

// `count` squares of 32 x 32 int8, `stride` squares apart, right operands; their rows are rows.
__aicore__ inline void LoadCodeSquares(const AscendC::LocalTensor<int8_t>& l0,
                                       const AscendC::LocalTensor<int8_t>& l1, uint16_t count,
                                       uint16_t stride) {
    AscendC::LoadData(l0, l1,
                      AscendC::LoadData2DParamsV2{0, 0, 2, count, 2 * stride,
                                                  static_cast<uint16_t>(2 * count), true, 0});
}

using FixpipeToL1 = AscendC::FixpipeParamsArch3510<AscendC::CO2Layout::NZ>;
// Fixpipe counts the pitch of an NZ target in elements: of 16 bits, of int8.
constexpr uint32_t kNzPitchUnit = 16, kCodePitchUnit = 32;

// Distance of two matrices in L0C is counted in rows of a fractal.
constexpr uint16_t kMatrixPitchUnit = 16;

#else

template <typename T>
__aicore__ inline void LoadColumns(const AscendC::LocalTensor<T>& l0,
                                   const AscendC::LocalTensor<T>& l1, uint16_t pitch, uint8_t rows,
                                   uint16_t columns, bool transpose) {
    for (uint16_t k = 0; k < columns; ++k) {
        AscendC::LoadData(l0[k * kFractal], l1[k * pitch * kFractal],
                          AscendC::LoadData2DParams{
                              0, rows, 1, 0, static_cast<uint16_t>(columns - 1), transpose, 0});
    }
}

// Rows x columns fractals, the left operand of one Mmad.
template <typename T>
__aicore__ inline void LoadLeft(const AscendC::LocalTensor<T>& l0,
                                const AscendC::LocalTensor<T>& l1, uint16_t pitch, uint16_t rows,
                                uint16_t columns) {
    LoadColumns(l0, l1, pitch, static_cast<uint8_t>(rows), columns, false);
}

// `count` square blocks of `side` fractals, one below the other, left operands of one Mmad each.
template <typename T>
__aicore__ inline void LoadLeftStack(const AscendC::LocalTensor<T>& l0,
                                     const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                     uint16_t count, uint16_t side) {
    LoadLeft(l0, l1, pitch, count * side, side);
}

// Rows of fractals, each a left operand of its own.
template <typename T>
__aicore__ inline void LoadLeftRows(const AscendC::LocalTensor<T>& l0,
                                    const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                    uint16_t rows, uint16_t columns) {
    LoadLeft(l0, l1, pitch, rows, columns);
}

// The right operand of one Mmad; l1 holds it with its rows as rows.
template <typename T>
__aicore__ inline void LoadRight(const AscendC::LocalTensor<T>& l0,
                                 const AscendC::LocalTensor<T>& l1, uint16_t pitch, uint16_t rows,
                                 uint16_t columns) {
    LoadColumns(l0, l1, pitch, static_cast<uint8_t>(rows), columns, true);
}

// The right operand of one Mmad; l1 holds its transpose, all of an image: `rows` fractals of
// columns of the operand, `columns` of its rows.
template <typename T>
__aicore__ inline void LoadRightTransposed(const AscendC::LocalTensor<T>& l0,
                                           const AscendC::LocalTensor<T>& l1, uint16_t rows,
                                           uint16_t columns) {
    AscendC::LoadData(
        l0, l1,
        AscendC::LoadData2DParams{0, static_cast<uint8_t>(rows * columns), 1, 0, 0, false, 0});
}

// Rows of fractals, each a left operand of its own; l1 holds their transpose, `rows` columns of
// `columns` fractals.
template <typename T>
__aicore__ inline void LoadLeftRowsTransposed(const AscendC::LocalTensor<T>& l0,
                                              const AscendC::LocalTensor<T>& l1, uint16_t rows,
                                              uint16_t columns) {
    AscendC::LoadData(
        l0, l1,
        AscendC::LoadData2DParams{0, static_cast<uint8_t>(rows * columns), 1, 0, 0, true, 0});
}

template <typename T>
__aicore__ inline void LoadRightStack(const AscendC::LocalTensor<T>& l0,
                                      const AscendC::LocalTensor<T>& l1, uint16_t pitch,
                                      uint16_t count, uint16_t side) {
    LoadRight(l0, l1, pitch, count * side, side);
}

// `count` fractals of int8, `stride` apart, left operands of 16 x 32.
__aicore__ inline void LoadCodes(const AscendC::LocalTensor<int8_t>& l0,
                                 const AscendC::LocalTensor<int8_t>& l1, uint16_t count,
                                 uint16_t stride) {
    AscendC::LoadData(
        l0, l1, AscendC::LoadData2DParams{0, static_cast<uint8_t>(count), stride, 0, 0, false, 0});
}

// `count` squares of 32 x 32 int8, `stride` squares apart, right operands; their rows are rows.
__aicore__ inline void LoadCodeSquares(const AscendC::LocalTensor<int8_t>& l0,
                                       const AscendC::LocalTensor<int8_t>& l1, uint16_t count,
                                       uint16_t stride) {
    AscendC::LoadDataWithTranspose(
        l0, l1, AscendC::LoadData2dTransposeParams{0, static_cast<uint8_t>(count), stride, 1, 0});
}

using FixpipeToL1 = AscendC::FixpipeParamsV220;
// Fixpipe counts the pitch of an NZ target in 32 bytes.
constexpr uint32_t kNzPitchUnit = 1, kCodePitchUnit = 1;

// Distance of two matrices in L0C is counted in fractals.
constexpr uint16_t kMatrixPitchUnit = 1;

#endif

// What the next stores in global memory move: `count` matrices, in L0C `fractals` fractals apart,
// in global memory `pitch` elements.
__aicore__ inline void SetMatrices(uint16_t count, uint16_t fractals, uint16_t pitch) {
    AscendC::SetFixpipeNz2ndFlag(count, static_cast<uint16_t>(fractals * kMatrixPitchUnit), pitch);
}

}  // namespace neumann_tril
