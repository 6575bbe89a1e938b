// What the published kernels of the chunk rule are made of, for C = K = V = 128: the instructions
// that their tile library issues for a tile, in its granularity.
//
// A tile is 128 x 128 float16, 32 KB in L1; a vector core has its upper or its lower 64 rows. Every
// stage goes through global memory. Nothing is buffered twice: each product waits for its operands,
// its operands for the product before, and its result leaves before the next.
#pragma once

#include "../../csrc/ascendc/core/launch.h"
#include "neumann_tril.h"

namespace peers {

constexpr int32_t kSide = 128;            // C, K and V
constexpr int32_t kRows = kSide / 2;      // of a tile on a vector core
constexpr int32_t kTile = kSide * kSide;  // elements
constexpr int32_t kHalf = kRows * kSide;  // elements of a vector core's part
constexpr int32_t kFractal = 256;         // elements
constexpr int32_t kFractals = kSide / 16;

template <typename T>
using Local = AscendC::LocalTensor<T>;
template <typename T>
using Global = AscendC::GlobalTensor<T>;

template <typename T>
__aicore__ inline Global<T> GlobalOf(GM_ADDR address) {
    Global<T> tensor;
    tensor.SetGlobalBuffer((__gm__ T*)address);
    return tensor;
}

// One pipe waits for all that another has been given so far.
template <AscendC::HardEvent event>
__aicore__ inline void Sync(int32_t id) {
    AscendC::SetFlag<event>(id);
    AscendC::WaitFlag<event>(id);
}

// What a call works on: sequences of whole chunks one after another, `tokens` in all; the value
// heads, and the key heads that groups of them share. Q and K are (tokens, key heads, K), V and
// its likes (tokens, heads, V), A (tokens, heads, C), gates (heads, tokens).
struct Shape {
    int32_t sequences, tokens, heads, key_heads;

