// What the host tells the quantised kernels, and where their workspace holds what. Shared by host
// and device code.
#pragma once

#include "../core/chunk_task.h"

namespace neumann_tril {

struct QuantTask {
    ChunkTask chunks;    // a_dtype and x_dtype may be NT_INT8 or NT_INT16 too
    int32_t groups;      // rows of constants
    int32_t row;         // numbers in a row of constants
    int64_t group_step;  // matrices from one index of the group's dimension to the next
};

constexpr int32_t kLeavesAtOnce = 32;  // a round: the leaves that a vector core seeds side by side
constexpr int32_t kRoundRows = kLeavesAtOnce * kLeafRows;
constexpr int32_t kRoundUnits = kRoundRows / kUnitRows;

// Places in a row of constants.
constexpr int32_t kAInverse = 0, kAScale = 1, kXOne = 3;
constexpr int32_t kFirstJoin = 4, kJoinNumbers = 4;
constexpr int32_t kToGrid = 1, kToX = 2, kWide = 3;  // of a join

// int8: a square of 32 x 32 codes is two fractals of 16 x 32, one below the other.
constexpr int32_t kCodeFractal = 16 * 32;
constexpr int32_t kSquare = 32 * 32;
// A leaf's seed is a fractal: its 16 x 16 codes on the left (even leaves) or right, zeros
// elsewhere.
constexpr int32_t kSeeds = kLeavesAtOnce * kCodeFractal;

// A core's workspace in bytes. For each round in it: the seeds; the codes of A row by row (unless A
// itself is int8 codes); with two limbs, also the blocks of a join and their three sums.
constexpr int32_t kRoundBlocks = kRoundRows * 32;  // entries of the largest joins, of 64 rows
constexpr int32_t SeedBytes(int32_t limbs) { return limbs * kSeeds; }
constexpr int32_t CodeBytes(int32_t chunk_size, int32_t limbs) {
    return limbs * kRoundRows * chunk_size;
}
constexpr int32_t QuantRoundBytes(int32_t chunk_size, int32_t limbs) {
    const int32_t operands = SeedBytes(limbs) + CodeBytes(chunk_size, limbs);
    return limbs == 1 ? operands : operands + (limbs + 3 * 4) * kRoundBlocks;
}
// Rounds of either vector core in the workspace: those ahead of the cube, or those in flight.
constexpr int32_t RoundsHeld(int32_t limbs) { return limbs == 1 ? 3 : 2; }
// An identity comes first.
constexpr int32_t QuantWorkspacePerCore(int32_t chunk_size, int32_t limbs) {
    return kSquare + RoundsHeld(limbs) * 2 * QuantRoundBytes(chunk_size, limbs);
}

// Cross-core flag of codes of two limbs: the sums of a round's joins are in the workspace.
constexpr int32_t kSumsReady = 10;

constexpr int32_t JoinsOf(int32_t chunk_size) {
    return chunk_size == 128 ? 3 : chunk_size == 64 ? 2 : chunk_size == 32 ? 1 : 0;
}

}  // namespace neumann_tril
