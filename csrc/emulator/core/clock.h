// Pipes and logical clocks: what is known to be complete when an instruction starts.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

// The names and the global scope are those that Ascend C sources use.
enum pipe_t : uint8_t {
    PIPE_S = 0,
    PIPE_V,
    PIPE_M,
    PIPE_MTE1,
    PIPE_MTE2,
    PIPE_MTE3,
    PIPE_ALL,
    PIPE_FIX,
};

namespace emulator {

constexpr int kPipes = 8;  // PIPE_ALL holds a slot of its own and is never issued to
const char* pipe_name(int pipe);

using PipeTimes = std::array<uint32_t, kPipes>;

// What a core knows of all cores (indexed by core number); shared, never changed once built.
using ForeignTimes = std::vector<PipeTimes>;

// own[p] = number of instructions of pipe p, of this core, known to be complete.
struct Clock {
    PipeTimes own{};
    std::shared_ptr<const ForeignTimes> foreign;

    void join(const Clock& other);
    void join_foreign(const std::shared_ptr<const ForeignTimes>& other);
};

}  // namespace emulator
