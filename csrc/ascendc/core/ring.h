// Who does what, and the ring between the vector cores and the cube core of a core.
//
// A core's units (128 rows) follow each other in batch order. Its two vector cores take turns, a
// round of some units at a time; round j of both is a batch. The workspace holds a few batches:
//
//     vector core:  wait until the batch whose places it takes has been read;  write;  announce
//     cube core:    wait for both vector cores;  read;  free the places of the batch
#pragma once

#include "layout.h"

namespace neumann_tril {

// Cross-core flags.
constexpr int32_t kReady = 8;  // vector cores to cube: a batch is in the workspace
constexpr int32_t kFree = 9;   // cube to vector cores: a batch has been read

// Which part of a launch's units is a core's: that of core `block` of `blocks`. Its workspace holds
// `held` batches.
struct Share {
    int64_t block, blocks;
    int32_t held;
};

class Ring {
  public:
    // `round_units` units in a round.
    __aicore__ inline Ring(int64_t units, const Share& share, int32_t round_units)
        : round_units_(round_units),
          held_(share.held),
          first_(units * share.block / share.blocks),
          count_(static_cast<int32_t>(units * (share.block + 1) / share.blocks - first_)) {}

    // The core's units, and where its unit stands in batch order.
    __aicore__ inline int32_t Count() const { return count_; }
    __aicore__ inline int64_t InBatchOrder(int32_t unit) const { return first_ + unit; }
    // Rounds of each vector core: the last may be short, or empty.
    __aicore__ inline int32_t Rounds() const { return (count_ + Batch() - 1) / Batch(); }
    // The core's first unit in round j of vector core `side`, and how many exist there.
    __aicore__ inline int32_t First(int32_t j, int32_t side) const {
        return (2 * j + side) * round_units_;
    }
    __aicore__ inline int32_t UnitsOf(int32_t j, int32_t side) const {
        return Clamp(count_ - First(j, side), round_units_);
    }
    // The place of a unit in the workspace; those of a round are neighbours.
    __aicore__ inline int32_t PlaceOf(int32_t unit) const { return unit % (held_ * Batch()); }

    // Vector core, round j.
    __aicore__ inline void WaitForPlaces(int32_t j) const {
        if (j >= held_) {
            AscendC::CrossCoreWaitFlag(kFree);
        }
    }
    __aicore__ inline void Announce() const { AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kReady); }

    // Cube core, unit by unit: before the first read, and after the last.
    __aicore__ inline void Arrive(int32_t unit) const {
        if (unit % Batch() == 0) {
            AscendC::CrossCoreWaitFlag(kReady);
        }
    }
    __aicore__ inline void Leave(int32_t unit) const {
        const bool last = unit % Batch() == Batch() - 1 || unit + 1 == count_;
        if (last && unit / Batch() + held_ < Rounds()) {
            AscendC::CrossCoreSetFlag<0x2, PIPE_MTE2>(kFree);
        }
    }

  private:
    __aicore__ inline int32_t Batch() const { return 2 * round_units_; }

    int32_t round_units_, held_;
    int64_t first_;
    int32_t count_;
};

}  // namespace neumann_tril
