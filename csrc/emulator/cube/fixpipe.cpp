// Fixpipe: L0C to global memory, L1 or UB, with conversion, scaling, relu and layout change.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cube/atomic.h"
#include "cube/cube.h"

namespace emulator {

using AscendC::CO2Layout;

namespace {

struct Mode {
    const char* name;
    DType from, to;
    bool scaled, vector;
};

// The conversion that a mode stands for; `to` I8 also covers uint8_t.
Mode mode_of(QuantMode_t quant, DType from, Site site) {
    switch (quant) {
        case NoQuant:
            return {"NoQuant", from, from, false, false};
        case F322F16:
            return {"F322F16", DType::F32, DType::F16, false, false};
        case F322BF16:
            return {"F322BF16", DType::F32, DType::BF16, false, false};
        case DEQF16:
            return {"DEQF16", DType::I32, DType::F16, true, false};
        case VDEQF16:
            return {"VDEQF16", DType::I32, DType::F16, true, true};
        case REQ8:
            return {"REQ8", DType::I32, DType::I8, true, false};
        case VREQ8:
            return {"VREQ8", DType::I32, DType::I8, true, true};
        case QF322B8_PRE:
            return {"QF322B8_PRE", DType::F32, DType::I8, true, false};
        case VQF322B8_PRE:
            return {"VQF322B8_PRE", DType::F32, DType::I8, true, true};
#if __NPU_ARCH__ == 3510
        case QS322BF16_PRE:
            return {"QS322BF16_PRE", DType::I32, DType::BF16, true, false};
        case VQS322BF16_PRE:
            return {"VQS322BF16_PRE", DType::I32, DType::BF16, true, true};
        case QF322F16_PRE:
            return {"QF322F16_PRE", DType::F32, DType::F16, true, false};
        case VQF322F16_PRE:
            return {"VQF322F16_PRE", DType::F32, DType::F16, true, true};
        case QF322BF16_PRE:
            return {"QF322BF16_PRE", DType::F32, DType::BF16, true, false};
        case VQF322BF16_PRE:
            return {"VQF322BF16_PRE", DType::F32, DType::BF16, true, true};
        case QF322F32_PRE:
            return {"QF322F32_PRE", DType::F32, DType::F32, true, false};
        case VQF322F32_PRE:
            return {"VQF322F32_PRE", DType::F32, DType::F32, true, true};
#endif
        default:
            break;
    }
    fail(site, "Fixpipe: quantPre %d is unknown", static_cast<int>(quant));
}

// A quantisation parameter of 64 bits. The unit computes with 1 + 8 + 10 bits of the scale.
struct Scale {
    float factor;
    bool shifts;  // int32 is first shifted and saturated to 16 bits (dav-2201, REQ8)
    int shift;    // 1..16
    int offset;   // -256..255
    bool is_signed;
};

Scale scale_of(uint64_t bits, const Mode& mode, int arch, Site site) {
    const uint32_t word = static_cast<uint32_t>(bits) & ~0x1FFFu;
    Scale scale{};
    std::memcpy(&scale.factor, &word, 4);
    if (!std::isfinite(scale.factor) || (scale.factor != 0 && !std::isnormal(scale.factor))) {
        fail(site, "Fixpipe %s: the scale is %g; inf, NaN and denormal numbers are not accepted%s",
             mode.name, static_cast<double>(scale.factor),
             bits == ~0ull ? " (was deqScalar set?)" : "");
    }
    const bool to_byte = mode.to == DType::I8;
    scale.shifts = arch == 2201 && to_byte && mode.from == DType::I32 && (bits >> 36 & 1) != 0;
    scale.shift = static_cast<int>(bits >> 32 & 15) + 1;
    if (to_byte) {
        const int field = static_cast<int>(bits >> 37 & 511);
        scale.offset = field >= 256 ? field - 512 : field;
        scale.is_signed = (bits >> 46 & 1) != 0;
    }
    return scale;
}

float saturated(float value, float limit) {
    if (std::isnan(value)) return 0.0f;
    return std::min(std::max(value, -limit), limit);
}

// One element: L0C bits in, destination bits out.
uint32_t convert(uint32_t bits, const Mode& mode, const Scale& scale, bool relu, bool saturate) {
    float value;
    if (mode.from == DType::I32) {
        int32_t integer = static_cast<int32_t>(bits);
        if (!mode.scaled) return static_cast<uint32_t>(relu ? std::max(integer, 0) : integer);
        if (scale.shifts) {
            integer = std::min(std::max(integer >> scale.shift, -32768), 32767);
        }
        value = static_cast<float>(integer);
    } else {
        std::memcpy(&value, &bits, 4);
    }
    if (relu && value < 0) value = 0.0f;
    if (mode.scaled) value *= scale.factor;
    if (mode.to == DType::I8) {
        const float clipped = std::isnan(value) ? 0.0f : std::min(std::max(value, -256.0f), 255.0f);
        const int rounded = static_cast<int>(std::nearbyint(clipped)) + scale.offset;
        const int low = scale.is_signed ? -128 : 0, high = scale.is_signed ? 127 : 255;
        return static_cast<uint8_t>(std::min(std::max(rounded, low), high));
    }
    if (mode.to == DType::F16) {
        // int32 to half always saturates.
        if (saturate || mode.from == DType::I32) value = saturated(value, 65504.0f);
        return half_bits(value);
    }
    if (saturate) value = saturated(value, std::numeric_limits<float>::max());
    if (mode.to == DType::BF16) {
        uint16_t result = bfloat16_bits(value);
        // Rounding may overflow to infinity where float did not.
        if (saturate && (result & 0x7FFF) == 0x7F80) result = (result & 0x8000) | 0x7F7F;
        return result;
    }
    uint32_t result;
    std::memcpy(&result, &value, 4);
    return result;
}

// Whether infinities and NaN are replaced on the way out.
bool saturates(QuantMode_t quant) {
    const Core& core = current_core();
    const Machine& machine = core.machine;
    const bool disputed = quant == F322BF16 || (quant == F322F16 && machine.soc().arch == 2201);
    return core.saturate || (disputed && machine.options().fixpipe_saturates);
}

void check(const FixpipeCall& call, const View& to, const LocalOperand& src, DType dst_type,
           const Mode& mode, Site site) {
    const int arch = current_core().machine.soc().arch;
    const char* name = "Fixpipe";
    require_field(name, "nSize", call.n, 0, 4095, site);
    require_field(name, "mSize", call.m, 0, call.layout == CO2Layout::NZ ? 65535 : 8192, site);
    if (call.unit_flag != 0 && call.unit_flag != 2 && call.unit_flag != 3) {
        fail(site, "Fixpipe: unitFlag is %u, accepted: 0, 2, 3", call.unit_flag);
    }
    const DType wanted = mode.to;
    const bool byte = wanted == DType::I8 && (dst_type == DType::I8 || dst_type == DType::U8);
    if (src.type != mode.from || !(dst_type == wanted || byte)) {
        fail(site, "Fixpipe: quantPre %s converts %s to %s, not %s to %s", mode.name,
             dtype_name(mode.from), dtype_name(mode.to), dtype_name(src.type),
             dtype_name(dst_type));
    }
    const Buffer buffer = to.buffer();
    if (buffer != Buffer::GM && buffer != Buffer::L1 && !(buffer == Buffer::UB && arch == 3510)) {
        fail(site, "Fixpipe: there is no path from L0C to %s on architecture %d",
             buffer_name(buffer), arch);
    }
    if (arch == 2201 && buffer == Buffer::L1) {
        if (call.layout != CO2Layout::NZ) fail(site, "Fixpipe to L1 must be CFG_NZ");
        if (call.quant == NoQuant) {
            fail(site, "Fixpipe to L1 without conversion does not exist on architecture 2201");
        }
    }
    if (call.layout == CO2Layout::COLUMN_MAJOR && arch != 3510) {
        fail(site, "Fixpipe: CFG_COLUMN_MAJOR does not exist on architecture %d", arch);
    }
    if (call.channel_split) {
        if (mode.to != DType::F32 || mode.from != DType::F32 || call.layout != CO2Layout::NZ ||
            buffer != Buffer::GM || call.unit_flag != 0) {
            fail(site,
                 "Fixpipe: channel split is for float to float, NZ, to global memory, "
                 "without unit flag");
        }
        if (call.n % 8 != 0) fail(site, "Fixpipe: nSize %u must be a multiple of 8", call.n);
    } else if (call.layout == CO2Layout::NZ && call.n % 16 != 0) {
        fail(site, "Fixpipe: nSize %u must be a multiple of 16 in NZ", call.n);
    }
    if (call.dst_stride == 0) fail(site, "Fixpipe: dstStride is 0");
}

// The unit-flag protocol: returns the Mmad event that the instruction follows, or -1.
int take_unit_flags(Core& core, const View& from, uint64_t extent, uint32_t flag, Site site) {
    int follows = -1;
    const uint64_t first = from.offset / 1024, last = (from.offset + extent - 1) / 1024;
    for (uint64_t unit = first; unit <= last; ++unit) {
        const int filled = core.units.at(unit).filled_by;
        if (flag == 0 && filled >= 0) {
            fail(site,
                 "Fixpipe without unit flag reads L0C at %llu, which a Mmad with unit flag "
                 "filled: both need the flag",
                 static_cast<unsigned long long>(unit * 1024));
        }
        if (flag != 0 && filled < 0) {
            fail(site,
                 "Fixpipe with unit flag reads L0C at %llu, which no Mmad with unitFlag 3 "
                 "has filled: the hardware hangs",
                 static_cast<unsigned long long>(unit * 1024));
        }
        follows = std::max(follows, filled);
    }
    if (flag != 0) core.await_units(first, last, PIPE_FIX);
    if (flag == 3) core.release_units(first, last, PIPE_FIX, -1);
    return follows;
}

// PipeBarrier<PIPE_FIX> of the API itself. It takes time, but kernels cannot rely on it: no
// document promises the order, so that the checks do not count it.
void charge_barrier(Core& core, Site site) {
    core.record(EventKind::Barrier, PIPE_FIX, "PipeBarrier of Fixpipe", site);
}

// What the public headers issue before the instruction: on dav-2201 a barrier if it stores in
// global memory, on dav-3510 always, and everywhere after each fetch of scales.
bool has_barrier(const FixpipeCall& call, const View& to, int arch) {
    return !call.bare && (arch == 3510 || to.buffer() == Buffer::GM);
}

// The API's own copy of scales from L1 to the Fixpipe buffer, whole 128 bytes at a time. More than
// 256 are taken in pieces of 128.
void fetch_scales(Core& core, uint32_t count, Site site) {
    const uint32_t piece = count <= 256 ? count : 128;
    for (uint32_t first = 0; first < count; first += piece) {
        const uint32_t bytes = (std::min(piece, count - first) * 8 + 127) / 128 * 128;
        Event& copy = core.record(EventKind::Instruction, PIPE_FIX, "Fixpipe scales", site);
        copy.work = {&Costs::fixpipe_gap, static_cast<double>(bytes), &Costs::l1_to_fixpipe_buffer,
                     &Costs::fixpipe_latency};
        charge_barrier(core, site);
    }
}

void run(const View& to, DType dst_type, const LocalOperand& src, const FixpipeCall& call,
         Site site) {
    const Mode mode = mode_of(call.quant, src.type, site);
    Core& core = current_core();
    if (!core.is_cube) fail(site, "Fixpipe on a vector core");
    check(call, to, src, dst_type, mode, site);
    if (call.n == 0 || call.m == 0 || call.count == 0) return;
    const View from = view_of(src, 64, "src", site);
    if (from.buffer() != Buffer::L0C) {
        fail(site, "Fixpipe: src lies in %s, must lie in L0C", buffer_name(from.buffer()));
    }
    const Soc& soc = core.machine.soc();
    const uint64_t out = size_of(dst_type);
    const uint32_t blocks = (call.n + 15) / 16;

    Instruction fix(PIPE_FIX, "Fixpipe", site);
    // --- what is read of L0C
    const uint64_t matrix_extent =
        ((blocks - 1) * call.src_stride + (call.m - 1) * call.src_row + 16) * 4;
    const uint64_t extent = (call.count - 1) * call.src_matrix * 4 + matrix_extent;
    const int follows = take_unit_flags(core, from, extent, call.unit_flag, site);
    if (call.unit_flag != 0) fix.unit_flag();
    if (follows >= 0) fix.follows(follows);
    // On the way to L1, padding that nothing wrote stays marked so; it must not leave the chip.
    const bool leaves = to.buffer() == Buffer::GM;
    for (uint32_t matrix = 0; matrix < call.count; ++matrix) {
        const uint64_t base = matrix * call.src_matrix * 4;
        const uint32_t full = call.n / 16, tail = call.n % 16;
        const auto row_step = static_cast<int64_t>(call.src_row * 4);
        if (full > 0) {
            fix.reads_if(
                leaves, from,
                {base, 64, call.m, row_step, full, static_cast<int64_t>(call.src_stride * 4)});
        }
        if (tail > 0) {
            fix.reads_if(leaves, from,
                         {base + full * call.src_stride * 4, tail * 4ull, call.m, row_step});
        }
    }
    std::vector<Scale> scales;
    bool scales_fetched = false;
    if (mode.vector) {
        if (call.quant_vector == nullptr) {
            fail(site, "Fixpipe: quantPre %s needs the tensor of scales", mode.name);
        }
        const View vector = view_of(*call.quant_vector, 32, "scales", site);
        if (vector.buffer() != Buffer::L1 && vector.buffer() != Buffer::FB) {
            fail(site, "Fixpipe: scales lie in %s, must lie in L1", buffer_name(vector.buffer()));
        }
        fix.reads(vector, {0, call.n * 8ull});
        for (uint32_t j = 0; j < call.n; ++j) {
            uint64_t bits;
            std::memcpy(&bits, vector.data(j * 8ull), 8);
            scales.push_back(scale_of(bits, mode, soc.arch, site));
        }
        scales_fetched = vector.buffer() == Buffer::L1;
    } else {
        scales.assign(call.n, mode.scaled ? scale_of(call.scalar, mode, soc.arch, site) : Scale{});
    }
    // --- where elements go: destination byte of (matrix, row, column)
    const bool bytes_out = out == 1;
    const uint32_t merged = call.n / 32 * 32;  // int8 NZ joins pairs of column blocks
    const auto place = [&](uint32_t matrix, uint32_t row, uint32_t column) -> uint64_t {
        switch (call.layout) {
            case CO2Layout::ROW_MAJOR:
                return (matrix * call.dst_matrix + row * call.dst_stride + column) * out;
            case CO2Layout::COLUMN_MAJOR:
                return (matrix * call.dst_matrix + column * call.dst_stride + row) * out;
            default:
                break;
        }
        const uint32_t width = call.channel_split ? 8 : bytes_out && column < merged ? 32 : 16;
        const uint32_t block = bytes_out ? column / 32 : column / width;
        const uint32_t inside = bytes_out ? column % 32 : column % width;
        return block * call.dst_stride + (row * uint64_t{width} + inside) * out;
    };
    const Atomic atomic = leaves ? atomic_of_stores(dst_type, site) : Atomic::kNone;
    const bool saturate = saturates(call.quant);
    const auto writes = [&](const Region& region) {
        atomic == Atomic::kNone ? fix.writes(to, region) : fix.combines(atomic, to, region);
    };
    for (uint32_t matrix = 0; matrix < call.count; ++matrix) {
        const auto stride = static_cast<int64_t>(call.dst_stride * out);
        if (call.layout == CO2Layout::ROW_MAJOR) {
            writes({place(matrix, 0, 0), call.n * out, call.m, stride});
        } else if (call.layout == CO2Layout::COLUMN_MAJOR) {
            writes({place(matrix, 0, 0), call.m * out, call.n, stride});
        } else {
            for (uint32_t column = 0; column < call.n;) {
                const uint32_t width = call.channel_split             ? 8
                                       : bytes_out && column < merged ? 32
                                                                      : 16;
                writes({place(0, 0, column), width * out * call.m});
                column += width;
            }
        }
        for (uint32_t row = 0; row < call.m; ++row) {
            for (uint32_t column = 0; column < call.n; ++column) {
                const uint64_t source = (matrix * call.src_matrix + column / 16 * call.src_stride +
                                         row * call.src_row + column % 16) *
                                        4;
                uint32_t bits;
                std::memcpy(&bits, from.data(source), 4);
                const uint32_t result = convert(bits, mode, scales[column], call.relu, saturate);
                const uint64_t target = place(matrix, row, column);
                uint8_t element[4];
                std::memcpy(element, &result, 4);
                combine_elements(atomic, dst_type, to.data(target), element, out);
                if (!leaves) std::memset(to.written(target), from.written(source)[0], out);
            }
        }
    }
    if (scales_fetched) {
        fetch_scales(core, call.n, site);
    } else if (has_barrier(call, to, soc.arch)) {
        charge_barrier(core, site);
    }
    fix.issue({&Costs::fixpipe_gap, double(call.count) * call.m * blocks * 16,
               out == 4 ? &Costs::fixpipe_b32 : &Costs::fixpipe_b16, &Costs::fixpipe_latency});
}

}  // namespace

void fixpipe(const LocalOperand& dst, const LocalOperand& src, const FixpipeCall& call, Site site) {
    const bool to_vector = __NPU_ARCH__ == 3510 && buffer_of(dst.position, site) == Buffer::UB;
    const View to =
        to_vector ? block_view(Buffer::UB, call.sub_block, dst.address, dst.bytes, 32, "dst", site)
                  : view_of(dst, 32, "dst", site);
    run(to, dst.type, src, call, site);
}

void fixpipe(const GlobalOperand& dst, const LocalOperand& src, const FixpipeCall& call,
             Site site) {
    const View to = view_of(dst, "dst", site);
    const auto address = reinterpret_cast<uintptr_t>(dst.address);
    if (call.layout == CO2Layout::NZ && address % 32 != 0) {
        fail(site, "Fixpipe: NZ output to global memory must be aligned to 32 bytes");
    }
    run(to, dst.type, src, call, site);
}

}  // namespace emulator
