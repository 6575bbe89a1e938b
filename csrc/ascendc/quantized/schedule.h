// In which order the rounds of the int16 inverse go through their steps, on cube and vector cores.
//
// Step 0 of a round is its seeds; then every join has two, T and X21. A few rounds are in flight,
// each a step at a time, so that the cube sums one while the vector cores make codes of another;
// they are out of step, so that the seeds of one fall between the joins of the others.
#pragma once

#include "task.h"

namespace neumann_tril {

template <int32_t C>
struct Steps {
    static constexpr int32_t kCount = 1 + 2 * JoinsOf(C);
    static constexpr int32_t kInFlight = QuantBatchesHeld(2);
    static constexpr int32_t kLag = kCount / kInFlight;  // from one round in flight to the next

    // Runs stage.Step(round, step) for all steps of all rounds.
    template <class Stage>
    __aicore__ inline static void Run(Stage& stage, int32_t rounds) {
        const int32_t turns = (rounds + kInFlight - 1) / kInFlight;
        const int32_t ticks = turns * kCount + (kInFlight - 1) * kLag;
        for (int32_t tick = 0; tick < ticks; ++tick) {
            for (int32_t i = 0; i < kInFlight; ++i) {
                const int32_t at = tick - i * kLag, round = at / kCount * kInFlight + i;
                if (at >= 0 && round < rounds) {
                    stage.Step(round, at % kCount);
                }
            }
        }
    }
};

}  // namespace neumann_tril
