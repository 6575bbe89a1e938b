// W and U of the chunk rule by the structure of a published kernel: the vector cores scale the
// columns of the inverse, the cube multiplies.
//
//     U = (X diag(beta)) V        W = (X diag(beta exp g)) K
//
// A (chunk, head) pair per core. Both operands go to the cube by a tile of the workspace each.
#include "tiles.h"

namespace peers {
namespace {

// Cross-core flags: an operand is there; it has been used.
constexpr int32_t kForW = 1, kForU = 2, kUsedForU = 3, kUsedForW = 4;

struct WAndU {
    Shape shape;
    Global<half> k, v, beta, x, for_w, for_u, w, u;
    Global<float> g;
    Global<int32_t> bounds;

    __aicore__ inline void RunCube() const {
        const auto k_tile = TileInL1(0), v_tile = TileInL1(1);
        const auto for_u_tile = TileInL1(2), for_w_tile = TileInL1(3);
        const int32_t core = static_cast<int32_t>(AscendC::GetBlockIdx());
        ForChunks(shape, bounds, [&](int32_t token, int32_t, int32_t head) {
            LoadTile(k_tile, k[shape.Keys(token, head)], shape.KeyStride());
            LoadTile(v_tile, v[shape.Values(token, head)], shape.ValueStride());
            Await(kForU);
            LoadTile(for_u_tile, for_u[core * kTile], kSide);
            Sync<AscendC::HardEvent::FIX_M>(0);
            Multiply<Form::kPlain>(SumInL0C(0), for_u_tile, v_tile);
            StoreSum(u[shape.Values(token, head)], SumInL0C(0), shape.ValueStride());
            Signal<PIPE_FIX>(kUsedForU);
            Await(kForW);
            LoadTile(for_w_tile, for_w[core * kTile], kSide);
            Sync<AscendC::HardEvent::FIX_M>(0);
            Multiply<Form::kPlain>(SumInL0C(1), for_w_tile, k_tile);
            StoreSum(w[shape.Values(token, head)], SumInL0C(1), shape.ValueStride());
            Signal<PIPE_FIX>(kUsedForW);
        });
    }

    __aicore__ inline void RunVector() const {
        const int32_t row = static_cast<int32_t>(AscendC::GetSubBlockIdx()) * kRows;
        const int32_t core = static_cast<int32_t>(AscendC::GetBlockIdx() / 2);
        const auto beta_half = InUB<half>(0, kSide);
        const auto x_half = InUB<half>(256, kHalf);
        const auto beta_all = InUB<float>(16640, kSide);
        const auto beta_row = InUB<float>(17152, kSide);
        const auto beta_rows = InUB<float>(17664, kHalf);
        const auto x_rows = InUB<float>(75008, kHalf);
        const auto scaled = InUB<float>(107776, kHalf);
        const auto scaled_half = InUB<half>(140544, kHalf);
        const auto g_all = InUB<float>(156928, kSide);
        const auto g_row = InUB<float>(157440, kSide);
        const auto g_rows = InUB<float>(157952, kHalf);
        const auto mine = core * kTile + row * kSide;

        StartVector();
        bool first = true;
        ForChunks(shape, bounds, [&](int32_t token, int32_t, int32_t head) {
            LoadRow(beta_half, beta[shape.Gates(token, head)], kSide);
            LoadHalf(x_half, x[shape.Values(token + row, head)], shape.ValueStride());
            Sync<AscendC::HardEvent::MTE2_V>(0);
            Convert(beta_all, beta_half, 1);
            VectorBarrier();
            Move(beta_row, beta_all, kSide);
            VectorBarrier();
            ExpandRow(beta_rows, beta_row);
            Convert(x_rows, x_half);
            VectorBarrier();
            AscendC::Mul(scaled, x_rows, beta_rows, kHalf);
            VectorBarrier();
            Convert(scaled_half, scaled);
            if (!first) Await(kUsedForU);
            Sync<AscendC::HardEvent::V_MTE3>(0);
            StoreHalf(for_u[mine], scaled_half, kSide);
            AscendC::PipeBarrier<PIPE_ALL>();
            Signal<PIPE_MTE3>(kForU);

            LoadRow(g_all, g[shape.Gates(token, head)], kSide);
            Sync<AscendC::HardEvent::MTE2_V>(0);
            AscendC::Exp(g_all, g_all, kSide);
            VectorBarrier();
            AscendC::Mul(g_all, g_all, beta_all, kSide);
            VectorBarrier();
            Move(g_row, g_all, kSide);
            VectorBarrier();
            ExpandRow(g_rows, g_row);
            VectorBarrier();
            AscendC::Mul(x_rows, x_rows, g_rows, kHalf);
            VectorBarrier();
            Convert(x_half, x_rows);
            if (!first) Await(kUsedForW);
            Sync<AscendC::HardEvent::V_MTE3>(0);
            StoreHalf(for_w[mine], x_half, kSide);
            AscendC::PipeBarrier<PIPE_ALL>();
            Signal<PIPE_MTE3>(kForW);
            first = false;
        });
        // The peer leaves these two set.
        if (!first) {
            Await(kUsedForU);
            Await(kUsedForW);
        }
    }
};

__global__ __mix__(1, 2) void WAndUKernel(GM_ADDR k, GM_ADDR v, GM_ADDR beta, GM_ADDR g, GM_ADDR x,
                                          GM_ADDR bounds, GM_ADDR for_w, GM_ADDR for_u, GM_ADDR w,
                                          GM_ADDR u, Shape shape) {
    AscendC::InitSocState();
    const WAndU stage{shape,
                      GlobalOf<half>(k),
                      GlobalOf<half>(v),
                      GlobalOf<half>(beta),
                      GlobalOf<half>(x),
                      GlobalOf<half>(for_w),
                      GlobalOf<half>(for_u),
                      GlobalOf<half>(w),
                      GlobalOf<half>(u),
                      GlobalOf<float>(g),
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

// k (T, key heads, 128), v (T, heads, 128), beta (heads, T) and x (T, heads, 128) float16, g
// (heads, T) float32, bounds (sequences + 1) int32: sequences of whole chunks. for_w, for_u:
// workspaces of a tile a core each. w, u (T, heads, 128) float16. T: `tokens`. Returns 0.
extern "C" NT_API int peer_w_u(uint8_t* k, uint8_t* v, uint8_t* beta, uint8_t* g, uint8_t* x,
                               uint8_t* bounds, uint8_t* for_w, uint8_t* for_u, uint8_t* w,
                               uint8_t* u, int32_t sequences, int32_t tokens, int32_t heads,
                               int32_t key_heads, int32_t cores, void* stream) {
    const peers::Shape shape{sequences, tokens, heads, key_heads};
    NT_LAUNCH_MIX((peers::WAndUKernel), cores, stream, k, v, beta, g, x, bounds, for_w, for_u, w, u,
                  shape);
    return 0;
}
