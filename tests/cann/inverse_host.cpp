// The custom operator's host side: registration, inference, and a tiling that is the C interface's.
#include <cstring>

#include "../../csrc/ascendc/inverse/tiling.h"
#include "inverse_call.h"
#include "neumann_tril_npu.h"

namespace {

constexpr uint32_t kLibraryWorkspace = 16 << 20;

void CheckDefinition() {
    const ops::OpDef& op = Operator();
    CHECK(op.inputs.size() == 3 && op.outputs.size() == 1 && op.attributes.size() == 4);
    CHECK(op.inputs[0].name == "a" && op.inputs[0].option == ops::REQUIRED);
    CHECK(op.inputs[0].contiguous);
    CHECK(op.inputs[1].option == ops::OPTIONAL && op.inputs[2].option == ops::OPTIONAL);
    for (const auto* list : {&op.inputs, &op.outputs}) {
        for (const ops::OpParamDef& parameter : *list) {
            CHECK(parameter.dtypes.size() == 5 && parameter.formats.size() == 5);
        }
    }
    for (const ops::OpAttrDef& attribute : op.attributes) {
        CHECK(attribute.option == ops::OPTIONAL);
    }
    CHECK(op.core.chips.size() == 3);
}

void CheckInference() {
    gert::InferShapeContext shapes;
    shapes.inputs.push_back(std::make_unique<gert::Shape>(gert::Shape({2, 75, 3, 32})));
    shapes.outputs.resize(1);
    CHECK(Operator().infer_shape(&shapes) == ge::GRAPH_SUCCESS);
    CHECK(shapes.outputs[0] == *shapes.inputs[0]);

    const std::pair<const char*, ge::DataType> cases[] = {{"", ge::DT_BF16},
                                                          {"float32", ge::DT_FLOAT},
                                                          {"float16", ge::DT_FLOAT16},
                                                          {"bfloat16", ge::DT_BF16}};
    for (const auto& [name, dtype] : cases) {
        gert::InferDataTypeContext dtypes;
        dtypes.attributes = Attributes({{}, "dense", "exact", "", name});
        dtypes.input = ge::DT_BF16;
        CHECK(Operator().infer_dtype(&dtypes) == ge::GRAPH_SUCCESS);
        CHECK(dtypes.outputs.at(0) == dtype);
    }
    gert::InferDataTypeContext unknown;
    unknown.attributes = Attributes({{}, "dense", "exact", "", "float8"});
    CHECK(Operator().infer_dtype(&unknown) == ge::GRAPH_FAILED);
}

// The tiling through the registration must be that of the C interface for `inversion`.
void CheckSameTiling(const Call& call, const nt_npu_inversion& inversion, int32_t operands) {
    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_SUCCESS);
    const neumann_tril::Tiling expected = neumann_tril::Tile(inversion);
    CHECK(expected.refusal == nullptr);
    CHECK(context.tiling_data.size() == sizeof(neumann_tril::InverseTask));
    neumann_tril::InverseTask task;
    std::memcpy(&task, context.tiling_data.data(), sizeof(task));
    CHECK(std::memcmp(&task, &expected.task, sizeof(task)) == 0);
    CHECK(context.blocks == static_cast<uint32_t>(expected.blocks > 0 ? expected.blocks : 1));
    CHECK(context.workspace ==
          kLibraryWorkspace + static_cast<size_t>(nt_npu_workspace_bytes(&inversion)));
    CHECK(expected.operands == operands);
    CHECK(context.tiling_key ==
          1000u * static_cast<uint32_t>(operands) + static_cast<uint32_t>(task.plan.chunk_size));
}

nt_npu_inversion Inversion(const char* plan, int32_t chunk_size, int32_t a, int32_t x,
                           int32_t compute) {
    nt_npu_inversion inversion{};
    inversion.a_dtype = a;
    inversion.x_dtype = x;
    inversion.compute_dtype = compute;
    inversion.cube_cores = 20;
    CHECK(nt_plan_named(&inversion.plan, plan, chunk_size, compute) == nullptr);
    return inversion;
}

