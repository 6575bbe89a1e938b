// The cube's part: all products of a plan, for several units in flight.
//
// For each unit (128 rows, 128 / C matrices) the vector cores have left N = -(I + A) and the seed
// X0; the stages of program.h make X of them. The first term of a sum is put into L0C by a product
// with an identity, which is exact; so every sum is rounded once. A may come with what is left of
// it by the rounding to T, A'; then the residuals of the refinements are R = (I + N X) - A' X.
#pragma once

#include "../core/pipeline.h"
#include "../core/ring.h"
#include "blocks.h"
#include "non_finite.h"
#include "program.h"

namespace neumann_tril {

template <typename T, int32_t C, bool TwoParts = false>
struct ProductBuffers {
    // Units in flight, late and early each.
    static constexpr int32_t kStreams = C == 128 || TwoParts ? 2 : 3;
    static constexpr int32_t kInputs = 2 * kStreams;           // units in L1
    static constexpr int32_t kInputImages = TwoParts ? 3 : 2;  // N, X and -A'
    // Operands, and results, of the early stages: eight fractals.
    static constexpr uint32_t kSmallBytes = 8 * kFractal * sizeof(T);

    // L1, in bytes: the images of each input; of each late stream R and Horner's Y, or a join's T;
    // T of each early stream
    static constexpr uint32_t kImageBytes = kImage<C> * sizeof(T);
    static constexpr uint32_t kIdentityL1 = 0;
    static constexpr uint32_t kInputL1 = kIdentityL1 + kIdentity * sizeof(T);
    static constexpr uint32_t kResidualL1 = kInputL1 + kInputs * kInputImages * kImageBytes;
    static constexpr uint32_t kTermL1 = kResidualL1 + kStreams * kImageBytes;
    static constexpr uint32_t kSmallTermL1 = kTermL1 + kStreams * kImageBytes;
    static_assert(kSmallTermL1 + kStreams * kSmallBytes <= 512 * 1024 - 256, "L1 is too small");

    // L0A and L0B, in bytes: identities; an operand for each late, for each early stream
    using Identity = Identities<T, C == 128>;
    static constexpr uint32_t kOperandBytes = (C == 128 ? 48 * kFractal : kImage<C>)*sizeof(T);
    static constexpr uint32_t kOperands = Identity::kElements * sizeof(T);
    static constexpr uint32_t kSmallOperands = kOperands + kStreams * kOperandBytes;
    static_assert(kSmallOperands + kStreams * kSmallBytes <= 64 * 1024,
                  "L0A and L0B are too small");

    // L0C, in bytes: an accumulator for each stream; a second one where R is squared, which plans
    // with early stages do not do
    static constexpr uint32_t kAccumulatorBytes = 4 * (C == 128 ? 48 * kFractal : kImage<C>);
    static constexpr uint32_t kSmallAccumulators = kStreams * kAccumulatorBytes;
    static constexpr uint32_t kSmallAccumulatorBytes = 8 * kFractal * 4;
    static_assert(kSmallAccumulators + kStreams * kSmallAccumulatorBytes <= 128 * 1024,
                  "L0C is too small");
    static constexpr int32_t kAccumulators = 128 * 1024 / kAccumulatorBytes;
    static constexpr int32_t kSquaringStreams =
        kAccumulators / 2 < kStreams ? kAccumulators / 2 : kStreams;
};

template <typename T, int32_t C, bool TwoParts = false>
class ProductStage {
  public:
    // `rest`: -A' of the matrices, one after another, row by row, cut to their strict lower part.
    __aicore__ inline ProductStage(const InverseTask& task, GM_ADDR x, GM_ADDR workspace,
                                   const Chunks& chunks, const Share& share, GM_ADDR rest = nullptr)
        : leaf_(task.leaf),
          chunks_(chunks),
          ring_(task.chunks.units, share, RoundUnits(C, task.leaf)),
          writer_(x, task.chunks.x_dtype, task.chunks.x_row_stride),
          identity_{
              AscendC::LocalTensor<T>(AscendC::TPosition::A2, 0, Buffers::Identity::kPattern),
              AscendC::LocalTensor<T>(AscendC::TPosition::B2, 0, Buffers::Identity::kElements)},
          program_(task, TwoParts),
          streams_(task.plan.form == NT_FORM_DOUBLING && task.plan.terms > 2
                       ? Buffers::kSquaringStreams
                       : Buffers::kStreams) {
        workspace_.SetGlobalBuffer((__gm__ T*)workspace +
                                   share.block * InverseWorkspace(C, task.leaf));
        rest_.SetGlobalBuffer((__gm__ T*)rest);
    }

