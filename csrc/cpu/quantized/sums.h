// The exact sums of products of codes.
//
// Of 16 bits, with f = 256 fh + fl and g = 256 gh + gl in int8 limbs,
// V = fl(fl(65536 sum(fh gh) + 256 sum(fh gl + fl gh)) + sum(fl gl)); the first two sums are
// 256 sum(fh g + fl gh), a sum that int32 holds.
#pragma once

#include "codes.h"

namespace neumann_tril::NT_ISA {

// The sums of kRows rows and some columns of a product. They are added up out of line: inlined,
// they would share the registers with what is done to them later, and not fit.
template <int Bits>
struct Sums;

template <>
struct Sums<8> {
    static constexpr int kVectors = NT_ISA::kVectors<float>;
    I v[kRows][kVectors];

    // (Add ? v : 0) + f[i.., begin:end] g[begin:end, j..]
    template <bool Add>
    [[gnu::noinline]] void products(Left<8> f, Right<8> g, int i, int j, int begin, int end) {
        const ptrdiff_t row = f.row;
        const int16_t* left = f.part[0] + i * row;
        const int16_t* right = g.part[0] + g.at(begin, j);
        I s[kRows][kVectors];
        NT_UNROLL
        for (int r = 0; r < kRows; ++r) NT_UNROLL
        for (int c = 0; c < kVectors; ++c) s[r][c] = Add ? v[r][c] : broadcast(int32_t(0));
#pragma GCC unroll 2
        for (int k = begin; k < end; k += 2, right += 2 * kBlock) {
            Pairs pairs[kVectors];
            NT_UNROLL
            for (int c = 0; c < kVectors; ++c) pairs[c] = load_pairs(right + 2 * c * F::lanes);
            NT_UNROLL
            for (int r = 0; r < kRows; ++r) {
                const Pair pair = broadcast_pair(left + r * row + k);
                NT_UNROLL
                for (int c = 0; c < kVectors; ++c) s[r][c] = add_dot(s[r][c], pair, pairs[c]);
            }
        }
        NT_UNROLL
        for (int r = 0; r < kRows; ++r) NT_UNROLL
        for (int c = 0; c < kVectors; ++c) v[r][c] = s[r][c];
    }
    F value(int r, int c) const { return to_float(v[r][c]); }
};

template <>
struct Sums<16> {
    static constexpr int kVectors = std::max(1, NT_ISA::kVectors<float> / 2);
    I v[kRows][kVectors], low[kRows][kVectors];

    template <bool Add>
    [[gnu::noinline]] void products(Left<16> f, Right<16> g, int i, int j, int begin, int end) {
        const ptrdiff_t row = f.row;
        const int16_t *high_left = f.part[0] + i * row, *low_left = f.part[1] + i * row;
        const ptrdiff_t at = g.at(begin, j);
        const int16_t *right = g.part[0] + at, *high_right = g.part[1] + at,
                      *low_right = g.part[2] + at;
        I s[kRows][kVectors], t[kRows][kVectors];
        NT_UNROLL
        for (int r = 0; r < kRows; ++r) NT_UNROLL
        for (int c = 0; c < kVectors; ++c) {
            s[r][c] = Add ? v[r][c] : broadcast(int32_t(0));
            t[r][c] = Add ? low[r][c] : broadcast(int32_t(0));
        }
        for (int k = begin; k < end; k += 2) {
            NT_UNROLL
            for (int c = 0; c < kVectors; ++c) {
                const int column = 2 * c * F::lanes;
                const Pairs whole = load_pairs(right + column);
                const Pairs high = load_pairs(high_right + column);
                const Pairs less = load_pairs(low_right + column);
                NT_UNROLL
                for (int r = 0; r < kRows; ++r) {
                    const Pair fh = broadcast_pair(high_left + r * row + k);
                    const Pair fl = broadcast_pair(low_left + r * row + k);
                    s[r][c] = add_dot(add_dot(s[r][c], fh, whole), fl, high);
                    t[r][c] = add_dot(t[r][c], fl, less);
                }
            }
            right += 2 * kBlock;
            high_right += 2 * kBlock;
            low_right += 2 * kBlock;
        }
        NT_UNROLL
        for (int r = 0; r < kRows; ++r) NT_UNROLL
        for (int c = 0; c < kVectors; ++c) {
            v[r][c] = s[r][c];
            low[r][c] = t[r][c];
        }
    }
    F value(int r, int c) const {
        return add(multiply(to_float(v[r][c]), broadcast(256.0f)), to_float(low[r][c]));
    }
};

// The sums of a block: `add(sums, i, j)` adds up the products of rows i.. and columns j.. of the
// chunk, `use(r, c, v)` takes V of two rows.
template <int Bits, class Add, class Use>
inline void sum_products(Block block, Add add, Use use) {
    constexpr int width = Sums<Bits>::kVectors * F::lanes;
    for (int i = block.row; i < block.row + block.size; i += kRows) {
        for (int j = block.column; j < block.end(i); j += width) {
            Sums<Bits> sums;
            add(sums, i, j);
            NT_UNROLL
            for (int r = 0; r < kRows; r += 2) {
                NT_UNROLL
                for (int c = 0; c < Sums<Bits>::kVectors; ++c)
                    use(i + r, j + c * F::lanes, {sums.value(r, c), sums.value(r + 1, c)});
            }
        }
    }
}

// Sums of f g where the inner index runs over [first, last) and both are lower triangular: k < i +
// kRows and k >= j, which says nothing of a block that lies below the diagonal.
template <int Bits>
inline void triangular(Sums<Bits>& sums, Left<Bits> f, Right<Bits> g, int i, int j, int first,
                       int last) {
    sums.template products<false>(f, g, i, j, std::max(first, j), std::min(last, i + kRows));
}

// --- products: what `sum_products` adds up for a block
//
// A left factor may be the matrix that the sums go to: columns come in order, and none reads what
// lies before it.

// f g, the inner index running over the block's rows.
template <int Bits>
auto product(Left<Bits> f, Right<Bits> g) {
    return [=](Block block, Sums<Bits>& sums, int i, int j) {
        triangular(sums, f, g, i, j, block.row, block.row + block.size);
    };
}

// f g, the inner index running over the block's columns.
template <int Bits>
auto product_from_left(Left<Bits> f, Right<Bits> g) {
    return [=](Block block, Sums<Bits>& sums, int i, int j) {
        triangular(sums, f, g, i, j, block.column, block.row);
    };
}

// Adds h ones, of which `ones` is a multiple of the identity.
template <int Bits>
void add_multiple(Sums<Bits>& sums, Left<Bits> h, Right<Bits> ones, int i, int j) {
    sums.template products<true>(h, ones, i, j, j, j + Sums<Bits>::kVectors * F::lanes);
}

// f g + h ones, for blocks on the diagonal.
template <int Bits>
auto product_and(Left<Bits> f, Right<Bits> g, Left<Bits> h, Right<Bits> ones) {
    return [=](Block block, Sums<Bits>& sums, int i, int j) {
        triangular(sums, f, g, i, j, block.row, block.row + block.size);
        add_multiple(sums, h, ones, i, j);
    };
}

// The same where h is a multiple of the identity, too.
template <int Bits>
auto product_and_ones(Left<Bits> f, Right<Bits> g, Left<Bits> h, Right<Bits> ones) {
    return [=](Block block, Sums<Bits>& sums, int i, int j) {
        triangular(sums, f, g, i, j, block.row, block.row + block.size);
        if (i / kBlock == j / kBlock) add_multiple(sums, h, ones, i, j);
    };
}

}  // namespace neumann_tril::NT_ISA
