// Mmad: C (m x n, L0C) = A (m x k, L0A) B (k x n, L0B) [+ C | + bias].
//
// A float result is the exact sum, formed in float64, rounded once to float32. The order in which
// the hardware adds is not documented; the perturb option adds in float32 in a random order.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "cube/cube.h"

namespace emulator {

namespace {

constexpr uint64_t kFractal = 512;

struct Shape {
    uint32_t m, n, k;
    uint32_t c0;      // elements of A and B in 32 bytes
    uint32_t mb, nb;  // blocks of 16
    uint32_t kb;      // blocks of c0, as laid out
    bool gemv;        // A is one row, contiguous
    bool zz;          // L0A of dav-2201; else NZ
    uint64_t row_bytes() const { return (k * 32ull + c0 - 1) / c0; }  // of k elements
};

uint64_t a_fractal(const Shape& s, uint32_t i, uint32_t j) {
    return (s.zz ? uint64_t{i} * s.kb + j : uint64_t{j} * s.mb + i) * kFractal;
}

template <typename T>
double number(T value) {
    return static_cast<double>(value);
}
double number(half value) { return float_of_half_bits(value.bits); }
double number(bfloat16_t value) { return float_of_bfloat16_bits(value.bits); }

// A as rows, B as rows, in double (every operand type is exact there).
template <typename T>
void decode_a(const Shape& s, const View& a, std::vector<double>& out) {
    out.resize(uint64_t{s.m} * s.k);
    for (uint32_t i = 0; i < s.m; ++i) {
        for (uint32_t j = 0; j < s.k; ++j) {
            const uint64_t row = s.gemv ? 0 : a_fractal(s, i / 16, j / s.c0) + i % 16 * 32ull;
            out[uint64_t{i} * s.k + j] = number(element_of<T>(a.data(row), s.gemv ? j : j % s.c0));
        }
    }
}

template <typename T>
void decode_b(const Shape& s, const View& b, std::vector<double>& out) {
    out.resize(uint64_t{s.k} * s.n);
    for (uint32_t j = 0; j < s.n; ++j) {
        for (uint32_t i = 0; i < s.k; ++i) {
            const uint64_t row = (uint64_t{i / s.c0} * s.nb + j / 16) * kFractal + j % 16 * 32ull;
            out[uint64_t{i} * s.n + j] = number(element_of<T>(b.data(row), i % s.c0));
        }
    }
}

void decode(DType type, const Shape& s, const View& a, const View& b, std::vector<double>& as,
            std::vector<double>& bs) {
    switch (type) {
        case DType::F16:
            decode_a<half>(s, a, as);
            return decode_b<half>(s, b, bs);
        case DType::BF16:
            decode_a<bfloat16_t>(s, a, as);
            return decode_b<bfloat16_t>(s, b, bs);
        case DType::F32:
            decode_a<float>(s, a, as);
            return decode_b<float>(s, b, bs);
        case DType::I4:
            decode_a<AscendC::int4b_t>(s, a, as);
            return decode_b<AscendC::int4b_t>(s, b, bs);
        default:
            decode_a<int8_t>(s, a, as);
            return decode_b<int8_t>(s, b, bs);
    }
}

// sums[j] += a * b[j]. Products are exact in double, so a fused add changes nothing.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void multiply_add_avx2(double* sums, const double* b, double a,
                                                           uint32_t count) {
    for (uint32_t j = 0; j < count; ++j) sums[j] += a * b[j];
}
#endif
void multiply_add_plain(double* sums, const double* b, double a, uint32_t count) {
    for (uint32_t j = 0; j < count; ++j) sums[j] += a * b[j];
}
using MultiplyAdd = void (*)(double*, const double*, double, uint32_t);
MultiplyAdd pick_multiply_add() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return multiply_add_avx2;
#endif
    return multiply_add_plain;
}

void sum_exactly(const Shape& s, const std::vector<double>& a, const std::vector<double>& b,
                 std::vector<double>& c) {
    static const MultiplyAdd multiply_add = pick_multiply_add();
    for (uint32_t i = 0; i < s.m; ++i) {
        for (uint32_t l = 0; l < s.k; ++l) {
            multiply_add(&c[uint64_t{i} * s.n], &b[uint64_t{l} * s.n], a[uint64_t{i} * s.k + l],
                         s.n);
        }
    }
}

