// The constants of a matrix: its group's scales, as calibration found them.
#pragma once

#include "../core/layout.h"
#include "task.h"

namespace neumann_tril {

class Constants {
  public:
    __aicore__ inline Constants(GM_ADDR numbers, const QuantTask& task) : task_(task) {
        numbers_.SetGlobalBuffer((__gm__ float*)numbers);
        bits_.SetGlobalBuffer((__gm__ uint32_t*)numbers);
    }

    __aicore__ inline int32_t Groups() const { return task_.groups; }
    __aicore__ inline int64_t Group(int64_t matrix) const {
        return task_.groups == 1 || matrix >= task_.chunks.matrices
                   ? 0
                   : matrix / task_.group_step % task_.groups;
    }
    __aicore__ inline float Of(int64_t group, int32_t which) const {
        return numbers_.GetValue(group * task_.row + which);
    }
    // Of a join; 0 is that of the leaves.
    __aicore__ inline float OfJoin(int64_t group, int32_t join, int32_t which) const {
        return Of(group, kFirstJoin + join * kJoinNumbers + which);
    }
    // Its bits, as Fixpipe takes them.
    __aicore__ inline uint32_t BitsOfJoin(int64_t group, int32_t join, int32_t which) const {
        return bits_.GetValue(group * task_.row + kFirstJoin + join * kJoinNumbers + which);
    }

  private:
    const QuantTask& task_;
    AscendC::GlobalTensor<float> numbers_;
    AscendC::GlobalTensor<uint32_t> bits_;
};

}  // namespace neumann_tril
