#include "core/clock.h"

#include <algorithm>

namespace emulator {

const char* pipe_name(int pipe) {
    static const char* const names[kPipes] = {"S", "V", "M", "MTE1", "MTE2", "MTE3", "ALL", "FIX"};
    return names[pipe];
}

static void join_times(PipeTimes& into, const PipeTimes& from) {
    for (int p = 0; p < kPipes; ++p) into[p] = std::max(into[p], from[p]);
}

void Clock::join_foreign(const std::shared_ptr<const ForeignTimes>& other) {
    if (!other || other == foreign) return;
    if (!foreign) {
        foreign = other;
        return;
    }
    auto joined = std::make_shared<ForeignTimes>(*foreign);
    for (size_t core = 0; core < joined->size(); ++core)
        join_times((*joined)[core], (*other)[core]);
    foreign = std::move(joined);
}

void Clock::join(const Clock& other) {
    join_times(own, other.own);
    join_foreign(other.foreign);
}

}  // namespace emulator
