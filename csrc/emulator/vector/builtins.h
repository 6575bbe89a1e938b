// Names that device sources use besides instructions: block indices and small helpers.
#pragma once

#include <type_traits>

#include "ascendc/sync.h"

namespace emulator {

struct BlockIndex {
    operator int64_t() const { return block_index(); }
};
struct BlockCount {
    operator int64_t() const { return block_count(); }
};

}  // namespace emulator

// Built-in variables of the device compiler.
inline constexpr emulator::BlockIndex block_idx;
inline constexpr emulator::BlockCount block_num;
inline int64_t get_block_idx() { return emulator::block_index(); }
inline int64_t get_block_num() { return emulator::block_count(); }

namespace AscendC {

template <bool condition, typename Yes, typename No>
using Conditional = std::conditional<condition, Yes, No>;

template <typename T>
constexpr T DivCeil(T a, T b) {
    return b == 0 ? a : (a + b - 1) / b;
}
template <typename T>
constexpr T CeilDivision(T a, T b) {
    return DivCeil(a, b);
}
template <typename T>
constexpr T AlignUp(T a, T b) {
    return DivCeil(a, b) * b;
}

// A counter that only grows: the scalar instructions issued so far, not modelled time.
inline int64_t GetSystemCycle(emulator::Site site = emulator::Site::here()) {
    emulator::Instruction read(PIPE_S, "GetSystemCycle", site);
    read.issue(1, 0);
    return read.core().last_event();
}

// Writes back and forgets cache lines of scalar accesses; the emulator's scalar unit has no cache.
enum class CacheLine : uint64_t { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE };
enum class DcciDst : uint64_t { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
template <typename T, CacheLine line, DcciDst destination = DcciDst::CACHELINE_ALL>
void DataCacheCleanAndInvalid(const GlobalTensor<T>&) {}
template <typename T, CacheLine line, DcciDst destination = DcciDst::CACHELINE_ALL>
void DataCacheCleanAndInvalid(const LocalTensor<T>&) {}
template <typename T>
void DataCachePreload(const GlobalTensor<uint64_t>&, T) {}

}  // namespace AscendC
