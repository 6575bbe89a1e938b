// DataCopyPad: runs of bytes between global memory and the Unified Buffer that need not fill
// blocks.
#pragma once

#include "ascendc/loop_mode.h"
#include "ascendc/params.h"
#include "cube/atomic.h"
#include "vector/call.h"
#include "vector/params.h"

namespace emulator {

// What fills the bytes around each run in the Unified Buffer. `first`: the first element of the run
// itself, as documented when there is neither left nor right padding. `none`: unknown values.
struct Padding {
    uint32_t left_bytes = 0, right_bytes = 0;
    enum Kind { kValue, kFirst, kNone } kind = kNone;
    uint64_t value = 0;
};

struct PadGeometry {
    uint32_t count, length;    // runs, bytes
    int64_t src_gap, dst_gap;  // from the end of one run to the start of the next: see each path
    // The runs lie one behind the other in the Unified Buffer, and only the last is padded.
    bool compact = false;
};

inline uint64_t whole_pad_blocks(uint64_t bytes) {
    return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

inline void check_pad_geometry(const PadGeometry& g, uint32_t element, Site site) {
    require_range("DataCopyPad", "blockCount", g.count, 0, 4095, site);
    require_range("DataCopyPad", "blockLen", g.length, 0, 2097151, site);
    if (g.length % element != 0) {
        fail(site, "DataCopyPad: blockLen is %u bytes, not a multiple of the element's %u",
             g.length, element);
    }
}

inline void fill_padding(const View& to, uint64_t at, uint64_t count, const Padding& padding,
                         uint32_t element, const uint8_t* first) {
    if (padding.kind == Padding::kNone) {
        std::memset(to.data(at), kPoison, count);
        if (to.written() != nullptr) std::memset(to.written(at), 0, count);
        return;
    }
    uint8_t value[8];
    std::memcpy(value, &padding.value, sizeof(value));
    const uint8_t* source = padding.kind == Padding::kFirst ? first : value;
    for (uint64_t i = 0; i < count; ++i) *to.data(at + i) = source[i % element];
    if (to.written() != nullptr) std::memset(to.written(at), 1, count);
}

// Global memory -> Unified Buffer. src_gap in bytes, dst_gap in DataBlocks.
inline void copy_pad_in(const LocalOperand& dst, const GlobalOperand& src, const PadGeometry& g,
                        const Padding& padding, Site site) {
    const uint32_t element = size_of(dst.type);
    check_pad_geometry(g, element, site);
    require_range("DataCopyPad", "leftPadding (bytes)", padding.left_bytes, 0, 32, site);
    require_range("DataCopyPad", "rightPadding (bytes)", padding.right_bytes, 0, 32, site);
    if (element == 8 && padding.value != 0) {
        fail(site, "DataCopyPad: the padding value of 64-bit elements must be 0");
    }
    if (g.count == 0 || g.length == 0) return;
    View to = view_of(dst, kBlockBytes, "dst", site);
    // The last block is written whole, also where the tensor ends within it.
    to.bytes = whole_pad_blocks(to.bytes);
    if (to.buffer() != Buffer::UB && to.buffer() != Buffer::L1) {
        fail(site, "DataCopyPad: there is no path from GM to %s", buffer_name(to.buffer()));
    }
    if (to.buffer() == Buffer::L1 && __NPU_ARCH__ == 2201) {
        fail(site, "DataCopyPad: there is no path from GM to L1 on dav-2201");
    }
    const View from = view_of(src, "src", site);
    const uint64_t slot =
        whole_pad_blocks(uint64_t{padding.left_bytes} + g.length + padding.right_bytes);
    const int64_t src_pitch = int64_t{g.length} + g.src_gap;
    const uint64_t dst_pitch =
        g.compact ? g.length : slot + static_cast<uint64_t>(g.dst_gap) * kBlockBytes;
    const uint64_t all = whole_pad_blocks(uint64_t{g.count} * g.length);
    const Region targets =
        g.compact ? Region{0, all} : Region{0, slot, g.count, static_cast<int64_t>(dst_pitch)};
    Instruction copy(PIPE_MTE2, "DataCopyPad", site);
    const auto once = [&](const View& there, const View& here) {
        copy.reads(here, {0, g.length, g.count, src_pitch});
        copy.writes(there, targets);
        for (uint32_t i = 0; i < g.count; ++i) {
            const uint64_t at = i * dst_pitch;
            const uint8_t* run =
                here.memory->data() + here.offset + static_cast<int64_t>(i) * src_pitch;
            fill_padding(there, at, padding.left_bytes, padding, element, run);
            std::memcpy(there.data(at + padding.left_bytes), run, g.length);
            const uint64_t end = at + padding.left_bytes + g.length;
            const uint64_t stop = !g.compact ? at + slot : i + 1 == g.count ? all : end;
            fill_padding(there, end, stop - end, padding, element, run);
        }
    };
    for_each_iteration(true, to, from, targets, site, once);
    copy.issue(0, 0);
}

// Unified Buffer -> global memory. src_gap in DataBlocks, dst_gap in bytes.
inline void copy_pad_out(const GlobalOperand& dst, const LocalOperand& src, const PadGeometry& g,
                         Site site) {
    check_pad_geometry(g, size_of(src.type), site);
    if (g.count == 0 || g.length == 0) return;
    const View from = view_of(src, kBlockBytes, "src", site);
    if (from.buffer() != Buffer::UB) {
        fail(site, "DataCopyPad: there is no path from %s to GM", buffer_name(from.buffer()));
    }
    const View to = view_of(dst, "dst", site);
    const uint64_t src_pitch =
        g.compact ? g.length
                  : whole_pad_blocks(g.length) + static_cast<uint64_t>(g.src_gap) * kBlockBytes;
    const int64_t dst_pitch = int64_t{g.length} + g.dst_gap;
    Instruction copy(PIPE_MTE3, "DataCopyPad", site);
    const Region runs{0, g.length, g.count, static_cast<int64_t>(src_pitch)};
    const Region targets{0, g.length, g.count, dst_pitch};
    for_each_iteration(false, to, from, targets, site, [&](const View& there, const View& here) {
        store_runs(copy, there, targets, here, runs, dst.type);
    });
    copy.issue(0, 0);
}

inline Padding padding_of(bool is_pad, uint32_t left, uint32_t right, uint64_t value,
                          uint32_t element, bool compact) {
    const VectorState& state = vector_state();
    Padding padding{left * element, right * element, Padding::kNone, 0};
    if (compact) padding.left_bytes = padding.right_bytes = 0;
    if (is_pad) {
        padding.kind = Padding::kValue;
        padding.value = value;
    } else if (state.pad_value_set) {
        padding.kind = Padding::kValue;
        padding.value = state.pad_value;
    } else if (left == 0 && right == 0 && !compact) {
        padding.kind = Padding::kFirst;
    }
    return padding;
}

using PaddedTypes2201 = TypeList<int8_t, uint8_t, int16_t, uint16_t, half, bfloat16_t, int32_t,
                                 uint32_t, float, int64_t, uint64_t, double>;
using PaddedTypes = ByArch<PaddedTypes2201, Extended<PaddedTypes2201, bool>::List>;

// The four forms of DataCopyPad: with DataCopyParams, lengths and gaps count as in
// DataCopyExtParams.
inline PadGeometry pad_geometry(const AscendC::DataCopyExtParams& p, AscendC::PaddingMode mode) {
    return {p.blockCount, p.blockLen, p.srcStride, p.dstStride,
            mode == AscendC::PaddingMode::Compact};
}
inline PadGeometry pad_geometry(const AscendC::DataCopyParams& p, AscendC::PaddingMode mode) {
    return {p.blockCount, p.blockLen, p.srcGap, p.dstGap, mode == AscendC::PaddingMode::Compact};
}
template <typename T, typename Params, typename Pad>
void run_pad_in(const AscendC::LocalTensor<T>& dst, const AscendC::GlobalTensor<T>& src,
                const Params& params, const Pad& pad, AscendC::PaddingMode mode, Site site) {
    require_type<T, PaddedTypes>();
    uint64_t value = 0;
    std::memcpy(&value, &pad.paddingValue, std::min(sizeof(value), sizeof(pad.paddingValue)));
    const PadGeometry geometry = pad_geometry(params, mode);
    copy_pad_in(dst.operand(), src.operand(), geometry,
                padding_of(pad.isPad, pad.leftPadding, pad.rightPadding, value, sizeof(T),
                           geometry.compact),
                site);
}
template <typename T, typename Params>
void run_pad_out(const AscendC::GlobalTensor<T>& dst, const AscendC::LocalTensor<T>& src,
                 const Params& params, AscendC::PaddingMode mode, Site site) {
    require_type<T, PaddedTypes>();
    copy_pad_out(dst.operand(), src.operand(), pad_geometry(params, mode), site);
}

}  // namespace emulator

namespace AscendC {

template <typename T>
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                 const DataCopyExtParams& params, const DataCopyPadExtParams<T>& pad,
                 emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_in(dst, src, params, pad, PaddingMode::Normal, site);
}
template <typename T>
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src,
                 const DataCopyExtParams& params, emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_out(dst, src, params, PaddingMode::Normal, site);
}
template <typename T, PaddingMode mode>
EMULATOR_ONLY_ON_3510("DataCopyPad into UB with DataCopyExtParams and PaddingMode")
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                 const DataCopyExtParams& params, const DataCopyPadExtParams<T>& pad,
                 emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_in(dst, src, params, pad, mode, site);
}
template <typename T, PaddingMode mode>
EMULATOR_ONLY_ON_3510("DataCopyPad out of UB with DataCopyExtParams and PaddingMode")
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src,
                 const DataCopyExtParams& params, emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_out(dst, src, params, mode, site);
}
template <typename T>
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                 const DataCopyParams& params, const DataCopyPadParams& pad,
                 emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_in(dst, src, params, pad, PaddingMode::Normal, site);
}
template <typename T>
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src,
                 const DataCopyParams& params, emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_out(dst, src, params, PaddingMode::Normal, site);
}
template <typename T, PaddingMode mode>
EMULATOR_ONLY_ON_3510("DataCopyPad into UB with DataCopyParams and PaddingMode")
void DataCopyPad(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                 const DataCopyParams& params, const DataCopyPadParams& pad,
                 emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_in(dst, src, params, pad, mode, site);
}
template <typename T, PaddingMode mode>
EMULATOR_ONLY_ON_3510("DataCopyPad out of UB with DataCopyParams and PaddingMode")
void DataCopyPad(const GlobalTensor<T>& dst, const LocalTensor<T>& src,
                 const DataCopyParams& params, emulator::Site site = emulator::Site::here()) {
    emulator::run_pad_out(dst, src, params, mode, site);
}

}  // namespace AscendC
