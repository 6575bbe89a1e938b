// A call of NeumannTrilInverse as the framework would make it: attributes, shapes, dtypes ->
// tiling.
#pragma once

#include <string>

#include "operator.h"

inline const ops::OpDef& Operator() { return ops::Registered().at("NeumannTrilInverse"); }

struct Call {
    std::vector<int64_t> shape;
    std::string layout = "dense", plan = "exact", compute_dtype = "", output_dtype = "";
    ge::DataType a = ge::DT_FLOAT16, x = ge::DT_FLOAT16;
    std::vector<int64_t> first_row{}, valid_rows{};  // shapes of the tables; empty: absent
    uint32_t cube_cores = 20;
};

inline gert::RuntimeAttrs Attributes(const Call& call) {
    gert::RuntimeAttrs attributes;
    attributes.values = {call.layout, call.plan, call.compute_dtype, call.output_dtype};
    return attributes;
}

inline gert::TilingContext Context(const Call& call, uint32_t library_workspace) {
    gert::TilingContext context;
    context.attributes = Attributes(call);
    context.shapes.push_back(std::make_unique<gert::StorageShape>(gert::Shape(call.shape)));
    context.shapes.push_back(Storage(call.first_row));
    context.shapes.push_back(Storage(call.valid_rows));
    context.inputs.emplace_back(call.a);
    context.outputs.emplace_back(call.x);
    context.platform = {call.cube_cores, library_workspace};
    return context;
}
