// Several units in flight on a cube core.
//
// What is done with a unit is a chain of stages: load operands (MTE1), multiply (M), store (FIX);
// the next stage of the same unit waits for the store. So several units are in flight, each in a
// stream with buffers of its own, and a stage of each is issued in turn: while one is in M, another
// is in FIX and a third in MTE1.
#pragma once

#include "layout.h"

namespace neumann_tril {

// A stage of the unit in a stream; the first and the last of a unit have edges of their own, so that
// the next unit is loaded while the result of the last one leaves.
struct Turn {
    int32_t stream;
    bool first, last;
};

// --- the edges between the pipes, in order of their use

__aicore__ inline void BeginLoads(const Turn& turn) {
    if (turn.first) {
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(turn.stream);
    } else {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(turn.stream);
    }
}
__aicore__ inline void LoadsDone(const Turn& turn) {
    AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(turn.stream);
    AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(turn.stream);
    if (turn.first) {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(turn.stream);
    }
}
__aicore__ inline void ProductsDone(const Turn& turn) {
    if (turn.last) {
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(turn.stream);
    }
    AscendC::SetFlag<AscendC::HardEvent::M_FIX>(turn.stream);
    AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(turn.stream);
}
__aicore__ inline void StoresDone(const Turn& turn) {
    if (turn.last) {
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(turn.stream);
    } else {
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(turn.stream);
    }
}

// Before the first and after the last unit.
__aicore__ inline void OpenStreams(int32_t streams) {
    for (int32_t s = 0; s < streams; ++s) {
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(s);
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(s);
    }
}
__aicore__ inline void CloseStreams(int32_t streams) {
    for (int32_t s = 0; s < streams; ++s) {
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(s);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(s);
    }
}

// --- the buffers of L1 that units arrive in: unit u in buffer u % buffers

__aicore__ inline void BeginArrival(int32_t unit, int32_t buffers) {
    if (unit >= buffers) {
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(unit % buffers);
    }
}
__aicore__ inline void Arrived(int32_t unit, int32_t buffers) {
    AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(unit % buffers);
}
__aicore__ inline void AwaitArrival(int32_t unit, int32_t buffers) {
    AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(unit % buffers);
}
__aicore__ inline void EndUse(int32_t unit, int32_t buffers, int32_t count) {
    if (unit + buffers < count) {
        AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(unit % buffers);
    }
}

// Runs `stages` stages of units 0 .. count - 1, `streams` units at a time; Kernel has
//     Fetch(unit)                brings a unit to L1
//     Advance(turn, unit, number)   issues stage `number` of a unit
// Units are fetched up to `streams` ahead. The first turn is short: it starts as soon as the vector
// cores have a batch, and is of different length on neighbouring cores, so that they do not all
// store at the same time.
template <class Kernel>
__aicore__ inline void RunUnits(Kernel& kernel, int32_t count, int32_t streams, int32_t stages) {
    int32_t fetched = 0;
    int32_t active = 1 + static_cast<int32_t>(AscendC::GetBlockIdx()) % streams;
    OpenStreams(streams);
    for (int32_t first = 0; first < count; first += active, active = streams) {
        active = Clamp(count - first, active);
        for (; fetched < count && fetched < first + active; ++fetched) {
            kernel.Fetch(fetched);
        }
        for (int32_t number = 0; number < stages; ++number) {
            for (int32_t s = 0; s < active; ++s) {
                kernel.Advance(Turn{s, number == 0, number + 1 == stages}, first + s, number);
            }
        }
        for (; fetched < count && fetched < first + active + streams; ++fetched) {
            kernel.Fetch(fetched);
        }
    }
    CloseStreams(streams);
}

}  // namespace neumann_tril
