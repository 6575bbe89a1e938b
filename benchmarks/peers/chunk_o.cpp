// The output of the chunk rule by the structure of a published kernel: three products of the cube,
// between them the gates on the vector cores.
//
//     O = diag(exp g) Q S + (Q K^T * exp(min(g[i] - g[j], 0)) * mask) V
//
// A (chunk, head) pair per core. Q K^T, Q S, the gated Q K^T and the last product go between the
// cores by the workspace, Q S and the last product by the same tile.
#include "tiles.h"

namespace peers {
namespace {

// Cross-core flags: Q K^T and Q S, the gated Q K^T, the last product are there; the chunk is done.
constexpr int32_t kScores = 0, kGated = 1, kWeighted = 2, kDone = 3;

struct ChunkO {
    Shape shape;
    Global<half> q, k, v, states, scores, sums, gated, o;
    Global<float> g, mask;
    Global<int32_t> bounds;

    __aicore__ inline void RunCube() const {
        const auto q_tile = TileInL1(0), k_tile = TileInL1(1), s_tile = TileInL1(2);
        const auto gated_tile = TileInL1(3), v_tile = TileInL1(4);
        const int32_t mine = static_cast<int32_t>(AscendC::GetBlockIdx()) * kTile;
        bool first = true;
        ForChunks(shape, bounds, [&](int32_t token, int32_t chunk, int32_t head) {
            if (!first) Await(kDone);
            first = false;
            Sync<AscendC::HardEvent::FIX_M>(0);
            LoadTile(q_tile, q[shape.Keys(token, head)], shape.KeyStride());
            LoadTile(k_tile, k[shape.Keys(token, head)], shape.KeyStride());
            Multiply<Form::kTransposedB>(SumInL0C(0), q_tile, k_tile);
            LoadTile(s_tile, states[(int64_t{chunk} * shape.heads + head) * kTile], kSide);
            Multiply<Form::kPlain>(SumInL0C(1), q_tile, s_tile, 2);
            StoreSum(scores[mine], SumInL0C(0), kSide);
            StoreSum(sums[mine], SumInL0C(1), kSide);
            Signal<PIPE_FIX>(kScores);
            Await(kGated);
            Sync<AscendC::HardEvent::FIX_M>(0);
            LoadTile(gated_tile, gated[mine], kSide);
            LoadTile(v_tile, v[shape.Values(token, head)], shape.ValueStride());
            Multiply<Form::kPlain>(SumInL0C(0), gated_tile, v_tile);
            StoreSum(sums[mine], SumInL0C(0), kSide);
            Signal<PIPE_FIX>(kWeighted);
        });
        if (!first) Await(kDone);  // the peer leaves it set
    }

