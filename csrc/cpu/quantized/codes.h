// Integer codes of numbers, and matrices of them as factors of products.
//
// Codes of 16 bits are cut into int8 limbs, code = 256 high + low.
#pragma once

#include "blocks.h"

namespace neumann_tril::NT_ISA {

template <int Bits>
constexpr float kHighest = Bits == 8 ? 127 : 32639;

// The last numbers that round to a code of the grid, half to even: next to kHighest + 0.5, and the
// other way; but 8 bits, other than A's, reach down to -128.
template <int Bits>
constexpr float kMost = Bits == 8 ? 0x1.fdfffep6f : 0x1.fdfdfep14f;
template <int Bits>
constexpr float kLeast = Bits == 8 ? -128.5f : -kMost<Bits>;

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

// The identity with the code `one`: its blocks on the diagonal, as a factor of either side.
template <class Factor>
void set_ones(Blocks diagonal, Factor to, float one) {
    alignas(kCacheLine) float rows[3 * kBlock] = {};
    rows[kBlock] = one;
    diagonal.for_each([&](Block block) {
        block.for_pairs([&](int r, int c) {
            const float* even = rows + kBlock + c - r;
            to.put(r, c, {nearest(load(even)), nearest(load(even - 1))});
        });
    });
}

}  // namespace neumann_tril::NT_ISA
