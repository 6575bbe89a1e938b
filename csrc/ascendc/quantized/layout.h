// Which units a core gets, and the constants of a matrix.
#pragma once

#include "../core/layout.h"
#include "../core/ring.h"
#include "task.h"

namespace neumann_tril {

// A core's units follow each other; its two vector cores take turns, a round at a time.
struct Share {
    int64_t first = 0;
    int32_t count = 0;

    __aicore__ inline Share(int64_t units, int64_t block, int64_t blocks)
        : first(units * block / blocks),
          count(static_cast<int32_t>(units * (block + 1) / blocks - first)) {}

    // Rounds of each vector core.
    __aicore__ inline int32_t Rounds() const {
        return (count + 2 * kRoundUnits - 1) / (2 * kRoundUnits);
    }
    // Bytes from the start of the core's workspace to round j of vector core `side`.
    template <int32_t C, int32_t Limbs>
    __aicore__ inline static int32_t InWorkspace(int32_t j, int32_t side) {
        return kSquare + (j % RoundsHeld(Limbs) * 2 + side) * QuantRoundBytes(C, Limbs);
    }
    // The core's first unit in round j of vector core `side`.
    __aicore__ inline static int32_t Unit(int32_t j, int32_t side) {
        return (2 * j + side) * kRoundUnits;
    }
};

class Constants {
  public:
    __aicore__ inline Constants(GM_ADDR numbers, const QuantTask& task) : task_(task) {
        numbers_.SetGlobalBuffer((__gm__ float*)numbers);
        bits_.SetGlobalBuffer((__gm__ uint32_t*)numbers);
    }

    __aicore__ inline int64_t Group(int64_t matrix) const {
        return task_.groups == 1 || matrix >= task_.chunks.matrices
                   ? 0
                   : matrix / task_.group_step % task_.groups;
    }
    __aicore__ inline float Of(int64_t group, int32_t which) const {
        return numbers_.GetValue(group * task_.row + which);
    }
    // Of a join; 0 is that of the leaves.
    __aicore__ inline float OfJoin(int64_t group, int32_t level, int32_t which) const {
        return Of(group, kFirstJoin + level * kJoinNumbers + which);
    }
    // Its bits, as Fixpipe takes them.
    __aicore__ inline uint32_t BitsOfJoin(int64_t group, int32_t level, int32_t which) const {
        return bits_.GetValue(group * task_.row + kFirstJoin + level * kJoinNumbers + which);
    }

  private:
    const QuantTask& task_;
    AscendC::GlobalTensor<float> numbers_;
    AscendC::GlobalTensor<uint32_t> bits_;
};

}  // namespace neumann_tril
