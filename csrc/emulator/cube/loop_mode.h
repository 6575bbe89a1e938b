// Loop mode: a copy between global memory and the Unified Buffer carried out several times, at
// addresses that two loops advance. A setting of the core, one for each direction (dav-3510).
#pragma once

#include <functional>

#include "cube/operands.h"

namespace emulator {

struct Loop {
    uint64_t size = 1;          // iterations
    uint64_t src = 0, dst = 0;  // bytes from one to the next
};

void set_loop_mode(bool in, const Loop& inner, const Loop& outer, Site site);
void reset_loop_mode(bool in);

// Calls copy(to, from) for each iteration; once where no loop is set, or the local end of the copy
// is not the Unified Buffer. What the iterations write, `targets` each, must not overlap.
void for_each_iteration(bool in, const View& to, const View& from, const Region& targets, Site site,
                        const std::function<void(const View& to, const View& from)>& copy);

}  // namespace emulator
