// The vector cores' part of the quantised inverse: gather A, seed the leaves, codes of both.
//
// A round is 32 leaves of 16 rows: 512 / C matrices, one below the other. For each round a core
//
//     load       the rows of A, a slice at a time; of float16 NaN becomes 0
//     code       float16 and int16 A: the codes of all rows, in int8 limbs    -> workspace
//     transpose  the leaves -> F[i][k][leaf], the strict lower parts, as float
//     scale      codes -> numbers; all within -128..128
//     seed       F = I - X, the inverse of every leaf, in place
//     round      codes of X, transposed back, in int8 limbs as fractals       -> workspace
//     announce   all to the cube core
//
// The seed is substitution, right-looking. With the sign of X below the diagonal turned, the column
// that gives the factors is the one that is complete last, so that A and the inverse share F:
//     for k = 1 .. 14:  for all i > k, j < k:   F[i][j] = F[i][j] - F[i][k] * F[k][j]
// A lane is a leaf; an instruction takes one column of several rows, or several columns of one row.
#pragma once

#include "vector.h"

namespace neumann_tril {

// The 16-bit words that hold an entry of A in the Unified Buffer.
template <typename In>
struct LeafWord {
    using Type = In;
};
template <>
struct LeafWord<int8_t> {
    using Type = half;
};

template <typename In>
struct IsNumber {
    static constexpr bool value = false;
};
template <>
struct IsNumber<half> {
    static constexpr bool value = true;
};

// Byte offsets in the Unified Buffer.
template <typename In, int32_t C>
struct QuantSeedBuffers {
    // Select, which float16 A needs, works in what is above 184 KB.
    static constexpr uint32_t kCapacity = sizeof(In) == 1 ? 192 * 1024 - 256 : 184 * 1024;
    static constexpr uint32_t kRowBytes = C * sizeof(In) < 32 ? 32 : C * sizeof(In);
    static constexpr int32_t kSliceRows = kRowBytes > 128 ? 64 : 128;
    static constexpr uint32_t kSliceBytes = kSliceRows * kRowBytes;
    static constexpr uint32_t kWordBytes = kLeavesAtOnce * 256 * 2;

    static constexpr uint32_t kScales = 0;                    // of A, a lane for each leaf, twice
    static constexpr uint32_t kOnes = kScales + 256;          // -n, likewise
    static constexpr uint32_t kBits = kOnes + 256;            // of a comparison
    static constexpr uint32_t kLower = kBits + 1024;          // [i][k][leaf]: ones where k < i
    static constexpr uint32_t kWords = kLower + kWordBytes;   // [i][k][leaf]
    static constexpr uint32_t kLeaves = kWords + kWordBytes;  // [leaf][i][32], every other 16 used
    static constexpr uint32_t kF = kLeaves + 2 * kWordBytes;  // float [i][k][leaf]
    static constexpr uint32_t kProducts = kF + 2 * kWordBytes;
    // [16 leaves][i][32], zeros in every other 16
    static constexpr uint32_t kPadded = kProducts + 8 * 1024;
    static constexpr uint32_t kSeedCodes = kPadded + kWordBytes;  // int8 fractals
    static constexpr uint32_t kSlices = kSeedCodes + kSeeds;
    static constexpr int32_t kFitting = (kCapacity - kSlices) / kSliceBytes;
    static constexpr int32_t kSliceBuffers = kFitting < 4 ? kFitting : 4;
    static_assert(kSliceBuffers >= 2, "the Unified Buffer is too small");
};

template <typename In, int32_t C, int32_t Limbs>
class QuantSeedStage : private QuantVector<C, Limbs> {
  public:
    __aicore__ inline QuantSeedStage(const QuantTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                     GM_ADDR constants, const Chunks& chunks)
        : Base(task, x, workspace, constants, chunks) {
        a_.SetGlobalBuffer((__gm__ In*)a);
        for (int32_t j = 0; j < rounds_; ++j) {
            slices_ += SlicesOf(j);
        }
    }

    __aicore__ inline void Start() {
        for (int32_t t = 0; t < kSliceBuffers; ++t) {
            LoadNext();
        }
        PrepareConstants();
    }