    // Zeros above the diagonals of the images, which stay.
    __aicore__ inline static void ClearInputs() {
        const AscendC::InitConstValueParams<uint16_t> zeros{1, kImage<C> / 16, 0, 0};
        for (int32_t i = 0; i < Buffers::kInputs * Buffers::kInputImages; ++i) {
            const auto image = L1(Buffers::kInputL1 + i * Buffers::kImageBytes);
            AscendC::Fill(image.template ReinterpretCast<uint16_t>(), zeros);
        }
    }

    // All units, right after the inputs have been cleared.
    __aicore__ inline void Run() {
        AscendC::PipeBarrier<PIPE_MTE2>();
        RunUnits(*this, ring_.Count(), streams_, program_.Stages(), program_.Early());
        SettleCube(workspace_);
    }
    // The same, of which the vector cores have all ready, and nothing is under way.
    __aicore__ inline void RunReady() {
        RunUnits(*this, ring_.Count(), streams_, program_.Stages(), program_.Early(), streams_);
    }

    // Brings N and X0 of a unit into L1.
    __aicore__ inline void Fetch(int32_t unit) {
        ring_.Arrive(unit);
        if (unit == 0) {
            AscendC::DataCopy(L1(Buffers::kIdentityL1, kIdentity), workspace_,
                              AscendC::DataCopyParams{1, kIdentityUsed<C> / 16, 0, 0});
        }
        BeginArrival(unit, Inputs());
        const auto images = workspace_[kImagesAt + ring_.PlaceOf(unit) * 2 * kImage<C>];
        CopyLower<C, C>(Input(unit, 0), images);
        CopyLeaves(Input(unit, 1), images[kImage<C>]);
        if constexpr (TwoParts) {
            FetchRest(unit);
        }
        Arrived(unit, Inputs());
        ring_.Leave(unit);
    }

    __aicore__ inline void Advance(const Turn& turn, int32_t unit, int32_t number) {
        if (turn.first) {
            Begin(turn, unit);
        }
        const Stage& stage = program_[number];
        if (stage.step == Step::kMergeLeft) {
            MergeLeft(turn, stage.side);
        } else if (stage.step == Step::kMergeRight) {
            MergeRight(turn, stage.side, stage.target);
        } else {
            RunOnBlocks(turn, stage);
        }
        if (turn.ends) {
            EndUse(unit, Inputs(), ring_.Count());
        }
    }

  private:
    using Buffers = ProductBuffers<T, C, TwoParts>;
    static constexpr int32_t kMatrices = kUnitRows / C;

    // --- buffers of the unit in flight in stream s

