// Rows of matrices between global memory and the Unified Buffer of a vector core.
#pragma once

#include "layout.h"

namespace neumann_tril {

template <typename T>
__aicore__ inline AscendC::LocalTensor<T> Ub(uint32_t offset, uint32_t count) {
    return AscendC::LocalTensor<T>(AscendC::TPosition::VECCALC, offset, count);
}

// Bytes of a row in the Unified Buffer: whole blocks.
template <typename T>
__aicore__ inline constexpr uint32_t RowBytes(int32_t columns) {
    return (columns * sizeof(T) + 31) / 32 * 32;
}

// What DataCopyPad can skip from row to row in global memory, in bytes.
__aicore__ inline bool IsGap(int64_t bytes) { return bytes >= 0 && bytes <= 0xFFFFFFFFLL; }

// `rows` rows of `columns`, `stride` elements apart in global memory (any number, also negative);
// `blocks` blocks of the Unified Buffer are left out after each.
template <typename T>
__aicore__ inline void CopyRowsIn(const AscendC::LocalTensor<T>& dst,
                                  const AscendC::GlobalTensor<T>& src, int64_t offset,
                                  int64_t stride, int32_t rows, int32_t columns,
                                  uint32_t blocks = 0) {
    const uint32_t bytes = columns * sizeof(T);
    const int64_t gap = (stride - columns) * static_cast<int64_t>(sizeof(T));
    const AscendC::DataCopyPadExtParams<T> no_padding{false, 0, 0, 0};
    if (IsGap(gap)) {
        const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), bytes,
                                             static_cast<uint32_t>(gap), blocks, 0};
        AscendC::DataCopyPad(dst, src[offset], all, no_padding);
        return;
    }
    const uint32_t pitch = (RowBytes<T>(columns) + blocks * 32) / sizeof(T);
    for (int32_t r = 0; r < rows; ++r) {
        AscendC::DataCopyPad(dst[r * pitch], src[offset + r * stride],
                             AscendC::DataCopyExtParams{1, bytes, 0, 0, 0}, no_padding);
    }
}

// The way back; `gap` blocks follow each row in the Unified Buffer.
template <typename T>
__aicore__ inline void CopyRowsOut(const AscendC::GlobalTensor<T>& dst, int64_t offset,
                                   int64_t stride, const AscendC::LocalTensor<T>& src, int32_t rows,
                                   int32_t columns, uint32_t gap = 0) {
    const uint32_t bytes = columns * sizeof(T);
    const int64_t dst_gap = (stride - columns) * static_cast<int64_t>(sizeof(T));
    if (IsGap(dst_gap)) {
        const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), bytes, gap,
                                             static_cast<uint32_t>(dst_gap), 0};
        AscendC::DataCopyPad(dst[offset], src, all);
        return;
    }
    const uint32_t pitch = (RowBytes<T>(columns) + gap * 32) / sizeof(T);
    for (int32_t r = 0; r < rows; ++r) {
        AscendC::DataCopyPad(dst[offset + r * stride], src[r * pitch],
                             AscendC::DataCopyExtParams{1, bytes, 0, 0, 0});
    }
}

// What lies on the right of the `side` x `side` blocks on the diagonal of a result: zeros, from a
// buffer of `count` of them.
template <typename T>
__aicore__ inline void StoreZeros(const AscendC::GlobalTensor<T>& x, const Place& place,
                                  int64_t stride, int32_t chunk_size, int32_t side,
                                  const AscendC::LocalTensor<T>& zeros, int32_t count) {
    for (int32_t first = 0; first + side < chunk_size; first += side) {
        const int32_t columns = chunk_size - first - side;
        const int32_t rows = Clamp(place.valid - first, side), at_once = count / columns;
        for (int32_t r = 0; r < rows; r += at_once) {
            CopyRowsOut(x, place.x + (first + r) * stride + first + side, stride, zeros,
                        Clamp(rows - r, at_once), columns);
        }
    }
}

}  // namespace neumann_tril
