// The grids of a plan's intermediates: from constants, or found on the fly for every chunk.
#pragma once

#include <algorithm>
#include <cmath>

namespace neumann_tril::NT_ISA {

constexpr float kLimitOfA = 128;

// A grid: the code of a one or the number that a code 1 stands for, and the multiplier to codes.
struct UnitGrid {
    float one, to_grid;
};
struct FreeGrid {
    float scale, to_grid;
};
struct OperandGrid {
    float inverse, scale, one;
};

// Grids from a row of constants, see neumann_tril_quant.h.
class StaticGrids {
  public:
    static constexpr bool kDynamic = false;
    StaticGrids(const float* constants, float) : head_(constants), step_(constants) {}

    OperandGrid a() const { return {head_[0], head_[1], head_[2]}; }
    float a_scale() const { return head_[1]; }
    template <class Largest>
    float x(Largest) const {
        return head_[3];
    }
    // The grid of the next intermediate; sums of it are asked for until the one after.
    template <class Largest>
    UnitGrid unit(Largest, float) {
        step_ += 4;
        return {step_[0], step_[1]};
    }
    template <class Largest>
    FreeGrid free(Largest, float) {
        step_ += 4;
        return {step_[2], step_[1]};
    }
    float to_x() const { return step_[2]; }
    float wide(float, float) const { return step_[3]; }
    float join(float, float) const { return step_[3]; }

  private:
    const float *head_, *step_;
};

// Grids that hold the largest magnitudes, which are asked for where they count.
class DynamicGrids {
  public:
    static constexpr bool kDynamic = true;
    DynamicGrids(const float*, float highest) : highest_(highest) {}

    template <class Largest>
    OperandGrid a(Largest largest, bool forms_m) const {
        const float bounded = std::min(std::max(largest(), kTiny), kLimitOfA);
        if (forms_m) {
            const float one = fitting(bounded);
            return {one, 1 / one, one};
        }
        const float scale = bounded / highest_;
        return {1 / scale, scale, 0};
    }
    float a_scale() const { return 1; }  // codes in A need static grids
    template <class Largest>
    float x(Largest largest) const {
        return fitting(largest());
    }
    template <class Largest>
    UnitGrid unit(Largest largest, float one) const {
        const float n = fitting(largest() / one);
        return {n, n / one};
    }
    template <class Largest>
    FreeGrid free(Largest largest, float scale) const {
        const float ratio = highest_ / std::max(largest(), 1.0f);
        return {scale / ratio, ratio};
    }
    float wide(float n, float p) const { return 1 / (n * p); }
    float join(float n, float scale) const { return scale / n; }

  private:
    static constexpr float kTiny = 0x1p-60f;  // smallest scale found on the fly
    float fitting(float largest) const {
        const float n = std::floor(highest_ / std::max(largest, kTiny));
        return std::min(std::max(n, 1.0f), highest_);
    }
    float highest_;
};

}  // namespace neumann_tril::NT_ISA