    __aicore__ inline static AscendC::LocalTensor<T> L1(uint32_t offset,
                                                        uint32_t count = kImage<C>) {
        return AscendC::LocalTensor<T>(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline AscendC::LocalTensor<T> Input(int32_t unit, int32_t which) const {
        return L1(Buffers::kInputL1 +
                  (unit % Inputs() * Buffers::kInputImages + which) * Buffers::kImageBytes);
    }
    __aicore__ inline int32_t Inputs() const { return 2 * streams_; }
    __aicore__ inline AscendC::LocalTensor<T> N(int32_t s) const { return Input(unit_[s], 0); }
    __aicore__ inline AscendC::LocalTensor<T> X(int32_t s) const { return Input(unit_[s], 1); }
    // The residual and its powers.
    __aicore__ inline AscendC::LocalTensor<T> R(int32_t s) const {
        return L1(Buffers::kResidualL1 + s * Buffers::kImageBytes);
    }
    // Horner's Y; the T of a merge.
    __aicore__ inline AscendC::LocalTensor<T> Term(int32_t s) const {
        return IsLate(s) ? L1(Buffers::kTermL1 + s * Buffers::kImageBytes)
                         : L1(Buffers::kSmallTermL1 + Early(s) * Buffers::kSmallBytes,
                              Buffers::kSmallBytes / sizeof(T));
    }

    __aicore__ inline static bool IsLate(int32_t s) { return s < Buffers::kStreams; }
    __aicore__ inline static int32_t Early(int32_t s) { return s - Buffers::kStreams; }
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Own(int32_t s, AscendC::TPosition position,
                                                         uint32_t late, uint32_t late_bytes,
                                                         uint32_t early, uint32_t early_bytes) {
        const uint32_t bytes = IsLate(s) ? late_bytes : early_bytes;
        const uint32_t offset = IsLate(s) ? late + s * bytes : early + Early(s) * bytes;
        return AscendC::LocalTensor<U>(position, offset, bytes / sizeof(U));
    }
    __aicore__ inline AscendC::LocalTensor<T> A(int32_t s) const {
        return Own<T>(s, AscendC::TPosition::A2, Buffers::kOperands, Buffers::kOperandBytes,
                      Buffers::kSmallOperands, Buffers::kSmallBytes);
    }
    __aicore__ inline AscendC::LocalTensor<T> B(int32_t s) const {
        return Own<T>(s, AscendC::TPosition::B2, Buffers::kOperands, Buffers::kOperandBytes,
                      Buffers::kSmallOperands, Buffers::kSmallBytes);
    }
    __aicore__ inline AscendC::LocalTensor<float> Accumulator(int32_t s) const {
        return Own<float>(s, AscendC::TPosition::CO1, 0, Buffers::kAccumulatorBytes,
                          Buffers::kSmallAccumulators, Buffers::kSmallAccumulatorBytes);
    }
    __aicore__ inline AscendC::LocalTensor<float> SecondAccumulator(int32_t s) const {
        return AscendC::LocalTensor<float>(AscendC::TPosition::CO1,
                                           (streams_ + s) * Buffers::kAccumulatorBytes,
                                           Buffers::kAccumulatorBytes / 4);
    }

    // --- units

    __aicore__ inline void CopyLeaves(const AscendC::LocalTensor<T>& x,
                                      const AscendC::GlobalTensor<T>& image) const {
        switch (leaf_) {
            case 16:
                CopyLeavesOf16(x, image);
                break;
            case 32:
                CopyLower<C, 32>(x, image);
                break;
            case 64:
                CopyLower<C, 64>(x, image);
                break;
            default:
                CopyLower<C, 128>(x, image);
        }
    }

    // Fractals one after another to the diagonals of the unit's matrices.
    __aicore__ inline static void CopyLeavesOf16(const AscendC::LocalTensor<T>& x,
                                                 const AscendC::GlobalTensor<T>& fractals) {
        for (int32_t m = 0; m < kMatrices; ++m) {
            AscendC::DataCopy(x[m * C * 16], fractals[m * C * 16],
                              AscendC::DataCopyParams{C / 16, 16, 0, kUnitRows});
        }
    }

    __aicore__ inline void FetchRest(int32_t unit) const {
        const int64_t first = ring_.InBatchOrder(unit) * kMatrices;
        const int64_t left = chunks_.task.matrices - first;
        FetchTiles(Input(unit, 2), rest_[first * C * C],
                   static_cast<int32_t>(left < kMatrices ? left : kMatrices), C, C, C, C * C,
                   kUnitRows, C * 16);
    }

    __aicore__ inline void Begin(const Turn& turn, int32_t unit) {
        unit_[turn.stream] = unit;
        const int64_t first = ring_.InBatchOrder(unit) * kMatrices;
        for (int32_t m = 0; m < kMatrices; ++m) {
            places_[turn.stream][m] = chunks_.Locate(first + m);
        }
        if (turn.begins) {
            AwaitArrival(unit, Inputs());
        }
        if (turn.begins && unit == 0) {
            identity_.Load(L1(Buffers::kIdentityL1, kIdentity));
        }
    }

    // --- stages

    __aicore__ inline void RunOnBlocks(const Turn& turn, const Stage& stage) {
        if constexpr (C == 128) {
            if (stage.side == 8) {
                RunOn(turn, stage, LowerHalves<T>{});
                return;
            }
        }
        RunOn(turn, stage, DiagonalBlocks<T, C>{stage.side});
    }

    template <class Blocks>
    __aicore__ inline void RunOn(const Turn& turn, const Stage& stage, const Blocks& blocks) {
        switch (stage.step) {
            case Step::kResidual:
                Residual(turn, blocks, false);
                break;
            case Step::kResidualOfBoth:
                Residual(turn, blocks, true);
                break;
            case Step::kAccumulate:
                Accumulate(turn, blocks, stage.from_operand, stage.target);
                break;
            case Step::kHorner:
                Horner(turn, blocks, stage.target);
                break;
            case Step::kResult:
                Result(turn, blocks, stage.target);
                break;
            default:
                Square(turn, blocks);
        }
    }

    template <class Blocks>
    __aicore__ inline void StoreSum(const Turn& turn, const Blocks& blocks, const Target& target) {
        const int32_t s = turn.stream;
        ProductsDone(turn);
        if (target.operand) {
            if (target.term) {
                blocks.Store(Term(s), Accumulator(s));
            } else {
                blocks.StoreLower(X(s), Accumulator(s));
            }
        }
        if (target.result) {
            blocks.StoreResult(writer_, places_[s], Accumulator(s));
        }
        StoresDone(turn);
    }

    // R = I + N X, and - A' X of both parts
    template <class Blocks>
    __aicore__ inline void Residual(const Turn& turn, const Blocks& blocks, bool of_both) {
        const int32_t s = turn.stream;
        BeginLoads(turn);
        blocks.LoadA(A(s), N(s));
        blocks.LoadB(B(s), X(s));
        LoadsDone(turn);
        blocks.SetIdentity(Accumulator(s), identity_);
        blocks.AddToIdentity(Accumulator(s), A(s), B(s));
        if (of_both) {
            Reload(turn, blocks, Input(unit_[s], 2));
            blocks.Multiply(Accumulator(s), A(s), B(s), true);
        }
        ProductsDone(turn);
        blocks.Store(R(s), Accumulator(s));
        StoresDone(turn);
    }

    // X = X + X R; the X on the left is the accumulator unless `from_operand`.
    template <class Blocks>
    __aicore__ inline void Accumulate(const Turn& turn, const Blocks& blocks, bool from_operand,
                                      const Target& target) {
        const int32_t s = turn.stream;
        BeginLoads(turn);
        blocks.LoadA(A(s), X(s));
        blocks.LoadB(B(s), R(s));
        LoadsDone(turn);
        if (from_operand) {
            blocks.SetLeft(Accumulator(s), A(s), identity_);
        }
        blocks.Multiply(Accumulator(s), A(s), B(s), true);
        StoreSum(turn, blocks, target);
    }

    // Another left operand of the same sum.
    template <class Blocks>
    __aicore__ inline void Reload(const Turn& turn, const Blocks& blocks,
                                  const AscendC::LocalTensor<T>& image) const {
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(turn.stream);
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(turn.stream);
        blocks.LoadA(A(turn.stream), image);
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(turn.stream);
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(turn.stream);
    }

    // Y = X0 + Y R
    template <class Blocks>
    __aicore__ inline void Horner(const Turn& turn, const Blocks& blocks, const Target& target) {
        const int32_t s = turn.stream;
        BeginLoads(turn);
        blocks.LoadA(A(s), X(s));
        blocks.LoadB(B(s), R(s));
        LoadsDone(turn);
        blocks.SetLeft(Accumulator(s), A(s), identity_);
        Reload(turn, blocks, Term(s));
        blocks.Multiply(Accumulator(s), A(s), B(s), true);
        StoreSum(turn, blocks, target);
    }

    // X to global memory
    template <class Blocks>
    __aicore__ inline void Result(const Turn& turn, const Blocks& blocks, const Target& target) {
        const int32_t s = turn.stream;
        BeginLoads(turn);
        blocks.LoadA(A(s), X(s));
        LoadsDone(turn);
        blocks.SetLeft(Accumulator(s), A(s), identity_);
        StoreSum(turn, blocks, target);
    }

    // R = R R
    template <class Blocks>
    __aicore__ inline void Square(const Turn& turn, const Blocks& blocks) {
        const int32_t s = turn.stream;
        const auto square = SecondAccumulator(s);
        BeginLoads(turn);
        blocks.LoadA(A(s), R(s));
        blocks.LoadB(B(s), R(s));
        LoadsDone(turn);
        blocks.Multiply(square, A(s), B(s), false);
        ProductsDone(turn);
        blocks.Store(R(s), square);
        StoresDone(turn);
    }

    // Pairs of neighbouring blocks of `side` fractals: the upper one starts at row (and, within its
    // matrix, column) Upper(pair).
    __aicore__ inline static uint16_t Upper(uint16_t pair, uint16_t side) {
        return 2 * pair * side;
    }
    __aicore__ inline static uint32_t At(uint16_t row, uint16_t column) {
        return (column % (C / 16) * kUnitFractals + row) * kFractal;
    }

    // T = N21 X11 of all pairs
    __aicore__ inline void MergeLeft(const Turn& turn, uint16_t side) {
        const uint16_t pairs = kUnitFractals / (2 * side), size = side * 16;
        const uint32_t block = side * side * kFractal;
        const int32_t s = turn.stream;
        BeginLoads(turn);
        for (uint16_t p = 0; p < pairs; ++p) {
            const uint16_t up = Upper(p, side), low = up + side;
            LoadLeft(A(s)[p * block], N(s)[At(low, up)], kUnitFractals, side, side);
            LoadRight(B(s)[p * block], X(s)[At(up, up)], kUnitFractals, side, side);
        }
        LoadsDone(turn);
        for (uint16_t p = 0; p < pairs; ++p) {
            AscendC::Mmad(Accumulator(s)[p * block], A(s)[p * block], B(s)[p * block],
                          Product(size, size, size, false));
        }
        ProductsDone(turn);
        StoreFractals(Term(s), Accumulator(s), size, pairs * size, size);
        StoresDone(turn);
    }

    // X21 = X22 T of all pairs
    __aicore__ inline void MergeRight(const Turn& turn, uint16_t side, const Target& target) {
        const uint16_t pairs = kUnitFractals / (2 * side), size = side * 16;
        const uint32_t block = side * side * kFractal;
        const int32_t s = turn.stream;
        BeginLoads(turn);
        for (uint16_t p = 0; p < pairs; ++p) {
            const uint16_t low = Upper(p, side) + side;
            LoadLeft(A(s)[p * block], X(s)[At(low, low)], kUnitFractals, side, side);
            LoadRight(B(s)[p * block], Term(s)[p * block], side, side, side);
        }
        LoadsDone(turn);
        for (uint16_t p = 0; p < pairs; ++p) {
            AscendC::Mmad(Accumulator(s)[p * block], A(s)[p * block], B(s)[p * block],
                          Product(size, size, size, false));
        }
        ProductsDone(turn);
        for (uint16_t p = 0; p < pairs; ++p) {
            const uint16_t up = Upper(p, side), low = up + side;
            if (target.operand) {
                StoreFractals(X(s)[At(low, up)], Accumulator(s)[p * block], size, size, kUnitRows);
            }
            if (target.result) {
                writer_.Store(places_[s][up * 16 / C], low * 16 % C, up * 16 % C,
                              Accumulator(s)[p * block], size, size);
            }
        }
        StoresDone(turn);
    }

    const int32_t leaf_;
    const Chunks& chunks_;
    const Ring ring_;
    const ResultWriter writer_;
    const typename Buffers::Identity identity_;
    const Program<C> program_;
    const int32_t streams_;  // in a turn
    AscendC::GlobalTensor<T> workspace_, rest_;
    int32_t unit_[2 * Buffers::kStreams];  // in flight
    Place places_[2 * Buffers::kStreams][kMatrices];
};

}  // namespace neumann_tril
