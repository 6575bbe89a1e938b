#include "tiling.h"

#include <algorithm>

#include "../core/tiling.h"

namespace neumann_tril {

namespace {

bool IsHalf(int32_t dtype) { return dtype == NT_FLOAT16 || dtype == NT_BFLOAT16; }
bool IsFloat(int32_t dtype) { return IsHalf(dtype) || dtype == NT_FLOAT32; }
bool IsSize(int32_t size) { return size >= 16 && size <= 256 && size % 16 == 0; }

const char* RefuseDtypes(const nt_npu_rule& rule) {
    if (!IsHalf(rule.dtype)) {
        return "q, k, v must be float16 or bfloat16 on the NPU";
    }
    if (!IsHalf(rule.compute_dtype) ||
        (rule.dtype == NT_FLOAT16 && rule.compute_dtype == NT_BFLOAT16)) {
        return "compute_dtype must be float16, or bfloat16 as q, k, v, on the NPU";
    }
    if (rule.g.data_dtype != NT_NONE && !IsFloat(rule.g.data_dtype)) {
        return "g must be float16, bfloat16 or float32 on the NPU";
    }
    if (!IsFloat(rule.beta.data_dtype)) {
        return "beta must be float16, bfloat16 or float32 on the NPU";
    }
    return nullptr;
}

const char* RefuseShape(const nt_npu_rule& rule) {
    if (!IsSize(rule.key_size) || !IsSize(rule.value_size)) {
        return "K and V must be multiples of 16 from 16 to 256 on the NPU";
    }
    if (rule.heads < 1 || rule.value_heads < 1 || rule.value_heads % rule.heads != 0) {
        return "HV must be a positive multiple of H";
    }
    if (rule.sequences < 0 || rule.length < 0) {
        return "sequences and length must not be negative";
    }
    if (int64_t{rule.value_heads} * rule.value_size > 0xFFFFFFFFLL / 4) {
        return "HV V must be below 2^30 on the NPU";
    }
    return rule.cube_cores < 1 ? "cube_cores must be at least 1" : nullptr;
}

const char* Refuse(const nt_npu_rule& rule) {
    if (rule.plan.chunk_size != kRuleChunk) {
        return "chunk_size must be 64 for the chunk rule on the NPU";
    }
    if (const char* reason = nt_plan_error(&rule.plan)) return reason;
    if (rule.plan.splits == 0 && rule.plan.terms == 1 && rule.plan.refinements == 0) {
        return "the chunk rule on the NPU takes plans with products";
    }
    if (const char* reason = RefuseDtypes(rule)) return reason;
    return RefuseShape(rule);
}

// The widest tile with which the state fits: (128, 128), or as much.
int32_t ValueTile(const nt_npu_rule& rule) {
    const int32_t most = rule.key_size <= 128 ? 128 : 64;
    const int32_t tiles = (rule.value_size + most - 1) / most;
    for (int32_t n = tiles;; ++n) {
        if (rule.value_size % n == 0 && rule.value_size / n % 16 == 0) {
            return rule.value_size / n;
        }
    }
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

}  // namespace

RuleTiling Tile(const nt_npu_rule& rule) {
    RuleTiling tiling;
    tiling.refusal = Refuse(rule);
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    RuleTask& task = tiling.task;
    task.inverse = InverseOfBatch(rule.plan, rule.compute_dtype);
    task.key_size = rule.key_size;
    task.value_size = rule.value_size;
    task.value_tile = ValueTile(rule);
    task.value_tiles = task.value_size / task.value_tile;
    task.heads = rule.heads;
    task.value_heads = rule.value_heads;
    task.sequences = rule.sequences;
    task.length = rule.length;
    task.streams = rule.sequences * rule.value_heads * task.value_tiles;
    task.q = StridesOf(rule.q);
    task.k = StridesOf(rule.k);
    task.v = StridesOf(rule.v);
    task.g = StridesOf(rule.g.strides);
    task.beta = StridesOf(rule.beta.strides);
    task.g_dtype = rule.g.data_dtype;
    task.beta_dtype = rule.beta.data_dtype;
    task.packed = rule.packed;
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

}  // namespace neumann_tril
