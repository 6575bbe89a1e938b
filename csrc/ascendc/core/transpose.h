// Between rows of leaves and lanes: the transposing moves of the vector cores.
#pragma once

#include "seed.h"

namespace neumann_tril {

template <typename T>
__aicore__ inline uint64_t Address(const AscendC::LocalTensor<T>& tensor) {
    return static_cast<uint64_t>(tensor.GetPhyAddr());
}

// The first rows of 16 leaves, wherever they lie; row r is r pitches further.
struct LeafAddresses {
    uint64_t rows[16];
};

// 16-bit words: 16 leaves of 16 x 16 to [i][j][lane], from lane `words` points to.
template <int32_t Lanes, typename Word>
__aicore__ inline void ToLanes(const AscendC::LocalTensor<Word>& words, LeafAddresses leaves,
                               uint16_t pitch) {
    uint64_t to[16];
    for (int32_t j = 0; j < 16; ++j) {
        to[j] = Address(words[j * Lanes]);
    }
    AscendC::TransDataTo5HD<Word>(
        to, leaves.rows, AscendC::TransDataTo5HDParams{false, false, kLeafRows, Lanes, pitch});
}

// The way back.
template <int32_t Lanes, typename Word>
__aicore__ inline void FromLanes(LeafAddresses leaves, uint16_t pitch,
                                 const AscendC::LocalTensor<Word>& words) {
    uint64_t from[16];
    for (int32_t j = 0; j < 16; ++j) {
        from[j] = Address(words[j * Lanes]);
    }
    AscendC::TransDataTo5HD<Word>(
        leaves.rows, from, AscendC::TransDataTo5HDParams{false, false, kLeafRows, pitch, Lanes});
}

// Rows of 16 floats of 8 leaves, a leaf `leaf` floats after another, to rows of a panel; `rows` is
// even: the second half of the rows travels beside the first.
__aicore__ inline void ToPanel(const Panel<8>& panel, int32_t first,
                               const AscendC::LocalTensor<float>& rows, int32_t leaf,
                               int32_t count) {
    const int32_t half = count / 2;
    for (int32_t side = 0; side < 2; ++side) {  // of eight columns
        uint64_t from[16], to[16];
        for (int32_t i = 0; i < 8; ++i) {
            from[i] = Address(rows[i * leaf + side * 8]);
            from[8 + i] = Address(rows[i * leaf + half * kLeafRows + side * 8]);
            to[2 * i] = Address(panel.At(first, side * 8 + i));
            to[2 * i + 1] = Address(panel.At(first + half, side * 8 + i));
        }
        AscendC::TransDataTo5HD<float>(
            to, from,
            AscendC::TransDataTo5HDParams{false, false, static_cast<uint8_t>(half), kLeafRows, 2});
    }
}

// Rows of 16 floats of the 8 leaves in lanes 8 `group` .., a leaf `leaf` floats after another.
template <int32_t Lanes>
__aicore__ inline void FromPanel(const AscendC::LocalTensor<float>& rows, int32_t leaf,
                                 const Panel<Lanes>& panel, int32_t group, int32_t count) {
    uint64_t from[16], to[16];
    for (int32_t i = 0; i < 16; ++i) {
        from[i] = Address(panel.At(0, i)[group * 8]);
        to[i] = Address(rows[i / 2 * leaf + i % 2 * 8]);
    }
    AscendC::TransDataTo5HD<float>(
        to, from,
        AscendC::TransDataTo5HDParams{false, false, static_cast<uint8_t>(count), 2,
                                      Panel<Lanes>::kRow});
}

}  // namespace neumann_tril
