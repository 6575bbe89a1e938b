// What the host tells the kernel of the chunk rule, and where its workspace holds what. Shared by
// host and device code.
#pragma once

#include "../inverse/task.h"

namespace neumann_tril {

constexpr int32_t kRuleChunk = 64;  // tokens in a chunk
// Chunks of a core that go through a part of the kernel together; fewer at first, so that the other
// parts soon have something to do.
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

// The ring between vector cores and cube (../core/ring.h) holds all of a batch.
NT_SHARED constexpr int32_t HeldInRing(int32_t leaf) {
    const int32_t chunks = 2 * 2 * RoundUnits(kRuleChunk, leaf);
    return (kRuleBatch + chunks - 1) / chunks;
}

// A core's workspace, in bytes: what the parts of a kernel hand on. Batches take turns where two or
// three of them use a place at a time.
struct BatchWorkspace {
    static constexpr int64_t kWordSquares = kRuleBatch * int64_t{kSquare} * 2;
    static constexpr int64_t kFloatSquares = kRuleBatch * int64_t{kSquare} * 4;
    static constexpr int32_t kProductsOfChunk = 3 * kSquare;  // K K^T, Q K^T, Q Q^T, float

    static constexpr int64_t kSigns = 0;                            // I and -I, a fractal each
    static constexpr int64_t kA = 1024;                             // A, rounded
    static constexpr int64_t kSolved = kA + kWordSquares;           // X, float
    static constexpr int64_t kFactors = kSolved + kFloatSquares;    // X, scaled: up to four squares
    static constexpr int64_t kRest = kFactors + 4 * kWordSquares;   // what is left of A: -A', twice
    static constexpr int64_t kProducts = kRest + 2 * kWordSquares;  // twice
    static constexpr int64_t kRing = kProducts + 2 * 3 * kFloatSquares;  // of the inverse, twice

    NT_SHARED static constexpr int64_t Rest(int32_t batch) {
        return kRest + batch % 2 * kWordSquares;
    }
    NT_SHARED static constexpr int64_t Products(int32_t batch) {
        return kProducts + batch % 2 * 3 * kFloatSquares;
    }
    NT_SHARED static constexpr int64_t Ring(int32_t batch, int32_t leaf) {
        return kRing + batch % 2 * RingBytes(leaf);
    }
    // The first byte behind.
    NT_SHARED static constexpr int64_t End(int32_t leaf) { return kRing + 2 * RingBytes(leaf); }

  private:
    NT_SHARED static constexpr int64_t RingBytes(int32_t leaf) {
        return (2 * InverseWorkspace(kRuleChunk, leaf, HeldInRing(leaf)) + 511) / 512 * 512;
    }
};

// That of the rule, with the parts of the chunks and the states before the first of a sequence,
// these in two parts.
struct RuleWorkspace {
    int32_t key_size, value_tile, leaf, initial_state;

    NT_SHARED int64_t Parts(int32_t batch) const {
        return BatchWorkspace::End(leaf) + batch % 3 * PartsBytes();
    }
    NT_SHARED int64_t States(int32_t batch) const {
        return BatchWorkspace::End(leaf) + 3 * PartsBytes() + batch % 3 * kRuleBatch * StateBytes();
    }
    NT_SHARED int64_t Bytes() const {
        return (States(0) + 3 * kRuleBatch * StateBytes() * initial_state + 511) / 512 * 512;
    }
    NT_SHARED int64_t StateBytes() const { return int64_t{key_size} * value_tile * 4; }

  private:
    NT_SHARED int64_t PartsBytes() const {
        return kRuleBatch * int64_t{2} * RuleParts{key_size, value_tile}.Words();
    }
};

}  // namespace neumann_tril
