#include "cube/loop_mode.h"

#include <algorithm>

namespace emulator {

namespace {

struct LoopMode {
    bool set = false, watched = false;
    Site site;
    Loop inner, outer;
};
struct LoopModeState {
    LoopMode out, in;
};
LoopMode& loop_mode(bool in) {
    LoopModeState& state = current_core().state<LoopModeState>();
    return in ? state.in : state.out;
}

void check_loop(const char* loop, bool in, const Loop& values, Site site) {
    const auto require = [&](const char* field, uint64_t value, int bits) {
        if (value >> bits != 0) {
            fail(site, "SetLoopModePara: %s%s is %llu, it must be below 2^%d", loop, field,
                 static_cast<unsigned long long>(value), bits);
        }
    };
    require("Size", values.size, 21);
    require("SrcStride", values.src, in ? 40 : 21);
    require("DstStride", values.dst, in ? 21 : 40);
    const uint64_t local = in ? values.dst : values.src;
    if (local % 32 != 0) {
        fail(site, "SetLoopModePara: %s%s is %llu, not a multiple of 32", loop,
             in ? "DstStride" : "SrcStride", static_cast<unsigned long long>(local));
    }
}

View shifted(View view, uint64_t offset) {
    view.offset += offset;
    view.bytes -= std::min(view.bytes, offset);
    return view;
}

}  // namespace

void set_loop_mode(bool in, const Loop& inner, const Loop& outer, Site site) {
    check_loop("loop1", in, inner, site);
    check_loop("loop2", in, outer, site);
    LoopMode& mode = loop_mode(in);
    if (!mode.watched) {
        current_core().at_exit([&mode] {
            if (mode.set) {
                fail(mode.site, "SetLoopModePara: ResetLoopModePara does not follow it");
            }
        });
    }
    mode = {true, true, site, inner, outer};
}

void reset_loop_mode(bool in) {
    LoopMode& mode = loop_mode(in);
    mode.set = false;
    mode.inner = mode.outer = {};
}

void for_each_iteration(bool in, const View& to, const View& from, const Region& targets, Site site,
                        const std::function<void(const View&, const View&)>& copy) {
    const LoopMode& mode = loop_mode(in);
    if (!mode.set || (in ? to : from).buffer() != Buffer::UB) return copy(to, from);
    const View& global = in ? from : to;
    if (reinterpret_cast<uintptr_t>(global.data()) % 32 != 0) {
        fail(site, "in loop mode %s must be aligned to 32 bytes", global.what);
    }
    std::vector<uint64_t> starts;
    const auto each = [&](auto visit) {
        for (uint64_t i = 0; i < mode.outer.size; ++i) {
            for (uint64_t j = 0; j < mode.inner.size; ++j) {
                visit(i * mode.outer.dst + j * mode.inner.dst,
                      i * mode.outer.src + j * mode.inner.src);
            }
        }
    };
    each([&](uint64_t target, uint64_t) {
        for (uint64_t row = 0; row < targets.rows; ++row) {
            starts.push_back(target + row * static_cast<uint64_t>(targets.row_stride));
        }
    });
    std::sort(starts.begin(), starts.end());
    for (size_t i = 1; i < starts.size(); ++i) {
        if (starts[i] - starts[i - 1] < targets.run) {
            fail(site, "the iterations of the loop mode overlap at byte %llu of dst",
                 static_cast<unsigned long long>(starts[i]));
        }
    }
    each([&](uint64_t target, uint64_t source) {
        copy(shifted(to, target), shifted(from, source));
    });
}

}  // namespace emulator
