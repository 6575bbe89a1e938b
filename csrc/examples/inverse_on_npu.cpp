// Inverts chunk matrices on an NPU from C++: no Python, no torch.
//
//     inverse_on_npu [chunk size] [matrices] [plan] [dtype of the operands] [device]
//     inverse_on_npu 64 1024 exact float16 0
//
// The steps of any program: a plan, a description of where the matrices lie, a workspace, a launch
// on a stream. The result is then checked on the host: against the CPU's inverse by the same plan,
// and, if the plan is exact, by its residual (I + A) X - I. Exit status: 0 if it is right, 1 if it
// is wrong, 2 if something failed on the way.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "on_npu.h"

namespace {

using on_npu::Check;
using on_npu::DeviceMemory;

struct Options {
    int32_t chunk_size = 64;
    int64_t matrices = 1024;
    const char* plan = "exact";
    int32_t operands = NT_FLOAT16;
    int32_t device = 0;
};

Options Read(int count, char** arguments) {
    Options options;
    if (count > 1) options.chunk_size = std::atoi(arguments[1]);
    if (count > 2) options.matrices = std::atoll(arguments[2]);
    if (count > 3) options.plan = arguments[3];
    if (count > 4) {
        const char* const names[] = {"float16", "bfloat16", "float32"};  // by dtype code
        const auto* const found = std::find_if(std::begin(names), std::end(names), [&](auto* name) {
            return std::strcmp(name, arguments[4]) == 0;
        });
        if (found == std::end(names)) Check("operands must be float16, bfloat16 or float32");
        options.operands = static_cast<int32_t>(found - names);
    }
    if (count > 5) options.device = std::atoi(arguments[5]);
    if (options.matrices < 1) Check("the number of matrices must be positive");
    return options;
}

// Multiples of 1/256 from -1/4 to 1/4: the same numbers in float16, bfloat16 and float32, so that
// what is compared is the inversion and not the rounding of A.
std::vector<float> RandomMatrices(size_t entries) {
    std::mt19937 generator(1);
    std::vector<float> a(entries);
    for (float& entry : a)
        entry = static_cast<float>(static_cast<int>(generator() % 129) - 64) / 256;
    return a;
}

// X = (I + A)^-1 on the device; A and X are (matrices, C, C), contiguous, float32.
std::vector<float> InvertOnDevice(const Options& options, const nt_plan& plan,
                                  const nt_chunks& chunks, const std::vector<float>& a) {
    nt_npu_inversion inversion{};
    inversion.plan = plan;
    inversion.chunks = chunks;
    inversion.a_dtype = NT_FLOAT32;
    inversion.x_dtype = NT_FLOAT32;
    inversion.compute_dtype = options.operands;
    inversion.cube_cores = on_npu::CubeCores(options.device);
    Check(nt_npu_refusal(&inversion));

    aclrtStream stream = nullptr;
    ACL(aclrtCreateStream(&stream));
    const size_t bytes = a.size() * sizeof(float);
    const DeviceMemory device_a(bytes), device_x(bytes);
    const DeviceMemory workspace(static_cast<size_t>(nt_npu_workspace_bytes(&inversion)));
    ACL(aclrtMemcpy(device_a.get(), bytes, a.data(), bytes, ACL_MEMCPY_HOST_TO_DEVICE));
    inversion.a = device_a.get();
    inversion.x = device_x.get();
    inversion.workspace = workspace.get();
    Check(nt_npu_inverse(&inversion, stream));  // returns at once
    ACL(aclrtSynchronizeStream(stream));        // an error of the kernel comes out here

    std::vector<float> x(a.size());
    ACL(aclrtMemcpy(x.data(), bytes, device_x.get(), bytes, ACL_MEMCPY_DEVICE_TO_HOST));
    ACL(aclrtDestroyStream(stream));
    return x;
}

// The larger of two; not a number if either is none.
double Worse(double worst, double value) {
    return value <= worst || std::isnan(worst) ? worst : value;
}

// Of all matrices the worst ratio of the error to the inverse, by their Frobenius norms.
double WorstError(const std::vector<float>& x, const std::vector<double>& expected, size_t area) {
    double worst = 0;
    for (size_t first = 0; first < x.size(); first += area) {
        double signal = 0, noise = 0;
        for (size_t n = first; n < first + area; ++n) {
            const double error = x[n] - expected[n];
            signal += expected[n] * expected[n];
            noise += error * error;
        }
        worst = Worse(worst, std::sqrt(noise / signal));
    }
    return worst;
}

double RowSum(const float* row, size_t count) {
    double sum = 0;
    for (size_t c = 0; c < count; ++c) sum += std::fabs(row[c]);
    return sum;
}

// Of all matrices the worst entry of (I + A) X - I, in units of the norms of I + A and X.
double WorstResidual(const std::vector<float>& a, const std::vector<float>& x, size_t size) {
    double worst = 0;
    std::vector<double> row(size);
    for (size_t first = 0; first < x.size(); first += size * size) {
        double norm_m = 0, norm_x = 0, residual = 0;
        for (size_t r = 0; r < size; ++r) {
            const float* const a_row = &a[first + r * size];
            const float* const x_row = &x[first + r * size];
            norm_m = std::max(norm_m, 1 + RowSum(a_row, r));
            norm_x = std::max(norm_x, RowSum(x_row, size));
            for (size_t c = 0; c < size; ++c) row[c] = x_row[c] - (r == c ? 1.0 : 0.0);
            for (size_t k = 0; k < r; ++k) {
                for (size_t c = 0; c < size; ++c) {
                    row[c] += static_cast<double>(a_row[k]) * x[first + k * size + c];
                }
            }
            for (double entry : row) residual = Worse(residual, std::fabs(entry));
        }
        worst = Worse(worst, residual / (norm_m * norm_x));
    }
    return worst;
}

bool IsExact(const nt_plan& plan) {
    return plan.terms * (plan.bandwidth + 1) >= plan.chunk_size >> plan.splits;
}

bool Run(const Options& options) {
    nt_plan plan;
    nt_chunks chunks;
    Check(nt_plan_named(&plan, options.plan, options.chunk_size, options.operands));
    Check(nt_chunks_dense(&chunks, options.chunk_size, options.matrices));
    const auto size = static_cast<size_t>(options.chunk_size);
    const std::vector<float> a = RandomMatrices(options.matrices * size * size);
    const std::vector<float> x = InvertOnDevice(options, plan, chunks, a);

    std::vector<double> expected(x.size());
    Check(nt_cpu_inverse(&plan, &chunks, a.data(), NT_FLOAT32, expected.data(), NT_FLOAT64, 0));
    const double error = WorstError(x, expected, size * size);
    const double residual = IsExact(plan) ? WorstResidual(a, x, size) : 0;
    // What rounding the operands once may cost; an exact plan stays below, "exact" far below.
    const double limit = std::ldexp(1.0, options.operands == NT_BFLOAT16  ? -8
                                         : options.operands == NT_FLOAT16 ? -11
                                                                          : -20);
    std::printf("%lld matrices of %d x %d on %s, plan %s: worst error %.1e, worst residual %.1e\n",
                static_cast<long long>(options.matrices), options.chunk_size, options.chunk_size,
                aclrtGetSocName(), options.plan, error, residual);
    const bool right = error <= limit && residual <= limit;
    std::printf(right ? "OK, both below %.1e\n" : "WRONG, the limit is %.1e\n", limit);
    return right;
}

}  // namespace

int main(int count, char** arguments) {
    return on_npu::Main([&] {
        const Options options = Read(count, arguments);
        const on_npu::Device device(options.device);
        return Run(options);
    });
}
