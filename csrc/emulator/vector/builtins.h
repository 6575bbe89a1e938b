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

template <typename T, typename U>
constexpr std::common_type_t<T, U> DivCeil(T a, U b) {
    const std::common_type_t<T, U> count = a, size = b;
    return size == 0 ? count : (count + size - 1) / size;
}
template <typename T, typename U>
constexpr auto CeilDivision(T a, U b) {
    return DivCeil(a, b);
}
template <typename T, typename U>
constexpr auto AlignUp(T a, U b) {
    return DivCeil(a, b) * b;
}

// A counter that only grows: the scalar instructions issued so far, not modelled time.
inline int64_t GetSystemCycle(emulator::Site site = emulator::Site::here()) {
    emulator::Instruction read(PIPE_S, "GetSystemCycle", site);
    read.issue(1, 0);
    return read.core().last_event();
}

// Words in global memory past the data cache: two cores may use the same one without a race.
template <typename T>
T ReadGmByPassDCache(__gm__ T* addr, emulator::Site site = emulator::Site::here()) {
    emulator::current_core().observe_word(addr);
    emulator::Instruction read(PIPE_S, "ReadGmByPassDCache", site);
    read.word();
    const emulator::View view = emulator::view_of({addr, emulator::dtype_of<T>()}, "addr", site);
    read.reads(view, {0, sizeof(T)});
    read.issue(read.core().machine.soc().costs.scalar_memory, 0);
    T value;
    __builtin_memcpy(&value, view.data(), sizeof(T));
    return value;
}
template <typename T>
void WriteGmByPassDCache(__gm__ T* addr, T value, emulator::Site site = emulator::Site::here()) {
    emulator::Instruction write(PIPE_S, "WriteGmByPassDCache", site);
    write.word();
    const emulator::View view = emulator::view_of({addr, emulator::dtype_of<T>()}, "addr", site);
    write.writes(view, {0, sizeof(T)});
    write.issue(write.core().machine.soc().costs.scalar_memory, 0);
    __builtin_memcpy(view.data(), &value, sizeof(T));
    write.core().publish_word(addr);
}

// Say to a fusion of several kernels where they may overlap; alone they say nothing (documented).
template <pipe_t vector = PIPE_MTE3, pipe_t cube = PIPE_FIX, bool force = false>
void SetNextTaskStart() {}
template <bool force = false>
void WaitPreTaskEnd() {}

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
