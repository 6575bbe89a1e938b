// Numbers and sums to codes, block by block.
#pragma once

#include <numeric>

#include "sums.h"

namespace neumann_tril::NT_ISA {

inline int64_t total(I counts) {
    alignas(kCacheLine) int32_t lanes[I::lanes];
    store(lanes, counts);
    return std::accumulate(lanes, lanes + I::lanes, int64_t(0));
}

// Codes of numbers in units of their grid.
template <int Bits>
inline Two<I> codes(Two<F> scaled, I& beyond) {
    const F low = broadcast(kLeast<Bits>), high = broadcast(kMost<Bits>);
    return {codes_of(scaled.even, low, high, beyond), codes_of(scaled.odd, low, high, beyond)};
}

// Goes through blocks whose entries become codes, and counts those that saturate.
template <int Bits>
class Coder {
  public:
    // visit(r, c, beyond) codes two rows.
    template <class Visit>
    void for_codes(Blocks blocks, Visit visit) {
        blocks.for_each([&](Block block) {
            I beyond = beyond_;  // in a register
            block.for_pairs([&](int r, int c) { visit(r, c, beyond); });
            beyond_ = beyond;
        });
    }
    // visit(r, c, v, beyond) takes the sums of two rows, which `add` adds up for a block.
    template <class Add, class Visit>
    void for_sums(Blocks blocks, Add add, Visit visit) {
        blocks.for_each([&](Block block) {
            I beyond = beyond_;
            sum_products<Bits>(
                block, [=](Sums<Bits>& sums, int i, int j) { add(block, sums, i, j); },
                [&](int r, int c, Two<F> v) { visit(r, c, v, beyond); });
            beyond_ = beyond;
        });
    }

    I& beyond() { return beyond_; }
    int64_t saturated() const { return total(beyond_); }

  private:
    I beyond_ = broadcast(int32_t(0));
};

}  // namespace neumann_tril::NT_ISA
