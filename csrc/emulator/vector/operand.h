// Operands of vector instructions: where their elements lie, and which bytes an instruction
// touches.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "core/memory.h"
#include "vector/state.h"

namespace emulator {

// A tensor in the Unified Buffer as one operand. Element `lane` of iteration r lies in DataBlock
// lane / (256 / bits), whose address is base + r * repeat_stride + block * block_stride (bytes).
struct Operand {
    uint64_t base = 0;
    uint32_t bits = 0;  // of an element; 4 for int4b_t
    uint32_t block_stride = kBlockBytes;
    uint32_t repeat_stride = kIterationBytes;
    uint8_t* memory = nullptr;
    uint32_t view = 0;  // of the instruction, for messages and bounds

    uint32_t per_block() const { return kBlockBytes * 8 / bits; }
    uint64_t offset(uint32_t iteration, uint32_t lane) const {
        return base + uint64_t{iteration} * repeat_stride +
               uint64_t{lane / per_block()} * block_stride + lane % per_block() * bits / 8;
    }
    uint8_t* at(uint32_t iteration, uint32_t lane) const {
        return memory + offset(iteration, lane);
    }
    bool same_place(const Operand& other) const {
        return base == other.base && bits == other.bits && block_stride == other.block_stride &&
               repeat_stride == other.repeat_stride;
    }
};

template <typename T>
T load(const uint8_t* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

template <typename T>
void store(uint8_t* to, T value) {
    std::memcpy(to, &value, sizeof(T));
}

// Calls body(iteration, lane, count) for runs of active elements that are contiguous in every
// operand, in the order in which the hardware works.
template <size_t N, typename Body>
void for_each_segment(const Lanes& lanes, const std::array<Operand, N>& operands, Body body) {
    uint32_t unit = lanes.width();  // elements that stay contiguous in every operand
    for (const Operand& operand : operands) {
        if (operand.block_stride != kBlockBytes) unit = std::min(unit, operand.per_block());
    }
    for (uint32_t iteration = 0; iteration < lanes.iterations(); ++iteration) {
        lanes.runs(iteration, [&](uint32_t lane, uint32_t end) {
            while (lane < end) {
                const uint32_t stop = std::min(end, (lane / unit + 1) * unit);
                body(iteration, lane, stop - lane);
                lane = stop;
            }
        });
    }
}

// The bytes of `operand` that iterations first .. first + count - 1 touch, all with the same
// `length` leading elements.
inline void prefix_regions(const Operand& operand, uint32_t first, uint32_t count, uint32_t length,
                           std::vector<Region>& regions) {
    if (count == 0 || length == 0) return;
    const uint64_t base = operand.offset(first, 0);
    const uint32_t full = length / operand.per_block();
    const uint32_t tail = length % operand.per_block() * operand.bits / 8;
    if (operand.block_stride == kBlockBytes) {
        const uint64_t run = uint64_t{full} * kBlockBytes + tail;
        if (run == operand.repeat_stride) {
            regions.push_back({base, run * count, 1, 0, 1, 0});
        } else {
            regions.push_back({base, run, count, operand.repeat_stride, 1, 0});
        }
        return;
    }
    if (full != 0) {
        regions.push_back(
            {base, kBlockBytes, full, operand.block_stride, count, operand.repeat_stride});
    }
    if (tail != 0) {
        regions.push_back({base + uint64_t{full} * operand.block_stride, tail, count,
                           operand.repeat_stride, 1, 0});
    }
}

inline std::vector<Region> regions_of(const Operand& operand, const Lanes& lanes) {
    std::vector<Region> regions;
    const uint32_t iterations = lanes.iterations();
    if (iterations == 0) return regions;
    const uint32_t length = lanes.prefix(0);
    if (lanes.counted()) {
        prefix_regions(operand, 0, iterations - 1, lanes.width(), regions);
        prefix_regions(operand, iterations - 1, 1, lanes.prefix(iterations - 1), regions);
    } else if (length != Lanes::kHoles) {
        prefix_regions(operand, 0, iterations, length, regions);
    } else {
        const uint32_t unit = operand.per_block();
        lanes.runs(0, [&](uint32_t lane, uint32_t end) {
            while (lane < end) {
                const uint32_t stop = std::min(end, (lane / unit + 1) * unit);
                regions.push_back({operand.offset(0, lane),
                                   uint64_t{stop - lane} * operand.bits / 8, iterations,
                                   operand.repeat_stride, 1, 0});
                lane = stop;
            }
        });
    }
    return regions;
}

// The DataBlocks, by address, that an iteration of an operand touches; `place` is the number of the
// block within the iteration.
struct TouchedBlocks {
    uint32_t count = 0;
    std::array<uint32_t, kBlocks> address, place;

    TouchedBlocks(const Operand& operand, const Lanes& lanes, uint32_t iteration) {
        const uint32_t per_block = operand.per_block();
        const uint32_t length = lanes.prefix(iteration);
        for (uint32_t first = 0; first < lanes.width(); first += per_block) {
            bool touched = length != Lanes::kHoles && first < length;
            for (uint32_t i = 0; length == Lanes::kHoles && i < per_block && !touched; ++i) {
                touched = lanes.active(iteration, first + i);
            }
            if (!touched) continue;
            address[count] = static_cast<uint32_t>(operand.offset(iteration, first) / kBlockBytes);
            place[count++] = first / per_block;
        }
    }
};

// No two iterations of the operand share a block: they follow each other, or are interleaved.
inline bool iterations_apart(const Operand& operand, const Lanes& lanes) {
    const uint64_t span = uint64_t{operand.block_stride} * (kBlocks - 1) + kBlockBytes;
    return operand.repeat_stride >= span ||
           (operand.repeat_stride >= kBlockBytes &&
            operand.block_stride >= uint64_t{operand.repeat_stride} * lanes.iterations());
}

// The documented rules for operands that share memory: within an iteration source and destination
// coincide or are disjoint; no iteration reads what an earlier one wrote, except where the
// instruction allows accumulation. Returns the offending iteration, or -1.
inline int64_t overlap_violation(const Operand& destination, const Operand& source,
                                 const Lanes& lanes, bool may_accumulate) {
    if (lanes.iterations() == 0) return -1;
    const auto end = [&](const Operand& operand) {
        return operand.offset(lanes.iterations() - 1, lanes.width() - 1) + (operand.bits + 7) / 8;
    };
    if (end(destination) <= source.base || end(source) <= destination.base) return -1;
    if (destination.same_place(source) &&
        (lanes.iterations() == 1 || iterations_apart(destination, lanes))) {
        return -1;
    }
    const bool accumulates =
        may_accumulate && (source.repeat_stride == 0 || destination.repeat_stride == 0);
    // Blocks written by this call carry its number.
    static thread_local std::vector<uint32_t> written;
    static thread_local uint32_t number = 0;
    if (++number == 0) {
        written.clear();
        number = 1;
    }
    const uint64_t blocks = std::max(end(destination), end(source)) / kBlockBytes + 1;
    if (written.size() < blocks) written.resize(blocks, 0);
    for (uint32_t iteration = 0; iteration < lanes.iterations(); ++iteration) {
        const TouchedBlocks reads(source, lanes, iteration), writes(destination, lanes, iteration);
        for (uint32_t r = 0; r < reads.count; ++r) {
            if (written[reads.address[r]] == number && !accumulates) return iteration;
            for (uint32_t w = 0; w < writes.count; ++w) {
                const bool coincide =
                    reads.place[r] == writes.place[w] && source.bits == destination.bits;
                if (reads.address[r] == writes.address[w] && !coincide) return iteration;
            }
        }
        for (uint32_t w = 0; w < writes.count; ++w) written[writes.address[w]] = number;
    }
    return -1;
}

}  // namespace emulator
