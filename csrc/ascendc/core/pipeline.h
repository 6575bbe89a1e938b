// Several units in flight on a cube core.
//
// What is done with a unit is a chain of stages: load operands (MTE1), multiply (M), store (FIX);
// the next stage of the same unit waits for the store. So several units are in flight, each in a
// stream, which has operands in L0A, L0B and L0C of its own, and a stage of each is issued in turn:
// while one is in M, another is in FIX and a third in MTE1.
//
// The first stages of a plan may be small: bound by the way through the pipes, not by the work in
// them. Then the units of the next turn go through these early stages, in streams of their own, in
// between the late stages of this turn:
//
//     late     R0    R1    R2    X0    X1 X2
//     early       T     X     T     X              of three other units each
#pragma once

#include "layout.h"

namespace neumann_tril {

// A stage of a unit. The first and the last in a stream have edges of their own, so that the next
// unit is loaded while the result of the last one leaves.
struct Turn {
    int32_t stream = 0;
    bool first = true, last = true;   // in this stream
    bool begins = true, ends = true;  // the unit
    int32_t after = -1;               // the stream whose last store must have landed; -1: none
};

// --- the edges between the pipes, in order of their use

__aicore__ inline void BeginLoads(const Turn& turn) {
    if (turn.after >= 0) {
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(turn.after);
    }
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
    }
    if (!turn.ends) {
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

// Runs the stages of units 0 .. count - 1, of `streams` units in a turn; Kernel has
//     Fetch(unit)                   brings a unit to L1
//     Advance(turn, unit, number)   issues stage `number` of a unit
// Late stages take streams 0 .. streams - 1, early ones those behind. The first turn has `begin`
// units: a short one starts as soon as the vector cores have a batch, and where its length differs
// on neighbouring cores, they do not all store at the same time.
template <class Kernel>
class UnitPipeline {
  public:
    __aicore__ inline UnitPipeline(Kernel& kernel, int32_t count, int32_t streams, int32_t stages,
                                   int32_t early, int32_t begin)
        : kernel_(kernel),
          count_(count),
          streams_(streams),
          stages_(stages),
          early_(early),
          begin_(begin) {}

    __aicore__ inline void Run() {
        const int32_t used = early_ == 0 ? streams_ : 2 * streams_;
        OpenStreams(used);
        Group late;
        int32_t next = 0;
        int32_t size = begin_;
        while (next < count_ || late.count > 0) {
            const Group group{next, Clamp(count_ - next, size)};
            size = streams_;
            next += group.count;
            FetchUpTo(next);
            if (early_ == 0) {
                late = group;
            }
            IssueTurn(late, group);
            late = early_ == 0 ? Group{} : group;
            FetchUpTo(next + streams_);
        }
        CloseStreams(used);
    }

  private:
    // Units that go through the same stages side by side.
    struct Group {
        int32_t first = 0, count = 0;
    };

    __aicore__ inline void FetchUpTo(int32_t end) {
        for (; fetched_ < end && fetched_ < count_; ++fetched_) {
            kernel_.Fetch(fetched_);
        }
    }

    // The late stages of one group, with a round of early stages of the other after every few.
    __aicore__ inline void IssueTurn(const Group& late, const Group& group) {
        const int32_t issues = (stages_ - early_) * late.count;
        const int32_t pace = issues < 2 * (early_ + 2) ? 1 : issues / (early_ + 2);
        int32_t number = 0;
        for (int32_t i = 0; i < issues; ++i) {
            Issue(late, i % late.count, early_ + i / late.count);
            for (; number < early_ && i + 1 >= (number + 1) * pace; ++number) {
                IssueAll(group, number);
            }
        }
        for (; number < early_; ++number) {
            IssueAll(group, number);
        }
    }
    __aicore__ inline void IssueAll(const Group& group, int32_t number) {
        for (int32_t i = 0; i < group.count; ++i) {
            Issue(group, i, number);
        }
    }

    __aicore__ inline void Issue(const Group& group, int32_t i, int32_t number) {
        const bool is_early = number < early_;
        Turn turn;
        turn.stream = is_early ? streams_ + i : i;
        turn.begins = number == 0;
        turn.ends = number + 1 == stages_;
        turn.first = turn.begins || number == early_;
        turn.last = turn.ends || number + 1 == early_;
        if (turn.first && (handed_over_ >> i & 1) != 0) {
            turn.after = streams_ + i;
            handed_over_ &= ~(1u << i);
        }
        kernel_.Advance(turn, group.first + i, number);
        if (is_early && turn.last) {
            handed_over_ |= 1u << i;
        }
    }

    Kernel& kernel_;
    const int32_t count_, streams_, stages_, early_, begin_;
    int32_t fetched_ = 0;
    uint32_t handed_over_ = 0;  // a bit for each early stream whose last store nobody has awaited
};

template <class Kernel>
__aicore__ inline void RunUnits(Kernel& kernel, int32_t count, int32_t streams, int32_t stages,
                                int32_t early, int32_t begin) {
    UnitPipeline<Kernel> pipeline(kernel, count, streams, stages, early, begin);
    pipeline.Run();
}

// The same, neighbouring cores out of step.
template <class Kernel>
__aicore__ inline void RunUnits(Kernel& kernel, int32_t count, int32_t streams, int32_t stages,
                                int32_t early = 0) {
    const int32_t begin = 1 + static_cast<int32_t>(AscendC::GetBlockIdx()) % streams;
    RunUnits(kernel, count, streams, stages, early, begin);
}

}  // namespace neumann_tril
