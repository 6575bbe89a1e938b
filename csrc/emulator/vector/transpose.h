// Transpose of a 16 x 16 matrix or of [N, C, H, W], and TransDataTo5HD: 16 DataBlocks at a time.
#pragma once

#include "vector/elementwise.h"

namespace emulator {

using TransposeTypes = ByArch<
    TypeList<int8_t, uint8_t, int16_t, uint16_t, half, int32_t, uint32_t, float>,
    TypeList<int8_t, uint8_t, int16_t, uint16_t, half, bfloat16_t, int32_t, uint32_t, float>>;
using SquareTypes = TypeList<int16_t, uint16_t, half>;

// Block i of the sources is row i of a 16 x n matrix (n elements per block, 16 of the 32 of a b8
// block); the destinations receive its columns: one per block (b8: half a block, b32: two blocks).
template <typename T>
void run_to_5hd(const uint64_t* dst, const uint64_t* src, const AscendC::TransDataTo5HDParams& p,
                Site site) {
    require_type<T, TransposeTypes>();
    VectorCall call("TransDataTo5HD", site);
    constexpr uint32_t rows = AscendC::NCHW_CONV_ADDR_LIST_SIZE;
    constexpr uint32_t columns = sizeof(T) == 1 ? 16 : kBlockBytes / sizeof(T);
    const uint32_t source_half = sizeof(T) == 1 && p.srcHighHalf ? 16 : 0;
    const uint32_t target_half = sizeof(T) == 1 && p.dstHighHalf ? 16 : 0;
    const AscendC::LocalTensor<T> buffer(AscendC::TPosition::VECCALC, 0,
                                         static_cast<uint32_t>(call.buffer_bytes() / sizeof(T)));
    const Operand from = call.operand(buffer, "srcList");
    const Operand to = call.operand(buffer, "dstList");
    // With one repeat the strides shift the only iteration (documented).
    const uint32_t first = p.repeatTimes == 1 ? 1 : 0;
    std::vector<T> matrix(rows * columns);
    for (uint32_t repeat = 0; repeat < p.repeatTimes; ++repeat) {
        const uint64_t source_step = uint64_t{repeat + first} * p.srcRepStride * kBlockBytes;
        const uint64_t target_step = uint64_t{repeat + first} * p.dstRepStride * kBlockBytes;
        for (uint32_t row = 0; row < rows; ++row) {
            const uint64_t at = src[row] + source_step;
            if (at % kBlockBytes != 0) {
                fail(site, "TransDataTo5HD: srcList[%u] is not aligned to 32 bytes", row);
            }
            call.reads_bytes(from, at + source_half, {0, columns * sizeof(T)});
            std::memcpy(&matrix[row * columns], from.memory + at + source_half,
                        columns * sizeof(T));
        }
        for (uint32_t column = 0; column < columns; ++column) {
            for (uint32_t row = 0; row < rows; ++row) {
                const uint32_t index = column * rows + row;
                const uint32_t per_target = sizeof(T) == 1 ? 16 : kBlockBytes / sizeof(T);
                const uint64_t at = dst[index / per_target] + target_step;
                if (at % kBlockBytes != 0) {
                    fail(site, "TransDataTo5HD: dstList[%u] is not aligned to 32 bytes",
                         index / per_target);
                }
                if (index % per_target == 0) {
                    call.writes_bytes(to, at + target_half, {0, per_target * sizeof(T)});
                }
                store(to.memory + at + target_half + index % per_target * sizeof(T),
                      matrix[row * columns + column]);
            }
        }
    }
    call.issue(vector_cost::kTranspose,
               Lanes::bits({~0ull, ~0ull}, 128, 2u * p.repeatTimes));  // 512 bytes each
}

template <typename T>
void run_transpose_square(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                          Site site) {
    VectorCall call("Transpose", site);
    const Lanes lanes = Lanes::counted(256, 128);
    const Operand from = call.operand(src, "src");
    const Operand to = call.operand(dst, "dst");
    call.reads(from, lanes);
    call.writes(to, lanes);
    uint16_t matrix[16][16];
    std::memcpy(matrix, from.memory + from.base, sizeof(matrix));
    for (uint32_t i = 0; i < 256; ++i) {
        store(to.memory + to.base + 2 * i, matrix[i % 16][i / 16]);
    }
    call.issue(vector_cost::kTranspose, lanes);
}

// `count` matrices of rows x columns, one behind the other, each transposed. `scratch` bytes of
// `temporary` lose their content.
template <typename T>
void run_transpose_matrices(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                            const AscendC::LocalTensor<uint8_t>& temporary, uint32_t count,
                            uint32_t rows, uint32_t columns, uint64_t scratch, Site site) {
    if (temporary.GetSize() < scratch) {
        fail(site, "Transpose: sharedTmpBuffer has %u bytes, %llu are needed", temporary.GetSize(),
             static_cast<unsigned long long>(scratch));
    }
    VectorCall call("Transpose", site);
    const uint64_t matrix = uint64_t{rows} * columns, bytes = count * matrix * sizeof(T);
    const Operand from = call.operand(src, "src");
    const Operand between = call.operand(temporary, "sharedTmpBuffer");
    const Operand to = call.operand(dst, "dst");
    if (to.base < from.base + bytes && from.base < to.base + bytes) {
        fail(site, "Transpose: dst overlaps src");
    }
    call.reads_bytes(from, from.base, {0, bytes});
    call.writes_bytes(between, between.base, {0, scratch});
    std::memset(between.memory + between.base, kPoison, scratch);
    call.writes_bytes(to, to.base, {0, bytes});
    for (uint32_t n = 0; n < count; ++n) {
        const uint8_t* source = from.memory + from.base + n * matrix * sizeof(T);
        uint8_t* target = to.memory + to.base + n * matrix * sizeof(T);
        for (uint32_t row = 0; row < rows; ++row) {
            for (uint32_t column = 0; column < columns; ++column) {
                const T value = load<T>(source + (uint64_t{row} * columns + column) * sizeof(T));
                store(target + (uint64_t{column} * rows + row) * sizeof(T), value);
            }
        }
    }
    // Assumed: TransDataTo5HD of all into the scratch buffer and out of it, of squares of 16 x 16
    // (b8: 32 x 32) elements.
    constexpr uint64_t square = sizeof(T) == 1 ? 32 : 16;
    const auto whole = [](uint64_t size) { return (size + square - 1) / square * square; };
    call.issue(vector_cost::kTranspose, Lanes::counted(2 * count * whole(rows) * whole(columns),
                                                       kIterationBytes / sizeof(T)));
}

template <typename T>
void run_transpose(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                   const AscendC::LocalTensor<uint8_t>& temporary,
                   const AscendC::TransposeParamsExt& p, Site site) {
    using AscendC::TransposeType;
    require_type<T, TransposeTypes>();
    using Squares = ByArch<TypeList<uint16_t>, SquareTypes>;
    if (p.transposeType == TransposeType::TRANSPOSE_TYPE_NONE) return;
    if (p.transposeType == TransposeType::TRANSPOSE_ND2ND_B16) {
        if (!Squares::template has<T>) {
            fail(site, "Transpose: TRANSPOSE_ND2ND_B16 does not take %s on dav-%d", type_name<T>(),
                 __NPU_ARCH__);
        }
        require_range("Transpose", "hSize", p.hSize, 16, 16, site);
        require_range("Transpose", "wSize", p.wSize, 16, 16, site);
        return run_transpose_square(dst, src, site);
    }
    const bool to_nhwc = p.transposeType == TransposeType::TRANSPOSE_NCHW2NHWC;
    if (!to_nhwc && p.transposeType != TransposeType::TRANSPOSE_NHWC2NCHW) {
        fail(site, "Transpose: transposeType %d is not supported",
             static_cast<int>(p.transposeType));
    }
    const uint32_t pixels = uint32_t{p.hSize} * p.wSize, channels = p.cSize;
    require_range("Transpose", "cSize", channels, 0, 4095, site);
    require_range("Transpose", "hSize * wSize", pixels, 0, 4095, site);
    if (p.nSize == 0 || channels == 0 || pixels == 0) return;
    if (pixels * sizeof(T) % kBlockBytes != 0) {
        fail(site, "Transpose: hSize * wSize is %u elements, not a multiple of 32 bytes", pixels);
    }
    // 16 DataBlocks, b8: 32.
    constexpr uint64_t unit = (sizeof(T) == 1 ? 32 : 16) * kBlockBytes;
    to_nhwc ? run_transpose_matrices(dst, src, temporary, p.nSize, channels, pixels,
                                     (channels + 2ull) * unit, site)
            : run_transpose_matrices(dst, src, temporary, p.nSize, pixels, channels,
                                     (channels * 2ull + 1) * unit, site);
}

}  // namespace emulator