    __aicore__ inline void Round(int32_t j) {
        SetScales(j);
        if (kCodesOfA) {
            WaitForPlace(j);
        }
        for (int32_t s = 0; s < SlicesOf(j); ++s) {
            Take(j, s);
        }
        if (kCodesOfA && kHasCube) {
            EndCodesOfA(j);
        }
        AscendC::PipeBarrier<PIPE_V>();
        TransposeLeaves();
        Numbers();
        Seed();
        if (task_.x_dtype == NT_FLOAT16) {
            StoreNumbers(j);
        }
        StoreSeeds(j);
        if (task_.x_dtype != NT_INT8) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);  // of StoreLeaves
        }
        if (kHasCube) {
            AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kReady);
        }
    }

  private:
    using Buffers = QuantSeedBuffers<In, C>;
    using Base = QuantVector<C, Limbs>;
    using Base::Clamp, Base::CopyResult, Base::FirstMatrix, Base::InRing, Base::PlaceOf,
        Base::SplitLimbs, Base::UnitsOf;
    using Base::constants_, Base::groups_, Base::rounds_, Base::side_, Base::chunks_, Base::task_,
        Base::workspace_, Base::x16_, Base::x8_;
    using Word = typename LeafWord<In>::Type;
    static constexpr bool kHasCube = C > kLeafRows;
    static constexpr bool kCodesOfA = sizeof(In) != 1;  // the cube needs them from here
    static constexpr bool kNumbers = IsNumber<In>::value;
    static constexpr int32_t kSliceBuffers = Buffers::kSliceBuffers;
    static constexpr int32_t kSliceRows = Buffers::kSliceRows;
    static constexpr int32_t kRoundMatrices = kRoundRows / C;
    static constexpr int32_t kSliceMatrices = kSliceRows < C ? 1 : kSliceRows / C;
    static constexpr int32_t kLeavesPerMatrix = C / kLeafRows;
    static constexpr int32_t kPitch = Buffers::kRowBytes / 32;  // blocks from row to row of A
    static constexpr int32_t kWords = kLeavesAtOnce * 256;
    static constexpr int32_t kLane = kLeavesAtOnce / 8;  // blocks of one entry of F of all leaves
    static constexpr int32_t kRow = kLeafRows * kLane;   // of a row of F

    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Ub(uint32_t offset, uint32_t count) {
        return Base::template Ub<U>(offset, count);
    }
    template <typename U>
    __aicore__ inline AscendC::LocalTensor<U> Words() const {
        return Ub<U>(Buffers::kWords, kWords);
    }
    __aicore__ inline AscendC::LocalTensor<float> F() const {
        return Ub<float>(Buffers::kF, kWords);
    }
    // Entry (i, k) of all leaves in F.
    __aicore__ inline AscendC::LocalTensor<float> F(int32_t i, int32_t k) const {
        return F()[(i * kLeafRows + k) * kLeavesAtOnce];
    }
    // Leaves of even number take the left half of a row of 32.
    __aicore__ inline static int32_t HalfOf(int32_t leaf) { return C > 16 ? leaf % 2 * 16 : 0; }

    __aicore__ inline int32_t SlicesOf(int32_t j) const {
        return UnitsOf(j) * (kUnitRows / kSliceRows);
    }
    // --- constants

    __aicore__ inline void PrepareConstants() {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kLower, kWords), 0, kWords);
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kLeaves, 2 * kWords), 0, 2 * kWords);
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kPadded, kWords), 0, kWords);
        if (Limbs == 2) {  // the joins may read what nothing has written yet
            AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kProducts, 4096), 0, 4096);
            AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kSeedCodes, 8192), 0, 8192);
        }
        if (Limbs == 1 && side_ == 0) {
            AscendC::Duplicate<uint16_t>(Words<uint16_t>(), 0, kSquare);
        }
        AscendC::PipeBarrier<PIPE_V>();
        const auto lower = Ub<uint16_t>(Buffers::kLower, kWords);
        for (int32_t i = 1; i < kLeafRows; ++i) {
            AscendC::Duplicate<uint16_t>(lower[i * kLeafRows * kLeavesAtOnce], 0xFFFF,
                                         i * kLeavesAtOnce);
        }
        if (Limbs == 1 && side_ == 0 && kHasCube) {
            StoreIdentity();
        }
    }

    // Two fractals; a row of halves is two blocks.
    __aicore__ inline void StoreIdentity() {
        const auto identity = Words<half>();
        for (int32_t r = 0; r < 16; ++r) {
            uint64_t mask[2] = {uint64_t{1} << r, 0};
            AscendC::Duplicate(identity[r * 32], static_cast<half>(1.0f), mask, 2, 1, 33);
        }
        AscendC::PipeBarrier<PIPE_V>();
        const auto codes = Ub<int8_t>(Buffers::kSeedCodes, kSquare);
        AscendC::Cast(codes, identity, AscendC::RoundMode::CAST_RINT, kSquare);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        AscendC::DataCopy(workspace_, codes, AscendC::DataCopyParams{1, kSquare / 32, 0, 0});
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
    }

    // A lane of `dst` for each leaf, in both halves of a repeat.
    __aicore__ inline void FillLanes(uint32_t dst, float value, int32_t matrix) const {
        if (groups_ == 1) {
            AscendC::Duplicate<float>(Ub<float>(dst, 64), value, 64);
            return;
        }
        const uint64_t lanes = ((uint64_t{1} << kLeavesPerMatrix) - 1)
                               << (matrix * kLeavesPerMatrix);
        uint64_t mask[2] = {lanes | lanes << 32, 0};
        AscendC::Duplicate<float>(Ub<float>(dst, 64), value, mask, 1, 1, 8);
    }

    __aicore__ inline void SetScales(int32_t j) {
        const int32_t different = groups_ == 1 ? 1 : kRoundMatrices;
        if (groups_ == 1 && j > 0) {
            return;
        }
        coarse_ = false;
        for (int32_t m = 0; m < different; ++m) {
            const int64_t group = constants_.Group(FirstMatrix(j) + m);
            const float scale = constants_.Of(group, kAScale);
            coarse_ = coarse_ || scale > 1.0f;
            FillLanes(Buffers::kScales, scale, m);
            FillLanes(Buffers::kOnes, -constants_.Of(group, kXOne), m);
        }
    }

    // --- load

    __aicore__ inline void CopyRows(const AscendC::LocalTensor<In>& dst, int64_t offset,
                                    int32_t rows) const {
        constexpr uint32_t kBytes = C * sizeof(In);
        const AscendC::DataCopyPadExtParams<In> no_padding{false, 0, 0, 0};
        const int64_t gap = (task_.a_row_stride - C) * static_cast<int64_t>(sizeof(In));
        if (gap >= 0 && gap <= 0xFFFFFFFFLL) {
            const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), kBytes,
                                                 static_cast<uint32_t>(gap), 0, 0};
            AscendC::DataCopyPad(dst, a_[offset], all, no_padding);
            return;
        }
        for (int32_t r = 0; r < rows; ++r) {
            const AscendC::DataCopyExtParams one{1, kBytes, 0, 0, 0};
            AscendC::DataCopyPad(dst[r * kPitch * 32 / static_cast<int32_t>(sizeof(In))],
                                 a_[offset + r * task_.a_row_stride], one, no_padding);
        }
    }

    __aicore__ inline AscendC::LocalTensor<In> Slice(int32_t t) const {
        return Ub<In>(Buffers::kSlices + t % kSliceBuffers * Buffers::kSliceBytes,
                      Buffers::kSliceBytes / sizeof(In));
    }

    // Rows of matrix `m` of a slice: where they start in the matrix, and how many exist.
    __aicore__ inline static int32_t Exist(const Place& place, int32_t row) {
        const int32_t rows = place.valid - row;
        const int32_t most = kSliceRows < C ? kSliceRows : C;
        return rows < 0 ? 0 : rows > most ? most : rows;
    }

    // The next slice of all rounds of this core.
    __aicore__ inline void LoadNext() {
        if (loaded_ == slices_) {
            return;
        }
        if (loaded_ >= kSliceBuffers) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(loaded_ % kSliceBuffers);
        }
        // All rounds before the last are whole.
        const int32_t per_round = kRoundRows / kSliceRows;
        const int32_t j = loaded_ / per_round, row = loaded_ % per_round * kSliceRows;
        for (int32_t m = 0; m < kSliceMatrices; ++m) {
            const Place place = chunks_.Locate(FirstMatrix(j) + row / C + m);
            const int32_t rows = Exist(place, row % C);
            if (rows > 0) {
                CopyRows(Slice(loaded_)[m * C * Buffers::kRowBytes / sizeof(In)],
                         place.a + row % C * task_.a_row_stride, rows);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(loaded_ % kSliceBuffers);
        ++loaded_;
    }

    __aicore__ inline void Take(int32_t j, int32_t s) {
        const int32_t t = taken_++;
        const auto slice = Slice(t);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(t % kSliceBuffers);
        ClearMissingRows(slice.template ReinterpretCast<uint16_t>(), j, s * kSliceRows);
        if constexpr (kCodesOfA) {
            RemoveNans(slice);
            CopyLeaves(slice.template ReinterpretCast<uint16_t>(), s * kSliceRows);
            if (kHasCube) {
                StoreCodesOfA(slice, j, s * kSliceRows);
            }
        } else {
            CastLeaves(slice, s * kSliceRows);
        }
        if (t + kSliceBuffers < slices_) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(t % kSliceBuffers);
        }
        LoadNext();
    }

    __aicore__ inline void ClearMissingRows(const AscendC::LocalTensor<uint16_t>& slice, int32_t j,
                                            int32_t row) {
        constexpr int32_t kWordsPerRow = kPitch * 16;
        bool cleared = false;
        for (int32_t m = 0; m < kSliceMatrices; ++m) {
            const int32_t rows = Exist(chunks_.Locate(FirstMatrix(j) + row / C + m), row % C);
            const int32_t missing = (kSliceRows < C ? kSliceRows : C) - rows;
            if (missing > 0) {
                AscendC::Duplicate<uint16_t>(slice[(m * C + rows) * kWordsPerRow], 0,
                                             missing * kWordsPerRow);
                cleared = true;
            }
        }
        if (cleared) {
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    // The columns of the leaves: rows of 32 words, of which a leaf is the left or right half.
    __aicore__ inline void CastLeaves(const AscendC::LocalTensor<In>& slice, int32_t row) const {
        const auto leaves = Ub<Word>(Buffers::kLeaves, 2 * kWords)[row * 32];
        constexpr int32_t kRows = C > 16 ? 32 : kSliceRows;  // that share 32 columns
        for (int32_t r = 0; r < kSliceRows; r += kRows) {
            const int32_t block = (row + r) % C / 32;
            const auto source = slice[r * kPitch * 32 + block * 32];
            AscendC::Cast(leaves[r * 32], source, AscendC::RoundMode::CAST_NONE, 128, kRows / 4,
                          AscendC::UnaryRepeatParams{1, kPitch, 8, 4 * kPitch});
        }
    }
    __aicore__ inline void CopyLeaves(const AscendC::LocalTensor<uint16_t>& slice,
                                      int32_t row) const {
        const auto leaves = Ub<uint16_t>(Buffers::kLeaves, 2 * kWords);
        for (int32_t r = 0; r < kSliceRows; r += kLeafRows) {
            const auto source = slice[r * C + (row + r) % C];
            AscendC::Copy(leaves[(row + r) * 32 + HalfOf((row + r) / kLeafRows)], source, 128, 2,
                          AscendC::CopyRepeatParams{2, kPitch, 16, 8 * kPitch});
        }
    }

    __aicore__ inline void RemoveNans(const AscendC::LocalTensor<In>& slice) const {
        if constexpr (kNumbers) {
            const auto equal = Ub<uint8_t>(Buffers::kBits, 1024);
            AscendC::Compare(equal, slice, slice, AscendC::CMPMODE::EQ, kSliceRows * C);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Select(slice, equal, slice, static_cast<half>(0.0f),
                            AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE, kSliceRows * C);
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    // The codes of a slice (with two limbs those of -A); F, the words and what follows the products
    // are free while rows are loaded.
    __aicore__ inline void StoreCodesOfA(const AscendC::LocalTensor<In>& slice, int32_t j,
                                         int32_t row) const {
        constexpr int32_t kEntries = kSliceRows * C;
        const auto codes = Ub<int16_t>(Buffers::kWords, kEntries);
        CodesOfA(codes, slice, j, row);
        Clamp(codes, kEntries);
        if (Limbs == 2) {
            AscendC::Muls(codes, codes, static_cast<int16_t>(-1), kEntries);
            AscendC::PipeBarrier<PIPE_V>();
        }
        const auto limbs = LimbsOf(codes);
        SplitLimbs(limbs, kWords, codes, kEntries);
        const int32_t set = row / kSliceRows % 2;
        const auto rows = Ub<int8_t>(Buffers::kPadded + set * kSeeds, kSeeds);
        if (row >= 2 * kSliceRows) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(2 + set);
        }
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            AscendC::Cast(rows[limb * kEntries], limbs[limb * kWords],
                          AscendC::RoundMode::CAST_RINT, kEntries);
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(2 + set);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(2 + set);
        AscendC::DataCopy(
            InRing(j)[SeedBytes(Limbs) + row * C], rows,
            AscendC::DataCopyParams{Limbs, kEntries / 32, 0, (CodeBytes(C, 1) - kEntries) / 32});
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(2 + set);
    }

    // The buffers of padded leaves and their codes have held codes of A.
    __aicore__ inline void EndCodesOfA(int32_t j) const {
        for (int32_t set = 0; set < Base::Smaller(2, SlicesOf(j)); ++set) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(2 + set);
        }
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kPadded, kWords), 0, kWords);
    }

    __aicore__ inline void CodesOfA(const AscendC::LocalTensor<int16_t>& codes,
                                    const AscendC::LocalTensor<In>& slice, int32_t j,
                                    int32_t row) const {
        constexpr int32_t kEntries = kSliceRows * C, kPart = kEntries / kSliceMatrices;
        if constexpr (kNumbers) {
            const auto numbers = Ub<float>(Buffers::kF, kEntries);
            AscendC::Cast(numbers, slice, AscendC::RoundMode::CAST_NONE, kEntries);
            AscendC::PipeBarrier<PIPE_V>();
            for (int32_t m = 0; m < kSliceMatrices; ++m) {
                const int64_t group = constants_.Group(FirstMatrix(j) + row / C + m);
                AscendC::Muls(numbers[m * kPart], numbers[m * kPart],
                              constants_.Of(group, kAInverse), kPart);
            }
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Cast(codes, numbers, AscendC::RoundMode::CAST_RINT, kEntries);
        } else {
            AscendC::Mins(codes, slice, static_cast<int16_t>(32639), kEntries);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // One limb takes the place of the codes, two lie in F.
    __aicore__ inline static AscendC::LocalTensor<half> LimbsOf(
        const AscendC::LocalTensor<int16_t>& codes) {
        return Limbs == 1 ? codes.template ReinterpretCast<half>()
                          : Ub<half>(Buffers::kF, 2 * kWords);
    }

    // --- one round

    // 16 leaves from rows of 32 words to [i][k][leaf].
    __aicore__ inline void TransposeLeaves() const {
        const auto leaves = Ub<Word>(Buffers::kLeaves, 2 * kWords);
        const auto words = Words<Word>();
        for (int32_t first = 0; first < kLeavesAtOnce; first += 16) {
            uint64_t from[16], to[16];
            for (int32_t i = 0; i < 16; ++i) {
                from[i] = Address(leaves[(first + i) * kLeafRows * 32 + HalfOf(first + i)]);
                to[i] = Address(words[i * kLeavesAtOnce + first]);
            }
            AscendC::TransDataTo5HD<Word>(
                to, from, AscendC::TransDataTo5HDParams{false, false, 16, kLeavesAtOnce, 2});
        }
        AscendC::PipeBarrier<PIPE_V>();
        const auto bits = Words<uint16_t>();
        AscendC::And(bits, bits, Ub<uint16_t>(Buffers::kLower, kWords), kWords);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // 16 leaves from [i][k][leaf] to rows of 32 words.
    __aicore__ inline void TransposeBack(const AscendC::LocalTensor<half>& target,
                                         const AscendC::LocalTensor<half>& words,
                                         int32_t first) const {
        uint64_t from[16], to[16];
        for (int32_t i = 0; i < 16; ++i) {
            from[i] = Address(words[i * kLeavesAtOnce + first]);
            to[i] = Address(target[i * kLeafRows * 32 + HalfOf(first + i)]);
        }
        AscendC::TransDataTo5HD<half>(
            to, from, AscendC::TransDataTo5HDParams{false, false, 16, 2, kLeavesAtOnce});
        AscendC::PipeBarrier<PIPE_V>();
    }

    template <typename U>
    __aicore__ inline static uint64_t Address(const AscendC::LocalTensor<U>& tensor) {
        return static_cast<uint64_t>(tensor.GetPhyAddr());
    }

    // Entries of F times a factor for each leaf.
    __aicore__ inline void Scale(uint32_t factors) const {
        AscendC::Mul(F(), F(), Ub<float>(factors, 64), 64, kWords / 64,
                     AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 0});
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Numbers() const {
        AscendC::Cast(F(), Words<Word>(), AscendC::RoundMode::CAST_NONE, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        if (!kNumbers) {
            Scale(Buffers::kScales);
        }
        if (kNumbers || coarse_) {
            AscendC::Mins(F(), F(), 128.0f, kWords);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Maxs(F(), F(), -128.0f, kWords);
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    __aicore__ inline void Seed() const {
        for (int32_t k = 1; k < kLeafRows - 1; ++k) {
            if (k < kLeafRows / 2) {
                EliminateColumns(k);
            } else {
                EliminateRows(k);
            }
        }
        // The diagonal of -X; what lies above is zero.
        AscendC::Duplicate<float>(F(), -1.0f, kLeavesAtOnce, kLeafRows, 1, kRow + kLane);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // F[i][j] -= F[i][k] F[k][j] for i > k, j < k, one column j at a time.
    __aicore__ inline void EliminateColumns(int32_t k) const {
        const int32_t rows = kLeafRows - 1 - k;
        const auto products = Ub<float>(Buffers::kProducts, 2048);
        for (int32_t j = 0; j < k; ++j) {
            AscendC::Mul(products[j * rows * kLeavesAtOnce], F(k + 1, k), F(k, j), kLeavesAtOnce,
                         rows, AscendC::BinaryRepeatParams{1, 1, 1, kLane, kRow, 0});
        }
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t j = 0; j < k; ++j) {
            AscendC::Sub(F(k + 1, j), F(k + 1, j), products[j * rows * kLeavesAtOnce],
                         kLeavesAtOnce, rows,
                         AscendC::BinaryRepeatParams{1, 1, 1, kRow, kRow, kLane});
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // The same, one row i at a time.
    __aicore__ inline void EliminateRows(int32_t k) const {
        const auto products = Ub<float>(Buffers::kProducts, 2048);
        for (int32_t i = k + 1; i < kLeafRows; ++i) {
            AscendC::Mul(products[(i - k - 1) * k * kLeavesAtOnce], F(k, 0), F(i, k), kLeavesAtOnce,
                         k, AscendC::BinaryRepeatParams{1, 1, 1, kLane, kLane, 0});
        }
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t i = k + 1; i < kLeafRows; ++i) {
            AscendC::Sub(F(i, 0), F(i, 0), products[(i - k - 1) * k * kLeavesAtOnce],
                         k * kLeavesAtOnce);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // Codes of X as int8 fractals.
    __aicore__ inline void StoreSeeds(int32_t j) {
        Scale(Buffers::kOnes);
        const auto codes = Words<int16_t>();
        AscendC::Cast(codes, F(), AscendC::RoundMode::CAST_RINT, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        if constexpr (Limbs == 2) {
            Clamp(codes, kWords);
            if (task_.x_dtype == NT_INT16) {
                StoreLeaves(j);
            }
        }
        const auto limbs = LimbsOf(codes);
        SplitLimbs(limbs, kWords, codes, kWords);
        const auto fractals = Ub<int8_t>(Buffers::kSeedCodes, kSeeds);
        const auto padded = Ub<half>(Buffers::kPadded, kWords);
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            if (!kCodesOfA && j > 0) {
                AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
            }
            for (int32_t first = 0; first < kLeavesAtOnce; first += 16) {
                TransposeBack(padded, limbs[limb * kWords], first);
                AscendC::Cast(fractals[first * kCodeFractal], padded, AscendC::RoundMode::CAST_RINT,
                              kWords);
            }
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
            if (!kHasCube && task_.x_dtype == NT_INT8) {
                StoreRows(j, fractals);
            } else if (kHasCube) {
                if (!kCodesOfA) {
                    WaitForPlace(j);
                }
                AscendC::DataCopy(InRing(j)[limb * kSeeds], fractals,
                                  AscendC::DataCopyParams{1, kSeeds / 32, 0, 0});
            }
            if (kCodesOfA || j + 1 < rounds_) {
                AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
            }
            if (kCodesOfA) {  // the buffer will hold something else
                AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
            }
        }
    }

    __aicore__ inline void WaitForPlace(int32_t j) const {
        if (Limbs == 1 && kHasCube && j >= RoundsHeld(Limbs)) {
            AscendC::CrossCoreWaitFlag(kFree);
        }
    }

    // --- what the cube does not write

    // float16 results: the seeds as numbers.
    __aicore__ inline void StoreNumbers(int32_t j) const {
        const auto numbers = Words<half>();
        AscendC::Cast(numbers, F(), AscendC::RoundMode::CAST_RINT, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Mins(numbers, numbers, static_cast<half>(65504.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Maxs(numbers, numbers, static_cast<half>(-65504.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Muls(numbers, numbers, static_cast<half>(-1.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Adds(numbers, numbers, static_cast<half>(0.0f), kWords);  // no negative zeros
        AscendC::PipeBarrier<PIPE_V>();
        StoreLeaves(j);
    }

    // The leaves of the result from the words.
    __aicore__ inline void StoreLeaves(int32_t j) const {
        const auto leaves = Ub<half>(Buffers::kLeaves, 2 * kWords);
        for (int32_t first = 0; first < kLeavesAtOnce; first += 16) {
            TransposeBack(leaves[first * kLeafRows * 32], Words<half>(), first);
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        for (int32_t leaf = 0; leaf < kLeavesAtOnce; ++leaf) {
            StoreLeaf(j, leaf);
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
    }

    // A leaf, and zeros on its right.
    __aicore__ inline void StoreLeaf(int32_t j, int32_t leaf) const {
        const int32_t corner = leaf % kLeavesPerMatrix * kLeafRows;
        const Place place = PlaceOf(j, leaf / kLeavesPerMatrix);
        const int32_t exist = place.valid - corner;
        if (exist <= 0) {
            return;
        }
        const int32_t rows = exist < kLeafRows ? exist : kLeafRows;
        const int64_t offset = place.x + corner * task_.x_row_stride + corner;
        const auto leaves = Ub<uint16_t>(Buffers::kLeaves, 2 * kWords);
        CopyResult(x16_, offset, leaves[leaf * kLeafRows * 32 + HalfOf(leaf)], rows, kLeafRows, 1);
        if (C > corner + kLeafRows) {
            StoreZeros(offset + kLeafRows, rows, C - corner - kLeafRows);
        }
    }
    __aicore__ inline void StoreZeros(int64_t offset, int32_t rows, int32_t columns) const {
        const auto zeros = Ub<uint16_t>(Buffers::kLower, kZeros);
        const int32_t at_once = kZeros / columns;
        for (int32_t r = 0; r < rows; r += at_once) {
            CopyResult(x16_, offset + r * task_.x_row_stride, zeros,
                       rows - r < at_once ? rows - r : at_once, columns, 0);
        }
    }
    static constexpr int32_t kZeros = kLeafRows * kLeavesAtOnce;  // the first row of kLower

    // C = 16: the seeds are the result.
    __aicore__ inline void StoreRows(int32_t j, const AscendC::LocalTensor<int8_t>& codes) const {
        for (int32_t m = 0; m < kRoundMatrices; ++m) {
            const Place place = PlaceOf(j, m);
            if (place.valid > 0) {
                CopyResult(x8_, place.x, codes[m * kCodeFractal], place.valid, kLeafRows, 0);
            }
        }
    }

    int32_t slices_ = 0;
    int32_t loaded_ = 0, taken_ = 0;  // slices
    bool coarse_ = false;             // a code may stand for a number beyond 128
    AscendC::GlobalTensor<In> a_;
};

}  // namespace neumann_tril
