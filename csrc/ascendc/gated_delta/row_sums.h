// Sums of the recurrence on the cube, as blocks of 16 rows: a diagonal matrix is then a product
// with one fractal, and of a lower triangular one the upper blocks are left out. What is loaded in
// L0A and L0B, what is summed in L0C, and the events that hand them on.
#pragma once

#include "../core/tiles.h"
#include "../inverse/blocks.h"
#include "walk.h"

namespace neumann_tril {

template <typename T>
class RowSums {
  public:
    __aicore__ inline explicit RowSums(const RuleTask& task)
        : task_(task),
          keys_(static_cast<uint16_t>(task.key_size / 16)),
          values_(static_cast<uint16_t>(task.value_tile / 16)) {}

  protected:
    static constexpr uint16_t kRows = kRuleChunk / 16;  // blocks of rows of a chunk

    // Operands: what is loaded at a time in L0A and in L0B.
    enum Operand : int32_t {
        kLeft0,
        kLeft1,
        kWriter,
        kAttention,
        kDecay,
        kState,
        kValues,
        kWritten
    };
    // Sums in L0C: E and D; o; s.
    enum Sum : int32_t { kError, kOutput, kStateSum, kSums };
    // What Fixpipe leaves in L1.
    enum Image : int32_t {
        kErrorImage,
        kErrorRest,
        kWrittenImage,
        kWrittenRest,
        kStateImage,
        kStateRest
    };
    using Left = AscendC::LocalTensor<T>;

    // --- memory

