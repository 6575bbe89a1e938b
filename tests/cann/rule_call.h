// A call of NeumannTrilChunkGatedDeltaRule as the framework would make it, and as the C interface
// takes it.
#pragma once

#include <string>

#include "neumann_tril_npu.h"
#include "operator.h"

inline const ops::OpDef& Operator() {
    return ops::Registered().at("NeumannTrilChunkGatedDeltaRule");
}

enum Input { kQ, kK, kV, kBeta, kG, kInitialState, kCuSeqlens, kInputs };
enum Output { kO, kFinalState, kChunkStates, kX, kOutputs };
using Dims = std::vector<int64_t>;

struct Sizes {
    int64_t batch = 1, length = 100, heads = 1, value_heads = 2, key_size = 32, value_size = 16;
    int64_t sequences = 0;  // 0: not packed
};

struct Call {
    Dims shapes[kInputs];  // empty: absent
    ge::DataType dtypes[kInputs];
    float scale = 0.5f;
    bool normalize = false, final_state = true, chunk_states = true, x = true;
    std::string plan = "exact", compute_dtype = "";
    uint32_t cube_cores = 20;

    explicit Call(const Sizes& s, ge::DataType tokens = ge::DT_FLOAT16,
                  ge::DataType numbers = ge::DT_FLOAT, bool state = true) {
        const int64_t count = s.sequences == 0 ? s.batch : s.sequences;
        const Dims given[kInputs] = {
            {s.batch, s.length, s.heads, s.key_size},
            {s.batch, s.length, s.heads, s.key_size},
            {s.batch, s.length, s.value_heads, s.value_size},
            {s.batch, s.length, s.value_heads},
            {s.batch, s.length, s.value_heads},
            state ? Dims{count, s.value_heads, s.key_size, s.value_size} : Dims{},
            s.sequences == 0 ? Dims{} : Dims{s.sequences + 1}};
        for (int n = 0; n < kInputs; ++n) {
            shapes[n] = given[n];
            dtypes[n] = n <= kV              ? tokens
                        : n <= kG            ? numbers
                        : n == kInitialState ? ge::DT_FLOAT
                                             : ge::DT_INT64;
        }
    }

    bool Has(Input input) const { return !shapes[input].empty(); }
    gert::RuntimeAttrs Attributes() const {
        gert::RuntimeAttrs attributes;
        attributes.values = {scale, normalize, final_state, chunk_states, x, plan, compute_dtype};
        return attributes;
    }
};

inline gert::TilingContext Context(const Call& call, uint32_t library_workspace) {
    gert::TilingContext context;
    context.attributes = call.Attributes();
    for (int n = 0; n < kInputs; ++n) {
        context.shapes.push_back(Storage(call.shapes[n]));
        context.inputs.emplace_back(call.dtypes[n]);
    }
    context.outputs.emplace_back(call.dtypes[kQ]);
    for (int n = kFinalState; n < kOutputs; ++n) context.outputs.emplace_back(ge::DT_FLOAT);
    context.platform = {call.cube_cores, library_workspace};
    return context;
}

// The shapes that the operator gives its results.
inline std::vector<gert::Shape> InferredShapes(const Call& call) {
    gert::InferShapeContext context;
    context.attributes = call.Attributes();
    for (const Dims& dims : call.shapes) {
        context.inputs.push_back(dims.empty() ? nullptr : std::make_unique<gert::Shape>(dims));
    }
    context.outputs.resize(kOutputs);
    CHECK(Operator().infer_shape(&context) == ge::GRAPH_SUCCESS);
    return context.outputs;
}

// The call for the C interface, without pointers.
inline nt_npu_rule Rule(const Call& call, const Sizes& sizes) {
    const int64_t rows = sizes.heads * sizes.key_size,
                  columns = sizes.value_heads * sizes.value_size;
    nt_npu_rule rule{};
    rule.dtype = Code(call.dtypes[kQ]);
    rule.compute_dtype = call.compute_dtype == "bfloat16" ? NT_BFLOAT16 : NT_FLOAT16;
    rule.heads = static_cast<int32_t>(sizes.heads);
    rule.value_heads = static_cast<int32_t>(sizes.value_heads);
    rule.key_size = static_cast<int32_t>(sizes.key_size);
    rule.value_size = static_cast<int32_t>(sizes.value_size);
    rule.sequences = sizes.sequences == 0 ? sizes.batch : sizes.sequences;
    rule.length = sizes.length;
    rule.q = rule.k = {sizes.length * rows, rows, sizes.key_size};
    rule.v = {sizes.length * columns, columns, sizes.value_size};
    rule.g.strides = rule.beta.strides = {sizes.length * sizes.value_heads, sizes.value_heads, 1};
    rule.beta.data_dtype = Code(call.dtypes[kBeta]);
    rule.g.data_dtype = call.Has(kG) ? Code(call.dtypes[kG]) : NT_NONE;
    rule.packed = sizes.sequences != 0;
    rule.normalize = call.normalize;
    rule.initial_state = call.Has(kInitialState);
    rule.final_state = call.final_state;
    rule.chunk_states = call.chunk_states;
    rule.x = call.x;
    rule.scale = call.scale;
    rule.cube_cores = static_cast<int32_t>(call.cube_cores);
    CHECK(nt_plan_named(&rule.plan, call.plan.c_str(), 64, rule.compute_dtype) == nullptr);
    return rule;
}
