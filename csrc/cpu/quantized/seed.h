// The seeds of the leaves: the band of (I + A)^-1, by substitution in float32.
#pragma once

#include <limits>

#include "blocks.h"

namespace neumann_tril::NT_ISA {

// Zeros, and a one in lane d if there is such a lane; d >= lanes - kBlock.
inline F unit_vector(int d) { return load(kDiagonal<float>.one + kBlock - std::min(d, kBlock)); }

// Without the first d lanes.
inline F from_lane(F a, int d) {
    const float* keep = reinterpret_cast<const float*>(kDiagonal<float>.keep) + 2 * kBlock;
    return mask(a, load(keep - std::clamp(d, 0, F::lanes)), broadcast(0.0f));
}

// The seeds of L leaves, rows [i, i + R), k ascending, every product and every difference rounded.
// The first leaf lies at a and x, rows `row` apart, the next `step` after it: side by side they
// hide each other's latencies. Above the diagonal every term is zero.
template <int R, int L>
inline void seed_rows(const float* a, float* x, ptrdiff_t row, ptrdiff_t step, int i, int leaf,
                      int bandwidth) {
    const int end = i / kBlock * kBlock + kBlock;
    for (int j = 0; j < end; j += F::lanes) {
        F s[L][R];
        NT_UNROLL
        for (int l = 0; l < L; ++l) NT_UNROLL
        for (int r = 0; r < R; ++r) s[l][r] = unit_vector(i + r - j);
        // Terms of k < i + r - bandwidth reach no entry of row i + r within the band.
        for (int k = std::max(j, i - bandwidth); k < i; ++k) {
            NT_UNROLL
            for (int l = 0; l < L; ++l) {
                const float* factors = a + l * step + i * row + k;
                const F known = load(x + l * step + k * row + j);
                NT_UNROLL
                for (int r = 0; r < R; ++r)
                    s[l][r] = subtract(s[l][r], multiply(broadcast(factors[r * row]), known));
            }
        }
        NT_UNROLL
        for (int r = 0; r < R; ++r) {
            NT_UNROLL
            for (int l = 0; l < L; ++l) {
                const float* factors = a + l * step + (i + r) * row + i;
                NT_UNROLL
                for (int k = 0; k < r; ++k)
                    s[l][r] = subtract(s[l][r], multiply(broadcast(factors[k]), s[l][k]));
                if (bandwidth < leaf - 1) s[l][r] = from_lane(s[l][r], i + r - bandwidth - j);
                store(x + l * step + (i + r) * row + j, s[l][r]);
            }
        }
    }
}

inline F finite(F a) {
    const F huge = broadcast(std::numeric_limits<float>::max());
    const F least = broadcast(std::numeric_limits<float>::lowest());
    return minimum(maximum(zero_if_nan(a), least), huge);
}

// X0 of every leaf of A; neither matrix is read or written above the diagonal's blocks.
inline void seed_leaves(Division division, int bandwidth, Numbers a, Numbers x) {
    const int n = division.n, leaf = division.leaf, leaves = n / leaf;
    const ptrdiff_t step = leaf * (n + 1);
    for (int i = 0; i < leaf; i += kRows) {
        int l = 0;
        for (; l + 2 <= leaves; l += 2)
            seed_rows<kRows, 2>(a.data + l * step, x.data + l * step, n, step, i, leaf, bandwidth);
        if (l < leaves)
            seed_rows<kRows, 1>(a.data + l * step, x.data + l * step, n, step, i, leaf, bandwidth);
    }
    if (leaf == kBlock) return;  // 16 rows within the limit of A stay finite
    division.leaves().for_each([&](Block block) {
        block.for_pairs([&](int r, int c) {
            const Two<F> seed = x.get(r, c);
            x.put(r, c, {finite(seed.even), finite(seed.odd)});
        });
    });
}

}  // namespace neumann_tril::NT_ISA
