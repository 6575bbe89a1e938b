// The gated delta rule of a layer on an NPU from C++: no Python, no torch.
//
//     rule_on_npu [tokens] [H] [HV] [K] [V] [plan] [device]
//     rule_on_npu 4096 16 32 128 128 exact 0
//
// Two packed sequences, bfloat16 tokens, a first and a final state. The result is checked on the
// host by the recurrence, token by token in double. Exit status: 0 if it is right, 1 if it is
// wrong, 2 if something failed on the way.
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
    int64_t tokens = 4096;
    int32_t heads = 16, value_heads = 32, key_size = 128, value_size = 128;
    const char* plan = "exact";
    int32_t device = 0;
};

Options Read(int count, char** arguments) {
    Options options;
    if (count > 1) options.tokens = std::atoll(arguments[1]);
    int32_t* const sizes[] = {&options.heads, &options.value_heads, &options.key_size,
                              &options.value_size};
    for (int n = 0; n < 4 && count > n + 2; ++n) *sizes[n] = std::atoi(arguments[n + 2]);
    if (count > 6) options.plan = arguments[6];
    if (count > 7) options.device = std::atoi(arguments[7]);
    if (options.tokens < 1) Check("the number of tokens must be positive");
    return options;
}

// bfloat16 is the upper half of float32.
using Bfloat16 = uint16_t;
Bfloat16 Narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return static_cast<Bfloat16>(bits >> 16);
}
double Wide(Bfloat16 value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof(wide));
    return wide;
}
double Wide(float value) { return value; }

std::mt19937 generator(1);

// Numbers between two bounds.
float Random(float from, float to) {
    return from + (to - from) * static_cast<float>(generator() % 4096) / 4096;
}
std::vector<float> Randoms(int64_t count, float from, float to) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = Random(from, to);
    return values;
}
std::vector<Bfloat16> Tokens(int64_t count) {
    std::vector<Bfloat16> values(static_cast<size_t>(count));
    for (Bfloat16& value : values) value = Narrow(Random(-1, 1));
    return values;
}

// The tensors of a call on the host: q, k (T, H, K), v, o (T, HV, V), g, beta (T, HV),
// states (N, HV, K, V).
struct Layer {
    std::vector<int64_t> cu_seqlens;
    std::vector<Bfloat16> q, k, v;
    std::vector<float> g, beta, initial_state;
    float scale;

    explicit Layer(const Options& o)
        : cu_seqlens{0, o.tokens / 3, o.tokens},
          q(Tokens(o.tokens * o.heads * o.key_size)),
          k(Tokens(o.tokens * o.heads * o.key_size)),
          v(Tokens(o.tokens * o.value_heads * o.value_size)),
          g(Randoms(o.tokens * o.value_heads, -0.2f, 0)),
          beta(Randoms(o.tokens * o.value_heads, 0, 1)),
          initial_state(Randoms(2 * o.value_heads * o.key_size * o.value_size, -1, 1)),
          scale(1 / std::sqrt(static_cast<float>(o.key_size))) {}
};

template <class Number, class State>
struct Results {
    std::vector<Number> o;
    std::vector<State> final_state;
};

// Memory of the device, with what the host has.
template <class T>
class Copy : public DeviceMemory {
  public:
    explicit Copy(const std::vector<T>& host) : DeviceMemory(host.size() * sizeof(T)) {
        const size_t bytes = host.size() * sizeof(T);
        ACL(aclrtMemcpy(get(), bytes, host.data(), bytes, ACL_MEMCPY_HOST_TO_DEVICE));
    }
    T* data() const { return static_cast<T*>(get()); }
};

template <class T>
std::vector<T> Fetched(const DeviceMemory& memory, size_t count) {
    std::vector<T> host(count);
    const size_t bytes = count * sizeof(T);
    ACL(aclrtMemcpy(host.data(), bytes, memory.get(), bytes, ACL_MEMCPY_DEVICE_TO_HOST));
    return host;
}

nt_npu_rule Described(const Options& options, const Layer& layer) {
    const int64_t rows = int64_t{options.heads} * options.key_size;
    const int64_t columns = int64_t{options.value_heads} * options.value_size;
    nt_npu_rule rule{};
    Check(nt_plan_named(&rule.plan, options.plan, 64, NT_FLOAT16));
    rule.dtype = NT_BFLOAT16;
    rule.compute_dtype = NT_FLOAT16;
    rule.heads = options.heads;
    rule.value_heads = options.value_heads;
    rule.key_size = options.key_size;
    rule.value_size = options.value_size;
    rule.sequences = static_cast<int64_t>(layer.cu_seqlens.size()) - 1;
    rule.length = options.tokens;
    rule.packed = 1;
    rule.q = rule.k = {options.tokens * rows, rows, options.key_size};
    rule.v = {options.tokens * columns, columns, options.value_size};
    rule.g.strides =
        rule.beta.strides = {options.tokens * options.value_heads, options.value_heads, 1};
    rule.g.data_dtype = rule.beta.data_dtype = NT_FLOAT32;
    rule.normalize = 1;
    rule.scale = layer.scale;
    rule.initial_state = rule.final_state = 1;
    rule.cube_cores = on_npu::CubeCores(options.device);
    Check(nt_npu_rule_refusal(&rule));
    return rule;
}

