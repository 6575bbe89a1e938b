// The cube's part of the int8 inverse: the joins, for several units in flight.
//
// For each unit (128 rows, 128 / C matrices) the vector cores have left the codes of the seeds, D:
//
//     for h = 16, 32 .. C/2, on all pairs of neighbours:          joins.h
//         T = code(-A21 X11)
//         X21 = code(X22 T)
//     X = I X, row by row to global memory                        Result
//
// A product is int8 x int8 -> int32, exact. The last stage is a product with an identity, exact, so
// that whole rows leave at once. Every line is a stage of core/pipeline.h.
#pragma once

#include "../core/pipeline.h"
#include "inputs.h"
#include "stores.h"

namespace neumann_tril {

template <int32_t C>
struct QuantProductBuffers {
    static constexpr int32_t kStreams = 3;  // units in flight
    static constexpr int32_t kSquares = kUnitRows / 32;

    // A stream's intermediates in L1: T of a join; V; X21 of the joins of 32 and 64 rows.
    static constexpr uint32_t kT = 0;
    static constexpr uint32_t kV = kT + kSquares * kSquare;
    static constexpr uint32_t kX32 = kV + kSquares * kSquare;
    static constexpr uint32_t kX64 = kX32 + kSquares / 2 * kSquare;
    static constexpr uint32_t kStreamBytes = kX64 + kSquares * kSquare;

    // L1
    static constexpr uint32_t kIdentityL1 = 0, kZerosL1 = kSquare;
    static constexpr uint32_t kInputL1 = kZerosL1 + 3 * kSquare;
    static constexpr uint32_t kStreamL1 = kInputL1 + UnitInputs<C>::kBytes;
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
                                        GM_ADDR workspace, const Constants& constants,
                                        const Chunks& chunks)
        : chunks_(chunks),
          constants_(constants),
          ring_(RingOf<C, 1>(task.chunks, AscendC::GetBlockIdx())),
          inputs_(chunks, ring_, a, workspace, L1(Buffers::kInputL1, UnitInputs<C>::kBytes)),
          stores_(task.chunks, x),
          stages_(2 * kJoins + (stores_.WantsCodes() ? kResults : 0)) {}

    __aicore__ inline void Run() {
        for (int32_t s = 0; s < Buffers::kStreams; ++s) {
            matrices_[s].LoadScales(constants_);
        }
        const AscendC::InitConstValueParams<uint16_t> zeros{1, Buffers::kEndL1 / 32, 0, 0};
        AscendC::Fill(L1(0, Buffers::kEndL1).template ReinterpretCast<uint16_t>(), zeros);
        AscendC::PipeBarrier<PIPE_MTE2>();
        RunUnits(*this, ring_.Count(), Buffers::kStreams, stages_);
    }

    __aicore__ inline void Fetch(int32_t unit) const {
        ring_.Arrive(unit);
        if (unit == 0) {
            inputs_.FetchIdentity(L1(Buffers::kIdentityL1, kSquare));
        }
        BeginArrival(unit, kInputs);
        inputs_.Fetch(unit);
        Arrived(unit, kInputs);
        ring_.Leave(unit);
    }

    __aicore__ inline void Advance(const Turn& turn, int32_t unit, int32_t number) {
        if (number == 0) {
            Begin(turn.stream, unit);
        }
        if (number < 2 * kJoins) {
            Join(turn, unit, number / 2, number % 2 == 0);
        } else {
            constexpr int32_t kStrips = 4 / kResults;
            Result(turn, unit, (number - 2 * kJoins) * kStrips, kStrips);
        }
        if (number + 1 == stages_) {
            EndUse(unit, kInputs, ring_.Count());
        }
    }

  private:
    using Buffers = QuantProductBuffers<C>;
    using Products = Joins<C, 1>;
    static constexpr int32_t kInputs = UnitInputs<C>::kBuffers;
    static constexpr int32_t kSquares = Products::kSquares, kPairs = Products::kPairs;
    static constexpr int32_t kJoins = JoinsOf(C);
    static constexpr int32_t kResults = C == 128 ? 2 : 1;  // a sum of 128 x 128 is too large

    // --- buffers

