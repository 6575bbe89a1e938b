// The vector cores' part: gather A, cut it to its strict lower part, seed the leaves.
//
// A unit is 128 rows: 128 / C matrices, one below the other. For each unit of its share a core
//
//     load      A, whatever its strides -> rows in the Unified Buffer, zero below the valid rows
//     negate    A <- -A, on the bits
//     image     N = -(I + A), cut to the lower triangle          -> workspace, as fractals
//     seed      X0 = band_w((I + A)^-1) of every leaf, in float  -> workspace, as fractals
//     announce  both to the cube core
//
// float32 operands T are for plans without products: no image, the seed is the result, and A is
// negated where its columns become factors.
//
// The seed is substitution, right-looking, so that one instruction serves many rows; every entry
// sees the same operations in the same order as row by row:
//     X = I
//     for k = 0 .. L-2:
//         for all rows i in k+1 .. min(L-1, k+w):   X[i, :] = X[i, :] + (-A[i, k]) * X[k, :]
//     cut X to 0 <= i - j <= w
// In the Unified Buffer it is X[i][j / 8][leaf][j % 8]: eight entries of a row are a block of 32
// bytes, those of all leaves of the unit lie side by side, and so one repeat of 256 bytes serves
// up to eight leaves; the factor -A[i, k] of each leaf is a block of eight equal numbers (Brcb).
#pragma once

#include "layout.h"
#include "neumann_tril.h"

namespace neumann_tril {

// The words that hold rows of A (the bits of 16-bit operands), and the bits of one.
template <typename T>
struct Operand;
template <>
struct Operand<half> {
    using Word = uint16_t;
    static constexpr uint16_t kOne = 0x3C00;
};
template <>
struct Operand<bfloat16_t> {
    using Word = uint16_t;
    static constexpr uint16_t kOne = 0x3F80;
};
template <>
struct Operand<float> {
    using Word = float;
};

// Byte offsets in the Unified Buffer.
template <typename T, int32_t C, int32_t L>
struct SeedBuffers {
    static constexpr uint32_t kCapacity = 192 * 1024 - 256;
    static constexpr uint32_t kImageBytes = sizeof(T) == 2 ? kImage<C> * 2 : 0;
    static constexpr uint32_t kRowsBytes = kImage<C> * sizeof(T);
    static constexpr bool kSharedImage = L == 128;  // N and X0 take turns in one image

    static constexpr uint32_t kStrict = 0;                     // 16 x 16: ones below the diagonal
    static constexpr uint32_t kMinusIdentity = kStrict + 512;  // 16 x 16
    static constexpr uint32_t kSign = kMinusIdentity + 512;    // one block of sign bits
    static constexpr uint32_t kBand = kSign + 32;              // a block for each distance i - 8g
    static constexpr uint32_t kN = kBand + (L + 8) * 32;
    static constexpr uint32_t kX0 = kSharedImage ? kN : kN + kImageBytes;
    static constexpr uint32_t kX = kX0 + kImageBytes;   // float, see above
    static constexpr uint32_t kColumns = kX + 512 * L;  // 16 columns of -A: [half][row][leaf][8]
    static constexpr uint32_t kFactors = kColumns + 8 * 1024;    // [row][leaf][8 columns][8 equal]
    static constexpr uint32_t kProducts = kFactors + 32 * 1024;  // two of [row][leaf][8]
    static constexpr uint32_t kRows = kProducts + 8 * 1024;      // A as rows of C
    static constexpr int32_t kRowBuffers = kRows + 2 * kRowsBytes <= kCapacity ? 2 : 1;
    static_assert(kRows + kRowBuffers * kRowsBytes <= kCapacity, "the Unified Buffer is too small");
};

template <typename T, int32_t C, int32_t L>
class SeedStage {
  public:
    __aicore__ inline SeedStage(const InverseTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                const ChunkTable& table)
        : task_(task), table_(table), band_(task.plan.bandwidth) {
        a_.SetGlobalBuffer((__gm__ Word*)a);
        a32_.SetGlobalBuffer((__gm__ float*)a);
        x16_.SetGlobalBuffer((__gm__ uint16_t*)x);
        x32_.SetGlobalBuffer((__gm__ float*)x);
        block_ = AscendC::GetBlockIdx() / 2;
        blocks_ = AscendC::GetBlockNum();
        side_ = AscendC::GetSubBlockIdx();
        if (task.cube != 0) {
            workspace_.SetGlobalBuffer((__gm__ uint16_t*)workspace + block_ * kWorkspacePerCore<C>);
        }
        const int64_t units = (task.matrices + kMatrices - 1) / kMatrices;
        const int64_t batches = (units + 1) / 2;
        count_ = static_cast<int32_t>((batches - block_ + blocks_ - 1) / blocks_);
    }

