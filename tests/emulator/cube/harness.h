// Runs small cube kernels on the emulator, and a product that most tests are built around.
#pragma once

#include <cmath>

#include "../vector/harness.h"

namespace harness {

using namespace AscendC;

inline emulator::Report run_kernel(const std::function<void()>& kernel, emulator::Mix mix = {1, 0},
                                   int blocks = 1, emulator::Options options = {}) {
    emulator::set_options(options);
    return emulator::launch_body("test", __NPU_ARCH__, blocks, mix, kernel);
}

inline void expect(const char* text, const emulator::Report& report, const char* file, int line) {
    const bool as_wanted =
        *text == '\0' ? report.error.empty() : report.error.find(text) != std::string::npos;
    if (as_wanted) return;
    std::printf("%s:%d: expected the error \"%s\", got \"%s\"\n", file, line, text,
                report.error.c_str());
    ++failures;
}
#define EXPECT(text, ...) ::harness::expect((text), (__VA_ARGS__), __FILE__, __LINE__)
// The statements, run on one cube core, must fail with a message that contains `text`.
#define EXPECT_CUBE(text, ...) \
    ::harness::expect((text), ::harness::run_kernel([&] { __VA_ARGS__; }), __FILE__, __LINE__)

template <HardEvent event>
void sync(int32_t id = 0) {
    SetFlag<event>(id);
    WaitFlag<event>(id);
}

template <typename T>
LocalTensor<T> at(TPosition position, uint32_t address, uint32_t count) {
    return LocalTensor<T>(position, address, count);
}

inline uint32_t align(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

// Row-major A (m x k) and B (k x n) into L0A and L0B at 0, by the instructions of the architecture.
template <typename T>
void load_operands(GlobalTensor<T> a, GlobalTensor<T> b, uint32_t m, uint32_t n, uint32_t k) {
    constexpr uint32_t c0 = 32 / sizeof(T);
    const uint32_t square = sizeof(T) == 1 ? 32 : 16;  // rows that a transposition needs
    const uint32_t m16 = align(m, 16), ks = align(k, square);
    const uint32_t b1_at = 128 * 1024;
    const auto a1 = at<T>(TPosition::A1, 0, m16 * align(k, c0));
    const auto b1 = at<T>(TPosition::B1, b1_at, ks * align(n, c0));
    DataCopy(a1, a, Nd2NzParams{1, m, k, 0, k, m16, 1, 0});
    DataCopy(b1, b, Nd2NzParams{1, k, n, 0, n, ks, 1, 0});
    sync<HardEvent::MTE2_MTE1>();
    const uint32_t kb = align(k, c0) / c0;
    const auto a2 = at<T>(TPosition::A2, 0, m16 * align(k, c0));
    const auto b2 = at<T>(TPosition::B2, 0, ks * align(n, square));
#if __NPU_ARCH__ == 2201
    for (uint32_t i = 0; i < m16 / 16; ++i) {
        LoadData(a2[i * kb * 16 * c0], a1[i * 16 * c0],
                 LoadData2DParams(0, kb, m16 / 16, 0, 0, false, 0));
    }
    if constexpr (sizeof(T) == 2) {
        const uint32_t nb = align(n, 16) / 16;
        for (uint32_t i = 0; i < ks / 16; ++i) {
            LoadData(b2[i * nb * 256], b1[i * 256],
                     LoadData2DParams(0, nb, ks / 16, 0, 0, true, 0));
        }
    } else if constexpr (sizeof(T) == 1) {
        const uint32_t nb = align(n, 32) / 32;
        for (uint32_t i = 0; i < ks / 32; ++i) {
            LoadDataWithTranspose(b2[i * nb * 1024], b1[i * 1024],
                                  LoadData2dTransposeParams(0, nb, ks / 32, 1, 0));
        }
    } else {
        LoadData3DParamsV2<T> params;
        params.l1H = ks;
        params.l1W = 1;
        params.channelSize = align(n, c0);
        params.kExtension = align(n, c0);
        params.mExtension = ks;
        LoadData(b2, b1, params);
    }
#else
    LoadData(a2, a1, LoadData2DParamsV2(0, 0, m16 / 16, kb, m16 / 16, m16 / 16, false, 0));
    const uint32_t nk = sizeof(T) == 4 ? align(n, 16) / 8 : align(n, c0) / c0;
    LoadData(b2, b1,
             LoadData2DParamsV2(0, 0, ks / 16, nk, ks / 16,
                                (sizeof(T) == 1 ? align(n, 32) : align(n, 16)) / 16, true, 0));
#endif
    sync<HardEvent::MTE1_M>();
}

template <typename T>
MmadParams mmad_params(uint32_t m, uint32_t n, uint32_t k) {
    // Loads of 8-bit squares make the pitch of L0B even in blocks of 16 columns.
    const bool widen = sizeof(T) == 1 && k > 32;
    return MmadParams(m, widen ? align(n, 32) : n, k, 0, false, true);
}

template <typename C>
void store(GlobalTensor<C> c, uint32_t m, uint32_t n) {
    const auto co = at<C>(TPosition::CO1, 0, align(m, 16) * align(n, 16));
    FixpipeParamsV220 params(n, m, align(m, 16), n, false);
    Fixpipe(c, co, params);
}

// The exact sum, rounded once.
template <typename C, typename T>
C exact(const std::vector<T>& a, const std::vector<T>& b, uint32_t n, uint32_t k, size_t index) {
    double sum = 0;
    for (uint32_t l = 0; l < k; ++l) {
        sum += static_cast<double>(static_cast<float>(a[index / n * k + l])) *
               static_cast<double>(static_cast<float>(b[l * n + index % n]));
    }
    return static_cast<C>(sum);
}

}  // namespace harness
