// The states of the chunk rule by the structure of a published kernel: S stays in float32 in the
// vector cores, both products are the cube's.
//
//     V' = U - W S
//     S <- exp(g[127]) S + (diag(exp(g[127] - g)) K)^T V'
//
// A (sequence, head) pair per core, chunk after chunk. S, W S, the scaled K and the second product
// go between the cores by a tile of the workspace each: four handovers a chunk, one after another.
#include "tiles.h"

namespace peers {
namespace {

// Cross-core flags: a tile is there.
constexpr int32_t kProjected = 0, kScaledKeys = 1, kUpdate = 2, kState = 3;

struct ChunkH {
    Shape shape;
    Global<half> k, w, u, workspace, states, v, final_state;
    Global<float> g;
    Global<int32_t> bounds;

    // The tile of the workspace that a flag announces.
    __aicore__ inline Global<half> Tile(int32_t flag) const {
        return workspace[(AscendC::GetBlockIdx() / AscendC::GetTaskRatio() * 4 + flag) * kTile];
    }

    __aicore__ inline void RunCube() const {
        const auto s_tile = TileInL1(0), w_tile = TileInL1(1);
        const auto k_tile = TileInL1(2), v_tile = TileInL1(3);
        ForSequences(shape, bounds, [&](int32_t token, int32_t chunks, int32_t, int32_t head) {
            for (int32_t i = 0; i < chunks; ++i, token += kSide) {
                Await(kState);
                LoadTile(s_tile, Tile(kState), kSide);
                LoadTile(w_tile, w[shape.Values(token, head)], shape.ValueStride());
                Sync<AscendC::HardEvent::FIX_M>(0);
                Multiply<Form::kPlain>(SumInL0C(0), w_tile, s_tile);
                StoreSum(Tile(kProjected), SumInL0C(0), kSide);
                Signal<PIPE_FIX>(kProjected);
                Await(kScaledKeys);
                LoadTile(k_tile, Tile(kScaledKeys), kSide);
                LoadTile(v_tile, v[shape.Values(token, head)], shape.ValueStride());
                Sync<AscendC::HardEvent::FIX_M>(0);
                Multiply<Form::kTransposedA>(SumInL0C(1), k_tile, v_tile);
                StoreSum(Tile(kUpdate), SumInL0C(1), kSide);
                Signal<PIPE_FIX>(kUpdate);
            }
        });
    }

