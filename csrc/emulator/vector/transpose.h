// Transpose of a 16 x 16 matrix, and TransDataTo5HD: 16 DataBlocks at a time.
#pragma once

#include "vector/elementwise.h"

namespace emulator {

using TransposeTypes = TypeList<int8_t, uint8_t, int16_t, uint16_t, half, int32_t, uint32_t, float>;

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

}  // namespace emulator

namespace AscendC {

template <typename T>
void Transpose(const LocalTensor<T>& dst, const LocalTensor<T>& src, Site site = Site::here()) {
    emulator::require_type<T, emulator::TypeList<int16_t, uint16_t, half>>();
    emulator::VectorCall call("Transpose", site);
    const emulator::Lanes lanes = emulator::Lanes::counted(256, 128);
    const emulator::Operand from = call.operand(src, "src");
    const emulator::Operand to = call.operand(dst, "dst");
    call.reads(from, lanes);
    call.writes(to, lanes);
    uint16_t matrix[16][16];
    std::memcpy(matrix, from.memory + from.base, sizeof(matrix));
    for (uint32_t i = 0; i < 256; ++i) {
        emulator::store(to.memory + to.base + 2 * i, matrix[i % 16][i / 16]);
    }
    call.issue(emulator::vector_cost::kTranspose, lanes);
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