Results<Bfloat16, float> OnDevice(const Options& options, const Layer& layer) {
    nt_npu_rule rule = Described(options, layer);
    const Copy<Bfloat16> q(layer.q), k(layer.k), v(layer.v);
    const Copy<float> g(layer.g), beta(layer.beta), initial_state(layer.initial_state);
    const Copy<int64_t> bounds(layer.cu_seqlens);
    const DeviceMemory o(layer.v.size() * sizeof(Bfloat16));
    const DeviceMemory final_state(layer.initial_state.size() * sizeof(float));
    const DeviceMemory workspace(static_cast<size_t>(nt_npu_rule_workspace_bytes(&rule)));
    rule.tensors.q = q.data();
    rule.tensors.k = k.data();
    rule.tensors.v = v.data();
    rule.tensors.g = g.data();
    rule.tensors.beta = beta.data();
    rule.tensors.initial_state = initial_state.data();
    rule.tensors.bounds = bounds.data();
    rule.tensors.o = o.get();
    rule.tensors.final_state = static_cast<float*>(final_state.get());
    rule.tensors.workspace = workspace.get();

    aclrtStream stream = nullptr;
    ACL(aclrtCreateStream(&stream));
    Check(nt_npu_gated_delta_rule(&rule, stream));  // returns at once
    ACL(aclrtSynchronizeStream(stream));            // an error of the kernel comes out here
    ACL(aclrtDestroyStream(stream));
    return {Fetched<Bfloat16>(o, layer.v.size()),
            Fetched<float>(final_state, layer.initial_state.size())};
}

// A token's vector of length `scale`.
std::vector<double> Normalized(const Bfloat16* x, int32_t size, double scale) {
    double square = 1e-6;
    for (int32_t d = 0; d < size; ++d) square += Wide(x[d]) * Wide(x[d]);
    std::vector<double> y;
    for (int32_t d = 0; d < size; ++d) y.push_back(Wide(x[d]) * scale / std::sqrt(square));
    return y;
}

// The recurrence: S = exp(g) S + k (beta (v - k^T exp(g) S))^T, o = q^T S.
Results<double, double> OnHost(const Options& options, const Layer& layer) {
    const int32_t key = options.key_size, value = options.value_size;
    Results<double, double> results{std::vector<double>(layer.v.size()),
                                    {layer.initial_state.begin(), layer.initial_state.end()}};
    for (size_t n = 0; n + 1 < layer.cu_seqlens.size(); ++n) {
        for (int32_t h = 0; h < options.value_heads; ++h) {
            const int32_t group = h / (options.value_heads / options.heads);
            double* const state = &results.final_state[(n * options.value_heads + h) * key * value];
            for (int64_t t = layer.cu_seqlens[n]; t < layer.cu_seqlens[n + 1]; ++t) {
                const int64_t number = t * options.value_heads + h;
                const int64_t row = (t * options.heads + group) * key;
                const std::vector<double> q = Normalized(&layer.q[row], key, layer.scale);
                const std::vector<double> k = Normalized(&layer.k[row], key, 1);
                const double decay = std::exp(static_cast<double>(layer.g[number]));
                for (int32_t c = 0; c < value; ++c) {
                    double known = 0, read = 0;
                    for (int32_t r = 0; r < key; ++r) {
                        known += k[r] * (state[r * value + c] *= decay);
                    }
                    const double written =
                        layer.beta[number] * (Wide(layer.v[number * value + c]) - known);
                    for (int32_t r = 0; r < key; ++r) {
                        read += q[r] * (state[r * value + c] += k[r] * written);
                    }
                    results.o[number * value + c] = read;
                }
            }
        }
    }
    return results;
}

// Ratio of the error to the result, by their Euclidean norms.
template <class T>
double RelativeError(const std::vector<T>& found, const std::vector<double>& expected) {
    double signal = 0, noise = 0;
    for (size_t n = 0; n < expected.size(); ++n) {
        const double error = Wide(found[n]) - expected[n];
        signal += expected[n] * expected[n];
        noise += error * error;
    }
    return std::sqrt(noise / signal);
}

bool Run(const Options& options) {
    const Layer layer(options);
    const auto found = OnDevice(options, layer);
    const auto expected = OnHost(options, layer);
    const double of_o = RelativeError(found.o, expected.o);
    const double of_state = RelativeError(found.final_state, expected.final_state);
    std::printf(
        "%lld tokens, H = %d, HV = %d, K = %d, V = %d on %s, plan %s: relative error of o "
        "%.1e, of the states %.1e\n",
        static_cast<long long>(options.tokens), options.heads, options.value_heads,
        options.key_size, options.value_size, aclrtGetSocName(), options.plan, of_o, of_state);
    // Rounding o to bfloat16 takes up to half of the first.
    const double limit_of_o = 4e-3, limit_of_state = 2e-3;
    const bool right = of_o <= limit_of_o && of_state <= limit_of_state;
    std::printf("%s, the limits are %.1e and %.1e\n", right ? "OK" : "WRONG", limit_of_o,
                limit_of_state);
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