// Terms of the sum (C itself is one, number k) in random order, each addition in float32.
void sum_perturbed(const Shape& s, const std::vector<double>& a, const std::vector<double>& b,
                   std::vector<double>& c, std::mt19937_64& random) {
    std::vector<uint32_t> order(s.k + 1);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<float> sums(s.n);
    for (uint32_t i = 0; i < s.m; ++i) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (const uint32_t l : order) {
            for (uint32_t j = 0; j < s.n; ++j) {
                const double term = l == s.k ? c[uint64_t{i} * s.n + j]
                                             : a[uint64_t{i} * s.k + l] * b[uint64_t{l} * s.n + j];
                sums[j] = static_cast<float>(sums[j] + term);
            }
        }
        std::copy(sums.begin(), sums.end(), c.begin() + uint64_t{i} * s.n);
    }
}

// What Mmad reads of an operand: the true rows and columns only, never the padding.
// Fractal (row block i, column block j) lies at place(i, j).
template <typename Place>
void read_fractals(Instruction& mmad, bool strict, const View& view, uint32_t rows,
                   uint64_t row_bytes, uint64_t columns_bytes, Place place, uint64_t whole) {
    const uint32_t row_blocks = (rows + 15) / 16;
    const uint64_t column_blocks = (columns_bytes + row_bytes - 1) / row_bytes;
    if (rows % 16 == 0 && columns_bytes % row_bytes == 0 &&
        whole == uint64_t{row_blocks} * column_blocks * 16 * row_bytes) {
        return mmad.reads_if(strict, view, {0, whole});
    }
    for (uint32_t i = 0; i < row_blocks; ++i) {
        for (uint64_t j = 0; j < column_blocks; ++j) {
            const uint64_t bytes = std::min(row_bytes, columns_bytes - j * row_bytes);
            mmad.reads_if(strict, view,
                          {place(i, static_cast<uint32_t>(j)), bytes, std::min(16u, rows - 16 * i),
                           static_cast<int64_t>(row_bytes)});
        }
    }
}

void require_buffer(const View& view, Buffer buffer, Site site) {
    if (view.buffer() != buffer) {
        fail(site, "Mmad: %s lies in %s, must lie in %s", view.what, buffer_name(view.buffer()),
             buffer_name(buffer));
    }
}

// Whether rows of A and columns of B are written throughout; a result of others is unwritten.
struct Defined {
    std::vector<uint8_t> rows, columns;
};

bool written(const View& view, uint64_t at, uint64_t count) {
    return view.memory->first_unwritten(view.offset + at, count) == count;
}

Defined find_defined(const Shape& s, const View& a, const View& b) {
    Defined defined{std::vector<uint8_t>(s.m, 1), std::vector<uint8_t>(s.n, 1)};
    const uint64_t row_bytes = s.row_bytes();
    for (uint32_t i = 0; i < s.m; ++i) {
        for (uint64_t at = 0; at < row_bytes; at += 32) {
            const uint64_t place =
                s.gemv ? at : a_fractal(s, i / 16, static_cast<uint32_t>(at / 32)) + i % 16 * 32ull;
            if (!written(a, place, std::min<uint64_t>(32, row_bytes - at))) defined.rows[i] = 0;
        }
    }
    for (uint32_t j = 0; j < s.n; ++j) {
        for (uint64_t at = 0; at < row_bytes; at += 32) {
            const uint64_t place = (at / 32 * s.nb + j / 16) * kFractal + j % 16 * 32ull;
            if (!written(b, place, std::min<uint64_t>(32, row_bytes - at))) defined.columns[j] = 0;
        }
    }
    return defined;
}

// The L0C units (1 KiB) that the instruction works on, in unit-flag mode.
void update_unit_flags(Instruction& mmad, const View& c, const Shape& s, uint32_t flag, int event) {
    Core& core = mmad.core();
    const uint64_t first = c.offset / 1024, last = first + uint64_t{s.mb} * s.nb - 1;
    if (event >= 0) {
        if (flag == 3) core.release_units(first, last, PIPE_M, event);
        return;
    }
    for (uint64_t unit = first; unit <= last; ++unit) {
        if (core.units.at(unit).filled_by >= 0) {
            fail(mmad.site(),
                 "Mmad%s writes L0C at %llu, which a Fixpipe with unit flag has not "
                 "drained yet: the hardware hangs",
                 flag != 0 ? " with unit flag" : "", static_cast<unsigned long long>(unit * 1024));
        }
    }
    if (flag != 0) core.await_units(first, last, PIPE_M);
}

}  // namespace

