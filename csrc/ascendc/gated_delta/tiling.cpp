#include "tiling.h"

#include <algorithm>
#include <cmath>

#include "../core/tiling.h"

namespace neumann_tril {

namespace {

bool IsHalf(int32_t dtype) { return dtype == NT_FLOAT16 || dtype == NT_BFLOAT16; }
bool IsFloat(int32_t dtype) { return IsHalf(dtype) || dtype == NT_FLOAT32; }
bool IsSize(int32_t size) { return size >= 16 && size <= 256 && size % 16 == 0; }

const char* RefusePlanOfRule(const nt_plan& plan) {
    if (plan.chunk_size != kRuleChunk) {
        return "chunk_size must be 64 for the chunk rule on the NPU";
    }
    if (const char* reason = nt_plan_error(&plan)) return reason;
    return plan.splits == 0 && plan.terms == 1 && plan.refinements == 0
               ? "the chunk rule on the NPU takes plans with products"
               : nullptr;
}

// What both kernels are given.
template <class Call>
const char* RefuseCall(const Call& call) {
    if (const char* reason = RefusePlanOfRule(call.plan)) return reason;
    if (!IsHalf(call.dtype)) {
        return "q, k, v must be float16 or bfloat16 on the NPU";
    }
    if (!IsHalf(call.compute_dtype) ||
        (call.dtype == NT_FLOAT16 && call.compute_dtype == NT_BFLOAT16)) {
        return "compute_dtype must be float16, or bfloat16 as q, k, v, on the NPU";
    }
    if (call.g.data_dtype != NT_NONE && !IsFloat(call.g.data_dtype)) {
        return "g must be float16, bfloat16 or float32 on the NPU";
    }
    if (!IsFloat(call.beta.data_dtype)) {
        return "beta must be float16, bfloat16 or float32 on the NPU";
    }
    if (!IsSize(call.key_size) || !IsSize(call.value_size)) {
        return "K and V must be multiples of 16 from 16 to 256 on the NPU";
    }
    if (call.heads < 1 || call.value_heads < 1 || call.value_heads % call.heads != 0) {
        return "HV must be a positive multiple of H";
    }
    if (call.sequences < 0 || call.length < 0) {
        return "sequences and length must not be negative";
    }
    // Rows of results are at most 2^32 bytes apart.
    if (int64_t{call.value_heads} * std::max(call.key_size, call.value_size) >= (1 << 30)) {
        return "HV K and HV V must be below 2^30 on the NPU";
    }
    return call.cube_cores < 1 ? "cube_cores must be at least 1" : nullptr;
}

// The widest tile with which the state fits: (128, 128), or as much.
int32_t ValueTile(const nt_npu_rule& rule) {
    const int32_t most = rule.key_size <= 128 ? 128 : 64;
    int32_t tiles = (rule.value_size + most - 1) / most;
    while (rule.value_size % (16 * tiles) != 0) ++tiles;
    return rule.value_size / tiles;
}

TokenStrides StridesOf(const nt_token_strides& strides) {
    return TokenStrides{strides.batch, strides.time, strides.head};
}

InverseTask InverseOfBatch(const nt_plan& plan, int32_t compute_dtype) {
    nt_chunks chunks{};
    chunks.dims = 1;
    chunks.chunk_dim = -1;
    chunks.size[0] = kRuleBatch;
    chunks.a_stride[0] = chunks.x_stride[0] = kSquare;
    chunks.a_row_stride = chunks.x_row_stride = kRuleChunk;
    chunks.a_column_stride = chunks.x_column_stride = 1;
    InverseTask task{};
    task.chunks = ChunkTaskOf(kRuleChunk, chunks, compute_dtype, NT_FLOAT32);
    task.plan = plan;
    task.leaf = kRuleChunk >> plan.splits;
    task.cube = 1;
    const bool joined_last = plan.refinements == 0 && plan.splits > 0;
    task.result_seeds = plan.refinements == 0 && plan.terms == 1;
    task.zero_side = task.result_seeds != 0 ? 16 : joined_last ? task.leaf : kRuleChunk;
    return task;
}

template <class Call>
RuleTask TaskOf(const Call& call) {
    RuleTask task{};
    task.inverse = InverseOfBatch(call.plan, call.compute_dtype);
    task.key_size = call.key_size;
    task.value_size = call.value_size;
    task.heads = call.heads;
    task.value_heads = call.value_heads;
    task.sequences = call.sequences;
    task.length = call.length;
    task.k = StridesOf(call.k);
    task.v = StridesOf(call.v);
    task.g = StridesOf(call.g.strides);
    task.beta = StridesOf(call.beta.strides);
    task.g_dtype = call.g.data_dtype;
    task.beta_dtype = call.beta.data_dtype;
    task.packed = call.packed;
    return task;
}

}  // namespace

RuleTiling Tile(const nt_npu_rule& rule) {
    RuleTiling tiling;
    tiling.refusal = RefuseCall(rule);
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    RuleTask& task = tiling.task;
    task = TaskOf(rule);
    task.value_tile = ValueTile(rule);
    task.value_tiles = task.value_size / task.value_tile;
    task.streams = rule.sequences * rule.value_heads * task.value_tiles;
    task.q = StridesOf(rule.q);
    task.normalize = rule.normalize;
    task.initial_state = rule.initial_state != 0;
    task.final_state = rule.final_state != 0;
    task.chunk_states = rule.chunk_states != 0;
    task.x = rule.x != 0;
    task.scale = rule.scale;
    tiling.blocks = static_cast<int32_t>(std::min<int64_t>(task.streams, rule.cube_cores));
    const RuleWorkspace places{task.key_size, task.value_tile, task.inverse.leaf,
                               task.initial_state};
    tiling.workspace_bytes = tiling.blocks * places.Bytes();
    return tiling;
}

RuleTiling Tile(const nt_npu_intra& intra) {
    RuleTiling tiling;
    tiling.refusal = RefuseCall(intra);
    if (tiling.refusal == nullptr && intra.x_dtype != NT_NONE && intra.x_dtype != NT_FLOAT32 &&
        intra.x_dtype != intra.dtype) {
        tiling.refusal = "X must be float32 or of the dtype of k and v on the NPU";
    }
    if (tiling.refusal == nullptr && !std::isfinite(intra.gate_unit)) {
        tiling.refusal = "gate_unit must be finite";
    }
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    RuleTask& task = tiling.task;
    task = TaskOf(intra);
    task.value_tile = task.value_size;
    task.value_tiles = 1;
    task.x = intra.x_dtype != NT_NONE;
    task.x_dtype = intra.x_dtype;
    task.gate_unit = intra.gate_unit;
    // Packed sequences have as many chunks as full ones, and one more each; two are work for a
    // core.
    const int64_t chunks = intra.packed != 0
                               ? intra.length / kRuleChunk + intra.sequences
                               : intra.sequences * ((intra.length + kRuleChunk - 1) / kRuleChunk);
    tiling.blocks = static_cast<int32_t>(
        std::min<int64_t>((chunks * intra.value_heads + 1) / 2, intra.cube_cores));
    tiling.workspace_bytes = tiling.blocks * BatchWorkspace::End(task.inverse.leaf);
    return tiling;
}

}  // namespace neumann_tril