    __aicore__ inline void Run() {
        // Rounding float32 borrows the buffer of the factors: no unit can be loaded ahead.
        const bool ahead = kRowBuffers == 2 && !Rounds();
        if (ahead) {
            Load(0);
        }
        PrepareConstants();
        for (int32_t j = 0; j < count_; ++j) {
            if (!ahead) {
                Load(j);
            } else if (j + 1 < count_) {
                Load(j + 1);
            }
            Prepare(j);
        }
    }

  private:
    using Buffers = SeedBuffers<T, C, L>;
    using Word = typename Operand<T>::Word;
    static constexpr bool kForCube = sizeof(T) == 2;  // the cube multiplies operands of this type
    static constexpr int32_t kRowBuffers = Buffers::kRowBuffers;
    static constexpr int32_t kMatrices = kUnitRows / C;
    static constexpr int32_t kLeaves = kUnitRows / L;  // of a unit
    static constexpr int32_t kLeavesPerMatrix = C / L;
    static constexpr int32_t kRowPitch = C * sizeof(T) / 32;  // blocks from row to row of A
    static constexpr int32_t kSeedPitch = 16;       // the same of X: L / 8 groups of all leaves
    static constexpr int32_t kLanes = kLeaves * 8;  // floats of a repeat
    static constexpr int32_t kRoundedRows = kUnitRows * C > 8192 ? 8192 / C : kUnitRows;

    template <typename U>
    __aicore__ inline AscendC::LocalTensor<U> Ub(uint32_t offset, uint32_t count) const {
        return AscendC::LocalTensor<U>(AscendC::TPosition::VECCALC, offset, count);
    }
    __aicore__ inline AscendC::LocalTensor<Word> Rows(int32_t j) const {
        return Ub<Word>(Buffers::kRows + j % kRowBuffers * Buffers::kRowsBytes, kImage<C>);
    }
    // float32 input of 16-bit operands
    __aicore__ inline bool Rounds() const { return kForCube && task_.a_dtype == NT_FLOAT32; }
    __aicore__ inline int64_t Unit(int32_t j) const { return 2 * (block_ + j * blocks_) + side_; }

    // Fills `count` lanes of 16 bits from lane `first` of one 32-byte block, `repeat` times.
    __aicore__ inline void FillLanes(const AscendC::LocalTensor<uint16_t>& dst, uint16_t value,
                                     int32_t first, int32_t count, uint8_t repeat = 1,
                                     uint8_t repeat_stride = 8) {
        uint64_t mask[2] = {((uint64_t{1} << count) - 1) << first, 0};
        AscendC::Duplicate(dst, value, mask, repeat, 1, repeat_stride);
    }

