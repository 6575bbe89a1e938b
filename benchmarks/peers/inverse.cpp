// The method that the published NPU implementations ship, as a kernel: the yardstick of the model.
//
// One matrix at a time per core, every product a full n x n x n Mmad, every intermediate through
// L0C -> L1 -> L0, identity products where data is moved, negated or added:
//     D = the 16 x 16 diagonal blocks of A
//     -A = A (-I)                                     1 product
//     Y = D D;  X = D (-I) + (-I)(-I)                 3
//     repeat 3 times: X = X + X Y;  Y = Y Y           3 + 2
//     for b = 16, 32 .. n/2:                          4 each
//         L = odd blocks of X of size b, R = even blocks
//         Y = I I + L (-A);  X = L I + Y R
// 9 products for n = 16, four more for each doubling of n. L0A, L0B and L0C have two buffers each;
// four matrices are loaded at a time. Written from the description of the method, to set the
// assumed costs of the emulator by the published times: 1,024 float16 matrices on 910B4, 159.6 us
// for n = 64 and 547.2 us for n = 128. The result is the method's, rounded to T at every step.
//
// The chunk rule of the same authors has an older form of it: X comes back into L0C by a product
// with I before X Y is added (12 products for n = 16), the result is float32, and the matrices lie
// side by side in rows of (tokens, heads, n).
#include "../../csrc/ascendc/core/launch.h"
#include "neumann_tril.h"

namespace {

constexpr uint32_t kFractal = 256;
constexpr int32_t kTiles = 4;

template <typename T>
struct CubeCast;
template <>
struct CubeCast<half> {
    static constexpr QuantMode_t value = QuantMode_t::F322F16;
};
template <>
struct CubeCast<float> {
    static constexpr QuantMode_t value = QuantMode_t::NoQuant;
};

// The two forms: of the result's dtype, and whether X comes back into L0C.
struct Latest {
    using Result = half;
    static constexpr bool kBringsBack = false;
};
struct Older {
    using Result = float;
    static constexpr bool kBringsBack = true;
};

template <typename T, uint16_t N, typename Variant>
class Peer {
  public:
    using Result = typename Variant::Result;

    // `side_by_side` matrices in a row of the tensors.
    __aicore__ inline Peer(GM_ADDR a, GM_ADDR x, GM_ADDR minus_identity, int32_t side_by_side)
        : side_by_side_(side_by_side) {
        a_.SetGlobalBuffer((__gm__ T*)a);
        x_.SetGlobalBuffer((__gm__ Result*)x);
        minus_identity_.SetGlobalBuffer((__gm__ T*)minus_identity);
    }

    __aicore__ inline void Run(int32_t matrices) {
        PrepareConstants();
        const int32_t step = AscendC::GetBlockNum() * kTiles;
        for (int32_t first = AscendC::GetBlockIdx() * kTiles; first < matrices; first += step) {
            const int32_t count = matrices - first < kTiles ? matrices - first : kTiles;
            for (int32_t t = 0; t < count; ++t) {
                AscendC::DataCopy(L1(kInput + t), a_[Offset(first + t)],
                                  AscendC::Nd2NzParams{1, N, N, 0, Stride(), N, 1, 0});
                AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(t);
            }
            for (int32_t t = 0; t < count; ++t) {
                AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(t);
                Invert(kInput + t);
                Finish(first + t);
            }
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(EVENT_ID0);
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(EVENT_ID0);
        }
    }

  private:
    static constexpr uint16_t kSide = N / 16;
    static constexpr int32_t kMinusAKept = 2;  // event of a tile that is needed late
    enum L1Tile : int32_t { kMinusIdentity, kIdentity, kZero, kMinusA, kX, kY, kInput };

    __aicore__ inline uint16_t Stride() const { return static_cast<uint16_t>(N * side_by_side_); }
    __aicore__ inline int64_t Offset(int32_t matrix) const {
        const int64_t row = matrix / side_by_side_ * N;
        return row * Stride() + matrix % side_by_side_ * N;
    }
    __aicore__ inline AscendC::LocalTensor<T> L1(int32_t tile) const {
        return AscendC::LocalTensor<T>(AscendC::TPosition::A1, tile * N * N * sizeof(T), N * N);
    }
    __aicore__ inline AscendC::LocalTensor<T> A(int32_t i) const {
        return AscendC::LocalTensor<T>(AscendC::TPosition::A2, i * N * N * sizeof(T), N * N);
    }
    __aicore__ inline AscendC::LocalTensor<T> B(int32_t i) const {
        return AscendC::LocalTensor<T>(AscendC::TPosition::B2, i * N * N * sizeof(T), N * N);
    }
    __aicore__ inline AscendC::LocalTensor<float> C(int32_t i) const {
        return AscendC::LocalTensor<float>(AscendC::TPosition::CO1, i * N * N * sizeof(float),
                                           N * N);
    }

