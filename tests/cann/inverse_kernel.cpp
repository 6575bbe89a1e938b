// The custom operator from its attributes to its result: its tiling and its kernel entry on the
// emulator must give, bit for bit, what the C interface of the kernels gives.
#include <cstring>

#include "core/launch.h"
#include "inverse_call.h"
#include "memory.h"
#include "neumann_tril_npu.h"
#include "standin/operator_kernel.h"

#define ENTRY(name) extern "C" void name(GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR, GM_ADDR)
ENTRY(neumann_tril_inverse_float16);
ENTRY(neumann_tril_inverse_bfloat16);
ENTRY(neumann_tril_inverse_float32);

namespace {

void LaunchEntry(const Call& call, const gert::TilingContext& context, const Memory& a,
                 uint8_t* first, uint8_t* valid, const Memory& x, const Memory& workspace) {
    launched_tiling_key = context.tiling_key;
    emulator_clear_report();
    const auto entry = call.a == ge::DT_FLOAT16 ? neumann_tril_inverse_float16
                       : call.a == ge::DT_BF16  ? neumann_tril_inverse_bfloat16
                                                : neumann_tril_inverse_float32;
    uint8_t* tiling = const_cast<uint8_t*>(context.tiling_data.data());
    const emulator::Report report = emulator::launch(
        "neumann_tril_inverse", __NPU_ARCH__, entry, static_cast<int>(context.blocks),
        emulator::Mix{1, 2, true}, a.get(), first, valid, x.get(), workspace.get(), tiling);
    if (!report.error.empty()) {
        std::printf("%s\n", report.error.c_str());
        ++failures;
    }
}

// cu_seqlens: of the packed layouts.
void Compare(Call call, const nt_chunks& chunks, const std::vector<int64_t>& cu_seqlens = {}) {
    size_t count = 1;
    for (int64_t extent : call.shape) count *= static_cast<size_t>(extent);
    const Memory a(count * ItemSize(call.a), true);
    const Memory x(count * ItemSize(call.x), false), expected(count * ItemSize(call.x), false);
    FillRandomly(a, call.a);

    nt_npu_inversion inversion{};
    inversion.chunks = chunks;
    const auto chunk_size = static_cast<int32_t>(call.shape.back());
    const Memory first(64 * 8, true), valid(64 * 8, true);
    uint8_t *first_row = nullptr, *valid_rows = nullptr;
    if (!cu_seqlens.empty()) {
        auto* const rows = reinterpret_cast<int64_t*>(first_row = first.get());
        auto* const counts = reinterpret_cast<int64_t*>(valid_rows = valid.get());
        const int64_t sequences = static_cast<int64_t>(cu_seqlens.size()) - 1;
        const int64_t n = nt_chunk_table(cu_seqlens.data(), sequences, chunk_size, rows, counts);
        CHECK(n == chunks.size[1] && n < 64);
        call.first_row = call.valid_rows = {n};
        inversion.chunks.first_row = rows;
        inversion.chunks.valid_rows = counts;
    }

    gert::TilingContext context = Context(call, kLibraryWorkspace);
    CHECK(Operator().core.tiling(&context) == ge::GRAPH_SUCCESS);
    const Memory workspace(context.workspace, false);
    LaunchEntry(call, context, a, first_row, valid_rows, x, workspace);

    inversion.a_dtype = Code(call.a);
    inversion.x_dtype = Code(call.x);
    inversion.compute_dtype = call.compute_dtype == "float32" ? NT_FLOAT32
                              : call.a == ge::DT_BF16         ? NT_BFLOAT16
                                                              : NT_FLOAT16;
    inversion.cube_cores = static_cast<int32_t>(call.cube_cores);
    CHECK(nt_plan_named(&inversion.plan, call.plan.c_str(), chunk_size, inversion.compute_dtype) ==
          nullptr);
    const Memory own(static_cast<size_t>(nt_npu_workspace_bytes(&inversion)), false);
    inversion.a = a.get();
    inversion.x = expected.get();
    inversion.workspace = own.get();
    CHECK(nt_npu_inverse(&inversion, nullptr) == nullptr);
    CHECK(*emulator_report_error() == '\0');
    CHECK(std::memcmp(x.get(), expected.get(), x.bytes()) == 0);
    // What nobody wrote is 0xCB.
    const bool written = x.bytes() > 0 && (x.get()[0] != 0xCB || x.get()[1] != 0xCB);
    CHECK(written == (chunks.size[0] > 0 && (chunks.dims == 1 || chunks.size[1] > 0)));
}

nt_chunks Dense(int32_t chunk_size, int64_t count) {
    nt_chunks chunks;
    CHECK(nt_chunks_dense(&chunks, chunk_size, count) == nullptr);
    return chunks;
}

nt_chunks Time(int32_t chunk_size, int32_t layout, int64_t batch, int64_t length, int64_t heads) {
    nt_chunks chunks;
    CHECK(nt_chunks_time(&chunks, chunk_size, layout, batch, length, heads) == nullptr);
    return chunks;
}

}  // namespace

int main() {
    for (int32_t c : {16, 32, 64, 128}) {
        Compare({{3, c, c}}, Dense(c, 3));
        Compare({{3, c, c}, "dense", "paper", "", "", ge::DT_BF16, ge::DT_FLOAT}, Dense(c, 3));
        Compare({{3, c, c}, "dense", "fast", "float32", "", ge::DT_FLOAT, ge::DT_FLOAT},
                Dense(c, 3));
    }
    Compare({{0, 64, 64}}, Dense(64, 0));
    Compare({{2, 75, 3, 32}, "bthc"}, Time(32, NT_BTHC, 2, 75, 3));
    Compare({{2, 3, 75, 32}, "bhtc", "exact", "", "", ge::DT_FLOAT, ge::DT_FLOAT},
            Time(32, NT_BHTC, 2, 75, 3));
    const int64_t table = 0;
    nt_chunks packed;
    CHECK(nt_chunks_packed(&packed, 32, NT_BTHC, 75, 3, 4, &table, &table) == nullptr);
    Compare({{75, 3, 32}, "thc"}, packed, {0, 40, 40, 75});
    CHECK(nt_chunks_packed(&packed, 32, NT_BHTC, 75, 3, 4, &table, &table) == nullptr);
    Compare({{3, 75, 32}, "htc", "exact", "", "", ge::DT_BF16, ge::DT_BF16}, packed,
            {0, 40, 40, 75});
    CHECK(nt_chunks_packed(&packed, 32, NT_BHTC, 75, 3, 0, &table, &table) == nullptr);
    Compare({{3, 75, 32}, "htc"}, packed, {0});  // no sequences
    std::printf("%s\n", failures != 0 ? "failed" : "passed");
    return failures != 0;
}