    __aicore__ inline int32_t KeyHead(int32_t head) const { return head * key_heads / heads; }
    __aicore__ inline int64_t Keys(int64_t token, int32_t head) const {
        return (token * key_heads + KeyHead(head)) * kSide;
    }
    __aicore__ inline int64_t Values(int64_t token, int32_t head) const {
        return (token * heads + head) * kSide;
    }
    __aicore__ inline int64_t Gates(int64_t token, int32_t head) const {
        return int64_t{head} * tokens + token;
    }
    __aicore__ inline int32_t KeyStride() const { return key_heads * kSide; }
    __aicore__ inline int32_t ValueStride() const { return heads * kSide; }
};

// --- cube

__aicore__ inline Local<half> TileInL1(int32_t i) {
    return Local<half>(AscendC::TPosition::A1, i * kTile * sizeof(half), kTile);
}
__aicore__ inline Local<float> SumInL0C(int32_t i) {
    return Local<float>(AscendC::TPosition::CO1, i * kTile * sizeof(float), kTile);
}

__aicore__ inline void LoadTile(const Local<half>& tile, const Global<half>& rows, int32_t stride) {
    AscendC::DataCopy(
        tile, rows,
        AscendC::Nd2NzParams{1, kSide, kSide, 0, static_cast<uint16_t>(stride), kSide, 1, 0});
}

// One LoadData3D, the tile as an image of 1 x 128 pixels with 128 channels.
__aicore__ inline void LoadImage(const Local<half>& operand, const Local<half>& tile,
                                 bool transpose) {
    const uint8_t pads[4] = {0, 0, 0, 0};
    AscendC::LoadData(
        operand, tile,
        AscendC::LoadData3DParamsV2<half>{pads, 1, kSide, kSide, kSide, kSide, 0, 0, 1, 1, 1, 1, 1,
                                          1, transpose, false, half{}});
}

// The transposed tile as B: its fractals as they are, eight at a time.
__aicore__ inline void LoadFractals(const Local<half>& operand, const Local<half>& tile) {
    for (uint16_t i = 0; i < kFractals; ++i) {
        AscendC::LoadData(
            operand[i * kFractal], tile,
            AscendC::LoadData2DParams{i, kFractals, kFractals, 0, kFractals - 1, false, 0});
    }
}

// sum = A B or A^T B or A B^T. `id`: the event of its flags, another one where nothing lets the
// product wait for the way out of the sum before.
enum class Form { kPlain, kTransposedA, kTransposedB };
template <Form form>
__aicore__ inline void Multiply(const Local<float>& sum, const Local<half>& a, const Local<half>& b,
                                int32_t id = 1) {
    const Local<half> left(AscendC::TPosition::A2, 0, kTile);
    const Local<half> right(AscendC::TPosition::B2, 0, kTile);
    Sync<AscendC::HardEvent::MTE2_MTE1>(id);
    Sync<AscendC::HardEvent::M_MTE1>(id);
    LoadImage(left, a, form == Form::kTransposedA);
    if constexpr (form == Form::kTransposedB) {
        LoadFractals(right, b);
    } else {
        LoadImage(right, b, false);
    }
    Sync<AscendC::HardEvent::MTE1_M>(id);
    AscendC::Mmad(sum, left, right, AscendC::MmadParams{kSide, kSide, kSide, 0, false, true});
    Sync<AscendC::HardEvent::MTE1_MTE2>(id);
    Sync<AscendC::HardEvent::M_FIX>(id);
}

__aicore__ inline void StoreSum(const Global<half>& rows, const Local<float>& sum, int32_t stride) {
    AscendC::FixpipeParamsV220 params;
    params.nSize = kSide;
    params.mSize = kSide;
    params.srcStride = kSide;
    params.dstStride = stride;
    params.quantPre = QuantMode_t::F322F16;
    params.ndNum = 1;
    params.srcNdStride = 0;
    params.dstNdStride = 0;
    AscendC::Fixpipe<half, float, AscendC::CFG_ROW_MAJOR>(rows, sum, params);
}

// --- vector cores

// `count` elements of T from byte `address` of the Unified Buffer.
template <typename T>
__aicore__ inline Local<T> InUB(uint32_t address, int32_t count) {
    return Local<T>(AscendC::TPosition::VECCALC, address, count);
}

template <typename T>
__aicore__ inline void LoadRows(const Local<T>& rows, const Global<T>& source, int32_t count,
                                int32_t length, int32_t stride) {
    AscendC::DataCopyPad(
        rows, source,
        AscendC::DataCopyExtParams{static_cast<uint16_t>(count),
                                   static_cast<uint32_t>(length * sizeof(T)),
                                   static_cast<uint32_t>((stride - length) * sizeof(T)), 0, 0},
        AscendC::DataCopyPadExtParams<T>{false, 0, 0, T{}});
}
template <typename T>
__aicore__ inline void LoadRow(const Local<T>& row, const Global<T>& source, int32_t length) {
    LoadRows(row, source, 1, length, length);
}
__aicore__ inline void LoadHalf(const Local<half>& rows, const Global<half>& source,
                                int32_t stride) {
    LoadRows(rows, source, kRows, kSide, stride);
}
__aicore__ inline void StoreHalf(const Global<half>& target, const Local<half>& rows,
                                 int32_t stride) {
    AscendC::DataCopyPad(
        target, rows,
        AscendC::DataCopyExtParams{kRows, kSide * sizeof(half), 0,
                                   static_cast<uint32_t>((stride - kSide) * sizeof(half)), 0});
}

__aicore__ inline void VectorBarrier() { AscendC::PipeBarrier<PIPE_V>(); }

constexpr int32_t kLanes = 64;  // float32 elements of an iteration

// Row by row, one instruction each; they need no barrier among themselves.
template <typename To, typename From>
__aicore__ inline void Convert(const Local<To>& to, const Local<From>& from, int32_t rows = kRows) {
    const AscendC::RoundMode mode =
        sizeof(To) < sizeof(From) ? AscendC::RoundMode::CAST_RINT : AscendC::RoundMode::CAST_NONE;
    for (int32_t i = 0; i < rows; ++i) {
        AscendC::Cast<To, From, false>(to[i * kSide], from[i * kSide], mode, uint64_t{kLanes},
                                       kSide / kLanes, {1, 1, sizeof(To) * 2, sizeof(From) * 2});
    }
}
__aicore__ inline void Move(const Local<float>& to, const Local<float>& from, int32_t count) {
    AscendC::DataCopy(to, from, AscendC::DataCopyParams{1, static_cast<uint16_t>(count / 8), 0, 0});
}
// Row i is filled with column[i], which the scalar unit reads.
__aicore__ inline void ExpandColumn(const Local<float>& rows, const Local<float>& column) {
    for (int32_t i = 0; i < kRows; ++i) {
        Sync<AscendC::HardEvent::V_S>(0);
        const float value = column.GetValue(i);
        Sync<AscendC::HardEvent::S_V>(0);
        AscendC::Duplicate<float, false>(rows[i * kSide], value, uint64_t{kLanes}, kSide / kLanes,
                                         1, 8);
    }
}
// Every row is `row`, by a copy each.
__aicore__ inline void ExpandRow(const Local<float>& rows, const Local<float>& row) {
    for (int32_t i = 0; i < kRows; ++i) {
        Move(rows[i * kSide], row, kSide);
    }
}

// --- cores

constexpr uint8_t kBothVectors = 2;  // the mode of the cross-core flags
template <pipe_t pipe>
__aicore__ inline void Signal(int32_t flag) {
    AscendC::CrossCoreSetFlag<kBothVectors, pipe>(flag);
}
__aicore__ inline void Await(int32_t flag) { AscendC::CrossCoreWaitFlag<kBothVectors>(flag); }

__aicore__ inline void StartVector() {
    AscendC::SetMaskNorm();
    AscendC::SetVectorMask<float>(~uint64_t{0}, ~uint64_t{0});
}

// (sequence, head) pairs of this core, in turn: task(first token, chunks, sequence, head).
template <typename Task>
__aicore__ inline void ForSequences(const Shape& shape, const Global<int32_t>& bounds, Task task) {
    const int32_t step = static_cast<int32_t>(AscendC::GetBlockNum());
    int32_t item = static_cast<int32_t>(AscendC::GetBlockIdx() / AscendC::GetTaskRatio());
    for (; item < shape.sequences * shape.heads; item += step) {
        const int32_t sequence = item / shape.heads;
        const int32_t first = bounds.GetValue(sequence);
        const int32_t end = bounds.GetValue(sequence + 1);
        task(first, (end - first) / kSide, sequence, item % shape.heads);
    }
}

// (chunk, head) pairs of this core, in turn: task(first token, chunk, head).
template <typename Task>
__aicore__ inline void ForChunks(const Shape& shape, const Global<int32_t>& bounds, Task task) {
    const int32_t step = static_cast<int32_t>(AscendC::GetBlockNum());
    const int32_t core = static_cast<int32_t>(AscendC::GetBlockIdx() / AscendC::GetTaskRatio());
    int32_t item = 0, chunk = 0;
    for (int32_t sequence = 0; sequence < shape.sequences; ++sequence) {
        const int32_t end = bounds.GetValue(sequence + 1);
        for (int32_t token = bounds.GetValue(sequence); token < end; token += kSide, ++chunk) {
            for (int32_t head = 0; head < shape.heads; ++head, ++item) {
                if (item % step == core) task(token, chunk, head);
            }
        }
    }
}

}  // namespace peers
