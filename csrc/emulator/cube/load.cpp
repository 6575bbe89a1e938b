// L1 to L0A and L0B in fractals of 512 bytes, with and without transposition.
#include <array>
#include <cstring>

#include "cube/cube.h"

namespace emulator {

namespace {

constexpr uint64_t kFractal = 512;

struct Path {
    View to, from;
    pipe_t pipe;
    Cost rate;
};

Path path_from_l1(const LocalOperand& dst, const LocalOperand& src, const char* name, Site site) {
    const Buffer to = buffer_of(dst.position, site);
    const Buffer from = buffer_of(src.position, site);
    if (from != Buffer::L1 || (to != Buffer::L0A && to != Buffer::L0B)) {
        fail(site, "%s: there is no path from %s to %s", name, buffer_name(from), buffer_name(to));
    }
    return {view_of(dst, kFractal, "dst", site), view_of(src, 32, "src", site), PIPE_MTE1,
            to == Buffer::L0A ? &Costs::l1_to_l0a : &Costs::l1_to_l0b};
}

// dst[c][r] = src[r][c] for a rows x columns array of elements of `size` bytes; the addresses of
// element (r, c) come from the two functions. Carries the written-map along.
template <typename From, typename To>
void transpose(const Path& path, uint32_t rows, uint32_t columns, uint32_t size, From from, To to) {
    for (uint32_t r = 0; r < rows; ++r) {
        for (uint32_t c = 0; c < columns; ++c) {
            Instruction::copy_raw(path.to, to(c, r), path.from, from(r, c), size);
        }
    }
}

// Byte offset of element (row, column) in a fractal of 16 rows of 32 bytes.
uint64_t in_fractal(uint32_t row, uint32_t column, uint32_t size) {
    return row * 32ull + uint64_t{column} * size;
}

void issue(Instruction& load, const Path& path, uint64_t fractals) {
    load.issue({&Costs::mte1_gap, static_cast<double>(fractals * kFractal), path.rate,
                &Costs::mte1_latency});
}

// A square of 16 (b16, b32) or 32 (b8) elements: its fractals in the source, and where the
// fractals of its transpose go.
struct Square {
    uint64_t src[2];
    uint64_t dst[2];
};

void transpose_square(Instruction& load, const Path& path, const Square& square, uint32_t size) {
    const uint32_t parts = size == 2 ? 1 : 2;
    for (uint32_t p = 0; p < parts; ++p) {
        load.reads_raw(path.from, {square.src[p], kFractal});
        load.writes_raw(path.to, {square.dst[p], kFractal});
    }
    if (size == 2) {
        transpose(
            path, 16, 16, size,
            [&](uint32_t r, uint32_t c) { return square.src[0] + in_fractal(r, c, size); },
            [&](uint32_t r, uint32_t c) { return square.dst[0] + in_fractal(r, c, size); });
    } else if (size == 1) {
        // Two fractals of 16 x 32 one above the other, on both sides.
        const auto at = [](const uint64_t* part, uint32_t r, uint32_t c) {
            return part[r / 16] + in_fractal(r % 16, c, 1);
        };
        transpose(
            path, 32, 32, size, [&](uint32_t r, uint32_t c) { return at(square.src, r, c); },
            [&](uint32_t r, uint32_t c) { return at(square.dst, r, c); });
    } else {
        // Two fractals of 16 x 8 side by side, on both sides.
        const auto at = [](const uint64_t* part, uint32_t r, uint32_t c) {
            return part[c / 8] + in_fractal(r, c % 8, 4);
        };
        transpose(
            path, 16, 16, size, [&](uint32_t r, uint32_t c) { return at(square.src, r, c); },
            [&](uint32_t r, uint32_t c) { return at(square.dst, r, c); });
    }
}

}  // namespace

// for i < repeatTimes: fractal startIndex + i * srcStride -> fractal i * (1 + dstGap)
void load_2d(const LocalOperand& dst, const LocalOperand& src,
             const AscendC::LoadData2DParams& params, Site site) {
    const Path path = path_from_l1(dst, src, "LoadData", site);
    const uint32_t size = size_of(src.type);
    if (current_core().machine.soc().arch == 3510) {
        // On dav-3510 this form is carried out by the V2 instruction, one row of fractals.
        AscendC::LoadData2DParamsV2 v2;
        v2.kStartPosition = uint32_t{params.startIndex};
        v2.mStep = 1;
        v2.kStep = uint32_t{params.repeatTimes};
        v2.srcStride = uint32_t{params.srcStride};
        v2.dstStride = 1;
        v2.ifTranspose = params.ifTranspose;
        return load_2d_v2(dst, src, v2, site);
    }
    require_field("LoadData", "addrMode", params.addrMode, 0, 0, site);
    if (params.ifTranspose && size != 2) {
        fail(site, "LoadData: ifTranspose takes 16-bit elements only, not %s",
             dtype_name(src.type));
    }
    if (params.repeatTimes == 0) return;
    Instruction load(path.pipe, "LoadData", site);
    for (uint32_t i = 0; i < params.repeatTimes; ++i) {
        const uint64_t from = (params.startIndex + uint64_t{i} * params.srcStride) * kFractal;
        const uint64_t to = i * (1ull + params.dstGap) * kFractal;
        if (params.ifTranspose) {
            transpose_square(load, path, {{from, 0}, {to, 0}}, size);
        } else {
            load.reads_raw(path.from, {from, kFractal});
            load.writes_raw(path.to, {to, kFractal});
            Instruction::copy_raw(path.to, to, path.from, from, kFractal);
        }
    }
    issue(load, path, params.repeatTimes);
}

void load_2d_gm(const LocalOperand& dst, const GlobalOperand& src,
                const AscendC::LoadData2DParams& params, Site site) {
    const Buffer buffer = buffer_of(dst.position, site);
    const int arch = current_core().machine.soc().arch;
    const bool level0 = buffer == Buffer::L0A || buffer == Buffer::L0B;
    if (!(level0 && arch == 2201) && buffer != Buffer::L1) {
        fail(site, "LoadData: there is no path from GM to %s on architecture %d",
             buffer_name(buffer), arch);
    }
    if (params.ifTranspose) fail(site, "LoadData from GM cannot transpose");
    require_field("LoadData", "addrMode", params.addrMode, 0, 1, site);
    if (params.repeatTimes == 0) return;
    const View to = view_of(dst, level0 ? kFractal : 32, "dst", site);
    const View from = view_of(src, "src", site);
    Instruction load(PIPE_MTE2, "LoadData", site);
    for (int64_t i = 0; i < params.repeatTimes; ++i) {
        const int64_t step = i * params.srcStride * (params.addrMode == 0 ? 1 : -1);
        const int64_t index = int64_t{params.startIndex} + step;
        if (index < 0) fail(site, "LoadData: fractal %lld", static_cast<long long>(index));
        const uint64_t at = static_cast<uint64_t>(i) * (1ull + params.dstGap) * kFractal;
        const uint64_t source = static_cast<uint64_t>(index) * kFractal;
        load.reads(from, {source, kFractal});
        load.writes(to, {at, kFractal});
        std::memcpy(to.data(at), from.data(source), kFractal);
    }
    load.issue(0, 0);
}

// source: fractal (mi, ki) at (kStart |srcStride| + mStart) + ki srcStride + mi
// plain:      -> fractal ki dstStride + mi
// transposed: the grid of fractals is transposed too: its rows become the far direction
void load_2d_v2(const LocalOperand& dst, const LocalOperand& src,
                const AscendC::LoadData2DParamsV2& params, Site site) {
    const char* name = "LoadData V2";
    const int arch = current_core().machine.soc().arch;
    if (arch != 3510) {
        fail(site, "LoadData with LoadData2DParamsV2 does not exist on architecture %d", arch);
    }
    require_field(name, "mStep", params.mStep, 0, 255, site);
    require_field(name, "kStep", params.kStep, 0, 255, site);
    if (params.mStep == 0 || params.kStep == 0) return;
    const Path path = path_from_l1(dst, src, name, site);
    const uint32_t size = size_of(src.type);
    const int64_t stride = params.srcStride;
    const int64_t start =
        int64_t{params.kStartPosition} * (stride < 0 ? -stride : stride) + params.mStartPosition;
    const auto source = [&](uint64_t mi, uint64_t ki) {
        return static_cast<uint64_t>(start + static_cast<int64_t>(ki) * stride +
                                     static_cast<int64_t>(mi)) *
               kFractal;
    };
    const uint64_t pitch = params.dstStride;
    Instruction load(path.pipe, name, site);
    if (!params.ifTranspose) {
        for (uint64_t ki = 0; ki < params.kStep; ++ki) {
            for (uint64_t mi = 0; mi < params.mStep; ++mi) {
                const uint64_t to = (ki * pitch + mi) * kFractal;
                load.reads_raw(path.from, {source(mi, ki), kFractal});
                load.writes_raw(path.to, {to, kFractal});
                Instruction::copy_raw(path.to, to, path.from, source(mi, ki), kFractal);
            }
        }
    } else if (size == 2) {
        for (uint64_t mi = 0; mi < params.mStep; ++mi) {
            for (uint64_t ki = 0; ki < params.kStep; ++ki) {
                const uint64_t to = (mi * pitch + ki) * kFractal;
                transpose_square(load, path, {{source(mi, ki), 0}, {to, 0}}, size);
            }
        }
    } else if (size == 1) {
        if (params.mStep % 2 != 0) {
            fail(site, "LoadData V2: mStep %u must be even to transpose %s", uint32_t{params.mStep},
                 dtype_name(src.type));
        }
        for (uint64_t mi = 0; mi < params.mStep; mi += 2) {
            for (uint64_t ki = 0; ki < params.kStep; ++ki) {
                const uint64_t to = (mi / 2 * pitch + 2 * ki) * kFractal;
                transpose_square(load, path,
                                 {{source(mi, ki), source(mi + 1, ki)}, {to, to + kFractal}}, size);
            }
        }
    } else {
        if (params.kStep % 2 != 0) {
            fail(site, "LoadData V2: kStep %u must be even to transpose %s", uint32_t{params.kStep},
                 dtype_name(src.type));
        }
        for (uint64_t mi = 0; mi < params.mStep; ++mi) {
            for (uint64_t ki = 0; ki < params.kStep; ki += 2) {
                const uint64_t to = (2 * mi * pitch + ki / 2) * kFractal;
                transpose_square(
                    load, path, {{source(mi, ki), source(mi, ki + 1)}, {to, to + pitch * kFractal}},
                    size);
            }
        }
    }
    issue(load, path, uint64_t{params.mStep} * params.kStep);
}

namespace {

// for i < repeatTimes: the square that starts at startIndex + i * srcStride, in units of `step`
// bytes, its fractals `source_pitch` bytes apart -> fractals i * (1 + dstGap), 1 + dstFracGap apart
template <class Params>
void transpose_squares(const Path& path, const Params& params, uint32_t size, uint64_t step,
                       uint64_t source_pitch, Site site) {
    Instruction load(path.pipe, "LoadDataWithTranspose", site);
    const int direction = params.addrMode == 0 ? 1 : -1;
    for (int64_t i = 0; i < params.repeatTimes; ++i) {
        const int64_t start = int64_t{params.startIndex} + i * params.srcStride * direction;
        if (start < 0) {
            fail(site, "LoadDataWithTranspose: start %lld", static_cast<long long>(start));
        }
        const uint64_t from = static_cast<uint64_t>(start) * step;
        const uint64_t to = static_cast<uint64_t>(i) * (1ull + params.dstGap) * kFractal;
        transpose_square(
            load, path,
            {{from, from + source_pitch}, {to, to + (1ull + params.dstFracGap) * kFractal}}, size);
    }
    issue(load, path, uint64_t{params.repeatTimes} * (size == 2 ? 1 : 2));
}

}  // namespace

// Squares: b16 one fractal, b8 and b32 two that follow each other in the source.
void load_transposed(const LocalOperand& dst, const LocalOperand& src,
                     const AscendC::LoadData2dTransposeParams& params, Site site) {
    const uint32_t parts = size_of(src.type) == 2 ? 1 : 2;
    const Path path = path_from_l1(dst, src, "LoadDataWithTranspose", site);
    if (current_core().machine.soc().arch == 3510 && path.to.buffer() != Buffer::L0B) {
        fail(site, "LoadDataWithTranspose loads L0B only on architecture 3510");
    }
    if (params.repeatTimes == 0) return;
    transpose_squares(path, params, size_of(src.type), parts * kFractal, kFractal, site);
}

void load_transposed_v2(const LocalOperand& dst, const LocalOperand& src,
                        const AscendC::LoadData2dTransposeParamsV2& params, Site site) {
    const Path path = path_from_l1(dst, src, "LoadDataWithTranspose", site);
    const int arch = current_core().machine.soc().arch;
    if (arch != 3510 || path.to.buffer() != Buffer::L0B) {
        fail(site,
             "LoadDataWithTranspose with LoadData2dTransposeParamsV2 loads L0B of "
             "architecture 3510 only");
    }
    require_field("LoadDataWithTranspose", "repeatTimes", params.repeatTimes, 1, 255, site);
    const uint32_t size = size_of(src.type);
    if (size == 4) {
        fail(site, "LoadDataWithTranspose V2 of 32-bit elements is not modelled; use LoadData V2");
    }
    transpose_squares(path, params, size, kFractal, (1ull + params.srcFracGap) * kFractal, site);
}

}  // namespace emulator
