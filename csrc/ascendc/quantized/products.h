// The cube's part of the int8 inverse: the joins, for several units in flight.
//
// For each unit (128 rows, 128 / C matrices) the vector cores have left the codes of the seeds, D:
//
//     for h = 16, 32 .. C/2, on all pairs of neighbours:
//         T = code(-A21 X11)                                      JoinLeft
//         X21 = code(X22 T)                                       JoinRight
//     X = I X, row by row to global memory                        Result
//
// A product is int8 x int8 -> int32, exact; Fixpipe scales it, rounds to nearest even, saturates to
// -128..127 and puts the codes into L1 (the minus is in its scale). The last stage is a product
// with an identity, exact, so that whole rows leave at once. How matrices are laid out:
// quant_joins.h.
#pragma once

#include "joins.h"
#include "layout.h"

namespace neumann_tril {

// Scales of Fixpipe: 32 bits of float, of which it uses 1 + 8 + 10; bit 46: the codes are signed.
constexpr uint64_t kSignedCodes = uint64_t{1} << 46;
constexpr uint64_t kMinus = uint64_t{1} << 31;
constexpr uint64_t kUnitScale = 0x3F800000;

template <int32_t C>
struct QuantProductBuffers {
    static constexpr int32_t kStreams = 3;  // units in flight
    static constexpr int32_t kInputs = 6;   // units in L1, half of them ahead
    static constexpr int32_t kSquares = kUnitRows / 32;

    // An input: the A21 of the joins in order, then D.
    static constexpr uint32_t kA16 = 0;
    static constexpr uint32_t kA32 = kA16 + kSquares * kCodeFractal;
    static constexpr uint32_t kA64 = kA32 + (C > 32 ? kSquares / 2 * kSquare : 0);
    static constexpr uint32_t kD = kA64 + (C > 64 ? 4 * kSquare : 0);
    static constexpr uint32_t kInputBytes = kD + kSquares * kSquare;
    // A stream's intermediates: T of a join; V; X21 of the joins of 32 and 64 rows.
    static constexpr uint32_t kT = 0;
    static constexpr uint32_t kV = kT + kSquares * kSquare;
    static constexpr uint32_t kX32 = kV + kSquares * kSquare;
    static constexpr uint32_t kX64 = kX32 + kSquares / 2 * kSquare;
    static constexpr uint32_t kStreamBytes = kX64 + kSquares * kSquare;

    // L1
    static constexpr uint32_t kIdentityL1 = 0, kZerosL1 = kSquare;
    static constexpr uint32_t kInputL1 = kZerosL1 + 3 * kSquare;
    static constexpr uint32_t kStreamL1 = kInputL1 + kInputs * kInputBytes;
    static constexpr uint32_t kEndL1 = kStreamL1 + kStreams * kStreamBytes;
    static_assert(kEndL1 <= 512 * 1024 - 256, "L1 is too small");

    // L0A and L0B: constants, then operands of each stream
    static constexpr uint32_t kConstants = 4 * kSquare;
    static constexpr uint32_t kOperand = Joins<C, 1>::kOperand;
    static_assert(kConstants + kStreams * kOperand <= 64 * 1024, "L0A and L0B are too small");
    // L0C
    static constexpr uint32_t kAccumulatorBytes = 32 * 1024;
    static_assert(kStreams * kAccumulatorBytes <= 128 * 1024, "L0C is too small");
};

template <int32_t C>
class QuantProductStage {
  public:
    __aicore__ inline QuantProductStage(const QuantTask& task, GM_ADDR a, GM_ADDR x,
                                        GM_ADDR workspace, GM_ADDR constants, const Chunks& chunks)
        : task_(task.chunks),
          chunks_(chunks),
          constants_(constants, task),
          groups_(task.groups),
          share_(task.chunks.units, AscendC::GetBlockIdx(), AscendC::GetBlockNum()),
          count_(share_.count) {
        workspace_.SetGlobalBuffer((__gm__ int8_t*)workspace +
                                   AscendC::GetBlockIdx() * QuantWorkspacePerCore(C, 1));
        a_.SetGlobalBuffer((__gm__ int8_t*)a);
        codes_.SetGlobalBuffer((__gm__ int8_t*)x);
        numbers_.SetGlobalBuffer((__gm__ half*)x);
    }