    __aicore__ inline static Codes L1(uint32_t offset, uint32_t count) {
        return Codes(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline static Codes InL1(int32_t s, uint32_t part) {
        return L1(Buffers::kStreamL1 + s * Buffers::kStreamBytes + part,
                  Buffers::kStreamBytes - part);
    }
    __aicore__ inline static Codes A(int32_t s) {
        return Codes(AscendC::TPosition::A2, s * Buffers::kOperand, Buffers::kOperand);
    }
    __aicore__ inline static Codes B(int32_t s) {
        return Codes(AscendC::TPosition::B2, Buffers::kConstants + s * Buffers::kOperand,
                     Buffers::kOperand);
    }
    __aicore__ inline static Codes Identity() { return Codes(AscendC::TPosition::B2, 0, kSquare); }
    __aicore__ inline static Codes Zeros() {
        return Codes(AscendC::TPosition::B2, kSquare, 3 * kSquare);
    }
    __aicore__ inline static Sums Sum(int32_t s) {
        return Sums(AscendC::TPosition::CO1, s * Buffers::kAccumulatorBytes,
                    Buffers::kAccumulatorBytes / 4);
    }

    // --- stages

    __aicore__ inline void Begin(int32_t s, int32_t unit) {
        matrices_[s].Locate(chunks_, constants_, ring_.InBatchOrder(unit) * (kUnitRows / C));
        if (constants_.Groups() > 1) {
            matrices_[s].LoadScales(constants_);
        }
        AwaitArrival(unit, kInputs);
        if (unit == 0) {
            LoadCodes(Identity(), L1(Buffers::kIdentityL1, kSquare), 2, 1);
            LoadCodes(Zeros(), L1(Buffers::kZerosL1, 3 * kSquare), 6, 1);
        }
    }

    __aicore__ inline void Join(const Turn& turn, int32_t unit, int32_t join, bool left) const {
        const int32_t s = turn.stream;
        const typename Products::Operands operands{inputs_.A21(unit, join), inputs_.D(unit),
                                                   InL1(s, Buffers::kV), InL1(s, Buffers::kX32),
                                                   InL1(s, Buffers::kT)};
        const Products products{A(s), B(s), Sum(s)};
        BeginLoads(turn);
        left ? products.LoadLeft(join, operands) : products.LoadRight(join, operands);
        LoadsDone(turn);
        left ? products.MultiplyLeft(join) : products.MultiplyRight(join);
        ProductsDone(turn);
        left ? StoreT(s, join) : StoreX21(s, join);
        StoresDone(turn);
    }

    __aicore__ inline void StoreT(int32_t s, int32_t join) const {
        const auto t = InL1(s, Buffers::kT);
        if (join == 0) {
            stores_.Code(t[kCodeFractal], Sum(s), matrices_[s], 0, kOfT, 16, C);
        } else if (join == 1) {
            stores_.Code(t, Sum(s), matrices_[s], 1, kOfT, 32, C / 2);
        } else {
            stores_.Code(t, Sum(s), matrices_[s], 2, kOfT, 64, 64);
        }
    }

    __aicore__ inline void StoreX21(int32_t s, int32_t join) const {
        const auto& matrices = matrices_[s];
        if (join == 0) {
            stores_.Code(InL1(s, Buffers::kV)[kCodeFractal], Sum(s), matrices, 0, kOfX, 16, C);
            for (int32_t q = 0; q < kSquares; ++q) {
                const int32_t corner = q * 32 % C;
                stores_.StoreNumbers(matrices, 0, q * 32 / C, corner + 16, corner,
                                     Sum(s)[q * kCodeFractal], 16, 16);
            }
        } else if (join == 1) {
            stores_.Code(InL1(s, Buffers::kX32), Sum(s), matrices, 1, kOfX, 32, C / 2);
            for (int32_t p = 0; p < kPairs; ++p) {
                const int32_t corner = p * 64 % C;
                stores_.StoreNumbers(matrices, 1, p * 64 / C, corner + 32, corner,
                                     Sum(s)[p * kSquare], 32, 32);
            }
        } else {
            // Square (r, c) is number 2 r + c.
            stores_.Code(InL1(s, Buffers::kX64), Sum(s), matrices, 2, kOfX, 32, 128);
            stores_.StoreNumbers(matrices, 2, 0, 64, 0, Sum(s), 32, 64);
            stores_.StoreNumbers(matrices, 2, 0, 96, 0, Sum(s)[2 * kSquare], 32, 64);
        }
    }

    // Rows of X, in strips of 32: in L0A the squares D, V, those of joins of 32 and of 64 rows.
    __aicore__ inline void Result(const Turn& turn, int32_t unit, int32_t first,
                                  int32_t count) const {
        constexpr int32_t kV = kSquares * kSquare, kW = 2 * kV, kZ = kW + kPairs * kSquare;
        const int32_t s = turn.stream;
        BeginLoads(turn);
        LoadCodes(A(s), inputs_.D(unit), 2 * kSquares, 1);
        LoadCodes(A(s)[kV], InL1(s, Buffers::kV), 2 * kSquares, 1);
        if (C > 32) {
            LoadCodes(A(s)[kW], InL1(s, Buffers::kX32), 2 * kPairs, 1);
        }
        if (C > 64) {
            LoadCodes(A(s)[kZ], InL1(s, Buffers::kX64), 8, 1);
        }
        LoadsDone(turn);
        for (int32_t i = 0; i < count; ++i) {
            const int32_t strip = first + i, r = strip % (C / 32);
            const auto c = Sum(s)[i * 32 * C];
            for (int32_t column = 0; column < r; ++column) {
                const int32_t square = r - column == 1 && r % 2 == 1
                                           ? kW + strip / 2 * kSquare
                                           : kZ + (2 * (r - 2) + column) * kSquare;
                Products::Product32(c[column * kSquare], A(s)[square], Identity(), 32, 32, false);
            }
            Products::Product32(c[r * kSquare], A(s)[strip * kSquare], Identity(), 32, 32, false);
            if (r + 1 < C / 32) {
                Products::Product32(c[(r + 1) * kSquare], A(s), Zeros(), 32,
                                    static_cast<uint16_t>(C - 32 * (r + 1)), false);
            }
        }
        Products::Settle();
        for (int32_t i = 0; i < count; ++i) {
            const int32_t strip = first + i, r = strip % (C / 32);
            Products::Product32(Sum(s)[i * 32 * C + r * kSquare], A(s)[kV + strip * kSquare],
                                Identity(), 32, 32, true);
        }
        ProductsDone(turn);
        for (int32_t i = 0; i < count; ++i) {
            const int32_t row = (first + i) * 32;
            stores_.StoreStrip(matrices_[s].place[row / C], row % C, Sum(s)[i * 32 * C]);
        }
        StoresDone(turn);
    }

    const Chunks& chunks_;
    const Constants& constants_;
    const Ring ring_;
    const UnitInputs<C> inputs_;
    const SumStores<C> stores_;
    const int32_t stages_;
    UnitMatrices<C> matrices_[Buffers::kStreams];
};

}  // namespace neumann_tril