void CheckTilings() {
    nt_npu_inversion inversion = Inversion("exact", 64, NT_FLOAT16, NT_FLOAT16, NT_FLOAT16);
    nt_chunks_dense(&inversion.chunks, 64, 15);
    CheckSameTiling({{3, 5, 64, 64}}, inversion, NT_FLOAT16);
    nt_chunks_dense(&inversion.chunks, 64, 1);
    CheckSameTiling({{64, 64}}, inversion, NT_FLOAT16);
    nt_chunks_dense(&inversion.chunks, 64, 0);
    CheckSameTiling({{0, 64, 64}}, inversion, NT_FLOAT16);

    inversion = Inversion("paper", 128, NT_BFLOAT16, NT_FLOAT32, NT_BFLOAT16);
    nt_chunks_time(&inversion.chunks, 128, NT_BTHC, 2, 300, 4);
    Call call{{2, 300, 4, 128}, "bthc", "paper", "", "float32", ge::DT_BF16, ge::DT_FLOAT};
    CheckSameTiling(call, inversion, NT_BFLOAT16);
    nt_chunks_time(&inversion.chunks, 128, NT_BHTC, 2, 300, 4);
    call.layout = "bhtc";
    call.shape = {2, 4, 300, 128};
    CheckSameTiling(call, inversion, NT_BFLOAT16);

    // float32 takes float16 operands, other operands on request, and none for plans without
    // products.
    const int64_t table = 0;
    inversion = Inversion("fast", 16, NT_FLOAT32, NT_FLOAT32, NT_FLOAT16);
    nt_chunks_packed(&inversion.chunks, 16, NT_BTHC, 100, 4, 9, &table, &table);
    Call packed{{100, 4, 16}, "thc", "fast", "", "", ge::DT_FLOAT, ge::DT_FLOAT, {9}, {9}};
    CheckSameTiling(packed, inversion, NT_FLOAT16);
    inversion.compute_dtype = NT_BFLOAT16;
    packed.compute_dtype = "bfloat16";
    CheckSameTiling(packed, inversion, NT_BFLOAT16);
    inversion = Inversion("fast", 16, NT_FLOAT32, NT_FLOAT32, NT_FLOAT32);
    nt_chunks_packed(&inversion.chunks, 16, NT_BHTC, 100, 4, 9, &table, &table);
    packed.compute_dtype = "float32";
    packed.layout = "htc";
    packed.shape = {4, 100, 16};
    CheckSameTiling(packed, inversion, NT_FLOAT32);
}

void CheckRefused(const Call& call) {
    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_FAILED);
    CHECK(context.blocks == 0 && context.tiling_data.empty());
}

void CheckRefusals() {
    CheckRefused({{64}});
    CheckRefused({{}});
    CheckRefused({{3, 32, 64}});
    CheckRefused({{3, 48, 48}});    // the NPU takes 16, 32, 64, 128
    CheckRefused({{3, 500, 500}});  // no chunk size
    CheckRefused({{1, 64, 1, 64}, "tbhc"});
    CheckRefused({{64, 1, 64}, "bthc"});
    CheckRefused({{64, 1, 64}, "thc"});  // without a table
    CheckRefused({{3, 64, 64}, "dense", "best"});
    CheckRefused({{3, 64, 64}, "dense", "32:3:8:sequential:0:0"});
    CheckRefused({{3, 64, 64}, "dense", "exact", "float8"});
    CheckRefused({{3, 64, 64}, "dense", "exact", "bfloat16"});  // of float16 matrices
    CheckRefused({{3, 64, 64}, "dense", "exact", "", "", ge::DT_INT32});
    CheckRefused({{3, 64, 64}, "dense", "exact", "", "", ge::DT_FLOAT16, ge::DT_INT64});
    Call table{{64, 1, 64}, "thc"};
    table.first_row = {3};
    CheckRefused(table);
    table.valid_rows = {2};
    CheckRefused(table);
    table.valid_rows = {3, 1};
    CheckRefused(table);
    table.valid_rows = {3};
    table.layout = "dense";
    table.shape = {64, 64};
    CheckRefused(table);
    Call no_cores{{3, 64, 64}};
    no_cores.cube_cores = 0;
    CheckRefused(no_cores);
}

}  // namespace

extern "C" int64_t nt_npu_workspace_bytes(const nt_npu_inversion* inversion) {
    return neumann_tril::Tile(*inversion).workspace_bytes;
}

int main() {
    CheckDefinition();
    CheckInference();
    CheckTilings();
    CheckRefusals();
    std::printf("%s\n", failures != 0 ? "failed" : "passed");
    return failures != 0;
}
