// Tiles of the cube: their way to L1, their products, and the ways of the sums out of L0C, for
// every kind of operand.
//
// In L0C a sum is fractals column by column, `sum_rows` rows from one column to the next.
#pragma once

#include "arch.h"

namespace neumann_tril {

// `count` blocks, their rows `stride` elements apart in global memory, to fractals column by
// column, of `side` rows each; from block to block `pitch` elements there, `image_pitch` in L1.
template <typename T>
__aicore__ inline void FetchTiles(const AscendC::LocalTensor<T>& image,
                                  const AscendC::GlobalTensor<T>& blocks, int32_t count,
                                  int32_t rows, int32_t columns, uint16_t stride, int32_t pitch,
                                  int32_t side, int32_t image_pitch) {
    AscendC::Nd2NzParams params;
    params.ndNum = static_cast<uint16_t>(count);
    params.nValue = static_cast<uint16_t>(rows);
    params.dValue = static_cast<uint16_t>(columns);
    params.srcNdMatrixStride = static_cast<uint16_t>(pitch);
    params.srcDValue = stride;
    params.dstNzC0Stride = static_cast<uint16_t>(side);
    params.dstNzNStride = 1;
    params.dstNzMatrixStride = static_cast<uint16_t>(image_pitch);
    AscendC::DataCopy(image, blocks, params);
}

__aicore__ inline AscendC::MmadParams Product(uint16_t m, uint16_t n, uint16_t k, bool accumulate) {
    return AscendC::MmadParams{m, n, k, 0, false, !accumulate};
}

// For a mode that does not scale.
constexpr uint64_t kNoScale = 0;

// To an image in L1, of `image_rows` rows.
template <typename To, typename Sum>
__aicore__ inline void StoreTiles(const AscendC::LocalTensor<To>& image,
                                  const AscendC::LocalTensor<Sum>& sum, QuantMode_t mode,
                                  uint64_t scale, uint16_t rows, uint16_t columns,
                                  uint16_t image_rows, uint16_t sum_rows) {
    FixpipeToL1 params;
    params.nSize = columns;
    params.mSize = rows;
    params.srcStride = sum_rows;
    params.dstStride = image_rows * (sizeof(To) == 1 ? kCodePitchUnit : kNzPitchUnit);
    params.quantPre = mode;
    params.deqScalar = scale;
    AscendC::Fixpipe<To, Sum, AscendC::CFG_NZ>(image, sum, params);
}

// To rows of global memory, `stride` elements apart.
template <typename To, typename Sum>
__aicore__ inline void StoreRows(const AscendC::GlobalTensor<To>& dst,
                                 const AscendC::LocalTensor<Sum>& sum, QuantMode_t mode,
                                 uint64_t scale, uint16_t rows, uint16_t columns, uint32_t stride,
                                 uint16_t sum_rows) {
    FixpipeToGlobal params;
    params.nSize = columns;
    params.mSize = rows;
    params.srcStride = sum_rows;
    params.dstStride = stride;
    params.quantPre = mode;
    params.deqScalar = scale;
    SetSingleMatrix(params);
    AscendC::Fixpipe<To, Sum, AscendC::CFG_ROW_MAJOR>(dst, sum, params);
}

// `count` blocks without conversion, each row by row, one after another; in L0C `fractals` fractals
// apart.
template <typename Sum>
__aicore__ inline void StoreBlocks(const AscendC::GlobalTensor<Sum>& blocks,
                                   const AscendC::LocalTensor<Sum>& sum, uint16_t count,
                                   uint16_t rows, uint16_t columns, uint16_t fractals) {
    FixpipeToGlobal params;
    params.nSize = columns;
    params.mSize = rows;
    params.srcStride = rows;
    params.dstStride = columns;
    params.quantPre = QuantMode_t::NoQuant;
    SetMatrices(params, count, fractals, static_cast<uint32_t>(rows) * columns);
    AscendC::Fixpipe<Sum, Sum, AscendC::CFG_ROW_MAJOR>(blocks, sum, params);
}

}  // namespace neumann_tril
