// Broadcast of one or two dimensions (a function of the library above the instructions).
#pragma once

#include "vector/elementwise.h"
#include "vector/pipe.h"

namespace emulator {

// Matrix of `rows` x `columns` from one of `source_rows` x `source_columns`, row-major and dense.
struct BroadcastShape {
    uint32_t rows, columns, source_rows, source_columns;
    bool along_rows() const { return source_columns == 1 && columns != 1; }
    // The least scratch: a DataBlock for each of 8 rows, and 8 whole rows where those are no
    // multiple of a block; a block of zeros along axis 0.
    uint32_t scratch(uint32_t size) const {
        if (source_rows * source_columns == rows * columns) return 0;
        if (!along_rows() || rows == 1) return kBlockBytes;
        const uint32_t bytes = columns * size, whole = whole_blocks(bytes);
        return kBlocks * (kBlockBytes + (whole == bytes ? 0 : whole));
    }
};

template <int32_t dim, int32_t axis>
BroadcastShape broadcast_shape(const uint32_t* dst, const uint32_t* src, uint32_t size, Site site) {
    static_assert(dim == 1 || dim == 2, "Broadcast takes tensors of 1 or 2 dimensions");
    static_assert(axis == 0 || axis == 1, "Broadcast goes along axis 0 or 1");
    for (int i = 0; i < dim; ++i) {
        if (src[i] != dst[i] && !(src[i] == 1 && (dim == 1 || i == axis))) {
            fail(site, "Broadcast: dimension %d is %u in srcShape and %u in dstShape", i, src[i],
                 dst[i]);
        }
    }
    if (dim == 2 && axis == 0 && src[dim - 1] * size % kBlockBytes != 0) {
        fail(site, "Broadcast along axis 0: srcShape[1] must be a multiple of 32 bytes, it has %u",
             src[dim - 1] * size);
    }
    if (dim == 1) return {1, dst[0], 1, src[0]};
    return {dst[0], dst[dim - 1], src[0], src[dim - 1]};
}

template <typename T>
void run_broadcast(const AscendC::LocalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                   const BroadcastShape& shape, const AscendC::LocalTensor<uint8_t>& scratch,
                   Site site) {
    using Types = ByArch<
        TypeList<int8_t, uint8_t, half, float>,
        TypeList<int8_t, uint8_t, int16_t, uint16_t, half, bfloat16_t, int32_t, uint32_t, float>>;
    require_type<T, Types>();
    VectorCall call("Broadcast", site);
    constexpr uint32_t width = kIterationBytes / sizeof(T);
    const uint64_t sources = uint64_t{shape.source_rows} * shape.source_columns;
    const uint64_t results = uint64_t{shape.rows} * shape.columns;
    const Operand from = call.operand(src, "src"), to = call.operand(dst, "dst");
    if (from.base < to.base + results * sizeof(T) && to.base < from.base + sources * sizeof(T)) {
        fail(site, "Broadcast: dst overlaps src");
    }
    call.reads(from, Lanes::counted(sources, width));
    if (const uint32_t bytes = shape.scratch(sizeof(T)); bytes != 0) {
        if (scratch.GetSize() < bytes) {
            fail(site, "Broadcast: sharedTmpBuffer has %u bytes, at least %u are needed",
                 scratch.GetSize(), bytes);
        }
        const Operand temporary = call.operand(scratch, "sharedTmpBuffer");
        call.writes_bytes(temporary, temporary.base, {0, bytes});
        std::memset(temporary.memory + temporary.base, kPoison, bytes);
    }
    call.writes(to, Lanes::counted(results, width));
    for (uint32_t row = 0; row < shape.rows; ++row) {
        for (uint32_t column = 0; column < shape.columns; ++column) {
            const uint32_t source = (shape.source_rows == 1 ? 0 : row) * shape.source_columns +
                                    (shape.source_columns == 1 ? 0 : column);
            store(to.memory + to.base + (uint64_t{row} * shape.columns + column) * sizeof(T),
                  load<T>(from.memory + from.base + source * sizeof(T)));
        }
    }
    // A block per row (Brcb), copied to whole rows; rows of odd length are gathered once more.
    uint64_t iterations = (results + width - 1) / width;
    if (shape.along_rows()) {
        iterations += (uint64_t{shape.rows} * 8 + 63) / 64;
        if (shape.columns * sizeof(T) % kBlockBytes != 0) iterations *= 2;
    }
    call.issue(vector_cost::kFill, Lanes::counted(iterations * width, width));
    current_core().barrier(PIPE_V, site);  // as the public implementation ends
}

}  // namespace emulator

namespace AscendC {

template <typename T, int32_t dim, int32_t axis, bool isReuseSource = false>
void Broadcast(const LocalTensor<T>& dstLocal, const LocalTensor<T>& srcLocal,
               const uint32_t dstShape[dim], const uint32_t srcShape[dim],
               LocalTensor<uint8_t>& sharedTmpBuffer, Site site = Site::here()) {
    emulator::run_broadcast(
        dstLocal, srcLocal,
        emulator::broadcast_shape<dim, axis>(dstShape, srcShape, sizeof(T), site), sharedTmpBuffer,
        site);
}
// The scratch is what InitBuffer has left of the Unified Buffer.
template <typename T, int32_t dim, int32_t axis, bool isReuseSource = false>
void Broadcast(const LocalTensor<T>& dstLocal, const LocalTensor<T>& srcLocal,
               const uint32_t dstShape[dim], const uint32_t srcShape[dim],
               Site site = Site::here()) {
    LocalTensor<uint8_t> rest;
    PopStackBuffer<uint8_t, TPosition::LCM>(rest, site);
    Broadcast<T, dim, axis, isReuseSource>(dstLocal, srcLocal, dstShape, srcShape, rest, site);
}

}  // namespace AscendC
