// Every way out of L0C: layouts, quantisation modes, relu, several matrices, to L1 and back.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 32;

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

// Scale with the 13 low mantissa bits dropped, as the unit computes.
float ten_bits(float scale) {
    const uint32_t bits = bits_of(scale) & ~0x1FFFu;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

uint64_t parameter(float scale, int offset, bool is_signed) {
    return bits_of(scale) | static_cast<uint64_t>(offset & 511) << 37 |
           static_cast<uint64_t>(is_signed) << 46;
}

// L0C holds the product of the two; `out` leaves by the call that `leave` makes.
template <typename T, typename C, typename O, typename Leave>
std::vector<O> leave_l0c(const std::vector<T>& a, const std::vector<T>& b, size_t count,
                         Leave leave) {
    Global<T> ag(a), bg(b);
    // NZ output wants global memory aligned to 32 bytes.
    O* const out = static_cast<O*>(
        std::aligned_alloc(512, align(static_cast<uint32_t>(count * sizeof(O)), 512)));
    emulator::register_global(out, count * sizeof(O), false, false);
    AscendC::GlobalTensor<O> out_tensor;
    out_tensor.SetGlobalBuffer(out);
    EXPECT("", run_kernel([&] {
               load_operands(ag.tensor(), bg.tensor(), N, N, N);
               const auto co = at<C>(TPosition::CO1, 0, N * N);
               Mmad(co, at<T>(TPosition::A2, 0, N * N), at<T>(TPosition::B2, 0, N * N),
                    mmad_params<T>(N, N, N));
               sync<HardEvent::M_FIX>();
               leave(out_tensor, co);
           }));
    emulator::unregister_global(out);
    const std::vector<O> values(out, out + count);
    std::free(out);
    return values;
}

const std::vector<half> kA = random_values<half>(N * N, -1, 1, 1);
const std::vector<half> kB = random_values<half>(N * N, -1, 1, 2);
const std::vector<int8_t> kI = random_values<int8_t>(N * N, -100, 100, 1);
const std::vector<int8_t> kJ = random_values<int8_t>(N * N, -100, 100, 2);

float product(size_t i) { return exact<float>(kA, kB, N, N, i); }
int32_t int_product(size_t i) { return exact<int32_t>(kI, kJ, N, N, i); }

FixpipeParamsV220 plain(QuantMode_t quant, uint64_t scale = 0, bool relu = false) {
    return {N, N, N, N, relu, quant, static_cast<int64_t>(scale), 1, 0, 0, 0};
}

void casts() {
    const auto halves = leave_l0c<half, float, half>(
        kA, kB, N * N, [](auto out, auto co) { Fixpipe(out, co, plain(QuantMode_t::F322F16)); });
    CHECK_ALL(N * N, same_bits(halves[i], half(product(i))));
    const auto brains = leave_l0c<half, float, bfloat16_t>(
        kA, kB, N * N, [](auto out, auto co) { Fixpipe(out, co, plain(QuantMode_t::F322BF16)); });
    CHECK_ALL(N * N, same_bits(brains[i], bfloat16_t(product(i))));
    const auto positive = leave_l0c<half, float, float>(kA, kB, N * N, [](auto out, auto co) {
        Fixpipe(out, co, plain(QuantMode_t::NoQuant, 0, true));
    });
    CHECK_ALL(N * N, positive[i] == std::fmax(product(i), 0.0f));
    const auto integers = leave_l0c<int8_t, int32_t, int32_t>(
        kI, kJ, N * N, [](auto out, auto co) { Fixpipe(out, co, plain(QuantMode_t::NoQuant)); });
    CHECK_ALL(N * N, integers[i] == int_product(i));
}

int quantised(float value, float scale, int offset, bool is_signed) {
    const float scaled = std::fmin(std::fmax(value * ten_bits(scale), -256.0f), 255.0f);
    const int sum = static_cast<int>(std::nearbyint(scaled)) + offset;
    return is_signed ? std::min(std::max(sum, -128), 127) : std::min(std::max(sum, 0), 255);
}

void quantisation() {
    const float scale = 17.3f;  // more than ten mantissa bits
    const auto bytes = leave_l0c<half, float, int8_t>(kA, kB, N * N, [&](auto out, auto co) {
        Fixpipe(out, co, plain(QuantMode_t::QF322B8_PRE, parameter(scale, -3, true)));
    });
    CHECK_ALL(N * N, bytes[i] == quantised(product(i), scale, -3, true));
    const auto unsigned_bytes =
        leave_l0c<half, float, uint8_t>(kA, kB, N * N, [&](auto o, auto co) {
            Fixpipe(o, co, plain(QuantMode_t::QF322B8_PRE, parameter(scale, 100, false)));
        });
    CHECK_ALL(N * N, unsigned_bytes[i] == quantised(product(i), scale, 100, false));
    const float small = 0.0007f;
    const auto requantised =
        leave_l0c<int8_t, int32_t, int8_t>(kI, kJ, N * N, [&](auto o, auto co) {
            Fixpipe(o, co, plain(QuantMode_t::REQ8, parameter(small, 0, true)));
        });
    CHECK_ALL(N * N,
              requantised[i] == quantised(static_cast<float>(int_product(i)), small, 0, true));
    const auto halves = leave_l0c<int8_t, int32_t, half>(kI, kJ, N * N, [&](auto o, auto co) {
        Fixpipe(o, co, plain(QuantMode_t::DEQF16, parameter(small, 0, false)));
    });
    CHECK_ALL(N * N,
              same_bits(halves[i], half(static_cast<float>(int_product(i)) * ten_bits(small))));
    // A scale of its own for each column.
    std::vector<uint64_t> scales;
    for (uint32_t j = 0; j < N; ++j) {
        scales.push_back(parameter(0.5f + static_cast<float>(j), static_cast<int>(j), true));
    }
    Global<uint64_t> columns(scales);
    const auto by_column = leave_l0c<half, float, int8_t>(kA, kB, N * N, [&](auto out, auto co) {
        const auto workspace = at<uint64_t>(TPosition::C1, 400 * 1024, N);
        DataCopy(workspace, columns.tensor(), N);
        sync<HardEvent::MTE2_FIX>();
        Fixpipe(out, co, workspace, plain(QuantMode_t::VQF322B8_PRE));
    });
    CHECK_ALL(N * N, by_column[i] == quantised(product(i), 0.5f + float(i % N), i % N, true));
}

// NZ: columns in blocks of 16 (int8: 32), each block all rows.
void nz() {
    const auto halves = leave_l0c<half, float, half>(kA, kB, N * N, [](auto out, auto co) {
        auto params = plain(QuantMode_t::F322F16);
        params.dstStride = N * 16 * 2 / 32;
        Fixpipe<half, float, CFG_NZ>(out, co, params);
    });
    CHECK_ALL(N * N,
              same_bits(halves[i % N / 16 * N * 16 + i / N * 16 + i % 16], half(product(i))));
    const auto bytes = leave_l0c<half, float, int8_t>(kA, kB, N * N, [](auto out, auto co) {
        auto params = plain(QuantMode_t::QF322B8_PRE, parameter(16.0f, 0, true));
        params.dstStride = N;
        Fixpipe<int8_t, float, CFG_NZ>(out, co, params);
    });
    CHECK_ALL(N * N, bytes[i] == quantised(product(i), 16.0f, 0, true));
    const auto split = leave_l0c<half, float, float>(kA, kB, N * N, [](auto out, auto co) {
        auto params = plain(QuantMode_t::NoQuant);
        params.dstStride = N;
        params.isChannelSplit = true;
        Fixpipe<float, float, CFG_NZ>(out, co, params);
    });
    CHECK_ALL(N * N, split[i % N / 8 * N * 8 + i / N * 8 + i % 8] == product(i));
}

// The two halves of the rows as two matrices, rows two elements apart from dense.
void several_matrices() {
    const uint32_t pitch = N + 2, rows = N / 2;
    const auto out = leave_l0c<half, float, float>(kA, kB, pitch * N, [&](auto o, auto co) {
        FixpipeParamsV220 params(N, rows, N, pitch, false);
        params.ndNum = 2;
        params.srcNdStride = __NPU_ARCH__ == 2201 ? 1 : 16;  // 16 rows further
        params.dstNdStride = rows * pitch;
        Fixpipe(o, co, params);
    });
    CHECK_ALL(N * N, out[i / N * pitch + i % N] == product(i));
}

// (A B) B without leaving the core: L0C to L1 in NZ, from there to L0A.
void chain() {
    const auto out = leave_l0c<half, float, float>(kA, kB, N * N, [](auto o, auto co) {
        const auto l1 = at<half>(TPosition::A1, 256 * 1024, N * N);
        const auto a2 = at<half>(TPosition::A2, 32 * 1024, N * N);
        auto params = plain(QuantMode_t::F322F16);
        params.dstStride = N;
        Fixpipe<half, float, CFG_NZ>(l1, co, params);
        sync<HardEvent::FIX_MTE1>();
#if __NPU_ARCH__ == 2201
        for (uint32_t i = 0; i < N / 16; ++i) {
            LoadData(a2[i * N * 16], l1[i * 256],
                     LoadData2DParams(0, N / 16, N / 16, 0, 0, false, 0));
        }
#else
        LoadData(a2, l1,
                 LoadData2DParamsV2(0, 0, N / 16, N / 16, N / 16, N / 16, false, 0));
#endif
        sync<HardEvent::MTE1_M>();
        sync<HardEvent::FIX_M>();
        Mmad(co, a2, at<half>(TPosition::B2, 0, N * N), MmadParams(N, N, N, 0, false, true));
        sync<HardEvent::M_FIX>(1);
        Fixpipe(o, co, plain(QuantMode_t::NoQuant));
    });
    std::vector<half> first(N * N);
    for (size_t i = 0; i < first.size(); ++i) first[i] = half(product(i));
    CHECK_ALL(N * N, same_bits(out[i], exact<float>(first, kB, N, N, i)));
}

// DataCopy out of L0C, with its settings in registers.
void registers() {
    const auto halves = leave_l0c<int8_t, int32_t, half>(kI, kJ, N * N, [](auto out, auto co) {
        SetFixpipeNz2ndFlag(1, 0, 0);
        SetFixpipePreQuantFlag(parameter(0.25f, 0, false));
        DataCopy(out, co, DataCopyCO12DstParams(N, N, N, N, QuantMode_t::DEQF16, 0, false, true));
    });
    CHECK_ALL(N * N, same_bits(halves[i], half(static_cast<float>(int_product(i)) * 0.25f)));
    // In NZ the stride counts 32 bytes, on either architecture.
    const auto blocks = leave_l0c<int8_t, int32_t, half>(kI, kJ, N * N, [](auto out, auto co) {
        SetFixpipePreQuantFlag(parameter(0.25f, 0, false));
        DataCopy(out, co, DataCopyCO12DstParams(N, N, N, N, QuantMode_t::DEQF16, 0, false, false));
    });
    CHECK_ALL(N * N, same_bits(blocks[i % N / 16 * 16 * N + i / N * 16 + i % 16], halves[i]));
}

#if __NPU_ARCH__ == 3510
void arch_3510() {
    const auto columns = leave_l0c<half, float, float>(kA, kB, N * N, [](auto out, auto co) {
        FixpipeParamsArch3510<CO2Layout::COLUMN_MAJOR> params(N, N, N, N);
        params.params.srcNzC0Stride = 1;
        Fixpipe<float, float, CFG_COLUMN_MAJOR>(out, co, params);
    });
    CHECK_ALL(N * N, columns[i % N * N + i / N] == product(i));
    const auto scaled = leave_l0c<half, float, bfloat16_t>(kA, kB, N * N, [](auto out, auto co) {
        FixpipeParamsArch3510<CO2Layout::NZ> params(N, N, N, N * 16);
        params.quantPre = QuantMode_t::QF322BF16_PRE;
        params.deqScalar = parameter(1.7f, 0, false);
        Fixpipe<bfloat16_t, float, CFG_NZ>(out, co, params);
    });
    CHECK_ALL(N * N, same_bits(scaled[i % N / 16 * N * 16 + i / N * 16 + i % 16],
                               bfloat16_t(product(i) * ten_bits(1.7f))));
}
#endif

}  // namespace

int main() {
    casts();
    quantisation();
    nz();
    several_matrices();
    chain();
    registers();
#if __NPU_ARCH__ == 3510
    arch_3510();
#endif
    return finish("fixpipe");
}
