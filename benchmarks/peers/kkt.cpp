// A of the chunk rule by the structure of a published kernel: the cube forms K K^T, the vector
// cores scale and mask it.
//
//     A[i, j] = K[i] . K[j]  exp(min(g[i] + log beta[i] - g[j], 0))  mask[i, j]
//
// A (sequence, head) pair per core. K K^T goes to the vector cores by two tiles of the workspace,
// in turn. Of the two waits for all pipes in a chunk one stands on each side.
#include "tiles.h"

namespace peers {
namespace {

// Cross-core flags: the sums of tile 0, 1 are there; tile 0, 1 has been read.
constexpr int32_t kThere = 0, kRead = 2;

struct Kkt {
    Shape shape;
    Global<half> k, beta, workspace, a;
    Global<float> g, mask;
    Global<int32_t> bounds;

    __aicore__ inline Global<half> Sums(int32_t slot) const {
        return workspace[(AscendC::GetBlockIdx() / AscendC::GetTaskRatio() * 2 + slot) * kTile];
    }

    __aicore__ inline void RunCube() const {
        ForSequences(shape, bounds, [&](int32_t token, int32_t chunks, int32_t, int32_t head) {
            for (int32_t i = 0; i < chunks; ++i, token += kSide) {
                const int32_t slot = i % 2;
                Await(kRead + slot);
                AscendC::PipeBarrier<PIPE_ALL>();
                LoadTile(TileInL1(0), k[shape.Keys(token, head)], shape.KeyStride());
                Multiply<Form::kTransposedB>(SumInL0C(0), TileInL1(0), TileInL1(0));
                StoreSum(Sums(slot), SumInL0C(0), kSide);
                Signal<PIPE_FIX>(kThere + slot);
            }
        });
        // The peer leaves these two set.
        Await(kRead);
        Await(kRead + 1);
    }

    __aicore__ inline void RunVector() const {
        const int32_t row = static_cast<int32_t>(AscendC::GetSubBlockIdx()) * kRows;
        const auto g_all = InUB<float>(0, kSide);
        const auto beta_half = InUB<half>(512, kRows);
        const auto log_beta = InUB<float>(640, kRows);
        const auto g_own = InUB<float>(896, kRows);
        const auto sums = InUB<float>(1152, kHalf);
        const auto g_row = InUB<float>(33920, kRows);
        const auto g_column = InUB<float>(34176, kSide);
        const auto mask_rows = InUB<float>(34688, kHalf);
        const auto rows = InUB<float>(67456, kHalf);
        const auto sums_half = InUB<half>(67456, kHalf);
        const auto columns = InUB<float>(124800, kHalf);
        const auto factors = InUB<float>(157568, kHalf);

        StartVector();
        LoadRows(mask_rows, mask[row * kSide], kRows, kSide, kSide);
        Sync<AscendC::HardEvent::MTE2_V>(0);
        Signal<PIPE_MTE3>(kRead);
        Signal<PIPE_MTE3>(kRead + 1);
        ForSequences(shape, bounds, [&](int32_t token, int32_t chunks, int32_t, int32_t head) {
            for (int32_t i = 0; i < chunks; ++i, token += kSide) {
                const int32_t slot = i % 2;
                LoadRow(g_all, g[shape.Gates(token, head)], kSide);
                LoadRow(beta_half, beta[shape.Gates(token + row, head)], kRows);
                Await(kThere + slot);
                AscendC::PipeBarrier<PIPE_ALL>();
                AscendC::Cast(log_beta, beta_half, AscendC::RoundMode::CAST_NONE, kRows);
                Move(g_own, g_all[row], kRows);
                VectorBarrier();
                AscendC::Ln(log_beta, log_beta, kRows);
                VectorBarrier();
                AscendC::Add(g_own, g_own, log_beta, kRows);
                VectorBarrier();
                Move(g_row, g_own, kRows);
                Move(g_column, g_all, kSide);
                VectorBarrier();
                ExpandColumn(rows, g_row);
                ExpandRow(columns, g_column);
                VectorBarrier();
                AscendC::Sub(factors, rows, columns, kHalf);
                VectorBarrier();
                AscendC::Mins(factors, factors, 0.0f, kHalf);
                VectorBarrier();
                AscendC::Exp(factors, factors, kHalf);
                Sync<AscendC::HardEvent::V_MTE2>(0);
                LoadHalf(sums_half, Sums(slot)[row * kSide], kSide);
                Sync<AscendC::HardEvent::MTE2_V>(0);
                Convert(sums, sums_half);
                VectorBarrier();
                AscendC::Mul(sums, sums, factors, kHalf);
                VectorBarrier();
                AscendC::Mul(sums, sums, mask_rows, kHalf);
                VectorBarrier();
                Convert(sums_half, sums);
                Sync<AscendC::HardEvent::V_MTE3>(0);
                StoreHalf(a[shape.Values(token + row, head)], sums_half, shape.ValueStride());
                AscendC::PipeBarrier<PIPE_ALL>();
                Signal<PIPE_MTE3>(kRead + slot);
            }
        });
    }
};

__global__ __mix__(1, 2) void KktKernel(GM_ADDR k, GM_ADDR beta, GM_ADDR g, GM_ADDR mask,
                                        GM_ADDR bounds, GM_ADDR workspace, GM_ADDR a, Shape shape) {
    AscendC::InitSocState();
    const Kkt kkt{shape,
                  GlobalOf<half>(k),
                  GlobalOf<half>(beta),
                  GlobalOf<half>(workspace),
                  GlobalOf<half>(a),
                  GlobalOf<float>(g),
                  GlobalOf<float>(mask),
                  GlobalOf<int32_t>(bounds)};
    if ASCEND_IS_AIC {
        kkt.RunCube();
    }
    if ASCEND_IS_AIV {
        kkt.RunVector();
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace
}  // namespace peers

// k (T, key heads, 128) and beta (heads, T) float16, g (heads, T) and mask (128, 128) float32,
// bounds (sequences + 1) int32: sequences of whole chunks. workspace: 2 tiles a core. a (T, heads,
// 128) float16. T: `tokens`.
// Returns 0.
extern "C" NT_API int peer_kkt(uint8_t* k, uint8_t* beta, uint8_t* g, uint8_t* mask,
                               uint8_t* bounds, uint8_t* workspace, uint8_t* a, int32_t sequences,
                               int32_t tokens, int32_t heads, int32_t key_heads, int32_t cores,
                               void* stream) {
    const peers::Shape shape{sequences, tokens, heads, key_heads};
    NT_LAUNCH_MIX((peers::KktKernel), cores, stream, k, beta, g, mask, bounds, workspace, a, shape);
    return 0;
}
