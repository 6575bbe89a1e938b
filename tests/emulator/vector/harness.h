// Runs a few vector instructions on an emulated vector core and hands the result back.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernel_operator.h"

namespace harness {

inline int failures = 0;

inline void check(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    std::printf("%s:%d: %s\n", file, line, what);
    ++failures;
}
#define CHECK(condition) ::harness::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_ALL(count, condition)                                         \
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {               \
        if (!(condition)) {                                                 \
            const std::string text = #condition " at " + std::to_string(i); \
            ::harness::check(false, text.c_str(), __FILE__, __LINE__);      \
            break;                                                          \
        }                                                                   \
    }

// Host memory that kernels may use as global memory, for as long as the object lives.
template <typename T>
class Global {
  public:
    explicit Global(std::vector<T> values, bool written = true) : values_(std::move(values)) {
        emulator::register_global(values_.data(), values_.size() * sizeof(T), written, false);
    }
    ~Global() { emulator::unregister_global(values_.data()); }
    Global(const Global&) = delete;
    Global& operator=(const Global&) = delete;

    std::vector<T>& values() { return values_; }
    AscendC::GlobalTensor<T> tensor() {
        AscendC::GlobalTensor<T> tensor;
        tensor.SetGlobalBuffer(values_.data(), values_.size());
        return tensor;
    }

  private:
    std::vector<T> values_;
};

inline std::string run(const std::function<void()>& kernel, bool auto_sync = true,
                       emulator::Mix cores = {0, 1}) {
    emulator::Options options;
    options.auto_sync = auto_sync;
    options.timing = false;
    options.strict = true;
    emulator::set_options(options);
    return emulator::launch_body("test", __NPU_ARCH__, 1, cores, kernel).error;
}

// A region of the Unified Buffer; addresses are handed out front to back.
inline uint32_t ub_head = 0;

template <typename T>
AscendC::LocalTensor<T> ub(size_t count) {
    const AscendC::LocalTensor<T> tensor(AscendC::TPosition::VECCALC, ub_head,
                                         static_cast<uint32_t>(count));
    ub_head += static_cast<uint32_t>((count * sizeof(T) + 31) / 32 * 32);
    return tensor;
}

template <typename T>
AscendC::LocalTensor<T> load(Global<T>& source) {
    const AscendC::LocalTensor<T> tensor = ub<T>(source.values().size());
    AscendC::DataCopyPad(tensor, source.tensor(),
                         {1, static_cast<uint32_t>(source.values().size() * sizeof(T)), 0, 0, 0},
                         {false, 0, 0, T{}});
    return tensor;
}

// operation(dst, sources...) with dst preset to `initial`; returns dst. Fails the test on an error.
template <typename D, typename Operation, typename... S>
std::vector<D> apply(std::vector<D> initial, Operation operation, std::vector<S>... sources) {
    Global<D> result(std::move(initial));
    std::tuple<Global<S>...> globals{std::move(sources)...};
    const std::string error = run([&] {
        ub_head = 0;
        const AscendC::LocalTensor<D> dst = load(result);
        std::apply(
            [&](auto&... each) {
                const std::tuple tensors{load(each)...};
                AscendC::PipeBarrier<PIPE_ALL>();
                std::apply([&](auto&... tensor) { operation(dst, tensor...); }, tensors);
            },
            globals);
        AscendC::PipeBarrier<PIPE_ALL>();
        AscendC::DataCopyPad(
            result.tensor(), dst,
            {1, static_cast<uint32_t>(result.values().size() * sizeof(D)), 0, 0, 0});
    });
    if (!error.empty()) {
        std::printf("%s\n", error.c_str());
        ++failures;
    }
    return result.values();
}

// The error that `kernel` must raise contains `text`.
inline void expect_error(const char* text, const std::function<void()>& kernel, const char* file,
                         int line, bool auto_sync = true) {
    const std::string error = run(kernel, auto_sync);
    if (error.find(text) != std::string::npos) return;
    std::printf("%s:%d: expected an error with \"%s\", got \"%s\"\n", file, line, text,
                error.c_str());
    ++failures;
}
#define EXPECT_ERROR(text, ...) \
    ::harness::expect_error((text), [&] { __VA_ARGS__; }, __FILE__, __LINE__)

template <typename T>
std::vector<T> random_values(size_t count, double low, double high, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> distribution(low, high);
    std::vector<T> values(count);
    for (T& value : values) value = static_cast<T>(static_cast<float>(distribution(generator)));
    return values;
}

template <typename T>
std::vector<T> filled(size_t count, double value) {
    return std::vector<T>(count, static_cast<T>(static_cast<float>(value)));
}

template <typename T>
bool same_bits(T a, T b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

inline int finish(const char* name) {
    std::printf("%s: %s\n", name, failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}

}  // namespace harness
