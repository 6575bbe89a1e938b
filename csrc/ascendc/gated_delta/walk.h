// Which chunks a core takes, in which order.
//
// A stream is a sequence, a value head and a tile of columns of its values: all chunks that one
// state walks through. Core c of n takes streams c, c + n, c + 2 n ..., so that heads that share
// queries and keys run side by side on different cores. Every part of a core walks alone, and
// comes to the same chunks.
#pragma once

#include "kernel_operator.h"
#include "task.h"

namespace neumann_tril {

struct RuleChunk {
    int64_t sequence, batch, token;  // the batch and the first token
    int64_t number;                  // of the chunk, of all sequences
    int32_t value_head, tile;
    int32_t valid;  // tokens
    bool first, last;
};

struct RuleBatch {
    RuleChunk of[kRuleBatch];
    int32_t count = 0;
};

// The key head that a value head shares.
__aicore__ inline int32_t KeyHead(const RuleTask& task, const RuleChunk& chunk) {
    return chunk.value_head / (task.value_heads / task.heads);
}

// Where the first token of the chunk starts, of a head of an input.
__aicore__ inline int64_t TokenAt(const TokenStrides& strides, const RuleChunk& chunk,
                                  int32_t head) {
    return chunk.batch * strides.batch + chunk.token * strides.time + head * strides.head;
}

// Where it starts in a result (B, T, HV, width), for the chunk's value head.
__aicore__ inline int64_t ResultAt(const RuleTask& task, const RuleChunk& chunk, int64_t width) {
    return ((chunk.batch * task.length + chunk.token) * task.value_heads + chunk.value_head) *
           width;
}

// Where state `number` (K, V) of all (.., HV, K, V) starts, for the chunk's head and tile.
__aicore__ inline int64_t StateAt(const RuleTask& task, int64_t number, const RuleChunk& chunk) {
    return (number * task.value_heads + chunk.value_head) * task.key_size * task.value_size +
           chunk.tile * task.value_tile;
}

// A sequence after another: where its tokens are, and how many chunks come before it.
class SequenceCursor {
  public:
    __aicore__ inline SequenceCursor(const RuleTask& task, GM_ADDR bounds) : task_(task) {
        bounds_.SetGlobalBuffer((__gm__ int64_t*)bounds);
    }

    __aicore__ inline void Next() {
        before_ += Chunks();
        ++number_;
        begin_ = task_.packed != 0 ? bounds_.GetValue(number_) : 0;
        end_ = task_.packed != 0 ? bounds_.GetValue(number_ + 1) : task_.length;
    }
    __aicore__ inline int64_t Number() const { return number_; }
    __aicore__ inline int64_t Before() const { return before_; }
    __aicore__ inline int64_t Chunks() const {
        return (end_ - begin_ + kRuleChunk - 1) / kRuleChunk;
    }

    __aicore__ inline RuleChunk Chunk(int64_t index, int32_t value_head, int32_t tile) const {
        RuleChunk chunk{};
        chunk.sequence = number_;
        chunk.batch = task_.packed != 0 ? 0 : number_;
        chunk.token = begin_ + index * kRuleChunk;
        chunk.number = before_ + index;
        chunk.value_head = value_head;
        chunk.tile = tile;
        const int64_t left = end_ - chunk.token;
        chunk.valid = left < kRuleChunk ? static_cast<int32_t>(left) : kRuleChunk;
        chunk.first = index == 0;
        chunk.last = left <= kRuleChunk;
        return chunk;
    }

  private:
    const RuleTask& task_;
    AscendC::GlobalTensor<int64_t> bounds_;
    int64_t number_ = -1, begin_ = 0, end_ = 0, before_ = 0;
};

class RuleWalk {
  public:
    __aicore__ inline RuleWalk(const RuleTask& task, GM_ADDR bounds, int64_t core, int64_t cores)
        : task_(task), sequence_(task, bounds), stream_(core), cores_(cores) {
        Enter();
    }

    // The next chunks; none after the last.
    __aicore__ inline void Take(RuleBatch& batch) {
        batch.count = 0;
        while (batch.count < most_ && stream_ < task_.streams) {
            batch.of[batch.count++] = Next();
        }
        most_ = most_ + 2 < kRuleBatch ? most_ + 2 : kRuleBatch;
    }

  private:
    __aicore__ inline RuleChunk Next() {
        const int64_t head = stream_ / task_.value_tiles % task_.value_heads;
        const RuleChunk chunk = sequence_.Chunk(next_++, static_cast<int32_t>(head),
                                                static_cast<int32_t>(stream_ % task_.value_tiles));
        if (chunk.last) {
            stream_ += cores_;
            Enter();
        }
        return chunk;
    }

    // The first stream from stream_ on whose sequence has tokens.
    __aicore__ inline void Enter() {
        next_ = 0;
        for (; stream_ < task_.streams; stream_ += cores_) {
            while (sequence_.Number() < stream_ / task_.value_tiles / task_.value_heads) {
                sequence_.Next();
            }
            if (sequence_.Chunks() > 0) {
                return;
            }
        }
    }

    const RuleTask& task_;
    SequenceCursor sequence_;
    int64_t stream_;
    const int64_t cores_;
    int64_t next_ = 0;  // chunk of the stream
    int32_t most_ = kFirstRuleBatch;
};

// Every chunk of every value head by itself, the heads of a chunk one after another: core c of n
// takes number c, c + n, c + 2 n ...
class ChunkWalk {
  public:
    __aicore__ inline ChunkWalk(const RuleTask& task, GM_ADDR bounds, int64_t core, int64_t cores)
        : task_(task), sequence_(task, bounds), number_(core), cores_(cores) {}

    // The next chunks; none after the last.
    __aicore__ inline void Take(RuleBatch& batch) {
        batch.count = 0;
        while (batch.count < most_ && Enter()) {
            batch.of[batch.count++] =
                sequence_.Chunk(number_ / task_.value_heads - sequence_.Before(),
                                static_cast<int32_t>(number_ % task_.value_heads), 0);
            number_ += cores_;
        }
        most_ = most_ + 2 < kRuleBatch ? most_ + 2 : kRuleBatch;
    }

  private:
    // The sequence of number_; whether there is one.
    __aicore__ inline bool Enter() {
        const int64_t chunk = number_ / task_.value_heads;
        while (sequence_.Number() < 0 || chunk >= sequence_.Before() + sequence_.Chunks()) {
            if (sequence_.Number() + 1 == task_.sequences) {
                return false;
            }
            sequence_.Next();
        }
        return true;
    }

    const RuleTask& task_;
    SequenceCursor sequence_;
    int64_t number_;
    const int64_t cores_;
    int32_t most_ = kFirstRuleBatch;
};

}  // namespace neumann_tril
