// The host side of NeumannTrilChunkGatedDeltaRule: registration, inference, and a tiling that is
// the C interface's.
#include <cstring>

#include "../../csrc/ascendc/gated_delta/tiling.h"
#include "rule_call.h"

namespace {

constexpr uint32_t kLibraryWorkspace = 16 << 20;

void CheckDefinition() {
    const ops::OpDef& op = Operator();
    const char* const inputs[] = {"q", "k", "v", "beta", "g", "initial_state", "cu_seqlens"};
    const char* const outputs[] = {"o", "final_state", "chunk_states", "x"};
    CHECK(op.inputs.size() == kInputs && op.outputs.size() == kOutputs);
    for (size_t n = 0; n < kInputs; ++n) {
        CHECK(op.inputs[n].name == inputs[n]);
        CHECK(op.inputs[n].option == (n <= kBeta ? ops::REQUIRED : ops::OPTIONAL));
        CHECK(op.inputs[n].contiguous);
    }
    for (size_t n = 0; n < kOutputs; ++n) CHECK(op.outputs[n].name == outputs[n]);
    for (const auto* list : {&op.inputs, &op.outputs}) {
        for (const ops::OpParamDef& parameter : *list) {
            CHECK(parameter.dtypes.size() == 8 && parameter.formats.size() == 8);
        }
    }
    CHECK(op.attributes.size() == 7);
    for (size_t n = 0; n < op.attributes.size(); ++n) {
        CHECK(op.attributes[n].option == (n == 0 ? ops::REQUIRED : ops::OPTIONAL));
    }
    CHECK(op.core.chips.size() == 3);
}

void CheckShapes(const Call& call, const std::vector<Dims>& expected) {
    const std::vector<gert::Shape> inferred = InferredShapes(call);
    for (size_t n = 0; n < kOutputs; ++n) CHECK(inferred[n] == gert::Shape(expected[n]));
}

void CheckInference() {
    Call batched({2, 130, 2, 4, 32, 16});
    CheckShapes(batched, {{2, 130, 4, 16}, {2, 4, 32, 16}, {2, 3, 4, 32, 16}, {2, 130, 4, 64}});
    batched.final_state = batched.x = false;
    CheckShapes(batched, {{2, 130, 4, 16}, {0}, {2, 3, 4, 32, 16}, {0}});
    const Call packed({1, 130, 2, 4, 32, 16, 5});
    CheckShapes(packed, {{1, 130, 4, 16}, {5, 4, 32, 16}, {1, 7, 4, 32, 16}, {1, 130, 4, 64}});
    // Sizes that are not known yet.
    Call dynamic({-1, -1, 2, 4, 32, 16});
    CheckShapes(dynamic, {{-1, -1, 4, 16}, {-1, 4, 32, 16}, {-1, -1, 4, 32, 16}, {-1, -1, 4, 64}});
    dynamic = Call({1, 130, 2, 4, 32, 16, 5});
    dynamic.shapes[kCuSeqlens] = {-1};
    CheckShapes(dynamic, {{1, 130, 4, 16}, {-1, 4, 32, 16}, {1, -1, 4, 32, 16}, {1, 130, 4, 64}});

    gert::InferDataTypeContext dtypes;
    dtypes.input = ge::DT_BF16;
    CHECK(Operator().infer_dtype(&dtypes) == ge::GRAPH_SUCCESS);
    CHECK(dtypes.outputs.at(kO) == ge::DT_BF16);
    for (size_t n = kFinalState; n < kOutputs; ++n) CHECK(dtypes.outputs.at(n) == ge::DT_FLOAT);
}

void CheckShapesRefused(const Call& call) {
    gert::InferShapeContext context;
    context.attributes = call.Attributes();
    for (const Dims& dims : call.shapes) {
        context.inputs.push_back(dims.empty() ? nullptr : std::make_unique<gert::Shape>(dims));
    }
    context.outputs.resize(kOutputs);
    CHECK(Operator().infer_shape(&context) == ge::GRAPH_FAILED);
}

// The tiling through the registration must be that of the C interface.
void CheckSameTiling(const Call& call, const Sizes& sizes) {
    const nt_npu_rule rule = Rule(call, sizes);
    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_SUCCESS);
    const neumann_tril::RuleTiling expected = neumann_tril::Tile(rule);
    CHECK(expected.refusal == nullptr);
    CHECK(context.tiling_data.size() == sizeof(neumann_tril::RuleTask));
    CHECK(std::memcmp(context.tiling_data.data(), &expected.task, sizeof(expected.task)) == 0);
    CHECK(context.blocks == static_cast<uint32_t>(expected.blocks > 0 ? expected.blocks : 1));
    CHECK(context.workspace == kLibraryWorkspace + static_cast<size_t>(expected.workspace_bytes));
    CHECK(context.tiling_key == 1000u * static_cast<uint32_t>(rule.compute_dtype) + 64);
}

void CheckTilings() {
    const Sizes batched{2, 130, 2, 4, 128, 256};
    CheckSameTiling(Call(batched), batched);
    Call call(batched, ge::DT_BF16, ge::DT_BF16, false);
    call.shapes[kG].clear();
    call.normalize = true;
    call.final_state = call.chunk_states = false;
    CheckSameTiling(call, batched);
    call.compute_dtype = "bfloat16";
    call.plan = "fast";
    call.x = false;
    CheckSameTiling(call, batched);
    const Sizes packed{1, 1000, 3, 3, 256, 16, 7};
    CheckSameTiling(Call(packed), packed);
    const Sizes empty{0, 130, 2, 4, 32, 16};
    CheckSameTiling(Call(empty), empty);
}

void CheckRefused(const Call& call) {
    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_FAILED);
    CHECK(context.blocks == 0 && context.tiling_data.empty());
}

void CheckRefusals() {
    const Sizes sizes{1, 100, 2, 4, 32, 16};
    for (Input input : {kQ, kV, kCuSeqlens}) {
        Call call(sizes);
        call.shapes[input] = {1, 100};
        CheckShapesRefused(call);
        CheckRefused(call);
    }
    for (Input input : {kK, kBeta, kG, kInitialState}) {
        Call call(sizes);
        call.shapes[input].back() += 1;
        CheckRefused(call);
    }
    Call call(sizes);
    call.shapes[kV][1] = 99;
    CheckRefused(call);
    CheckRefused(Call({2, 100, 2, 4, 32, 16, 3}));  // packed, with a batch of two
    call = Call(sizes);
    call.shapes[kCuSeqlens] = {0};
    CheckRefused(call);
    CheckRefused(Call({1, 100, 2, 4, 40, 16}));
    CheckRefused(Call({1, 100, 2, 3, 32, 16}));
    for (Input input : {kQ, kK, kBeta, kG}) {
        call = Call(sizes);
        call.dtypes[input] = ge::DT_INT32;
        CheckRefused(call);
    }
    call = Call(sizes);
    call.compute_dtype = "float8";
    CheckRefused(call);
    call.compute_dtype = "bfloat16";  // of float16 tokens
    CheckRefused(call);
    call = Call(sizes);
    call.plan = "best";
    CheckRefused(call);
    call.plan = "32:3:8:sequential:0:0";
    CheckRefused(call);
    call = Call(sizes);
    call.cube_cores = 0;
    CheckRefused(call);
}

}  // namespace

int main() {
    CheckDefinition();
    CheckInference();
    CheckTilings();
    CheckRefusals();
    std::printf("%s\n", failures != 0 ? "failed" : "passed");
    return failures != 0;
}
