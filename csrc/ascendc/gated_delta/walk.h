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

// Where state `number` (K, V) of all (.., HV, K, V) starts, for the chunk's head and tile.
__aicore__ inline int64_t StateAt(const RuleTask& task, int64_t number, const RuleChunk& chunk) {
    return (number * task.value_heads + chunk.value_head) * task.key_size * task.value_size +
           chunk.tile * task.value_tile;
}

class RuleWalk {
  public:
    __aicore__ inline RuleWalk(const RuleTask& task, GM_ADDR bounds, int64_t core, int64_t cores)
        : task_(task), stream_(core), cores_(cores) {
        bounds_.SetGlobalBuffer((__gm__ int64_t*)bounds);
        Enter();
    }

    // The next chunks; none after the last.
    __aicore__ inline void Take(RuleBatch& batch) {
        batch.count = 0;
        while (batch.count < most_ && stream_ < task_.streams) {
            batch.of[batch.count++] = Next();
        }
        most_ = kRuleBatch;
    }

  private:
    __aicore__ inline RuleChunk Next() {
        RuleChunk chunk{};
        chunk.sequence = sequence_;
        chunk.batch = task_.packed != 0 ? 0 : sequence_;
        chunk.token = begin_ + next_ * kRuleChunk;
        chunk.number = before_ + next_;
        const int64_t head = stream_ / task_.value_tiles;
        chunk.value_head = static_cast<int32_t>(head % task_.value_heads);
        chunk.tile = static_cast<int32_t>(stream_ % task_.value_tiles);
        const int64_t left = end_ - chunk.token;
        chunk.valid = left < kRuleChunk ? static_cast<int32_t>(left) : kRuleChunk;
        chunk.first = next_ == 0;
        chunk.last = left <= kRuleChunk;
        ++next_;
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
            const int64_t sequence = stream_ / task_.value_tiles / task_.value_heads;
            while (sequence_ < sequence) {
                before_ += Chunks();
                Locate(++sequence_);
            }
            if (end_ > begin_) {
                return;
            }
        }
    }
    __aicore__ inline int64_t Chunks() const {
        return (end_ - begin_ + kRuleChunk - 1) / kRuleChunk;
    }
    __aicore__ inline void Locate(int64_t sequence) {
        begin_ = task_.packed != 0 ? bounds_.GetValue(sequence) : 0;
        end_ = task_.packed != 0 ? bounds_.GetValue(sequence + 1) : task_.length;
    }

    const RuleTask& task_;
    AscendC::GlobalTensor<int64_t> bounds_;
    int64_t stream_;
    const int64_t cores_;
    int64_t sequence_ = -1, begin_ = 0, end_ = 0, before_ = 0;
    int64_t next_ = 0;  // chunk of the stream
    int32_t most_ = kFirstRuleBatch;
};

}  // namespace neumann_tril
