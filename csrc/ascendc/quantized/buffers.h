// The Unified Buffer of a vector core: the constants and buffers of the seeds, the slices of A, and
// with two limbs the buffers of the joins. Byte offsets.
#pragma once

#include "../core/seed.h"
#include "task.h"

namespace neumann_tril {

// The 16-bit words that hold an entry of A in the Unified Buffer.
template <typename In>
struct WordOf {
    using Type = In;
};
template <>
struct WordOf<int8_t> {
    using Type = half;
};
template <typename In>
using LeafWord = typename WordOf<In>::Type;

template <typename In>
constexpr bool IsNumber = false;
template <>
constexpr bool IsNumber<half> = true;

// Entries of the sums that are made codes at once.
constexpr int32_t kPart = 2048;

template <typename In, int32_t C, int32_t Limbs>
struct QuantBuffers {
    static constexpr int32_t kLanes = QuantLanes(C);
    static constexpr int32_t kWords = kLanes * 256;  // entries of the leaves of a round
    static constexpr int32_t kZeros = 1024;          // words
    static constexpr int32_t kPadded = 16 * 16 * 32;

    // A slice of A: rows of whole blocks.
    static constexpr uint32_t kRowBytes = C * sizeof(In) < 32 ? 32 : C * sizeof(In);
    static constexpr int32_t kFittingRows = kLanes * 512 / kRowBytes;
    static constexpr int32_t kSliceRows = kFittingRows < 128 ? kFittingRows : 128;
    static constexpr uint32_t kSliceBytes = kSliceRows * kRowBytes;
    static constexpr bool kHasCube = C > kLeafRows;
    static constexpr bool kCodesOfA = kHasCube && sizeof(In) != 1;  // else the cube takes A itself
    static constexpr uint32_t kCodeSetBytes = kCodesOfA ? Limbs * kSliceRows * C : 0;

    static constexpr bool kHasSums = kHasCube && Limbs == 2;

    static constexpr uint32_t kScalesAt = 0;                      // of A, a lane for each leaf
    static constexpr uint32_t kOnesAt = kScalesAt + 256;          // -n, likewise
    static constexpr uint32_t kBitsAt = kOnesAt + 256;            // of a comparison
    static constexpr uint32_t kZerosAt = kBitsAt + 1024;          // of the result
    static constexpr uint32_t kLowerAt = kZerosAt + 2 * kZeros;   // [i][k][leaf]: ones where k < i
    static constexpr uint32_t kWordsAt = kLowerAt + 2 * kWords;   // [i][k][leaf]
    static constexpr uint32_t kLeavesAt = kWordsAt + 2 * kWords;  // [leaf][i][32], half of it used
    static constexpr uint32_t kProductsAt = kLeavesAt;            // of the seeds; then leaves again
    static constexpr uint32_t kFAt = kLeavesAt + 4 * kWords;      // float [i][k][leaf]
    static constexpr uint32_t kPaddedAt = kFAt + 4 * kWords;  // leaves as halves, zeros beside them
    static constexpr uint32_t kSeedsAt = kPaddedAt + 2 * kPadded;  // int8 fractals of each limb
    static constexpr uint32_t kCodesAt = kSeedsAt + Limbs * SeedBytes(C);  // of A, two sets
    static constexpr uint32_t kSumsAt = kCodesAt + 2 * kCodeSetBytes;      // two sets of three
    static constexpr uint32_t kResultAt = kSumsAt + (kHasSums ? 2 * 3 * 4 * kPart : 0);  // 2 sets
    static constexpr uint32_t kBlocksAt = kResultAt + (kHasSums ? 2 * 2 * kPart : 0);    // 2 sets
    static constexpr uint32_t kSlicesAt = kBlocksAt + (kHasSums ? 2 * 2 * kPart : 0);
    static_assert(Substitution<kLanes>::kProducts * 256 <= 4 * kWords,
                  "products exceed the leaves");
    static_assert(2 * 4 * kPart <= 4 * kWords, "two floats of a part exceed F");

    // Select, which float16 A needs, works in what is above 184 KB.
    static constexpr uint32_t kCapacity = IsNumber<In> ? 184 * 1024 : 192 * 1024 - 256;
    static constexpr int32_t kFitting = (kCapacity - kSlicesAt) / kSliceBytes;
    static constexpr int32_t kSlices = kFitting < 4 ? kFitting : 4;
    static_assert(kSlicesAt < kCapacity && kSlices >= 2, "the Unified Buffer is too small");
};

}  // namespace neumann_tril
