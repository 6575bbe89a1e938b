// What the host tells the kernel of the inverse, and where its workspace holds what. Shared by host
// and device code.
#pragma once

#include "../core/chunk_task.h"
#include "../core/shared.h"
#include "neumann_tril/plan.h"

namespace neumann_tril {

constexpr int32_t kMaxRefinements = 8;

struct InverseTask {
    ChunkTask chunks;
    nt_plan plan;
    int32_t leaf;  // chunk_size / 2^splits
    int32_t cube;  // 1: the cube has a part in this plan
    // 1: the last product is one with an identity, so that whole rows of the result leave at once
    int32_t by_identity;
    // What the vector cores write of the result: the seeds; zeros right of the diagonal blocks of
    // zero_side rows.
    int32_t result_seeds, zero_side;
};

// Elements of an image: the matrices of a unit, one below the other, as fractals column by column.
template <int32_t C>
constexpr int32_t kImage = kUnitRows * C;
// An identity of 64 x 64, of which small blocks use nine fractals.
constexpr int32_t kIdentity = 64 * 64;
template <int32_t C>
constexpr int32_t kIdentityUsed = C < 64 ? 9 * 256 : kIdentity;

// A round of a vector core: eight leaves, or 16 where units are small.
NT_SHARED constexpr int32_t RoundUnits(int32_t chunk_size, int32_t leaf) {
    return chunk_size == 16 ? 2 : leaf / 16;
}
constexpr int32_t kBatchesHeld = 2;
// A core's workspace, in elements of 16 bits: an identity of 64 x 64; a cache line of each vector
// core, for the exponents that it saw; then the images N and X0 of the units in the ring.
constexpr int32_t kCacheLine = 32;
NT_SHARED constexpr int32_t SeenAt(int32_t side) { return kIdentity + side * kCacheLine; }
constexpr int32_t kImagesAt = kIdentity + 2 * kCacheLine;
NT_SHARED constexpr int64_t InverseWorkspace(int32_t chunk_size, int32_t leaf,
                                             int32_t held = kBatchesHeld) {
    return kImagesAt +
           int64_t{held} * 2 * RoundUnits(chunk_size, leaf) * 2 * kUnitRows * chunk_size;
}

}  // namespace neumann_tril
