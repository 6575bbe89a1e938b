// The registers of a vector core that outlive one instruction, and the masks formed from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "scalar_types.h"

namespace emulator {

constexpr uint32_t kBlockBytes = 32;  // DataBlock, the unit of vector addresses
constexpr uint32_t kBlocks = 8;       // DataBlocks that one iteration works on
constexpr uint32_t kIterationBytes = kBlockBytes * kBlocks;
constexpr uint32_t kMaxRepeats = 255;

// Reset by InitSocState or by construction of a TPipe.
struct VectorState {
    bool counter_mode = false;                      // SetMaskCount / SetMaskNorm
    std::array<uint64_t, 2> mask = {~0ull, ~0ull};  // low, high; in counter mode mask[0] counts
    std::array<uint64_t, 2> compare_mask = {0, 0};  // CMPMASK
    uint32_t compare_mask_unwritten = 0;            // its bytes that were loaded from poison
    bool cut_integers = false;                 // CTRL[59]: of what overflows, the low bits stay
    half deq_scale = half::from_bits(0x3c00);  // DEQSCALE of int32 -> half
    float reduced_value = 0;                   // of the last reduction, for GetReduceRepeat...Spr
    uint32_t reduced_index = 0;
    uint64_t pad_value = 0;  // of DataCopyPad
    bool pad_value_set = false;
};

// Which elements of an instruction take part. An iteration holds `width` elements, the number that
// the widest operand fits into 256 bytes.
class Lanes {
  public:
    // The same bits in every iteration.
    static Lanes bits(std::array<uint64_t, 2> mask, uint32_t width, uint32_t repeats) {
        Lanes lanes(width, repeats);
        lanes.bits_ = mask;
        if (width <= 64) lanes.bits_[1] = 0;
        if (width < 64) lanes.bits_[0] &= (1ull << width) - 1;
        lanes.prefix_ = prefix_of(lanes.bits_, width);
        return lanes;
    }
    // Elements 0 .. count-1 of consecutive iterations.
    static Lanes counted(uint64_t count, uint32_t width) {
        Lanes lanes(width, static_cast<uint32_t>((count + width - 1) / width));
        lanes.counted_ = true;
        lanes.count_ = count;
        return lanes;
    }
    // Mask bits with the first `count` elements of an iteration set.
    static std::array<uint64_t, 2> first(uint64_t count) {
        if (count >= 128) return {~0ull, ~0ull};
        if (count >= 64) return {~0ull, count == 64 ? 0 : (1ull << (count - 64)) - 1};
        return {(1ull << count) - 1, 0};
    }

    uint32_t width() const { return width_; }
    uint32_t iterations() const { return iterations_; }
    bool counted() const { return counted_; }
    bool empty() const {
        return iterations_ == 0 || (counted_ ? count_ == 0 : (bits_[0] | bits_[1]) == 0);
    }
    bool active(uint32_t iteration, uint32_t lane) const {
        if (counted_) return uint64_t{iteration} * width_ + lane < count_;
        return lane < width_ && (bits_[lane / 64] >> (lane % 64) & 1) != 0;
    }
    // Length of the active prefix where the active elements are one, otherwise kHoles.
    static constexpr uint32_t kHoles = ~0u;
    uint32_t prefix(uint32_t iteration) const {
        if (!counted_) return prefix_;
        return static_cast<uint32_t>(
            std::min<uint64_t>(width_, count_ - uint64_t{iteration} * width_));
    }
    // Calls visit(first, end) for each maximal run of active elements of an iteration.
    template <typename Visit>
    void runs(uint32_t iteration, Visit visit) const {
        const uint32_t length = prefix(iteration);
        if (length != kHoles) {
            if (length != 0) visit(0u, length);
            return;
        }
        for (uint32_t lane = 0; lane < width_;) {
            if (!active(iteration, lane)) {
                ++lane;
                continue;
            }
            uint32_t end = lane + 1;
            while (end < width_ && active(iteration, end)) ++end;
            visit(lane, end);
            lane = end;
        }
    }

  private:
    Lanes(uint32_t width, uint32_t iterations) : width_(width), iterations_(iterations) {}

    static uint32_t prefix_of(const std::array<uint64_t, 2>& bits, uint32_t width) {
        uint32_t length = 0;
        while (length < width && (bits[length / 64] >> (length % 64) & 1) != 0) ++length;
        return bits == first(length) ? length : kHoles;
    }

    uint32_t width_;
    uint32_t iterations_;
    bool counted_ = false;
    uint64_t count_ = 0;
    std::array<uint64_t, 2> bits_ = {0, 0};
    uint32_t prefix_ = 0;
};

}  // namespace emulator
