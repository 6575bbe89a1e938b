// nt_cpu_inverse_quantized: checks a call, picks its kernels and shares its matrices out to
// threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "call.h"
#include "isa.h"
#include "neumann_tril_quant.h"

namespace neumann_tril {
namespace {

constexpr float kLargestHalf = 65504, kLargestBFloat16 = 0x1.fep127f;
constexpr float kLargestConstant = 0x1p64f;  // of a sum, at most 2^38, times it: finite

bool forms_m(const nt_plan& plan) { return plan.terms > 1 || plan.refinements > 0; }

// Intermediates with a row of four constants: residuals, which lie on a grid 1 / p, and joins.
struct Intermediates {
    int32_t of_leaves, joins, refinements;
    int32_t constants() const { return 4 + 4 * (of_leaves + joins + refinements); }
};
Intermediates intermediates(const nt_plan& plan) {
    int32_t of_leaves = plan.terms > 1;
    if (plan.form == NT_FORM_DOUBLING)
        for (int32_t terms = 4; terms <= plan.terms; terms *= 2) ++of_leaves;
    return {of_leaves, plan.splits, plan.refinements};
}

bool is_code_of_one(float value, int32_t bits) {
    return value >= 1 && value <= (bits == 8 ? 127 : 32639) && value == std::rint(value);
}

const char* constants_error(const nt_plan& plan, const nt_quant& quant) {
    const Intermediates steps = intermediates(plan);
    const float* c = quant.constants;
    for (int32_t group = 0; group < quant.groups; ++group, c += steps.constants()) {
        for (int32_t i = 0; i < steps.constants(); ++i)
            if (!(c[i] >= 0 && c[i] <= kLargestConstant))
                return "quant.constants must be from 0 to 2^64";
        if (!is_code_of_one(c[3], quant.bits) ||
            (forms_m(plan) && !is_code_of_one(c[2], quant.bits)))
            return "quant.constants must have for m and n integers that are codes";
        for (int32_t step = 0; step < steps.constants() / 4 - 1; ++step) {
            const bool joins = step >= steps.of_leaves && step < steps.of_leaves + steps.joins;
            if (!joins && !is_code_of_one(c[4 + 4 * step], quant.bits))
                return "quant.constants must have for p an integer that is a code";
        }
    }
    return nullptr;
}

const char* quant_error(const nt_plan& plan, const nt_quant* quant, const nt_chunks& chunks) {
    if (!quant) return "quant is NULL";
    if (quant->bits != 8 && quant->bits != 16) return "quant.bits must be 8 or 16";
    if (quant->groups < 0) return "quant.groups must not be negative";
    if (quant->groups == 0) return nullptr;
    if (quant->group_dim < -1 || quant->group_dim >= chunks.dims)
        return "quant.group_dim must be -1 or a batch dimension";
    if (quant->group_dim >= 0 && chunks.size[quant->group_dim] != quant->groups)
        return "quant.groups must be the size of batch dimension quant.group_dim";
    if (!quant->constants) return "quant.constants is NULL";
    return constants_error(plan, *quant);
}

const char* dtype_error(const nt_quant& quant, int32_t a_dtype, int32_t x_dtype) {
    if (a_dtype < NT_FLOAT16 || a_dtype > NT_INT16) return "a_dtype is not a dtype code";
    if (a_dtype >= NT_INT8 && quant.groups == 0)
        return "a_dtype must be of floating point where scales are found per chunk";
    const int32_t codes = quant.bits == 8 ? NT_INT8 : NT_INT16;
    if ((x_dtype < NT_FLOAT16 || x_dtype > NT_FLOAT32) && x_dtype != codes)
        return "x_dtype must be NT_FLOAT16, NT_BFLOAT16, NT_FLOAT32, or that of quant.bits";
    return nullptr;
}

struct Inversion {
    Call call;
    QuantizedJob job;
    InvertQuantized invert;
    nt_quant quant;
    int32_t constants;  // in a row
    float* x_scale;
    std::atomic<int64_t> saturated;
};

void run(void* context, int slot, int64_t begin, int64_t end) {
    Inversion& inversion = *static_cast<Inversion*>(context);
    const nt_quant& quant = inversion.quant;
    int64_t saturated = 0;
    invert_range(inversion.call, slot, begin, end,
                 [&](int64_t n, const ChunkIterator& at, const Chunk& chunk, void* scratch) {
                     const float* constants = nullptr;
                     if (quant.groups > 0) {
                         const int64_t group = quant.group_dim < 0 ? 0 : at.index(quant.group_dim);
                         constants = quant.constants + group * inversion.constants;
                     }
                     const QuantizedResult result =
                         inversion.invert(inversion.job, chunk, constants, scratch);
                     if (inversion.x_scale) inversion.x_scale[n] = result.x_scale;
                     saturated += result.saturated;
                 });
    inversion.saturated.fetch_add(saturated, std::memory_order_relaxed);
}

float largest_number(int32_t dtype) {
    if (dtype == NT_FLOAT16) return kLargestHalf;
    return dtype == NT_BFLOAT16 ? kLargestBFloat16 : std::numeric_limits<float>::max();
}

}  // namespace
}  // namespace neumann_tril

using namespace neumann_tril;

extern "C" int32_t nt_quant_constants(const nt_plan* plan) {
    return nt_plan_error(plan) ? 0 : intermediates(*plan).constants();
}

extern "C" const char* nt_cpu_inverse_quantized(const nt_plan* plan, const nt_quant* quant,
                                                const nt_chunks* chunks, const void* a,
                                                int32_t a_dtype, void* x, int32_t x_dtype,
                                                float* x_scale, int64_t* saturated,
                                                int32_t threads) {
    if (const char* error = nt_plan_error(plan)) return error;
    if (!chunks) return "chunks is NULL";
    int64_t count = 0;
    if (const char* error = chunks_error(*chunks, plan->chunk_size, count)) return error;
    if (const char* error = quant_error(*plan, quant, *chunks)) return error;
    if (const char* error = dtype_error(*quant, a_dtype, x_dtype)) return error;
    if (threads < 0) return "threads must not be negative";
    if (saturated) *saturated = 0;
    if (count == 0) return nullptr;
    if (!a) return "a is NULL";
    if (!x) return "x is NULL";

    const QuantizedKernels& kernels = quantized_kernels();
    const QuantizedBits& bits = quant->bits == 8 ? kernels.bits8 : kernels.bits16;
    Inversion inversion = {};
    inversion.call = prepare(inversion.job, *plan, *chunks, count, a, a_dtype, x, x_dtype,
                             kernels.rows, NT_FLOAT32);
    inversion.call.scratch_bytes = bits.scratch_bytes(plan->chunk_size);
    inversion.job.codes_in_a = a_dtype >= NT_INT8;
    inversion.job.codes_in_x = x_dtype >= NT_INT8;
    inversion.job.largest = largest_number(x_dtype);
    inversion.invert = quant->groups > 0 ? bits.with_constants : bits.with_scales_per_chunk;
    inversion.quant = *quant;
    inversion.constants = nt_quant_constants(plan);
    inversion.x_scale = x_scale;
    if (const char* error = share_out(inversion.call, count, threads, run, &inversion))
        return error;
    if (saturated) *saturated = inversion.saturated;
    return nullptr;
}
