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

// To rows of global memory, `stride` elements apart, as many matrices as SetMatrices() said last.
// By DataCopy: Fixpipe waits for all earlier stores before each of those in global memory.
template <typename To, typename Sum>
__aicore__ inline void CopyOut(const AscendC::GlobalTensor<To>& dst,
                               const AscendC::LocalTensor<Sum>& sum, QuantMode_t mode,
                               uint16_t rows, uint16_t columns, uint32_t stride,
                               uint16_t sum_rows) {
    AscendC::DataCopyCO12DstParams params;
    params.nSize = columns;
    params.mSize = rows;
    params.srcStride = sum_rows;
    params.dstStride = stride;
    params.quantPre = mode;
    params.nz2ndEn = true;
    AscendC::DataCopy(dst, sum, params);
}

// One matrix.
template <typename To, typename Sum>
__aicore__ inline void StoreRows(const AscendC::GlobalTensor<To>& dst,
                                 const AscendC::LocalTensor<Sum>& sum, QuantMode_t mode,
                                 uint64_t scale, uint16_t rows, uint16_t columns, uint32_t stride,
                                 uint16_t sum_rows) {
    SetMatrices(1, 0, 1);
    if (scale != kNoScale) {
        AscendC::SetFixpipePreQuantFlag(scale);
    }
    CopyOut(dst, sum, mode, rows, columns, stride, sum_rows);
}

// `count` blocks without conversion, each row by row, one after another; in L0C `fractals` fractals
// apart.
template <typename Sum>
__aicore__ inline void StoreBlocks(const AscendC::GlobalTensor<Sum>& blocks,
                                   const AscendC::LocalTensor<Sum>& sum, uint16_t count,
                                   uint16_t rows, uint16_t columns, uint16_t fractals) {
    SetMatrices(count, fractals, static_cast<uint16_t>(rows * columns));
    CopyOut(blocks, sum, QuantMode_t::NoQuant, rows, columns, columns, rows);
}

}  // namespace neumann_tril
