// What the host tells the quantised kernels, and where their workspace holds what. Shared by host
// and device code. `limbs`: int8 parts of a code, bits / 8.
#pragma once

#include "../core/chunk_task.h"
#include "../core/shared.h"

namespace neumann_tril {

struct QuantTask {
    ChunkTask chunks;    // a_dtype and x_dtype may be NT_INT8 or NT_INT16 too
    int32_t groups;      // rows of constants
    int32_t row;         // numbers in a row of constants
    int64_t group_step;  // matrices from one index of the group's dimension to the next
};

// Places in a row of constants.
constexpr int32_t kAInverse = 0, kAScale = 1, kXOne = 3;
constexpr int32_t kFirstJoin = 4, kJoinNumbers = 4;
constexpr int32_t kToGrid = 1, kToX = 2, kWide = 3;  // of a join

NT_SHARED constexpr int32_t JoinsOf(int32_t chunk_size) {
    return chunk_size == 128 ? 3 : chunk_size == 64 ? 2 : chunk_size == 32 ? 1 : 0;
}

// A round: the leaves that a vector core seeds side by side, a lane each; the more where no cube
// waits.
NT_SHARED constexpr int32_t QuantLanes(int32_t chunk_size) {
    return chunk_size == kLeafRows ? 32 : 16;
}
NT_SHARED constexpr int32_t QuantRoundRows(int32_t chunk_size) {
    return QuantLanes(chunk_size) * kLeafRows;
}
NT_SHARED constexpr int32_t QuantRoundUnits(int32_t chunk_size) {
    return QuantRoundRows(chunk_size) / kUnitRows;
}
// Rounds of either vector core in the workspace: the one ahead of the cube, or those in flight.
NT_SHARED constexpr int32_t QuantBatchesHeld(int32_t limbs) { return limbs == 1 ? 1 : 4; }

// int8: a square of 32 x 32 codes is two fractals of 16 x 32, one below the other.
constexpr int32_t kCodeFractal = 16 * 32;
constexpr int32_t kSquare = 32 * 32;

// A core's workspace in bytes: an identity, then for each round in it
//     the seeds   a fractal for each leaf, its codes on the left (even leaves) or right, else zeros
//     codes of A  row by row, unless A itself is int8 codes
//     two limbs   the blocks of a join, and its three sums
NT_SHARED constexpr int32_t SeedBytes(int32_t chunk_size) {
    return QuantLanes(chunk_size) * kCodeFractal;
}
NT_SHARED constexpr int32_t CodeBytes(int32_t chunk_size) {
    return QuantRoundRows(chunk_size) * chunk_size;
}
// Entries of the largest join.
NT_SHARED constexpr int32_t RoundBlocks(int32_t chunk_size) {
    return QuantRoundRows(chunk_size) * chunk_size / 4;
}
NT_SHARED constexpr int32_t QuantRoundBytes(int32_t chunk_size, int32_t limbs) {
    const int32_t operands = limbs * (SeedBytes(chunk_size) + CodeBytes(chunk_size));
    const int32_t sums = (limbs + 3 * 4) * RoundBlocks(chunk_size);
    return limbs == 1 ? operands : operands + sums;
}
NT_SHARED constexpr int32_t QuantWorkspacePerCore(int32_t chunk_size, int32_t limbs) {
    return kSquare + QuantBatchesHeld(limbs) * 2 * QuantRoundBytes(chunk_size, limbs);
}

}  // namespace neumann_tril
