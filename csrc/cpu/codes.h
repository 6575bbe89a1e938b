// Matrices of integer codes as factors of products, and the exact sums of those.
//
// Codes of 16 bits are cut into int8 limbs, code = 256 high + low. With f = 256 fh + fl and
// g = 256 gh + gl, V = fl(fl(65536 sum(fh gh) + 256 sum(fh gl + fl gh)) + sum(fl gl)); the first
// two sums are 256 sum(fh g + fl gh), a sum that int32 holds.
#pragma once

#include <algorithm>

#include "tiles.h"

namespace neumann_tril::NT_ISA {

constexpr int kBlock = kPanel<float>;

template <int Bits>
constexpr float kHighest = Bits == 8 ? 127 : 32639;

// The last numbers that round to a code of the grid, half to even: next to kHighest + 0.5, and the
// other way; but 8 bits, other than A's, reach down to -128.
template <int Bits>
constexpr float kMost = Bits == 8 ? 0x1.fdfffep6f : 0x1.fdfdfep14f;
template <int Bits>
constexpr float kLeast = Bits == 8 ? -128.5f : -kMost<Bits>;

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

// Codes of numbers in units of the grid, half to even, saturating; counts those that saturate.
inline I codes_of(F scaled, F least, F most, I& beyond) {
    const F held = minimum(maximum(scaled, least), most);
    beyond = count_unequal(beyond, scaled, held);
    return nearest(held);
}

inline I high_limb(I codes) { return shift_right<8>(add(codes, broadcast(int32_t(128)))); }
inline I low_limb(I codes, I high) { return subtract(codes, shift_left<8>(high)); }

// Codes as the left factor of a product: rows, of each limb.
template <int Bits>
struct Left {
    static constexpr int kParts = Bits / 8;
    int16_t* part[kParts];
    int row;

    void put_row(int r, int c, I codes) const {
        const int at = r * row + c;
        if constexpr (Bits == 8) {
            store(part[0] + at, codes);
        } else {
            const I high = high_limb(codes);
            store(part[0] + at, high);
            store(part[1] + at, low_limb(codes, high));
        }
    }
    void put(int r, int c, Two<I> codes) const {
        put_row(r, c, codes.even);
        put_row(r + 1, c, codes.odd);
    }
    void put_number(int r, int c, int code) const {
        const int high = Bits == 8 ? code : (code + 128) >> 8;
        part[0][r * row + c] = static_cast<int16_t>(high);
        if constexpr (Bits == 16) part[1][r * row + c] = static_cast<int16_t>(code - high * 256);
    }
    // The codes as float32 numbers.
    F get_row(int r, int c) const {
        const F first = load(part[0] + r * row + c);
        if constexpr (Bits == 8) return first;
        return add(multiply(first, broadcast(256.0f)), load(part[Bits / 8 - 1] + r * row + c));
    }
};

// Codes as the right factor: pairs of rows, kBlock columns after each other, of the codes and, for
// 16 bits, of each limb.
template <int Bits>
struct Right {
    static constexpr int kParts = Bits == 8 ? 1 : 3;
    int16_t* part[kParts];
    int row;

    // Where (r, c) and (r + 1, c) lie, for even r.
    ptrdiff_t at(int r, int c) const { return (c / kBlock * row + r) * kBlock + 2 * (c % kBlock); }
    void put(int r, int c, Two<I> codes) const {
        const ptrdiff_t at = this->at(r, c);
        store_pairs(part[0] + at, codes.even, codes.odd);
        if constexpr (Bits == 16) {
            const I even = high_limb(codes.even), odd = high_limb(codes.odd);
            store_pairs(part[1] + at, even, odd);
            store_pairs(part[2] + at, low_limb(codes.even, even), low_limb(codes.odd, odd));
        }
    }
};

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

}  // namespace neumann_tril::NT_ISA