namespace AscendC {

template <typename T>
void Transpose(const LocalTensor<T>& dst, const LocalTensor<T>& src, Site site = Site::here()) {
    emulator::require_type<T, emulator::SquareTypes>();
    emulator::run_transpose_square(dst, src, site);
}
template <typename T>
void Transpose(const LocalTensor<T>& dst, const LocalTensor<T>& src,
               const LocalTensor<uint8_t>& sharedTmpBuffer,
               const TransposeParamsExt& transposeParams, Site site = Site::here()) {
    emulator::run_transpose(dst, src, sharedTmpBuffer, transposeParams, site);
}

template <typename T>
void TransDataTo5HD(uint64_t dstList[NCHW_CONV_ADDR_LIST_SIZE],
                    uint64_t srcList[NCHW_CONV_ADDR_LIST_SIZE], const TransDataTo5HDParams& params,
                    Site site = Site::here()) {
    emulator::run_to_5hd<T>(dstList, srcList, params, site);
}
template <typename T>
void TransDataTo5HD(const LocalTensor<T> (&dstList)[NCHW_CONV_ADDR_LIST_SIZE],
                    const LocalTensor<T> (&srcList)[NCHW_CONV_ADDR_LIST_SIZE],
                    const TransDataTo5HDParams& params, Site site = Site::here()) {
    uint64_t dst[NCHW_CONV_ADDR_LIST_SIZE], src[NCHW_CONV_ADDR_LIST_SIZE];
    for (int i = 0; i < NCHW_CONV_ADDR_LIST_SIZE; ++i) {
        dst[i] = dstList[i].GetPhyAddr();
        src[i] = srcList[i].GetPhyAddr();
    }
    emulator::run_to_5hd<T>(dst, src, params, site);
}

}  // namespace AscendC
