// The stages of a plan, in order.
//
//     if S > 1, on the leaves:
//         R = I + N X                                             Residual
//         sequential:  repeat S - 1 times  Y = X0 + Y R           Accumulate, then Horner
//         doubling:    repeat log2 S times X = X + X R; R = R R   Accumulate, Square
//     for h = leaf, 2 leaf .. C/2, on all pairs of neighbours:
//         T = N21 X11                                             MergeLeft
//         X21 = X22 T                                             MergeRight
//     repeat r times:
//         E = I + N X                                             Residual, ResidualOfBoth
//         X = X + X E                                             Accumulate
//     if the result is not stored yet:  X = X I                   Result
#pragma once

#include "neumann_tril.h"
#include "task.h"

namespace neumann_tril {

enum class Step : uint8_t {
    kResidual,
    kResidualOfBoth,
    kAccumulate,
    kHorner,
    kSquare,
    kMergeLeft,
    kMergeRight,
    kResult
};

// Where a sum goes: to X in global memory; to L1 as an operand; there to Term rather than X.
struct Target {
    bool result, operand, term;
};

struct Stage {
    Step step;
    uint8_t side;       // fractals of the blocks
    bool from_operand;  // the accumulator starts from the left operand
    Target target;
};

template <int32_t C>
class Program {
  public:
    // `two_parts`: of A, for the residuals of the refinements.
    __aicore__ inline Program(const InverseTask& task, bool two_parts) {
        const int32_t leaf = task.leaf / 16;
        if (task.plan.terms > 1) {
            AppendSum(task, leaf);
        }
        AppendJoins(task, leaf);
        for (int32_t r = 1; r <= task.plan.refinements; ++r) {
            const bool last = r == task.plan.refinements;
            Append(two_parts ? Step::kResidualOfBoth : Step::kResidual, C / 16);
            Append(Step::kAccumulate, C / 16, Target{last, !last, false}, true);
        }
        if (task.by_identity != 0) {
            Append(Step::kResult, C / 16, Target{true, false, false}, true);
        }
    }

    __aicore__ inline int32_t Stages() const { return stages_; }
    // Stages at the beginning whose operands are small, and something comes after them; with
    // matrices below 64 the late stages are as small.
    __aicore__ inline int32_t Early() const {
        return C < 64 ? 0 : early_ < stages_ ? early_ : early_ - 2;
    }
    __aicore__ inline const Stage& operator[](int32_t number) const { return stage_[number]; }

    // Blocks of that many fractals are small.
    static constexpr int32_t kSmall = 2;

  private:
    // Residual and sum of a leaf, two for each of three joins, two for each of eight refinements,
    // the result.
    static constexpr int32_t kMost = C + 2 * 3 + 2 * kMaxRefinements + 1;

    __aicore__ inline void Append(Step step, int32_t side,
                                  const Target& target = Target{false, false, false},
                                  bool from_operand = false) {
        stage_[stages_++] = Stage{step, static_cast<uint8_t>(side), from_operand, target};
    }

    __aicore__ inline void AppendSum(const InverseTask& task, int32_t leaf) {
        const nt_plan& plan = task.plan;
        // A leaf's X is part of the result.
        const bool result = plan.refinements == 0 && task.by_identity == 0;
        const bool operand = plan.splits + plan.refinements > 0;  // and one of products to come
        const bool sequential = plan.form == NT_FORM_SEQUENTIAL;
        Append(Step::kResidual, leaf);
        for (int32_t terms = 1; terms < plan.terms; terms = sequential ? terms + 1 : terms * 2) {
            const bool last = (sequential ? terms + 1 : terms * 2) == plan.terms;
            const bool horner = sequential && terms > 1;
            Append(horner ? Step::kHorner : Step::kAccumulate, leaf,
                   Target{last && result, !last || operand, sequential && !last}, terms == 1);
            if (!sequential && !last) {
                Append(Step::kSquare, leaf);
            }
        }
    }

    __aicore__ inline void AppendJoins(const InverseTask& task, int32_t leaf) {
        const bool result = task.plan.refinements == 0 && task.by_identity == 0;
        for (int32_t side = leaf; side < C / 16; side *= 2) {
            Append(Step::kMergeLeft, side);
            Append(Step::kMergeRight, side, Target{result, !result || 2 * side < C / 16, false});
            if (task.plan.terms == 1 && side <= kSmall) {
                early_ = stages_;
            }
        }
    }

    int32_t stages_ = 0, early_ = 0;
    Stage stage_[kMost];
};

}  // namespace neumann_tril