    __aicore__ inline void RunVector() const {
        constexpr uint32_t kFloats = kHalf * sizeof(float), kHalves = kHalf * sizeof(half);
        const int32_t row = static_cast<int32_t>(AscendC::GetSubBlockIdx()) * kRows;
        uint32_t end = 0;
        const auto take = [&end](uint32_t bytes) {
            end += bytes;
            return end - bytes;
        };
        const auto zeros = InUB<float>(take(256), kRows);
        const auto s = InUB<float>(take(kFloats), kHalf);
        const auto k_half = InUB<half>(take(kHalves), kHalf);
        const auto g_all = InUB<float>(take(512), kSide);
        const uint32_t shared = take(kHalves);  // the second product lies over this and half of K
        const auto u_half = InUB<half>(shared, kHalf);
        const auto update = InUB<float>(shared, kHalf);
        const auto k_rows = InUB<float>(take(kFloats), kHalf);
        const auto g_own = InUB<float>(take(256), kRows);
        const auto factors = InUB<float>(take(256), kRows);
        const auto u_rows = InUB<float>(take(kFloats), kHalf);
        const auto expanded = InUB<float>(take(kFloats), kHalf);  // factors, then W S
        const auto s_half = InUB<half>(take(kHalves), kHalf);
        const auto mine = row * kSide;

        StartVector();
        bool first = true;
        ForSequences(
            shape, bounds, [&](int32_t token, int32_t chunks, int32_t sequence, int32_t head) {
                const int64_t tile = (int64_t{token / kSide} * shape.heads + head) * kTile + mine;
                Sync<AscendC::HardEvent::V_S>(1);
                AscendC::Duplicate(zeros, 0.0f, kRows);
                Sync<AscendC::HardEvent::V_S>(2);
                AscendC::Duplicate(s, 0.0f, kHalf);
                // The peer does not wait for the last state of the sequence before to leave.
                Sync<AscendC::HardEvent::MTE3_V>(0);
                VectorBarrier();
                Convert(s_half, s);
                Sync<AscendC::HardEvent::V_MTE3>(0);
                StoreHalf(Tile(kState)[mine], s_half, kSide);
                Signal<PIPE_MTE3>(kState);
                LoadHalf(k_half, k[shape.Keys(token + row, head)], shape.KeyStride());
                LoadRow(g_all, g[shape.Gates(token, head)], kSide);
                Sync<AscendC::HardEvent::MTE2_V>(0);
                for (int32_t i = 0; i < chunks; ++i, token += kSide) {
                    const bool last = i + 1 == chunks;
                    // The peer lets U come over the update without a wait for its sum.
                    if (!first) AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(1);
                    first = false;
                    LoadHalf(u_half, u[shape.Values(token + row, head)], shape.ValueStride());
                    Convert(k_rows, k_half);
                    Move(g_own, g_all[row], kRows);
                    Sync<AscendC::HardEvent::V_S>(3);
                    const float g_last = g_all.GetValue(kSide - 1);
                    Sync<AscendC::HardEvent::S_V>(1);
                    AscendC::Adds(factors, g_own, -g_last, kRows);
                    VectorBarrier();
                    AscendC::Sub(factors, zeros, factors, kRows);
                    VectorBarrier();
                    AscendC::Exp(factors, factors, kRows);
                    AscendC::Exp(g_all, g_all, kSide);
                    Sync<AscendC::HardEvent::MTE2_V>(0);
                    Convert(u_rows, u_half);
                    ExpandColumn(expanded, factors);
                    VectorBarrier();
                    AscendC::Mul(k_rows, k_rows, expanded, kHalf);
                    VectorBarrier();

                    Await(kProjected);
                    LoadHalf(u_half, Tile(kProjected)[mine], kSide);
                    Sync<AscendC::HardEvent::MTE2_V>(0);
                    Convert(expanded, u_half);
                    VectorBarrier();
                    AscendC::Sub(u_rows, u_rows, expanded, kHalf);
                    VectorBarrier();
                    Convert(u_half, u_rows);
                    Convert(k_half, k_rows);
                    Sync<AscendC::HardEvent::V_MTE3>(0);
                    StoreHalf(v[shape.Values(token + row, head)], u_half, shape.ValueStride());
                    StoreHalf(Tile(kScaledKeys)[mine], k_half, kSide);
                    Signal<PIPE_MTE3>(kScaledKeys);
                    Sync<AscendC::HardEvent::MTE3_S>(0);
                    AscendC::Muls(s, s, g_all.GetValue(kSide - 1), kHalf);
                    Sync<AscendC::HardEvent::S_MTE2>(0);
                    Sync<AscendC::HardEvent::V_MTE2>(0);
                    if (!last) {
                        const int32_t next = token + kSide;
                        LoadHalf(k_half, k[shape.Keys(next + row, head)], shape.KeyStride());
                        LoadRow(g_all, g[shape.Gates(next, head)], kSide);
                    }

                    Await(kUpdate);
                    LoadHalf(s_half, Tile(kUpdate)[mine], kSide);
                    Sync<AscendC::HardEvent::MTE2_V>(0);
                    Convert(update, s_half);
                    AscendC::PipeBarrier<PIPE_ALL>();
                    AscendC::Add(s, s, update, kHalf);
                    AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(1);
                    VectorBarrier();
                    Convert(s_half, s);
                    Sync<AscendC::HardEvent::V_MTE3>(0);
                    if (!last) {
                        StoreHalf(Tile(kState)[mine], s_half, kSide);
                        StoreHalf(states[tile + int64_t{i + 1} * shape.heads * kTile], s_half,
                                  kSide);
                        Signal<PIPE_MTE3>(kState);
                        Sync<AscendC::HardEvent::MTE2_V>(0);
                    }
                }
                StoreHalf(final_state[(sequence * shape.heads + head) * kTile + mine], s_half,
                          kSide);
            });
        if (!first) AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(1);
    }
};

__global__ __mix__(1, 2) void ChunkHKernel(GM_ADDR k, GM_ADDR w, GM_ADDR u, GM_ADDR g,
                                           GM_ADDR bounds, GM_ADDR workspace, GM_ADDR states,
                                           GM_ADDR v, GM_ADDR final_state, Shape shape) {
    AscendC::InitSocState();
    const ChunkH stage{shape,
                       GlobalOf<half>(k),
                       GlobalOf<half>(w),
                       GlobalOf<half>(u),
                       GlobalOf<half>(workspace),
                       GlobalOf<half>(states),
                       GlobalOf<half>(v),
                       GlobalOf<half>(final_state),
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

// k (T, key heads, 128), w and u (T, heads, 128) float16, g (heads, T) float32, bounds (sequences +
// 1) int32: sequences of whole chunks. workspace: 4 tiles a core. states (T / 128, heads, 128,
// 128): before each chunk but the first of a sequence, whose state is zero and not stored; v (T,
// heads, 128), final_state (sequences, heads, 128, 128), float16. T: `tokens`. Returns 0.
extern "C" NT_API int peer_chunk_h(uint8_t* k, uint8_t* w, uint8_t* u, uint8_t* g, uint8_t* bounds,
                                   uint8_t* workspace, uint8_t* states, uint8_t* v,
                                   uint8_t* final_state, int32_t sequences, int32_t tokens,
                                   int32_t heads, int32_t key_heads, int32_t cores, void* stream) {
    const peers::Shape shape{sequences, tokens, heads, key_heads};
    NT_LAUNCH_MIX((peers::ChunkHKernel), cores, stream, k, w, u, g, bounds, workspace, states, v,
                  final_state, shape);
    return 0;
}