    __aicore__ inline static AscendC::LocalTensor<T> L1(uint32_t offset, uint32_t count) {
        return AscendC::LocalTensor<T>(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline static Left L0A(uint32_t offset, uint32_t bytes) {
        return Left(AscendC::TPosition::A2, offset, bytes / sizeof(T));
    }
    __aicore__ inline static Left Keys(int32_t operand) { return L0A(operand * 16384, 16384); }
    __aicore__ inline static Left Writer(int32_t part) { return L0A(32768 + part * 8192, 8192); }
    __aicore__ inline static Left Attention() { return L0A(49152, 8192); }
    __aicore__ inline static Left Decay(int32_t part) { return L0A(57344, 1024)[part * kFractal]; }
    __aicore__ inline static Left Identity() { return L0A(58368, 1024); }
    __aicore__ inline static Left MinusIdentity() { return Identity()[kFractal]; }

    __aicore__ inline static AscendC::LocalTensor<T> Right(int32_t operand) {
        const uint32_t offset = operand == kState ? 0 : operand == kValues ? 32768 : 49152;
        const uint32_t bytes = operand == kState ? 32768 : 16384;
        return AscendC::LocalTensor<T>(AscendC::TPosition::B2, offset, bytes / sizeof(T));
    }
    // Block of rows of a sum, of a right operand.
    __aicore__ inline uint32_t Row(int32_t r) const { return r * values_ * kFractal; }
    __aicore__ inline static AscendC::LocalTensor<float> SumOf(int32_t sum) {
        return AscendC::LocalTensor<float>(AscendC::TPosition::CO1, sum * 32768,
                                           (sum == kStateSum ? 65536 : 32768) / 4);
    }

    // --- events

    // Before the first and after the last chunk.
    __aicore__ inline static void OpenSums() {
        for (int32_t operand = kLeft0; operand <= kWritten; ++operand) {
            AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(operand);
        }
        for (int32_t sum = 0; sum < kSums; ++sum) {
            AscendC::SetFlag<AscendC::HardEvent::FIX_M>(sum);
        }
    }
    __aicore__ inline static void CloseSums() {
        for (int32_t operand = kLeft0; operand <= kWritten; ++operand) {
            AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(operand);
        }
        for (int32_t sum = 0; sum < kSums; ++sum) {
            AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(sum);
        }
    }

    __aicore__ inline static void Acquire(int32_t operand) {
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(operand);
    }
    __aicore__ inline static void Loaded(int32_t operand) {
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(operand);
    }
    __aicore__ inline static void Await(int32_t operand) {
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(operand);
    }
    __aicore__ inline static void Release(int32_t operand) {
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(operand);
    }
    __aicore__ inline static void BeginSum(int32_t sum) {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(sum);
    }
    __aicore__ inline static void BeginStore(int32_t sum) {
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(sum);
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(sum);
    }
    __aicore__ inline static void EndStore(int32_t sum) {
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(sum);
    }

    // --- operands

    __aicore__ inline uint16_t Slice(uint16_t first) const {
        return keys_ - first < 8 ? static_cast<uint16_t>(keys_ - first) : uint16_t{8};
    }
    __aicore__ inline int32_t NextLeft() {
        left_ = left_ == kLeft0 ? kLeft1 : kLeft0;
        Acquire(left_);
        return left_;
    }
    // Up to 128 columns of a left operand (64, K).
    __aicore__ inline int32_t LoadReader(const AscendC::LocalTensor<T>& left, uint16_t first) {
        const int32_t operand = NextLeft();
        LoadLeftRows(Keys(operand), left[first * kRows * kFractal], kRows, kRows, Slice(first));
        Loaded(operand);
        return operand;
    }
    // Of its transpose as many rows.
    __aicore__ inline int32_t LoadOuter(const AscendC::LocalTensor<T>& left, uint16_t first) {
        const int32_t operand = NextLeft();
        LoadLeftRowsTransposed(Keys(operand), left[first * kRows * kFractal], Slice(first), kRows);
        Loaded(operand);
        return operand;
    }
    // What Fixpipe has left in L1 becomes a right operand.
    __aicore__ inline void Take(int32_t operand, const AscendC::LocalTensor<T>& image,
                                uint16_t rows, int32_t event) const {
        Acquire(operand);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(event);
        LoadRight(Right(operand), image, rows, rows, values_);
        Loaded(operand);
    }
    // A sum to L1, rounded.
    __aicore__ inline void Keep(int32_t sum, const AscendC::LocalTensor<T>& image, uint16_t rows,
                                int32_t event) const {
        BeginStore(sum);
        for (int32_t r = 0; r < rows; ++r) {
            StoreFractals(image[r * kFractal], SumOf(sum)[Row(r)], 16, task_.value_tile, rows * 16,
                          16);
        }
        EndStore(sum);
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(event);
    }

    // --- products

    // c + left S, left (64, K), of which `operand` holds the first slice.
    __aicore__ inline void ReadState(int32_t sum, const AscendC::LocalTensor<T>& left,
                                     int32_t operand, bool accumulate) {
        if (!accumulate) {
            BeginSum(sum);
        }
        for (uint16_t first = 0; first < keys_; first += 8) {
            if (first > 0) {
                operand = LoadReader(left, first);
            }
            const uint16_t columns = Slice(first);
            Await(operand);
            if (accumulate || first > 0) {
                AscendC::PipeBarrier<PIPE_M>();
            }
            for (int32_t r = 0; r < kRows; ++r) {
                AscendC::Mmad(SumOf(sum)[Row(r)], Keys(operand)[r * columns * kFractal],
                              Right(kState)[Row(first)],
                              Product(16, task_.value_tile, columns * 16, accumulate || first > 0));
            }
            Release(operand);
        }
    }
    // s + left^T right, left (64, K), of which `operand` holds the first slice.
    __aicore__ inline void AddOuter(const AscendC::LocalTensor<T>& left, int32_t operand,
                                    int32_t right, bool accumulate) {
        for (uint16_t first = 0; first < keys_; first += 8) {
            if (first > 0) {
                operand = LoadOuter(left, first);
            }
            Await(operand);
            for (int32_t r = 0; r < Slice(first); ++r) {
                AscendC::Mmad(SumOf(kStateSum)[Row(first + r)], Keys(operand)[r * kRows * kFractal],
                              Right(right), Product(16, task_.value_tile, kRuleChunk, accumulate));
            }
            Release(operand);
        }
    }
    // c + diag(left) right, of `rows` blocks of 16 rows.
    __aicore__ inline void AddScaled(int32_t sum, const Left& left, int32_t right, int32_t rows,
                                     bool accumulate) const {
        for (int32_t r = 0; r < rows; ++r) {
            AscendC::Mmad(SumOf(sum)[Row(r)], left, Right(right)[Row(r)],
                          Product(16, task_.value_tile, 16, accumulate));
        }
    }
    // c + left right of a lower triangular left.
    __aicore__ inline void AddLower(int32_t sum, const Left& left, int32_t right,
                                    bool accumulate) const {
        for (int32_t r = 0; r < kRows; ++r) {
            AscendC::Mmad(SumOf(sum)[Row(r)], left[r * kRows * kFractal], Right(right),
                          Product(16, task_.value_tile, 16 * (r + 1), accumulate));
        }
    }

    const RuleTask& task_;
    const uint16_t keys_, values_;  // fractals

  private:
    int32_t left_ = kLeft1;  // the last slice
};

}  // namespace neumann_tril