    __aicore__ inline void RunVector() const {
        const int32_t row = static_cast<int32_t>(AscendC::GetSubBlockIdx()) * kRows;
        const int32_t mine = static_cast<int32_t>(AscendC::GetBlockIdx() / 2) * kTile + row * kSide;
        const auto g_all = InUB<float>(0, kSide);
        const auto mask_rows = InUB<float>(512, kHalf);
        const auto score_rows = InUB<float>(33280, kHalf);
        const auto o_rows = InUB<float>(33280, kHalf);
        const auto g_own = InUB<float>(66048, kRows);
        const auto factors = InUB<float>(66304, kHalf);
        const auto score_half = InUB<half>(99072, kHalf);
        const auto state_half = InUB<half>(115456, kHalf);
        const auto state_rows = InUB<float>(131840, kHalf);
        const auto o_half = InUB<half>(164608, kHalf);

        StartVector();
        LoadRows(mask_rows, mask[row * kSide], kRows, kSide, kSide);
        Sync<AscendC::HardEvent::MTE2_V>(0);
        ForChunks(shape, bounds, [&](int32_t token, int32_t, int32_t head) {
            LoadRow(g_all, g[shape.Gates(token, head)], kSide);
            Sync<AscendC::HardEvent::MTE2_V>(1);
            Move(g_own, g_all[row], kRows);
            ExpandColumn(state_rows, g_own);
            ExpandRow(factors, g_all);
            VectorBarrier();
            AscendC::Sub(factors, state_rows, factors, kHalf);
            VectorBarrier();
            AscendC::Mins(factors, factors, 0.0f, kHalf);
            VectorBarrier();
            AscendC::Exp(factors, factors, kHalf);
            VectorBarrier();
            AscendC::Mul(factors, factors, mask_rows, kHalf);
            VectorBarrier();
            AscendC::Exp(g_own, g_own, kRows);

            Await(kScores);
            LoadHalf(score_half, scores[mine], kSide);
            Sync<AscendC::HardEvent::MTE2_V>(0);
            Convert(score_rows, score_half);
            Sync<AscendC::HardEvent::V_MTE2>(0);
            LoadHalf(state_half, sums[mine], kSide);
            VectorBarrier();
            AscendC::Mul(score_rows, score_rows, factors, kHalf);
            VectorBarrier();
            Convert(score_half, score_rows);
            // Here, so that the cube cannot store over Q S; the peer waits after its signal.
            Sync<AscendC::HardEvent::MTE2_V>(0);
            Sync<AscendC::HardEvent::V_MTE3>(0);
            StoreHalf(gated[mine], score_half, kSide);
            Signal<PIPE_MTE3>(kGated);
            Convert(state_rows, state_half);
            ExpandColumn(factors, g_own);
            VectorBarrier();
            AscendC::Mul(state_rows, state_rows, factors, kHalf);

            Await(kWeighted);
            LoadHalf(o_half, sums[mine], kSide);
            Sync<AscendC::HardEvent::MTE2_V>(0);
            Convert(o_rows, o_half);
            VectorBarrier();
            AscendC::Add(o_rows, state_rows, o_rows, kHalf);
            VectorBarrier();
            Convert(o_half, o_rows);
            Sync<AscendC::HardEvent::V_MTE3>(0);
            StoreHalf(o[shape.Values(token + row, head)], o_half, shape.ValueStride());
            Signal<PIPE_MTE3>(kDone);
        });
    }
};

__global__ __mix__(1, 2) void ChunkOKernel(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR states,
                                           GM_ADDR g, GM_ADDR mask, GM_ADDR bounds, GM_ADDR scores,
                                           GM_ADDR sums, GM_ADDR gated, GM_ADDR o, Shape shape) {
    AscendC::InitSocState();
    const ChunkO stage{shape,
                       GlobalOf<half>(q),
                       GlobalOf<half>(k),
                       GlobalOf<half>(v),
                       GlobalOf<half>(states),
                       GlobalOf<half>(scores),
                       GlobalOf<half>(sums),
                       GlobalOf<half>(gated),
                       GlobalOf<half>(o),
                       GlobalOf<float>(g),
                       GlobalOf<float>(mask),
                       GlobalOf<int32_t>(bounds)};
    if ASCEND_IS_AIC {
        stage.RunCube();
    }
    if ASCEND_IS_AIV {
        stage.RunVector();
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace
}  // namespace peers

// q and k (T, key heads, 128), v (T, heads, 128), states (T / 128, heads, 128, 128) float16, g
// (heads, T) and mask (128, 128) float32, bounds (sequences + 1) int32: sequences of whole chunks.
// scores, sums, gated: workspaces of a tile a core each. o (T, heads, 128) float16. T: `tokens`.
// Returns 0.
extern "C" NT_API int peer_chunk_o(uint8_t* q, uint8_t* k, uint8_t* v, uint8_t* states, uint8_t* g,
                                   uint8_t* mask, uint8_t* bounds, uint8_t* scores, uint8_t* sums,
                                   uint8_t* gated, uint8_t* o, int32_t sequences, int32_t tokens,
                                   int32_t heads, int32_t key_heads, int32_t cores, void* stream) {
    const peers::Shape shape{sequences, tokens, heads, key_heads};
    NT_LAUNCH_MIX((peers::ChunkOKernel), cores, stream, q, k, v, states, g, mask, bounds, scores,
                  sums, gated, o, shape);
    return 0;
}