    __aicore__ inline void LoadA(int32_t i, int32_t tile) const {
        for (uint16_t r = 0; r < kSide; ++r) {
            AscendC::LoadData(A(i)[r * kSide * kFractal], L1(tile)[r * kFractal],
                              AscendC::LoadData2DParams{0, kSide, kSide, 0, 0, false, 0});
        }
    }
    __aicore__ inline void LoadB(int32_t i, int32_t tile) const {
        for (uint16_t r = 0; r < kSide; ++r) {
            AscendC::LoadData(B(i)[r * kSide * kFractal], L1(tile)[r * kFractal],
                              AscendC::LoadData2DParams{0, kSide, kSide, 0, 0, true, 0});
        }
    }
    // Every second block of `side` fractals on the diagonal, from block `first` on, over zeros.
    __aicore__ inline void LoadBlocks(const AscendC::LocalTensor<T>& l0, int32_t tile,
                                      uint16_t first, uint16_t step, uint16_t side,
                                      bool transpose) const {
        AscendC::PipeBarrier<PIPE_MTE1>();
        for (uint16_t b = first; b < kSide / side; b += step) {
            for (uint16_t i = 0; i < side; ++i) {
                for (uint16_t j = 0; j < side; ++j) {
                    const uint16_t row = b * side + i, column = b * side + j;
                    AscendC::LoadData(l0[(row * kSide + column) * kFractal],
                                      L1(tile)[(column * kSide + row) * kFractal],
                                      AscendC::LoadData2DParams{0, 1, 1, 0, 0, transpose, 0});
                }
            }
        }
    }
    __aicore__ inline void Multiply(int32_t c, int32_t a, int32_t b, bool accumulate) const {
        if (accumulate) {
            AscendC::PipeBarrier<PIPE_M>();
        }
        AscendC::Mmad(C(c), A(a), B(b), AscendC::MmadParams{N, N, N, 0, false, !accumulate});
    }
    // Loads done: products may start. Products done: their operands may be loaded over.
    __aicore__ inline void Loaded(int32_t id) const {
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(id);
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(id);
    }
    __aicore__ inline void Used(int32_t id) const {
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(id);
    }
    __aicore__ inline void AwaitUse(int32_t id) const {
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(id);
    }
    // L0C to L1; loads of the tile and products into the accumulator wait for it.
    __aicore__ inline void Keep(int32_t c, int32_t tile) const { Keep(c, tile, c); }
    __aicore__ inline void Keep(int32_t c, int32_t tile, int32_t kept) const {
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(c);
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(c);
        AscendC::FixpipeParamsV220 params;
        params.nSize = N;
        params.mSize = N;
        params.srcStride = N;
        params.dstStride = N;
        params.quantPre = CubeCast<T>::value;
        AscendC::Fixpipe<T, float, AscendC::CFG_NZ>(L1(tile), C(c), params);
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(kept);
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(c);
    }
    __aicore__ inline void AwaitTile(int32_t c) const {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(c);
    }
    __aicore__ inline void AwaitAccumulator(int32_t c) const {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(c);
    }

    __aicore__ inline void PrepareConstants() const {
        AscendC::DataCopy(L1(kMinusIdentity), minus_identity_,
                          AscendC::Nd2NzParams{1, N, N, 0, N, N, 1, 0});
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(kTiles);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(kTiles);
        LoadA(0, kMinusIdentity);
        LoadB(0, kMinusIdentity);
        Loaded(0);
        Multiply(0, 0, 0, false);
        Keep(0, kIdentity);
        AwaitTile(0);
        AwaitAccumulator(0);
        LoadB(1, kIdentity);
        Loaded(0);
        Multiply(0, 0, 1, true);
        Keep(0, kZero);
        AwaitTile(0);
        AwaitAccumulator(0);
    }

    __aicore__ inline void Invert(int32_t input) const {
        LoadB(0, input);
        LoadA(0, kMinusIdentity);
        Loaded(0);
        LoadA(1, kZero);
        LoadB(1, kZero);
        LoadBlocks(A(1), input, 0, 1, 1, false);
        LoadBlocks(B(1), input, 0, 1, 1, true);
        Multiply(0, 0, 0, false);
        Used(0);
        Keep(0, kMinusA, kMinusAKept);
        Loaded(1);
        Multiply(1, 1, 1, false);
        Keep(1, kY);
        AwaitUse(0);
        LoadB(0, kMinusIdentity);
        LoadA(0, kMinusIdentity);
        Loaded(0);
        AwaitAccumulator(0);
        Multiply(0, 1, 0, false);
        Used(1);
        Multiply(0, 0, 0, true);
        Used(0);
        Keep(0, kX);
        for (int32_t power = 2; power < 16; power *= 2) {
            Double(power == 8);
        }
        AwaitUse(1);
        AwaitUse(0);
        AwaitTile(kMinusAKept);
        if (kSide == 1) {
            AwaitTile(0);
            AwaitAccumulator(0);
            return;
        }
        LoadB(1, kMinusA);
        LoadA(0, kIdentity);
        for (uint16_t side = 1; side < kSide; side *= 2) {
            Merge(side, side == 1, 2 * side == kSide);
        }
        AwaitUse(0);
    }

