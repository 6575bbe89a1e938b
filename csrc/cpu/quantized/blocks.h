// How a plan divides a chunk into blocks, and numbers of blocks in scratch.
//
// All matrices are lower triangular: blocks of kBlock rows and columns above the diagonal are
// neither written nor read, and those on it are written whole.
#pragma once

#include <algorithm>

#include "../tiles.h"

namespace neumann_tril::NT_ISA {

constexpr int kBlock = kPanel<float>;

// A square block of a chunk.
struct Block {
    int row, column, size;

    // Where the columns of a row end, after which zeros are implied.
    int end(int r) const { return std::min(column + size, r / kBlock * kBlock + kBlock); }

    // Visits the vectors of two rows, (r, c) and (r + 1, c), at a time.
    template <class Visit>
    void for_pairs(Visit visit) const {
        for (int r = row; r < row + size; r += 2)
            for (int c = column; c < end(r); c += F::lanes) visit(r, c);
    }
};

// Square blocks of a chunk: those on the diagonal, or in every second of those the lower left.
struct Blocks {
    int n, side;
    bool on_diagonal;

    template <class Visit>
    void for_each(Visit visit) const {
        const int step = on_diagonal ? side : 2 * side;
        for (int i = 0; i < n; i += step) visit(Block{on_diagonal ? i : i + side, i, side});
    }
};

// The blocks that a plan works on.
struct Division {
    int n, leaf;
    bool forms_m;  // M = I + A is a factor; otherwise only A below the leaves is one

    explicit Division(const nt_plan& plan)
        : n(plan.chunk_size),
          leaf(plan.chunk_size >> plan.splits),
          forms_m(plan.terms > 1 || plan.refinements > 0) {}

    Blocks diagonal(int side) const { return {n, side, true}; }
    Blocks lower_left(int side) const { return {n, side, false}; }
    Blocks leaves() const { return diagonal(leaf); }
    Blocks whole() const { return diagonal(n); }

    // Visits the blocks of A that are operands.
    template <class Visit>
    void for_operands(Visit visit) const {
        if (forms_m) return visit(whole());
        for (int side = leaf; side < n; side *= 2) visit(lower_left(side));
    }
};

// A vector of each of two rows.
template <class V>
struct Two {
    V even, odd;
};

// A float32 matrix in scratch.
struct Numbers {
    float* data;
    int row;

    float* at(int r, int c) const { return data + r * row + c; }
    Two<F> get(int r, int c) const { return {load(at(r, c)), load(at(r + 1, c))}; }
    void put(int r, int c, Two<F> a) const {
        store(at(r, c), a.even);
        store(at(r + 1, c), a.odd);
    }
};

inline Two<F> multiply(Two<F> a, F b) { return {multiply(a.even, b), multiply(a.odd, b)}; }

// The largest magnitudes, lane by lane, of `so_far` and of some blocks.
inline F largest(Blocks blocks, Numbers m, F so_far) {
    blocks.for_each([&](Block block) {
        F found = so_far;  // in a register
        block.for_pairs([&](int r, int c) {
            const Two<F> a = m.get(r, c);
            found = maximum(found, maximum(magnitude(a.even), magnitude(a.odd)));
        });
        so_far = found;
    });
    return so_far;
}
inline float largest_lane(F a) {
    alignas(kCacheLine) float lanes[F::lanes];
    store(lanes, a);
    return *std::max_element(lanes, lanes + F::lanes);
}

}  // namespace neumann_tril::NT_ISA