    __aicore__ inline void Run() {
        for (int32_t s = 0; s < Buffers::kStreams; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(s);
            LoadScales(s);
        }
        const AscendC::InitConstValueParams<uint16_t> zeros{1, Buffers::kEndL1 / 32, 0, 0};
        AscendC::Fill(L1(0, Buffers::kEndL1).template ReinterpretCast<uint16_t>(), zeros);
        AscendC::PipeBarrier<PIPE_MTE2>();
        // As in products.h, neighbouring cores start with rounds of different length.
        int32_t active = 1 + AscendC::GetBlockIdx() % Buffers::kStreams;
        FetchUpTo(active);
        for (int32_t first = 0; first < count_; first += active, active = Buffers::kStreams) {
            active = count_ - first < active ? count_ - first : active;
            for (int32_t number = 0; number < kStages; ++number) {
                for (int32_t s = 0; s < active; ++s) {
                    Advance(s, first + s, number);
                }
            }
            FetchUpTo(first + active + Buffers::kStreams);
        }
        for (int32_t s = 0; s < Buffers::kStreams; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(s);
        }
    }

  private:
    using Buffers = QuantProductBuffers<C>;
    static constexpr int32_t kSquares = Joins<C, 1>::kSquares, kPairs = Joins<C, 1>::kPairs;
    static constexpr int32_t kMatrices = kUnitRows / C;
    static constexpr int32_t kLevels = JoinsOf(C);
    static constexpr int32_t kResults = C == 128 ? 2 : 1;  // a sum of 128 x 128 is too large
    static constexpr int32_t kStages = 2 * kLevels + kResults;

    // --- buffers

