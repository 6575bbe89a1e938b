// NeumannTrilChunkGatedDeltaRule from its attributes to its results: its tiling and its kernel
// entry on the emulator must give, bit for bit, what the C interface of the kernels gives.
#include <array>

#include "memory.h"
#include "rule_call.h"
#include "standin/operator_kernel.h"

#define ENTRY(name)                                                                              \
    extern "C" void name(GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, \
                         GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR)
ENTRY(neumann_tril_chunk_gated_delta_rule_float16);
ENTRY(neumann_tril_chunk_gated_delta_rule_bfloat16);

namespace {

size_t Bytes(const gert::Shape& shape, ge::DataType dtype) {
    size_t bytes = dtype == ge::DT_INT64 ? 8 : ItemSize(dtype);
    for (size_t d = 0; d < shape.GetDimNum(); ++d) bytes *= static_cast<size_t>(shape.GetDim(d));
    return bytes;
}

// The results of a call.
using Results = std::array<std::unique_ptr<Memory>, kOutputs>;
Results ResultsOf(const Call& call) {
    const std::vector<gert::Shape> shapes = InferredShapes(call);
    Results results;
    for (size_t n = 0; n < kOutputs; ++n) {
        const ge::DataType dtype = n == kO ? call.dtypes[kQ] : ge::DT_FLOAT;
        results[n] = std::make_unique<Memory>(Bytes(shapes[n], dtype), false);
    }
    return results;
}

using Inputs = std::array<std::unique_ptr<Memory>, kInputs>;
Inputs InputsOf(const Call& call, const std::vector<int64_t>& cu_seqlens) {
    Inputs inputs;
    for (int n = 0; n < kInputs; ++n) {
        if (call.shapes[n].empty()) continue;
        const gert::Shape shape(call.shapes[n]);
        inputs[n] = std::make_unique<Memory>(Bytes(shape, call.dtypes[n]), true);
        if (n == kCuSeqlens) {
            std::memcpy(inputs[n]->get(), cu_seqlens.data(), inputs[n]->bytes());
        } else {
            FillRandomly(*inputs[n], call.dtypes[n]);
        }
    }
    return inputs;
}

uint8_t* Address(const std::unique_ptr<Memory>& memory) {
    return memory == nullptr ? nullptr : memory->get();
}

void RunOperator(const Call& call, const Inputs& in, const Results& out) {
    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_SUCCESS);
    const Memory workspace(context.workspace, false);
    launched_tiling_key = context.tiling_key;
    emulator_clear_report();
    const auto entry = call.dtypes[kQ] == ge::DT_FLOAT16
                           ? neumann_tril_chunk_gated_delta_rule_float16
                           : neumann_tril_chunk_gated_delta_rule_bfloat16;
    const emulator::Report report =
        emulator::launch("neumann_tril_chunk_gated_delta_rule", __NPU_ARCH__, entry,
                         static_cast<int>(context.blocks), emulator::Mix{1, 2, true},
                         Address(in[kQ]), Address(in[kK]), Address(in[kV]), Address(in[kBeta]),
                         Address(in[kG]), Address(in[kInitialState]), Address(in[kCuSeqlens]),
                         Address(out[kO]), Address(out[kFinalState]), Address(out[kChunkStates]),
                         Address(out[kX]), workspace.get(), context.tiling_data.data());
    if (!report.error.empty()) {
        std::printf("%s\n", report.error.c_str());
        ++failures;
    }
}

void RunInterface(nt_npu_rule rule, const Inputs& in, const Results& out) {
    const Memory workspace(static_cast<size_t>(nt_npu_rule_workspace_bytes(&rule)), false);
    nt_npu_rule_tensors& tensors = rule.tensors;
    tensors.q = Address(in[kQ]);
    tensors.k = Address(in[kK]);
    tensors.v = Address(in[kV]);
    tensors.g = Address(in[kG]);
    tensors.beta = Address(in[kBeta]);
    tensors.initial_state = reinterpret_cast<float*>(Address(in[kInitialState]));
    tensors.bounds = reinterpret_cast<int64_t*>(Address(in[kCuSeqlens]));
    tensors.o = Address(out[kO]);
    tensors.final_state = reinterpret_cast<float*>(Address(out[kFinalState]));
    tensors.chunk_states = reinterpret_cast<float*>(Address(out[kChunkStates]));
    tensors.x = reinterpret_cast<float*>(Address(out[kX]));
    tensors.workspace = workspace.get();
    emulator_clear_report();
    CHECK(nt_npu_gated_delta_rule(&rule, nullptr) == nullptr);
    CHECK(*emulator_report_error() == '\0');
}

void Compare(const Call& call, const Sizes& sizes, const std::vector<int64_t>& cu_seqlens = {}) {
    const Inputs inputs = InputsOf(call, cu_seqlens);
    const Results found = ResultsOf(call), expected = ResultsOf(call);
    RunOperator(call, inputs, found);
    RunInterface(Rule(call, sizes), inputs, expected);
    for (size_t n = 0; n < kOutputs; ++n) {
        const Memory& result = *found[n];
        CHECK(std::memcmp(result.get(), expected[n]->get(), result.bytes()) == 0);
        // What nobody wrote is 0xCB.
        const bool written =
            result.bytes() > 0 && (result.get()[0] != 0xCB || result.get()[1] != 0xCB);
        CHECK(written == (result.bytes() > 0));
    }
}

}  // namespace

int main() {
    const Sizes batched{2, 100, 1, 2, 32, 16};
    Compare(Call(batched), batched);
    Call plain(batched, ge::DT_BF16, ge::DT_BF16, false);
    plain.shapes[kG].clear();
    plain.normalize = true;
    plain.final_state = plain.chunk_states = plain.x = false;
    Compare(plain, batched);
    plain.compute_dtype = "bfloat16";
    plain.plan = "fast";
    Compare(plain, batched);
    const Sizes packed{1, 150, 1, 2, 16, 48, 3};
    Compare(Call(packed, ge::DT_BF16), packed, {0, 70, 70, 150});
    const Sizes empty{0, 100, 1, 2, 32, 16};
    Compare(Call(empty), empty);
    std::printf("%s\n", failures != 0 ? "failed" : "passed");
    return failures != 0;
}
