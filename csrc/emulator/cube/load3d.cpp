// LoadData of feature maps: the image-to-column matrix of an NC1HWC0 image in L1, cut out of
// [m_start, m_start + m_extension) x [k_start, k_start + k_extension), into L0A or L0B.
//
//     row m of the matrix: output pixel (m / Wout, m % Wout)
//     column k: (c1, kh, kw, c0), c0 fastest
//     L0A: as it is, or transposed;  L0B: rows of the matrix are rows (K) of B
#include <cstring>
#include <set>

#include "cube/cube.h"

namespace emulator {

namespace {

constexpr uint64_t kFractal = 512;

uint32_t blocks_of(uint32_t count, uint32_t block) { return (count + block - 1) / block; }

// Where element (row, column) of the destination operand lies. A row-like fractal holds 16 rows
// of c0 elements; L0B holds the transpose of that.
struct Layout {
    bool is_b, zz;
    uint32_t c0, size;
    uint32_t row_blocks, column_blocks;  // A: 16 x c0 blocks;  B: 16-wide column blocks
    uint64_t at(uint32_t row, uint32_t column) const {
        if (is_b) {
            return (uint64_t{row / c0} * column_blocks + column / 16) * kFractal +
                   column % 16 * 32ull + row % c0 * size;
        }
        const uint64_t block = zz ? uint64_t{row / 16} * column_blocks + column / c0
                                  : uint64_t{column / c0} * row_blocks + row / 16;
        return block * kFractal + row % 16 * 32ull + column % c0 * size;
    }
};

void check(const Load3D& p, uint32_t c0, Site site) {
    const char* name = "LoadData 3D";
    require_field(name, "mStartPt", p.m_start, 0, 32767, site);
    require_field(name, "strideW", p.stride_w, 0, 63, site);
    require_field(name, "strideH", p.stride_h, 0, 63, site);
    if (p.k_start % c0 != 0) {
        fail(site, "LoadData 3D: kStartPt %u is not a multiple of %u", p.k_start, c0);
    }
    if (p.channels % c0 != 0 && p.channels % 4 != 0) {
        fail(site, "LoadData 3D: channelSize %u is not supported", p.channels);
    }
}

}  // namespace

void set_fmatrix(uint32_t height, uint32_t width, const uint8_t pads[4], bool right, Site site) {
    require_field("LoadData 3D", "l1H", height, 0, 32767, site);
    require_field("LoadData 3D", "l1W", width, 0, 32767, site);
    Load3DState::Image& image = current_core().state<Load3DState>().images[right];
    image = {true, height, width, {pads[0], pads[1], pads[2], pads[3]}};
}

void take_load_3d_state(Load3D& call, bool right, Site site) {
    const Load3DState& state = current_core().state<Load3DState>();
    const Load3DState::Image& image = state.images[right];
    if (!image.set) {
        fail(site, "LoadData 3D with isSetFMatrix = false: SetFmatrix of FMATRIX_%s comes first",
             right ? "RIGHT" : "LEFT");
    }
    call.height = image.height;
    call.width = image.width;
    std::memcpy(call.pads, image.pads, sizeof(call.pads));
    call.pad_value = state.pad_value;
}

void load_3d(const LocalOperand& dst, const LocalOperand& src, const Load3D& p, Site site) {
    const uint32_t size = size_of(src.type), c0 = 32 / size;
    check(p, c0, site);
    if (p.height == 0 || p.width == 0 || p.channels == 0 || p.k_extension == 0 ||
        p.m_extension == 0 || p.filter_w == 0 || p.filter_h == 0) {
        return;
    }
    const Buffer buffer = buffer_of(dst.position, site);
    if ((buffer != Buffer::L0A && buffer != Buffer::L0B) ||
        buffer_of(src.position, site) != Buffer::L1) {
        fail(site, "LoadData 3D: there is no path from %s to %s",
             buffer_name(buffer_of(src.position, site)), buffer_name(buffer));
    }
    const Soc& soc = current_core().machine.soc();
    const bool is_b = buffer == Buffer::L0B, transpose = !is_b && p.transpose;
    if (size == 1 && soc.arch == 2201 && (is_b || transpose)) {
        fail(site, "LoadData 3D: 8-bit elements go to L0A, not transposed, on architecture 2201");
    }
    const int32_t kernel_h = static_cast<int32_t>((p.filter_h - 1) * p.dilation_h + 1);
    const int32_t kernel_w = static_cast<int32_t>((p.filter_w - 1) * p.dilation_w + 1);
    const int32_t padded_h = static_cast<int32_t>(p.height + p.pads[2] + p.pads[3]);
    const int32_t padded_w = static_cast<int32_t>(p.width + p.pads[0] + p.pads[1]);
    if (p.stride_w == 0 || p.stride_h == 0 || padded_w < kernel_w || padded_h < kernel_h) {
        fail(site, "LoadData 3D: the filter does not fit into the image");
    }
    const uint32_t out_w = static_cast<uint32_t>(padded_w - kernel_w) / p.stride_w + 1;
    const uint32_t out_h = static_cast<uint32_t>(padded_h - kernel_h) / p.stride_h + 1;

    const View to = view_of(dst, kFractal, "dst", site);
    const View from = view_of(src, 32, "src", site);
    Layout layout{is_b, soc.arch == 2201, c0, size, 0, 0};
    if (is_b) {
        layout.column_blocks = blocks_of(p.k_extension, 16);
    } else if (transpose) {
        layout.row_blocks = blocks_of(p.k_extension, 16);
        // 32-bit squares are 16 wide, so two fractals of 8 always come together.
        layout.column_blocks =
            size == 4 ? blocks_of(p.m_extension, 16) * 2 : blocks_of(p.m_extension, c0);
    } else {
        layout.row_blocks = blocks_of(p.m_extension, 16);
        layout.column_blocks = blocks_of(p.k_extension, c0);
    }

    if (p.dst_stride != 0) (is_b ? layout.column_blocks : layout.row_blocks) = p.dst_stride;

    Instruction load(PIPE_MTE1, "LoadData 3D", site);
    std::set<uint64_t> sources;   // 32-byte units read
    std::set<uint64_t> fractals;  // fractals written
    const auto each = [&](auto visit) {
        for (uint32_t i = 0; i < p.m_extension; ++i) {
            const uint32_t m = p.m_start + i;
            if (m / out_w >= out_h) continue;
            for (uint32_t j = 0; j < p.k_extension; j += c0) {
                const uint32_t block = (p.k_start + j) / c0;
                const uint32_t kw = block % p.filter_w, kh = block / p.filter_w % p.filter_h;
                const uint32_t c1 = block / (p.filter_w * p.filter_h);
                const int32_t h =
                    static_cast<int32_t>(m / out_w * p.stride_h + kh * p.dilation_h) - p.pads[2];
                const int32_t w =
                    static_cast<int32_t>(m % out_w * p.stride_w + kw * p.dilation_w) - p.pads[0];
                const bool inside = h >= 0 && w >= 0 && h < static_cast<int32_t>(p.height) &&
                                    w < static_cast<int32_t>(p.width);
                const uint64_t at =
                    inside ? ((uint64_t{c1} * p.height + static_cast<uint32_t>(h)) * p.width +
                              static_cast<uint32_t>(w)) *
                                 32
                           : 0;
                visit(i, j, inside, at);
            }
        }
    };
    const auto place = [&](uint32_t i, uint32_t j) {
        return transpose ? layout.at(j, i) : layout.at(i, j);
    };
    each([&](uint32_t i, uint32_t j, bool inside, uint64_t at) {
        if (inside) sources.insert(at);
        for (uint32_t e = 0; e < c0; ++e) fractals.insert(place(i, j + e) / kFractal);
    });
    for (const uint64_t at : sources) load.reads_raw(from, {at, 32});
    for (const uint64_t at : fractals) load.writes_raw(to, {at * kFractal, kFractal});
    each([&](uint32_t i, uint32_t j, bool inside, uint64_t at) {
        for (uint32_t e = 0; e < c0; ++e) {
            const uint64_t target = place(i, j + e);
            if (inside) {
                Instruction::copy_raw(to, target, from, at + e * size, size);
            } else {
                std::memcpy(to.data(target), &p.pad_value, size);
                std::memset(to.written(target), 1, size);
            }
        }
    });
    load.issue({&Costs::mte1_gap, static_cast<double>(fractals.size() * kFractal),
                is_b ? &Costs::l1_to_l0b : &Costs::l1_to_l0a, &Costs::mte1_latency});
}

}  // namespace emulator
