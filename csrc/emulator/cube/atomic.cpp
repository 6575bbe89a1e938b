#include "cube/atomic.h"

#include <cstring>

namespace emulator {

namespace {

template <typename T>
auto number(T value) {
    if constexpr (kIsReal<T>) {
        return widen(value);
    } else {
        return int64_t{value};
    }
}

template <typename T>
T combined(Atomic operation, T present, T stored, Overflow overflow) {
    const auto a = number(present), b = number(stored);
    if (operation == Atomic::kAdd) {
        if constexpr (kIsReal<T>) {
            return narrow<T>(a + b, overflow);
        } else {
            return static_cast<T>(a + b);
        }
    }
    if (a != a) return present;
    const bool replaces = operation == Atomic::kMax ? b > a : b < a;
    return replaces || b != b ? stored : present;
}

template <typename T>
void combine(Atomic operation, uint8_t* to, const uint8_t* from, uint64_t bytes) {
    const Overflow overflow = current_core().saturate ? Overflow::kSaturate : Overflow::kInfinity;
    for (uint64_t at = 0; at < bytes; at += sizeof(T)) {
        T present, stored;
        std::memcpy(&present, to + at, sizeof(T));
        std::memcpy(&stored, from + at, sizeof(T));
        present = combined(operation, present, stored, overflow);
        std::memcpy(to + at, &present, sizeof(T));
    }
}

void require_atomic_type(DType type, const char* name, Site site) {
    switch (type) {
        case DType::I8:
        case DType::I16:
        case DType::I32:
        case DType::F16:
        case DType::BF16:
        case DType::F32:
            return;
        default:
            fail(site,
                 "%s does not take %s; it takes int8_t, int16_t, int32_t, half, bfloat16_t, float",
                 name, dtype_name(type));
    }
}

constexpr const char* operation_name(Atomic operation) {
    constexpr const char* names[] = {"DisableDmaAtomic", "SetAtomicAdd", "SetAtomicMax",
                                     "SetAtomicMin"};
    return names[static_cast<int>(operation)];
}

}  // namespace

void set_atomic(Atomic operation, DType type, const char* name, Site site) {
    require_atomic_type(type, name, site);
    current_core().state<AtomicState>() = {operation, type};
}

void set_atomic_type(DType type, Site site) {
    require_atomic_type(type, "SetAtomicType", site);
    current_core().state<AtomicState>().type = type;
}

void disable_dma_atomic() { current_core().state<AtomicState>() = {}; }

Atomic atomic_of_stores(DType stored, Site site) {
    const AtomicState& state = current_core().state<AtomicState>();
    if (state.operation != Atomic::kNone && state.type != stored) {
        fail(site, "%s is for %s, the elements stored to global memory are %s",
             operation_name(state.operation), dtype_name(state.type), dtype_name(stored));
    }
    return state.operation;
}

void combine_elements(Atomic operation, DType type, uint8_t* to, const uint8_t* from,
                      uint64_t bytes) {
    if (operation == Atomic::kNone) {
        std::memcpy(to, from, bytes);
        return;
    }
    switch (type) {
        case DType::I8:
            return combine<int8_t>(operation, to, from, bytes);
        case DType::I16:
            return combine<int16_t>(operation, to, from, bytes);
        case DType::I32:
            return combine<int32_t>(operation, to, from, bytes);
        case DType::F16:
            return combine<half>(operation, to, from, bytes);
        case DType::BF16:
            return combine<bfloat16_t>(operation, to, from, bytes);
        default:
            return combine<float>(operation, to, from, bytes);
    }
}

void store_runs(Instruction& copy, const View& to, const Region& targets, const View& from,
                const Region& sources, DType type) {
    const Atomic atomic = atomic_of_stores(type, copy.site());
    const bool plain = atomic == Atomic::kNone;
    // Bytes that nothing has written may leave the chip as such, unless the launch is strict.
    copy.reads_if(!plain || copy.core().machine.options().strict, from, sources);
    plain ? copy.writes_raw(to, targets) : copy.combines(atomic, to, targets);
    for (uint64_t row = 0; row < sources.rows; ++row) {
        const auto at = static_cast<int64_t>(row);
        const auto source = static_cast<uint64_t>(at * sources.row_stride);
        const auto target = static_cast<uint64_t>(at * targets.row_stride);
        if (plain) {
            Instruction::copy_raw(to, target, from, source, sources.run);
        } else {
            combine_elements(atomic, type, to.data(target), from.data(source), sources.run);
        }
    }
}

}  // namespace emulator