void mmad(const LocalOperand& c_operand, const LocalOperand& a_operand,
          const LocalOperand& b_operand, const LocalOperand* bias_operand,
          const AscendC::MmadParams& params, bool disable_gemv, Site site) {
    require_field("Mmad", "m", params.m, 0, 4095, site);
    require_field("Mmad", "n", params.n, 0, 4095, site);
    require_field("Mmad", "k", params.k, 0, 4095, site);
    const uint32_t flag = params.unitFlag;
    if (flag != 0 && flag != 2 && flag != 3) {
        fail(site, "Mmad: unitFlag is %u, accepted: 0, 2, 3", flag);
    }
    Core& core = current_core();
    if (!core.is_cube) fail(site, "Mmad on a vector core");
    if (core.state<MmadState>().hf32 && a_operand.type == DType::F32) {
        fail(site, "Mmad in HF32 mode is not modelled");
    }
    if (params.m == 0 || params.n == 0 || params.k == 0) return;
    const View c = view_of(c_operand, 1024, "C", site);
    const View a = view_of(a_operand, kFractal, "A", site);
    const View b = view_of(b_operand, kFractal, "B", site);
    require_buffer(c, Buffer::L0C, site);
    require_buffer(a, Buffer::L0A, site);
    require_buffer(b, Buffer::L0B, site);

    const Soc& soc = core.machine.soc();
    Shape s{};
    s.m = params.m;
    s.n = params.n;
    s.k = params.k;
    s.c0 = 256 / bits_of(a_operand.type);
    s.mb = (s.m + 15) / 16;
    s.nb = (s.n + 15) / 16;
    s.kb = (s.k + s.c0 - 1) / s.c0;
    if (params.kDirectionAlign) {
        if (a_operand.type != DType::F32) {
            fail(site, "Mmad: kDirectionAlign is for float, not %s", dtype_name(a_operand.type));
        }
        s.kb = (s.k + 15) / 16 * 2;
    }
    s.gemv = s.m == 1 && !disable_gemv;
    s.zz = soc.arch == 2201;

    // Where the initial value of C comes from.
    const bool from_zero = params.cmatrixInitVal && !params.isBias;
    const bool from_bias = bias_operand != nullptr || (!from_zero && params.cmatrixSource);
    const bool accumulate = bias_operand == nullptr && !from_zero && !params.cmatrixSource;

    Instruction mmad(PIPE_M, "Mmad", site);
    if (s.m / 16 * (s.n / 16) >= 10) mmad.self_ordered();
    if (flag != 0) mmad.unit_flag();
    const bool strict = core.machine.options().strict;
    if (s.gemv) {
        mmad.reads_if(strict, a, {0, s.row_bytes()});
    } else {
        read_fractals(
            mmad, strict, a, s.m, 32, s.row_bytes(),
            [&](uint32_t i, uint32_t j) { return a_fractal(s, i, j); },
            uint64_t{s.mb} * s.kb * kFractal);
    }
    read_fractals(
        mmad, strict, b, s.n, 32, s.row_bytes(),
        [&](uint32_t i, uint32_t j) { return (uint64_t{j} * s.nb + i) * kFractal; },
        uint64_t{s.nb} * ((s.k + s.c0 - 1) / s.c0) * kFractal);
    std::vector<Region> c_regions;
    if (s.m % 16 == 0 && s.n % 16 == 0) {
        c_regions.push_back({0, uint64_t{s.m} * s.n * 4});
    } else {
        for (uint32_t j = 0; j < s.nb; ++j) {
            for (uint32_t i = 0; i < s.mb; ++i) {
                c_regions.push_back({(uint64_t{j} * s.mb + i) * 1024,
                                     std::min(16u, s.n - 16 * j) * 4ull,
                                     std::min(16u, s.m - 16 * i), 64});
            }
        }
    }
    View bias;
    if (from_bias) {
        const LocalOperand table{AscendC::TPosition::C2, 0, soc.capacity[int(Buffer::BT)],
                                 c_operand.type};
        bias = view_of(bias_operand != nullptr ? *bias_operand : table, 64, "bias", site);
        if (bias.buffer() != Buffer::BT && bias.buffer() != Buffer::L0C) {
            fail(site, "Mmad: bias lies in %s, must lie in BT", buffer_name(bias.buffer()));
        }
        if (bias_operand != nullptr && bias_operand->type != c_operand.type) {
            fail(site, "Mmad: bias of type %s with C of type %s", dtype_name(bias_operand->type),
                 dtype_name(c_operand.type));
        }
        if (bias.buffer() == Buffer::BT) {
            mmad.reads_if(strict, bias, {0, uint64_t{s.n} * 4});
        } else {
            for (const Region& region : c_regions) mmad.reads_if(strict, bias, region);
        }
    }
    if (accumulate) {
        for (const Region& region : c_regions) mmad.reads_if(strict, c, region);
    }
    update_unit_flags(mmad, c, s, flag, -1);
    for (const Region& region : c_regions) mmad.writes_raw(c, region);

    // The product.
    std::vector<double> as, bs, sums(uint64_t{s.m} * s.n, 0.0);
    decode(a_operand.type, s, a, b, as, bs);
    const bool integers = c_operand.type == DType::I32;
    const auto c_at = [&](uint32_t i, uint32_t j) {
        return (uint64_t{j / 16} * s.mb + i / 16) * 1024 + i % 16 * 64ull + j % 16 * 4ull;
    };
    const auto load = [&](const uint8_t* from) {
        if (integers) {
            int32_t value;
            std::memcpy(&value, from, 4);
            return static_cast<double>(value);
        }
        float value;
        std::memcpy(&value, from, 4);
        return static_cast<double>(value);
    };
    if (accumulate || from_bias) {
        for (uint32_t i = 0; i < s.m; ++i) {
            for (uint32_t j = 0; j < s.n; ++j) {
                const uint8_t* from = accumulate                    ? c.data(c_at(i, j))
                                      : bias.buffer() == Buffer::BT ? bias.data(j * 4ull)
                                                                    : bias.data(c_at(i, j));
                sums[uint64_t{i} * s.n + j] = load(from);
            }
        }
    }
    if (core.machine.options().perturb_seed != 0 && !integers) {
        sum_perturbed(s, as, bs, sums, core.machine.perturbation());
    } else {
        sum_exactly(s, as, bs, sums);
    }
    // C is written where everything that it was formed from is.
    const Defined defined = find_defined(s, a, b);
    for (uint32_t i = 0; i < s.m; ++i) {
        for (uint32_t j = 0; j < s.n; ++j) {
            bool known = defined.rows[i] != 0 && defined.columns[j] != 0;
            if (accumulate) known = known && written(c, c_at(i, j), 4);
            if (from_bias) {
                known =
                    known && written(bias, bias.buffer() == Buffer::BT ? j * 4ull : c_at(i, j), 4);
            }
            std::memset(c.written(c_at(i, j)), known ? 1 : 0, 4);
        }
    }
    for (uint32_t i = 0; i < s.m; ++i) {
        for (uint32_t j = 0; j < s.n; ++j) {
            const double sum = sums[uint64_t{i} * s.n + j];
            if (integers) {
                const double low = std::numeric_limits<int32_t>::min();
                const double high = std::numeric_limits<int32_t>::max();
                const auto value = static_cast<int32_t>(std::min(std::max(sum, low), high));
                std::memcpy(c.data(c_at(i, j)), &value, 4);
            } else {
                float value = static_cast<float>(sum);
                if (core.saturate && !std::isfinite(value)) {
                    value = std::isnan(value)
                                ? 0.0f
                                : std::copysign(std::numeric_limits<float>::max(), value);
                }
                std::memcpy(c.data(c_at(i, j)), &value, 4);
            }
        }
    }

    const Cost cube_k = s.c0 == 64   ? &Costs::cube_k_b4
                        : s.c0 == 32 ? &Costs::cube_k_b8
                        : s.c0 == 16 ? &Costs::cube_k_b16
                                     : &Costs::cube_k_b32;
    const double products = static_cast<double>(s.mb) * s.nb * s.kb * s.c0;
    const int event = mmad.issue({&Costs::mmad_gap, products, cube_k, &Costs::mmad_latency});
    if (flag != 0) update_unit_flags(mmad, c, s, flag, event);
}

}  // namespace emulator
