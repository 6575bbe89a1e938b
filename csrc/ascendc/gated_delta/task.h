// What the host tells the kernel of the chunk rule, and where its workspace holds what. Shared by
// host and device code.
#pragma once

#include "../inverse/task.h"

namespace neumann_tril {

constexpr int32_t kRuleChunk = 64;  // tokens in a chunk
// Chunks of a core that go through a part of the kernel together. The first batches are smaller, so
// that the other parts soon have something to do.
constexpr int32_t kRuleBatch = 12, kFirstRuleBatch = 8;
constexpr int32_t kSquare = kRuleChunk * kRuleChunk;
constexpr int32_t kNoGates = -1;  // in place of a dtype

// From one batch, token and head to the next, in elements.
struct TokenStrides {
    int64_t batch, time, head;
};

struct RuleTask {
    InverseTask inverse;  // of a full batch, one matrix after another
    int32_t key_size, value_size;
    int32_t value_tile, value_tiles;  // the columns of a value that a core takes at a time
    int32_t heads, value_heads;
    int64_t sequences, length;  // length: of each sequence, where they are not packed
    int64_t streams;            // sequences * value_heads * value_tiles
    TokenStrides q, k, v, g, beta;
    int32_t g_dtype, beta_dtype, x_dtype;
    int32_t packed, normalize;
    int32_t initial_state, final_state, chunk_states, x;  // 1: there is such a tensor
    float scale;
    float gate_unit;  // zero: g is of each token; otherwise the sum within its chunk, in such units
};

// Of a chunk, in 16-bit words: scaled queries and keys (64, K) each, values (64, V), the attention
// matrix (64, 64), and the decay of the chunk on the diagonal of two fractals.
enum RulePart : int32_t { kPartQ, kPartK, kPartLast, kPartLastRest, kKeyParts };

struct RuleParts {
    int32_t key_size, value_tile;

    NT_SHARED int32_t Key(int32_t part) const { return part * kRuleChunk * key_size; }
    NT_SHARED int32_t Value() const { return Key(kKeyParts); }
    NT_SHARED int32_t Attention() const { return Value() + kRuleChunk * value_tile; }
    NT_SHARED int32_t Decay() const { return Attention() + kSquare; }
    NT_SHARED int32_t Words() const { return Decay() + 512; }
};

// A core's workspace, in bytes. Batches take turns in what two of them use at a time.
struct RuleWorkspace {
    int32_t key_size, value_tile, leaf, initial_state;

    static constexpr int64_t kConstants = 0;                         // I and -I, a fractal each
    static constexpr int64_t kA = 1024;                              // A, rounded
    static constexpr int64_t kRest = kA + kRuleBatch * kSquare * 2;  // what is left of it: -A'
    static constexpr int64_t kSolved = kRest + kRuleBatch * kSquare * 2;     // X, float
    static constexpr int64_t kWriters = kSolved + kRuleBatch * kSquare * 4;  // X beta, in two parts
    static constexpr int64_t kProducts = kWriters + kRuleBatch * kSquare * 4;
    static constexpr int32_t kProductsOfChunk = 3 * kSquare;  // K K^T, Q K^T, Q Q^T, float
    static constexpr int64_t kParts = kProducts + kRuleBatch * kProductsOfChunk * 4;

    NT_SHARED int64_t Parts(int32_t batch) const {
        return kParts +
               batch % 2 * kRuleBatch * int64_t{2} * RuleParts{key_size, value_tile}.Words();
    }
    // The state before the first chunk of a sequence, in two parts.
    NT_SHARED int64_t States(int32_t batch) const {
        return Parts(0) + (Parts(1) - Parts(0)) * 2 + batch % 2 * StateBytes() * kRuleBatch;
    }
    NT_SHARED int64_t Ring() const {
        return States(0) + StateBytes() * kRuleBatch * 2 * initial_state;
    }
    NT_SHARED int64_t Bytes() const {
        return (Ring() + 2 * InverseWorkspace(kRuleChunk, leaf) + 511) / 512 * 512;
    }

    NT_SHARED int64_t StateBytes() const { return int64_t{key_size} * value_tile * 4; }
};

// The same for the representation alone. What it takes X to: Y, Y', Z, Z' of each chunk.
struct IntraWorkspace {
    int32_t leaf;

    static constexpr int64_t kFactors = RuleWorkspace::kParts;

    NT_SHARED int64_t Ring() const { return kFactors + kRuleBatch * int64_t{4} * kSquare * 2; }
    NT_SHARED int64_t Bytes() const {
        return (Ring() + 2 * InverseWorkspace(kRuleChunk, leaf) + 511) / 512 * 512;
    }
};

}  // namespace neumann_tril