    __aicore__ inline Codes L1(uint32_t offset, uint32_t count) const {
        return Codes(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline Codes Input(int32_t unit, uint32_t part) const {
        const uint32_t input = unit % Buffers::kInputs * Buffers::kInputBytes;
        return L1(Buffers::kInputL1 + input + part, Buffers::kInputBytes - part);
    }
    __aicore__ inline Codes Stream(int32_t s, uint32_t part) const {
        return L1(Buffers::kStreamL1 + s * Buffers::kStreamBytes + part,
                  Buffers::kStreamBytes - part);
    }
    __aicore__ inline Codes A(int32_t s) const {
        return Codes(AscendC::TPosition::A2, s * Buffers::kOperand, Buffers::kOperand);
    }
    __aicore__ inline Codes B(int32_t s) const {
        return Codes(AscendC::TPosition::B2, Buffers::kConstants + s * Buffers::kOperand,
                     Buffers::kOperand);
    }
    __aicore__ inline Codes Identity() const { return Codes(AscendC::TPosition::B2, 0, kSquare); }
    __aicore__ inline Codes Zeros() const {
        return Codes(AscendC::TPosition::B2, kSquare, 3 * kSquare);
    }
    __aicore__ inline Sums Sum(int32_t s) const {
        return Sums(AscendC::TPosition::CO1, s * Buffers::kAccumulatorBytes,
                    Buffers::kAccumulatorBytes / 4);
    }

    // --- units

    __aicore__ inline void FetchUpTo(int32_t end) {
        for (; fetched_ < end && fetched_ < count_; ++fetched_) {
            Fetch(fetched_);
        }
    }

    // Brings D and the A21 of all joins into L1.
    __aicore__ inline void Fetch(int32_t unit) {
        constexpr int32_t kBoth = 2 * kRoundUnits;
        const int32_t round = unit / kBoth, side = unit / kRoundUnits % 2;
        if (unit % kBoth == 0) {
            AscendC::CrossCoreWaitFlag(kReady);
        }
        if (unit == 0) {
            AscendC::DataCopy(L1(Buffers::kIdentityL1, kSquare), workspace_,
                              AscendC::DataCopyParams{1, kSquare / 32, 0, 0});
        }
        if (unit >= Buffers::kInputs) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(unit % Buffers::kInputs);
        }
        const auto ring = workspace_[Share::InWorkspace<C, 1>(round, side)];
        const int32_t in_round = unit % kRoundUnits;
        constexpr int32_t kSeedsOfUnit = kSeeds / kRoundUnits;
        AscendC::DataCopy(Input(unit, Buffers::kD), ring[in_round * kSeedsOfUnit],
                          AscendC::DataCopyParams{1, kSeedsOfUnit / 32, 0, 0});
        const int64_t matrix = (share_.first + unit) * kMatrices;
        const bool given = task_.a_dtype == NT_INT8;  // A itself, else codes from the vector cores
        for (int32_t m = 0; m < kMatrices; ++m) {
            const Place place = chunks_.Locate(matrix + m);
            if (given) {
                FetchBlocks(unit, m, a_[place.a], task_.a_row_stride, place.valid);
            } else {
                FetchBlocks(unit, m, ring[kSeeds + (in_round * kUnitRows + m * C) * C], C, C);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(unit % Buffers::kInputs);
        const bool last_of_round = unit % kBoth == kBoth - 1 || unit + 1 == count_;
        if (last_of_round && round + RoundsHeld(1) < share_.Rounds()) {
            AscendC::CrossCoreSetFlag<0x2, PIPE_MTE2>(kFree);
        }
    }

    __aicore__ inline void FetchBlocks(int32_t unit, int32_t m,
                                       const AscendC::GlobalTensor<int8_t>& a, int64_t stride,
                                       int32_t valid) const {
        constexpr uint32_t kParts[] = {Buffers::kA16, Buffers::kA32, Buffers::kA64};
        constexpr uint32_t kBlocks[] = {kCodeFractal, kSquare, 4 * kSquare};
        for (int32_t level = 0; level < kLevels; ++level) {
            const int32_t side = kLeafRows << level, pairs = C / (2 * side);
            for (int32_t p = 0; p < pairs; ++p) {
                const int32_t column = 2 * p * side, row = column + side;
                const int32_t exist = valid - row;
                if (exist > 0) {
                    const auto block = kParts[level] + (m * pairs + p) * kBlocks[level];
                    FetchBlock(Input(unit, block), a[row * stride + column], stride,
                               exist < side ? exist : side, side);
                }
            }
        }
    }

    // Rows of `side` columns to fractals column by column. Rows that do not exist keep what they
    // hold: codes of another unit, which only rows that do not exist either depend on.
    __aicore__ inline void FetchBlock(const Codes& block, const AscendC::GlobalTensor<int8_t>& a,
                                      int64_t stride, int32_t rows, int32_t side) const {
        AscendC::Nd2NzParams params;
        params.ndNum = 1;
        params.dValue = side;
        params.srcNdMatrixStride = 0;
        params.dstNzC0Stride = static_cast<uint16_t>(side);
        params.dstNzNStride = 1;
        params.dstNzMatrixStride = 0;
        if (stride > 0 && stride <= 65535) {
            params.nValue = static_cast<uint16_t>(rows);
            params.srcDValue = static_cast<uint16_t>(stride);
            AscendC::DataCopy(block, a, params);
            return;
        }
        params.nValue = 1;
        params.srcDValue = static_cast<uint16_t>(side);
        for (int32_t r = 0; r < rows; ++r) {
            AscendC::DataCopy(block[r * 32], a[r * stride], params);
        }
    }

    __aicore__ inline void Begin(int32_t s, int32_t unit) {
        const int64_t matrix = (share_.first + unit) * kMatrices;
        for (int32_t m = 0; m < kMatrices; ++m) {
            places_[s][m] = chunks_.Locate(matrix + m);
            group_[s][m] = constants_.Group(matrix + m);
        }
        if (groups_ > 1) {
            LoadScales(s);
        }
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(unit % Buffers::kInputs);
        if (unit == 0) {
            LoadCodes(Identity(), L1(Buffers::kIdentityL1, kSquare), 2, 1);
            LoadCodes(Zeros(), L1(Buffers::kZerosL1, 3 * kSquare), 6, 1);
        }
    }

    __aicore__ inline void LoadScales(int32_t s) {
        for (int32_t m = 0; m < kMatrices; ++m) {
            for (int32_t level = 0; level < kLevels; ++level) {
                const int64_t group = group_[s][m];
                uint64_t* const scales = scales_[s][m][level];
                scales[kOfT] = (Bits(group, level, kToGrid) ^ kMinus) | kSignedCodes;
                scales[kOfX] = Bits(group, level, kToX) | kSignedCodes;
                scales[kOfNumbers] = Bits(group, level, kWide);
            }
        }
    }
    __aicore__ inline uint64_t Bits(int64_t group, int32_t level, int32_t which) const {
        return constants_.BitsOfJoin(group, level, which);
    }

    // --- the edges between the pipes of a stage

    __aicore__ inline void BeginLoads(int32_t s) const {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(s);
    }
    __aicore__ inline void LoadsDone(int32_t s) const {
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(s);
    }
    __aicore__ inline void ProductsDone(int32_t s) const {
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(s);
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(s);
    }
    __aicore__ inline void StoresDone(int32_t s) const {
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(s);
    }

    // --- stages

    __aicore__ inline void Advance(int32_t s, int32_t unit, int32_t number) {
        if (number == 0) {
            Begin(s, unit);
        }
        const bool codes = task_.x_dtype == NT_INT8;
        if (number < 2 * kLevels) {
            Join(s, unit, number / 2, number % 2 == 0);
        } else if (codes) {
            const int32_t strips = 4 / kResults, first = (number - 2 * kLevels) * strips;
            Result(s, unit, first, first + strips);
        }
        if (number + 1 == kStages && unit + Buffers::kInputs < count_) {
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(unit % Buffers::kInputs);
        }
    }

    __aicore__ inline void Join(int32_t s, int32_t unit, int32_t level, bool left) const {
        constexpr uint32_t kParts[] = {Buffers::kA16, Buffers::kA32, Buffers::kA64};
        const typename Joins<C, 1>::Operands operands{
            Input(unit, kParts[level]), Input(unit, Buffers::kD), Stream(s, Buffers::kV),
            Stream(s, Buffers::kX32), Stream(s, Buffers::kT)};
        const Joins<C, 1> join{A(s), B(s), Sum(s)};
        BeginLoads(s);
        left ? join.LoadLeft(level, operands) : join.LoadRight(level, operands);
        LoadsDone(s);
        left ? join.MultiplyLeft(level) : join.MultiplyRight(level);
        ProductsDone(s);
        left ? StoreT(s, level) : StoreX21(s, level);
        StoresDone(s);
    }

    // Scales of a join: of T, of X21, of X21 as numbers.
    static constexpr int32_t kOfT = 0, kOfX = 1, kOfNumbers = 2;

    // `rows` x `columns` of sums for each matrix to squares in L1; matrices of one group at once.
    __aicore__ inline void StoreCodes(int32_t s, int32_t level, int32_t which, const Codes& target,
                                      uint16_t rows, int32_t columns) const {
        for (int32_t m = 0; m < kMatrices;) {
            int32_t end = m + 1;
            while (end < kMatrices && group_[s][end] == group_[s][m]) {
                ++end;
            }
            FixpipeToL1 params;
            params.nSize = static_cast<uint16_t>((end - m) * columns);
            params.mSize = rows;
            params.srcStride = rows;
            params.dstStride = (rows < 32 ? 32 : rows) * kCodePitchUnit;
            params.quantPre = QuantMode_t::REQ8;
            params.deqScalar = scales_[s][m][level][which];
            AscendC::Fixpipe<int8_t, int32_t, AscendC::CFG_NZ>(target[m * columns * 32],
                                                               Sum(s)[m * columns * rows], params);
            m = end;
        }
    }

    // The block at (row, column) of a matrix to global memory; rows that do not exist are left out.
    template <typename U>
    __aicore__ inline void StoreRows(const AscendC::GlobalTensor<U>& x, QuantMode_t mode,
                                     uint64_t scale, const Place& place, int32_t row,
                                     int32_t column, const Sums& c, uint16_t rows,
                                     uint16_t columns) const {
        const int32_t exist = place.valid - row;
        if (exist <= 0) {
            return;
        }
        FixpipeToGlobal params;
        params.nSize = columns;
        params.mSize = exist < rows ? static_cast<uint16_t>(exist) : rows;
        params.srcStride = rows;
        params.dstStride = static_cast<uint32_t>(task_.x_row_stride);
        params.quantPre = mode;
        params.deqScalar = scale;
        SetSingleMatrix(params);
        AscendC::Fixpipe<U, int32_t, AscendC::CFG_ROW_MAJOR>(
            x[place.x + row * task_.x_row_stride + column], c, params);
    }
    __aicore__ inline void StoreNumbers(int32_t s, int32_t level, int32_t m, int32_t row,
                                        int32_t column, const Sums& c, uint16_t rows,
                                        uint16_t columns) const {
        if (task_.x_dtype == NT_FLOAT16) {
            StoreRows(numbers_, QuantMode_t::DEQF16, scales_[s][m][level][kOfNumbers],
                      places_[s][m], row, column, c, rows, columns);
        }
    }

    __aicore__ inline void StoreT(int32_t s, int32_t level) const {
        const auto t = Stream(s, Buffers::kT);
        if (level == 0) {
            StoreCodes(s, 0, kOfT, t[kCodeFractal], 16, C);
        } else {
            StoreCodes(s, level, kOfT, t, level == 1 ? 32 : 64, level == 1 ? C / 2 : 64);
        }
    }

    __aicore__ inline void StoreX21(int32_t s, int32_t level) const {
        if (level == 0) {
            StoreCodes(s, 0, kOfX, Stream(s, Buffers::kV)[kCodeFractal], 16, C);
            for (int32_t q = 0; q < kSquares; ++q) {
                const int32_t corner = q * 32 % C;
                StoreNumbers(s, 0, q * 32 / C, corner + 16, corner, Sum(s)[q * kCodeFractal], 16,
                             16);
            }
        } else if (level == 1) {
            StoreCodes(s, 1, kOfX, Stream(s, Buffers::kX32), 32, C / 2);
            for (int32_t p = 0; p < kPairs; ++p) {
                const int32_t corner = p * 64 % C;
                StoreNumbers(s, 1, p * 64 / C, corner + 32, corner, Sum(s)[p * kSquare], 32, 32);
            }
        } else {
            // Square (r, c) is number 2 r + c.
            StoreCodes(s, 2, kOfX, Stream(s, Buffers::kX64), 32, 128);
            StoreNumbers(s, 2, 0, 64, 0, Sum(s), 32, 64);
            StoreNumbers(s, 2, 0, 96, 0, Sum(s)[2 * kSquare], 32, 64);
        }
    }

    // Rows of X, in strips of 32.
    __aicore__ inline void Result(int32_t s, int32_t unit, int32_t first, int32_t end) const {
        constexpr int32_t kV = kSquares * kSquare, kW = 2 * kV, kZ = kW + kPairs * kSquare;
        BeginLoads(s);
        LoadCodes(A(s), Input(unit, Buffers::kD), 2 * kSquares, 1);
        LoadCodes(A(s)[kV], Stream(s, Buffers::kV), 2 * kSquares, 1);
        if (C > 32) {
            LoadCodes(A(s)[kW], Stream(s, Buffers::kX32), 2 * kPairs, 1);
        }
        if (C > 64) {
            LoadCodes(A(s)[kZ], Stream(s, Buffers::kX64), 8, 1);
        }
        LoadsDone(s);
        for (int32_t strip = first; strip < end; ++strip) {
            const int32_t r = strip % (C / 32);
            const auto c = Sum(s)[(strip - first) * 32 * C];
            for (int32_t column = 0; column < r; ++column) {
                const int32_t square = r - column == 1 && r % 2 == 1
                                           ? kW + strip / 2 * kSquare
                                           : kZ + (2 * (r - 2) + column) * kSquare;
                Joins<C, 1>::Product32(c[column * kSquare], A(s)[square], Identity(), 32, 32,
                                       false);
            }
            Joins<C, 1>::Product32(c[r * kSquare], A(s)[strip * kSquare], Identity(), 32, 32,
                                   false);
            if (r + 1 < C / 32) {
                Joins<C, 1>::Product32(c[(r + 1) * kSquare], A(s), Zeros(), 32,
                                       static_cast<uint16_t>(C - 32 * (r + 1)), false);
            }
        }
        Joins<C, 1>::Settle();
        for (int32_t strip = first; strip < end; ++strip) {
            const int32_t r = strip % (C / 32);
            Joins<C, 1>::Product32(Sum(s)[(strip - first) * 32 * C + r * kSquare],
                                   A(s)[kV + strip * kSquare], Identity(), 32, 32, true);
        }
        ProductsDone(s);
        for (int32_t strip = first; strip < end; ++strip) {
            StoreRows(codes_, QuantMode_t::REQ8, kUnitScale | kSignedCodes,
                      places_[s][strip * 32 / C], strip * 32 % C, 0,
                      Sum(s)[(strip - first) * 32 * C], 32, C);
        }
        StoresDone(s);
    }

    const ChunkTask& task_;
    const Chunks& chunks_;
    const Constants constants_;
    const int32_t groups_;
    const Share share_;
    const int32_t count_;  // units of this core
    AscendC::GlobalTensor<int8_t> workspace_, a_, codes_;
    AscendC::GlobalTensor<half> numbers_;
    int32_t fetched_ = 0;  // units brought to L1 so far
    Place places_[Buffers::kStreams][kMatrices];
    int64_t group_[Buffers::kStreams][kMatrices] = {};
    uint64_t scales_[Buffers::kStreams][kMatrices][kLevels][3];
};

}  // namespace neumann_tril