    // X = X + X Y, in L0C; Y = Y Y
    __aicore__ inline void Double(bool last) const {
        AwaitUse(0);
        if constexpr (Variant::kBringsBack) {
            LoadB(0, kIdentity);
        }
        AwaitTile(0);
        LoadA(0, kX);
        if constexpr (Variant::kBringsBack) {
            Loaded(0);
        }
        AwaitTile(1);
        AwaitUse(1);
        LoadB(1, kY);
        AwaitAccumulator(0);
        if constexpr (Variant::kBringsBack) {
            Multiply(0, 0, 0, false);
        }
        if (!last) {
            LoadA(1, kY);
        }
        Loaded(1);
        AwaitAccumulator(1);
        if (!last) {
            Multiply(1, 1, 1, false);
            Keep(1, kY);
        }
        Multiply(0, 0, 1, true);
        Used(0);
        Used(1);
        Keep(0, kX);
    }

    // Y = I + L (-A), X = L + Y R; the last X stays in L0C.
    __aicore__ inline void Merge(uint16_t side, bool first, bool last) const {
        const int32_t x = first ? 0 : 1;  // the accumulator that X was kept from
        if (!first) {
            AwaitUse(0);
        }
        LoadA(1, kZero);
        LoadB(0, kIdentity);
        Loaded(0);
        AwaitTile(x);
        LoadBlocks(A(1), kX, 1, 2, side, false);
        Loaded(1);
        AwaitAccumulator(x);
        Multiply(0, 0, 0, false);
        Multiply(1, 1, 0, false);
        Used(1);
        Multiply(0, 1, 1, true);
        Used(0);
        Keep(0, kY);
        AwaitUse(1);
        LoadB(0, kZero);
        LoadBlocks(B(0), kX, 0, 2, side, true);
        AwaitUse(0);
        AwaitTile(0);
        LoadA(1, kY);
        Loaded(0);
        AwaitAccumulator(0);
        Multiply(1, 1, 0, true);
        Used(0);
        if (!last) {
            Keep(1, kX);
        }
    }

    __aicore__ inline void Finish(int32_t matrix) const {
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(EVENT_ID0);
        AscendC::FixpipeParamsV220 params;
        params.nSize = N;
        params.mSize = N;
        params.srcStride = N;
        params.dstStride = Stride();
        params.quantPre = CubeCast<Result>::value;
        params.ndNum = 1;
        params.srcNdStride = 0;
        params.dstNdStride = 0;
        AscendC::Fixpipe<Result, float, AscendC::CFG_ROW_MAJOR>(x_[Offset(matrix)],
                                                                C(N > 16 ? 1 : 0), params);
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(EVENT_ID0);
    }

    AscendC::GlobalTensor<T> a_, minus_identity_;
    AscendC::GlobalTensor<Result> x_;
    int32_t side_by_side_;
};

template <typename T, uint16_t N, typename Variant>
__global__ __cube__ void PeerKernel(GM_ADDR a, GM_ADDR x, GM_ADDR minus_identity, int32_t matrices,
                                    int32_t side_by_side) {
    AscendC::InitSocState();
    Peer<T, N, Variant> peer(a, x, minus_identity, side_by_side);
    peer.Run(matrices);
    AscendC::PipeBarrier<PIPE_ALL>();
}

int32_t Blocks(int32_t matrices, int32_t cores) {
    const int32_t groups = (matrices + kTiles - 1) / kTiles;
    return groups < cores ? groups : cores;
}

}  // namespace

// Contiguous float16 matrices of n = 16, 32, 64 or 128; minus_identity is -I, n x n. Returns 0, or
// -1 for another n.
extern "C" NT_API int peer_baseline(uint8_t* a, uint8_t* minus_identity, uint8_t* x, int32_t n,
                                    int32_t matrices, int32_t cores, void* stream) {
    const int32_t blocks = Blocks(matrices, cores);
    switch (n) {
        case 16:
            NT_LAUNCH_CUBE((PeerKernel<half, 16, Latest>), blocks, stream, a, x, minus_identity,
                           matrices, 1);
            return 0;
        case 32:
            NT_LAUNCH_CUBE((PeerKernel<half, 32, Latest>), blocks, stream, a, x, minus_identity,
                           matrices, 1);
            return 0;
        case 64:
            NT_LAUNCH_CUBE((PeerKernel<half, 64, Latest>), blocks, stream, a, x, minus_identity,
                           matrices, 1);
            return 0;
        case 128:
            NT_LAUNCH_CUBE((PeerKernel<half, 128, Latest>), blocks, stream, a, x, minus_identity,
                           matrices, 1);
            return 0;
        default:
            return -1;
    }
}

// The older form. a (T, heads, 128) float16, x (T, heads, 128) float32, T whole chunks. Returns 0.
extern "C" NT_API int peer_solve_tril(uint8_t* a, uint8_t* minus_identity, uint8_t* x,
                                      int32_t tokens, int32_t heads, int32_t cores, void* stream) {
    const int32_t matrices = tokens / 128 * heads;
    NT_LAUNCH_CUBE((PeerKernel<half, 128, Older>), Blocks(matrices, cores), stream, a, x,
                   minus_identity, matrices, heads);
    return 0;
}