    __aicore__ inline void PrepareConstants() {
        const auto band = Ub<uint16_t>(Buffers::kBand, (L + 8) * 16);
        AscendC::Duplicate<uint16_t>(band, 0, (L + 8) * 16);
        if constexpr (kForCube) {
            ClearImages();
        }
        AscendC::PipeBarrier<PIPE_V>();
        if constexpr (kForCube) {
            FillIdentities();
        }
        // Row i = 8g + d keeps the columns 8g + j with 0 <= d - j <= w; a float is two lanes.
        for (int32_t d = 0; d < band_ + 8; ++d) {
            const int32_t first = d > band_ ? d - band_ : 0;
            const int32_t last = d < 7 ? d : 7;
            FillLanes(band[d * 16], 0xFFFF, 2 * first, 2 * (last - first + 1));
        }
        if constexpr (kForCube) {
            StoreIdentity();
        }
        AscendC::PipeBarrier<PIPE_V>();
        if (Rounds()) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);  // the factors' buffer is free
        }
    }

    __aicore__ inline void ClearImages() {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kStrict, 256), 0, 256);
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kMinusIdentity, 256), 0, 256);
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kFactors, kIdentity), 0, kIdentity);
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kSign, 16), 0x8000, 16);
        // What lies above the diagonal of the images is zero now and never written again.
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kN, kImage<C>), 0, kImage<C>);
        if (!Buffers::kSharedImage) {
            AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kX0, kImage<C>), 0, kImage<C>);
        }
    }

    __aicore__ inline void FillIdentities() {
        const auto strict = Ub<uint16_t>(Buffers::kStrict, 256);
        const auto minus_identity = Ub<uint16_t>(Buffers::kMinusIdentity, 256);
        const auto identity = Ub<uint16_t>(Buffers::kFactors, kIdentity);
        for (int32_t r = 0; r < 16; ++r) {
            if (r > 0) {
                FillLanes(strict[r * 16], 0xFFFF, 0, r);
            }
            FillLanes(minus_identity[r * 16], Operand<T>::kOne | 0x8000, r, 1);
            FillLanes(identity[r * 16], Operand<T>::kOne, r, 1, 4, 5 * 16);
        }
    }

    __aicore__ inline void StoreIdentity() {
        if (side_ != 0 || task_.cube == 0) {
            return;
        }
        const auto identity = Ub<uint16_t>(Buffers::kFactors, kIdentity);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::DataCopy(workspace_, identity, AscendC::DataCopyParams{1, kIdentity / 16, 0, 0});
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
    }

    // --- load

    template <typename U>
    __aicore__ inline void CopyRows(const AscendC::LocalTensor<U>& dst,
                                    const AscendC::GlobalTensor<U>& src, int64_t offset,
                                    int32_t rows) {
        const AscendC::DataCopyPadExtParams<U> no_padding{false, 0, 0, 0};
        const int64_t gap = (task_.a_row_stride - C) * static_cast<int64_t>(sizeof(U));
        constexpr uint32_t kRowBytes = C * sizeof(U);
        if (gap >= 0 && gap <= 0xFFFFFFFFLL) {
            const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), kRowBytes,
                                                 static_cast<uint32_t>(gap), 0, 0};
            AscendC::DataCopyPad(dst, src[offset], all, no_padding);
            return;
        }
        for (int32_t r = 0; r < rows; ++r) {
            const AscendC::DataCopyExtParams one{1, kRowBytes, 0, 0, 0};
            AscendC::DataCopyPad(dst[r * C], src[offset + r * task_.a_row_stride], one, no_padding);
        }
    }

    __aicore__ inline void Load(int32_t j) {
        if constexpr (kForCube) {
            if (Rounds()) {
                LoadRounded(j);
                return;
            }
        }
        const auto rows = Rows(j);
        if (j >= kRowBuffers) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(j % kRowBuffers);
        }
        for (int32_t m = 0; m < kMatrices; ++m) {
            const Place place = Locate(task_, table_, Unit(j) * kMatrices + m);
            if (place.valid > 0) {
                CopyRows(rows[m * C * C], a_, place.a, place.valid);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(j % kRowBuffers);
    }

    // float32 input is rounded to T on the way, a slice of rows at a time.
    __aicore__ inline void LoadRounded(int32_t j) {
        const auto rows = Rows(j).template ReinterpretCast<T>();
        const auto slice = Ub<float>(Buffers::kFactors, kRoundedRows * C);
        for (int32_t first = 0; first < kUnitRows; first += kRoundedRows) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            for (int32_t row = first; row < first + kRoundedRows; row += kPiece) {
                const Place place = Locate(task_, table_, Unit(j) * kMatrices + row / C);
                const int32_t valid = Clamp(place.valid - row % C, kPiece);
                if (valid > 0) {
                    CopyRows(slice[(row - first) * C], a32_, place.a + row % C * task_.a_row_stride,
                             valid);
                }
            }
            AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
            for (int32_t row = first; row < first + kRoundedRows; row += kPiece) {
                const Place place = Locate(task_, table_, Unit(j) * kMatrices + row / C);
                const int32_t valid = Clamp(place.valid - row % C, kPiece);
                if (valid > 0) {
                    AscendC::Cast(rows[row * C], slice[(row - first) * C],
                                  AscendC::RoundMode::CAST_RINT, valid * C);
                }
            }
            if (first + kRoundedRows < kUnitRows) {
                AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            }
        }
        AscendC::PipeBarrier<PIPE_V>();
    }
    static constexpr int32_t kPiece = C < kRoundedRows ? C : kRoundedRows;

    __aicore__ inline static int32_t Clamp(int32_t rows, int32_t most) {
        return rows < 0 ? 0 : rows > most ? most : rows;
    }

    // --- one unit

    __aicore__ inline void Prepare(int32_t j) {
        const auto rows = Rows(j);
        if (!Rounds()) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(j % kRowBuffers);
        }
        ClearInvalidRows(j, rows);
        if constexpr (kForCube) {
            Negate(rows);
            if (task_.cube != 0) {
                StoreN(j, rows);
            }
        }
        Seed(rows);
        if (!Rounds() && j + kRowBuffers < count_) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(j % kRowBuffers);
        }
        if constexpr (kForCube) {
            if (task_.cube != 0) {
                StoreX0(j);
            }
        }
        if (task_.background != 0) {
            StoreBackground(j);
        } else if (C == 128) {
            StoreUpperZeros(j);
        }
        if (Rounds() && j + 1 < count_) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
        }
        if (task_.cube != 0) {
            AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kReady);
        }
    }

    __aicore__ inline void ClearInvalidRows(int32_t j, const AscendC::LocalTensor<Word>& rows) {
        bool cleared = false;
        for (int32_t m = 0; m < kMatrices; ++m) {
            const int32_t valid = Locate(task_, table_, Unit(j) * kMatrices + m).valid;
            if (valid < C) {
                AscendC::Duplicate<Word>(rows[(m * C + valid) * C], 0, (C - valid) * C);
                cleared = true;
            }
        }
        if (cleared) {
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    __aicore__ inline void Negate(const AscendC::LocalTensor<uint16_t>& rows) {
        if constexpr (Operand<T>::kOne == Operand<half>::kOne) {
            const auto numbers = rows.template ReinterpretCast<half>();
            AscendC::Muls(numbers, numbers, static_cast<half>(-1.0f), 128, C,
                          AscendC::UnaryRepeatParams{1, 1, 8, 8});
        } else {
            FlipSigns(rows);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // bfloat16 has no arithmetic: (a | s) - (a & s), which cannot overflow.
    __aicore__ inline void FlipSigns(const AscendC::LocalTensor<uint16_t>& rows) {
        const auto sign = Ub<uint16_t>(Buffers::kSign, 16);
        const auto signs = Ub<uint16_t>(Buffers::kFactors, kImage<C>);
        const AscendC::BinaryRepeatParams with_block{1, 1, 0, 8, 8, 0};
        AscendC::And(signs, rows, sign, 128, C, with_block);
        AscendC::Or(rows, rows, sign, 128, C, with_block);
        AscendC::PipeBarrier<PIPE_V>();
        const auto numbers = rows.template ReinterpretCast<int16_t>();
        AscendC::Sub(numbers, numbers, signs.template ReinterpretCast<int16_t>(), 128, C,
                     AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 8});
    }

    // N = -(I + A): the bits of -A below the diagonal, -1 on it. Bits, since above it may be NaN.
    __aicore__ inline void StoreN(int32_t j, const AscendC::LocalTensor<uint16_t>& rows) {
        const auto n = Ub<uint16_t>(Buffers::kN, kImage<C>);
        const auto strict = Ub<uint16_t>(Buffers::kStrict, 256);
        const auto minus_identity = Ub<uint16_t>(Buffers::kMinusIdentity, 256);
        if (j > 0 && Buffers::kSharedImage) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);  // X0 was there last
        } else if (j > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
        }
        for (int32_t m = 0; m < kMatrices; ++m) {
            for (int32_t c = 0; c < C / 16; ++c) {
                const int32_t row = m * C + 16 * c;
                const auto dst = n[(c * kUnitRows + row) * 16];
                const auto src = rows[row * C + 16 * c];
                AscendC::And(dst, src, strict, 128, 2,
                             AscendC::BinaryRepeatParams{1, kRowPitch, 1, 8, 8 * kRowPitch, 8});
                const int32_t below = C - 16 * (c + 1);
                if (below > 0) {
                    AscendC::Copy(dst[256], src[16 * C], 128, below / 8,
                                  AscendC::CopyRepeatParams{1, kRowPitch, 8, 8 * kRowPitch});
                }
            }
        }
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t m = 0; m < kMatrices; ++m) {
            for (int32_t c = 0; c < C / 16; ++c) {
                const auto block = n[(c * kUnitRows + m * C + 16 * c) * 16];
                AscendC::Or(block, block, minus_identity, 128, 2,
                            AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 8});
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
        if (j >= kRingDepth) {
            AscendC::CrossCoreWaitFlag(kFree);
        }
        CopyLower<C, C>(ImageInRing(j, 0), n);
        if (Buffers::kSharedImage || j + 1 < count_) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
        }
    }

    __aicore__ inline AscendC::GlobalTensor<uint16_t> ImageInRing(int32_t j, int32_t which) const {
        const int32_t unit = j % kRingDepth * 2 + side_;
        return workspace_[kIdentity + (unit * 2 + which) * kImage<C>];
    }

    __aicore__ inline void Seed(const AscendC::LocalTensor<Word>& rows) {
        const auto x = Ub<float>(Buffers::kX, kUnitRows * L);
        AscendC::Duplicate<float>(x, 0.0f, kUnitRows * L);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t lane = 0; lane < 8; ++lane) {
            const uint64_t blocks = kLeaves == 8 ? ~uint64_t{0} : (uint64_t{1} << kLanes) - 1;
            uint64_t mask[2] = {(0x0101010101010101u << lane) & blocks, 0};
            AscendC::Duplicate<float>(x[lane * kSeedPitch * 8], 1.0f, mask, L / 8, 1,
                                      8 * kSeedPitch + kLeaves);
        }
        if (band_ == 0) {
            AscendC::PipeBarrier<PIPE_V>();
        }
        for (int32_t c = 0; c < L / 16 && band_ > 0; ++c) {
            const int32_t most = 16 * c + 16 + band_;
            const int32_t end = most < L ? (most + 3) / 4 * 4 : L;
            ExtractColumns(rows, c, end);
            for (int32_t h = 0; h < 2; ++h) {
                BroadcastFactors(16 * c, end, h);
                for (int32_t k = 16 * c + 8 * h; k < 16 * c + 8 * h + 8 && k + 1 < L; ++k) {
                    Eliminate(x, k, 16 * c);
                }
            }
        }
        const auto band = Ub<uint16_t>(Buffers::kBand, (L + 8) * 16);
        for (int32_t g = 0; g < L / 8; ++g) {
            const int32_t n = L - 8 * g < band_ + 8 ? L - 8 * g : band_ + 8;
            const auto group =
                x[(8 * g * kSeedPitch + g * kLeaves) * 8].template ReinterpretCast<uint16_t>();
            AscendC::And(group, group, band, 2 * kLanes, n,
                         AscendC::BinaryRepeatParams{1, 1, 0, kSeedPitch, kSeedPitch, 1});
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // Columns 16c .. 16c+15 of -A of every leaf, rows 16c .. end-1, as float: [half][row][leaf][8].
    __aicore__ inline void ExtractColumns(const AscendC::LocalTensor<Word>& rows, int32_t c,
                                          int32_t end) {
        const auto columns = Ub<float>(Buffers::kColumns, 2 * kUnitRows * 8);
        for (int32_t leaf = 0; leaf < kLeaves; ++leaf) {
            const int32_t row = leaf * L + 16 * c;
            const int32_t column = leaf % kLeavesPerMatrix * L + 16 * c;
            const auto source = rows[row * C + column].template ReinterpretCast<T>();
            const AscendC::UnaryRepeatParams strides{kUnitRows, 1, kLeaves, kRowPitch};
            if constexpr (kForCube) {
                AscendC::Cast(columns[leaf * 8], source, AscendC::RoundMode::CAST_NONE, 16,
                              end - 16 * c, strides);
            } else {
                AscendC::Muls(columns[leaf * 8], source, -1.0f, 16, end - 16 * c, strides);
            }
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // Factors of eight columns, of the rows that they reach: [row][leaf][column][8 equal].
    __aicore__ inline void BroadcastFactors(int32_t first, int32_t end, int32_t h) {
        const auto columns = Ub<float>(Buffers::kColumns, 2 * kUnitRows * 8);
        const auto factors = Ub<float>(Buffers::kFactors, kUnitRows * 8 * 8);
        const int32_t begin = 8 * h * kLeaves, n = (end - first) * kLeaves - begin;
        AscendC::Brcb(factors[begin * 64], columns[(h * kUnitRows + begin) * 8], n,
                      AscendC::BrcbRepeatParams{1, 8});
        AscendC::PipeBarrier<PIPE_V>();
    }

    // X[i, :] += (-A[i, k]) X[k, :] for the rows below k within the band, two groups of eight
    // columns at a time; the factors begin with row `first`.
    __aicore__ inline void Eliminate(const AscendC::LocalTensor<float>& x, int32_t k,
                                     int32_t first) {
        const auto factors = Ub<float>(Buffers::kFactors, kUnitRows * 8 * 8);
        const auto products = Ub<float>(Buffers::kProducts, 2 * kUnitRows * 8);
        const auto factor = factors[((k + 1 - first) * kLeaves * 8 + k % 8) * 8];
        const int32_t lowest = k + 1 > band_ ? (k + 1 - band_) / 8 : 0;
        for (int32_t g = lowest; g <= k / 8; g += 2) {
            for (int32_t i = 0; i < 2 && g + i <= k / 8; ++i) {
                AscendC::Mul(products[i * kUnitRows * 8], factor,
                             x[(k * kSeedPitch + (g + i) * kLeaves) * 8], kLanes,
                             RowsBelow(k, g + i),
                             AscendC::BinaryRepeatParams{1, 8, 1, kLeaves, 8 * kLeaves, 0});
            }
            AscendC::PipeBarrier<PIPE_V>();
            for (int32_t i = 0; i < 2 && g + i <= k / 8; ++i) {
                const auto target = x[((k + 1) * kSeedPitch + (g + i) * kLeaves) * 8];
                AscendC::Add(target, target, products[i * kUnitRows * 8], kLanes,
                             RowsBelow(k, g + i),
                             AscendC::BinaryRepeatParams{1, 1, 1, kSeedPitch, kSeedPitch, kLeaves});
            }
        }
        AscendC::PipeBarrier<PIPE_V>();
    }
    // Rows below k that column k reaches and in which group g has an entry within the band.
    __aicore__ inline int32_t RowsBelow(int32_t k, int32_t g) const {
        int32_t last = k + band_;
        last = last < 8 * g + 7 + band_ ? last : 8 * g + 7 + band_;
        return (last < L - 1 ? last : L - 1) - k;
    }

    __aicore__ inline void StoreX0(int32_t j) {
        const auto x = Ub<float>(Buffers::kX, kUnitRows * L);
        const auto image = Ub<T>(Buffers::kX0, kImage<C>);
        if (Buffers::kSharedImage) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
        } else if (j > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
        }
        for (int32_t leaf = 0; leaf < kLeaves; ++leaf) {
            for (int32_t c = 0; c < L / 16; ++c) {
                const int32_t column = leaf % kLeavesPerMatrix * (L / 16) + c;
                const auto dst = image[(column * kUnitRows + leaf * L + 16 * c) * 16];
                const auto src = x[(16 * c * kSeedPitch + 2 * c * kLeaves + leaf) * 8];
                AscendC::Cast(dst, src, AscendC::RoundMode::CAST_RINT, 16, L - 16 * c,
                              AscendC::UnaryRepeatParams{1, kLeaves, 1, kSeedPitch});
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        CopyLower<C, L>(ImageInRing(j, 1), image.template ReinterpretCast<uint16_t>());
        if (j + 1 < count_) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
        }
    }

    // --- what the cube does not write

    // Rows of the result from a buffer of whole rows of C.
    template <typename U>
    __aicore__ inline void CopyResult(const AscendC::GlobalTensor<U>& dst, int64_t offset,
                                      const AscendC::LocalTensor<U>& src, int32_t rows,
                                      uint32_t columns) {
        const int64_t gap = (task_.x_row_stride - columns) * static_cast<int64_t>(sizeof(U));
        const uint32_t bytes = columns * sizeof(U);
        if (gap >= 0 && gap <= 0xFFFFFFFFLL) {
            const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), bytes, 0,
                                                 static_cast<uint32_t>(gap), 0};
            AscendC::DataCopyPad(dst[offset], src, all);
            return;
        }
        for (int32_t r = 0; r < rows; ++r) {
            AscendC::DataCopyPad(dst[offset + r * task_.x_row_stride], src[r * columns],
                                 AscendC::DataCopyExtParams{1, bytes, 0, 0, 0});
        }
    }

    // The upper right 64 x 64 of a 128 x 128 result, from zeros of the last column of image N.
    __aicore__ inline void StoreUpperZeros(int32_t j) {
        const Place place = Locate(task_, table_, Unit(j));
        const int32_t rows = Clamp(place.valid, 64);
        constexpr int32_t kZeros = 112 * 16;  // 16-bit zeros above the last diagonal block
        const uint32_t zeros = Buffers::kN + 7 * kUnitRows * 32;
        const bool wide = task_.x_dtype == NT_FLOAT32;
        const int32_t at_once = kZeros / (wide ? 128 : 64);
        for (int32_t r = 0; r < rows; r += at_once) {
            const int32_t n = Clamp(rows - r, at_once);
            const int64_t offset = place.x + r * task_.x_row_stride + 64;
            if (wide) {
                CopyResult(x32_, offset, Ub<float>(zeros, kZeros / 2), n, 64);
            } else {
                CopyResult(x16_, offset, Ub<uint16_t>(zeros, kZeros), n, 64);
            }
        }
    }

    // The seed itself where it is the result, zero elsewhere.
    __aicore__ inline void StoreBackground(int32_t j) {
        if (task_.x_dtype == NT_FLOAT32) {
            StoreBackgroundAs<float>(j, x32_);
        } else if (task_.x_dtype == NT_FLOAT16) {
            StoreBackgroundAs<half>(j, x16_);
        } else {
            StoreBackgroundAs<bfloat16_t>(j, x16_);
        }
    }

    template <typename U, typename V>
    __aicore__ inline void StoreBackgroundAs(int32_t j, const AscendC::GlobalTensor<V>& dst) {
        constexpr int32_t kSlice = kRoundedRows;
        const auto slice = Ub<U>(Buffers::kFactors, kSlice * C);
        const auto x = Ub<float>(Buffers::kX, kUnitRows * L);
        for (int32_t first = 0; first < kUnitRows; first += kSlice) {
            AscendC::Duplicate<V>(slice.template ReinterpretCast<V>(), 0, kSlice * C);
            AscendC::PipeBarrier<PIPE_V>();
            for (int32_t row = first; row < first + kSlice; row += 16) {
                PlaceSeedRows(slice[(row - first) * C], x, row);
            }
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
            for (int32_t row = first; row < first + kSlice; row += kPiece) {
                const Place place = Locate(task_, table_, Unit(j) * kMatrices + row / C);
                const int32_t valid = Clamp(place.valid - row % C, kPiece);
                if (valid > 0) {
                    CopyResult(dst, place.x + row % C * task_.x_row_stride,
                               slice[(row - first) * C].template ReinterpretCast<V>(), valid, C);
                }
            }
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        }
    }

    // Sixteen rows of the seed into whole rows of C.
    template <typename U>
    __aicore__ inline void PlaceSeedRows(const AscendC::LocalTensor<U>& dst,
                                         const AscendC::LocalTensor<float>& x, int32_t row) {
        const int32_t leaf = row / L, i = row % L;
        for (int32_t c = 0; c <= i / 16; ++c) {
            const auto src = x[(i * kSeedPitch + 2 * c * kLeaves + leaf) * 8];
            const int32_t column = leaf % kLeavesPerMatrix * L + 16 * c;
            if constexpr (sizeof(U) == 4) {
                AscendC::Copy(dst[column], src, 16, 16,
                              AscendC::CopyRepeatParams{1, kLeaves, C / 8, kSeedPitch});
            } else {
                AscendC::Cast(dst[column], src, AscendC::RoundMode::CAST_RINT, 16, 16,
                              AscendC::UnaryRepeatParams{1, kLeaves, C / 16, kSeedPitch});
            }
        }
    }

    const InverseTask& task_;
    const ChunkTable& table_;
    const int32_t band_;
    int64_t block_, blocks_;
    int32_t side_, count_;
    AscendC::GlobalTensor<Word> a_;
    AscendC::GlobalTensor<uint16_t> x16_, workspace_;
    AscendC::GlobalTensor<float> a32_, x32_;
};

}  // namespace neumann_tril
