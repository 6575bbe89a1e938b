// The timing model: replays a launch as pipes, queues and flags of every core.
//
//     scalar unit of each core: walks its events in order, hands each to the queue of its pipe
//     pipe: starts its instructions in order; busy for `cycles`, complete `latency` later
//     SetFlag fires when its pipe has completed; WaitFlag holds its pipe until then
//     global transfers: a fluid model; those in flight share HBM (cold) or L2 (warm) equally,
//     each at most at its core's port rate
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "core/trace.h"

namespace emulator {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

struct Transfer {
    int core, event, pipe;
    double begin;      // when it may start
    double remaining;  // bytes
    double cap;        // bytes per ns
    double rate;
    double earliest_end;
    bool cold;
};

// How long the pipe is busy, in cycles. A transfer takes the address generator a little time for
// each of its runs.
double busy_cycles(const Event& event, const Costs& costs) {
    const Work& work = event.work;
    double cycles = work.cycles;
    if (work.gap != nullptr) cycles += costs.*work.gap;
    if (work.rate != nullptr) cycles += work.amount / costs.*work.rate;
    if (event.gm_bytes == 0) return cycles;
    return std::max(cycles, costs.gm_gap + costs.gm_run_cycles * event.gm_runs);
}

// From then until the result is visible, in cycles.
double latency_cycles(const Event& event, const Costs& costs) {
    double cycles = event.work.visible;
    if (event.work.latency != nullptr) cycles += costs.*event.work.latency;
    if (event.gm_bytes == 0) return cycles;
    return cycles + (event.gm_write ? costs.gm_write_latency : costs.gm_read_latency);
}

class Replay {
  public:
    Replay(LaunchTrace& trace, const Costs& costs, double frequency_ghz)
        : trace_(trace), costs_(costs), ns_(1.0 / frequency_ghz), ghz_(frequency_ghz) {
        cores_.resize(trace.cores.size());
        for (size_t c = 0; c < cores_.size(); ++c) {
            CoreTrace& core = trace_.cores[c];
            core.start.assign(core.events.size(), kNever);
            core.end.assign(core.events.size(), kNever);
        }
    }

    Timing run() {
        for (size_t c = 0; c < cores_.size(); ++c) dirty_.push_back(static_cast<int>(c));
        while (true) {
            while (!dirty_.empty()) {
                const int core = dirty_.front();
                dirty_.pop_front();
                while (advance(core)) {
                }
            }
            if (!step_transfers()) break;
        }
        Timing timing;
        for (size_t c = 0; c < cores_.size(); ++c) {
            for (int p = 0; p < kPipes; ++p) timing.busy_ns[p] += cores_[c].busy[p];
            timing.core_end_ns.push_back(cores_[c].finish);
            timing.total_ns = std::max(timing.total_ns, cores_[c].finish);
        }
        return timing;
    }

  private:
    struct Pipe {
        std::deque<int> queue;
        double ready = 0;     // when the next instruction may start
        double complete = 0;  // when all before have completed
        bool in_transfer = false;
    };
    struct CoreState {
        bool started = false, ended = false;
        size_t next = 0;  // scalar unit's next event
        double scalar = 0;
        Pipe pipes[kPipes];
        std::vector<double> dispatch;
        double busy[kPipes] = {};
        double finish = 0;
    };

    bool advance(int c) {
        CoreState& core = cores_[c];
        CoreTrace& trace = trace_.cores[c];
        if (core.ended) return false;
        if (!core.started) {
            double begin = costs_.launch_ns;
            if (trace.follows >= 0) {
                if (!cores_[trace.follows].ended) return false;
                begin = cores_[trace.follows].finish;
            }
            core.started = true;
            core.scalar = begin;
            core.dispatch.resize(trace.events.size());
            for (Pipe& pipe : core.pipes) pipe.ready = pipe.complete = begin;
        }
        bool progress = false;
        while (dispatch_one(c)) progress = true;
        for (int p = 0; p < kPipes; ++p) {
            while (execute_one(c, p)) progress = true;
        }
        if (core.next == trace.events.size() && drained(core)) {
            core.ended = true;
            core.finish = core.scalar;
            for (const Pipe& pipe : core.pipes) core.finish = std::max(core.finish, pipe.complete);
            for (size_t other = 0; other < cores_.size(); ++other) {
                if (trace_.cores[other].follows == c) dirty_.push_back(static_cast<int>(other));
            }
            return false;
        }
        return progress;
    }

    static bool drained(const CoreState& core) {
        for (const Pipe& pipe : core.pipes) {
            if (!pipe.queue.empty() || pipe.in_transfer) return false;
        }
        return true;
    }

    void set(int c, int event, double start, double end) {
        trace_.cores[c].start[event] = start;
        trace_.cores[c].end[event] = end;
    }

    // When those that core c waits for have arrived; kNever if one has not: then c is looked at
    // again when another core sets.
    double join_time(const Event& event, int c) {
        double latest = 0;
        for (const CrossToken& token : trace_.joins[event.token]) {
            latest = std::max(latest, trace_.cores[token.core].end[token.event]);
        }
        if (latest == kNever) cross_waiting_.push_back(c);
        return latest +
               (trace_.join_is_sync_all[event.token] ? costs_.sync_all_ns : costs_.cross_core_ns);
    }

    void cross_set_done() {
        for (const int waiting : cross_waiting_) dirty_.push_back(waiting);
        cross_waiting_.clear();
    }

    // The scalar unit takes one event; false when it is blocked or done.
    bool dispatch_one(int c) {
        CoreState& core = cores_[c];
        CoreTrace& trace = trace_.cores[c];
        if (core.next == trace.events.size()) return false;
        const int e = static_cast<int>(core.next);
        const Event& event = trace.events[e];
        const int target = event.kind == EventKind::WaitFlag ? event.other : event.pipe;
        const double begin = core.scalar;
        if (target != PIPE_S && target != PIPE_ALL) {
            core.scalar += costs_.scalar_issue * ns_;
            core.dispatch[e] = core.scalar;
            core.pipes[target].queue.push_back(e);
            ++core.next;
            return true;
        }
        double until = begin;
        switch (event.kind) {
            case EventKind::Instruction:
                until += busy_cycles(event, costs_) * ns_;
                core.busy[PIPE_S] += until - begin;
                break;
            case EventKind::Barrier:
                if (!drained(core)) return false;
                for (const Pipe& pipe : core.pipes) until = std::max(until, pipe.complete);
                break;
            case EventKind::WaitFlag:
                if (trace.end[event.token] == kNever) return false;
                until = std::max(until, trace.end[event.token] + costs_.flag_latency * ns_);
                break;
            case EventKind::CrossWait: {
                const double joined = join_time(event, c);
                if (joined == kNever) return false;
                until = std::max(until, joined);
                break;
            }
            case EventKind::SetFlag:
            case EventKind::CrossSet:
                break;
        }
        until += costs_.scalar_issue * ns_;
        core.scalar = until;
        set(c, e, begin, until);
        ++core.next;
        if (event.kind == EventKind::CrossSet) cross_set_done();
        return true;
    }

    // The head of a pipe's queue; false when it is blocked or the queue is empty.
    bool execute_one(int c, int p) {
        CoreState& core = cores_[c];
        CoreTrace& trace = trace_.cores[c];
        Pipe& pipe = core.pipes[p];
        if (pipe.queue.empty() || pipe.in_transfer) return false;
        const int e = pipe.queue.front();
        const Event& event = trace.events[e];
        double begin = std::max(pipe.ready, core.dispatch[e]);
        switch (event.kind) {
            case EventKind::Instruction: {
                if (event.unit_token >= 0) {
                    const double filled = trace.start[event.unit_token];
                    if (filled == kNever) return false;
                    begin = std::max(begin, filled);
                }
                const double end = begin + busy_cycles(event, costs_) * ns_;
                if (event.gm_bytes > 0) {
                    const double port =
                        event.gm_write ? costs_.core_write_per_cycle : costs_.core_read_per_cycle;
                    pending_.push_back({c, e, p, begin, static_cast<double>(event.gm_bytes),
                                        port * ghz_, 0, end, event.cold});
                    pipe.in_transfer = true;
                    pipe.queue.pop_front();
                    trace.start[e] = begin;
                    return true;
                }
                finish_instruction(c, p, e, begin, end);
                break;
            }
            case EventKind::SetFlag:
            case EventKind::CrossSet:
                begin = std::max(pipe.complete, core.dispatch[e]);
                set(c, e, begin, begin);
                if (event.kind == EventKind::CrossSet) cross_set_done();
                break;
            case EventKind::WaitFlag: {
                if (trace.end[event.token] == kNever) return false;
                const double seen = trace.end[event.token] + costs_.flag_latency * ns_;
                pipe.ready = std::max(begin, seen);
                pipe.complete = std::max(pipe.complete, pipe.ready);
                set(c, e, begin, pipe.ready);
                break;
            }
            case EventKind::Barrier:
                pipe.ready = std::max(begin, pipe.complete);
                set(c, e, begin, pipe.ready);
                break;
            case EventKind::CrossWait: {
                const double joined = join_time(event, c);
                if (joined == kNever) return false;
                pipe.ready = std::max(begin, joined);
                set(c, e, begin, pipe.ready);
                break;
            }
        }
        pipe.queue.pop_front();
        return true;
    }

    void finish_instruction(int c, int p, int e, double begin, double end) {
        CoreState& core = cores_[c];
        CoreTrace& trace = trace_.cores[c];
        const Event& event = trace.events[e];
        Pipe& pipe = core.pipes[p];
        pipe.ready = end;
        const double latency = latency_cycles(event, costs_) * ns_;
        double complete = end + latency;
        // Fixpipe under a unit flag drains fractals as they are finished, so it ends later.
        if (event.unit_token >= 0) {
            complete = std::max(complete, trace.end[event.unit_token] + latency);
        }
        pipe.complete = std::max(pipe.complete, complete);
        core.busy[p] += end - begin;
        set(c, e, begin, complete);
    }

    void share_bandwidth() {
        for (const bool cold : {true, false}) {
            std::vector<Transfer*> sharing;
            for (Transfer& t : active_) {
                if (t.cold == cold) sharing.push_back(&t);
            }
            std::sort(sharing.begin(), sharing.end(),
                      [](const Transfer* a, const Transfer* b) { return a->cap < b->cap; });
            double left = cold ? costs_.hbm_bytes_per_ns : costs_.l2_bytes_per_ns;
            for (size_t i = 0; i < sharing.size(); ++i) {
                sharing[i]->rate = std::min(sharing[i]->cap, left / (sharing.size() - i));
                left -= sharing[i]->rate;
            }
        }
    }

    // Moves global time to the next start or end of a transfer; false when there is none.
    bool step_transfers() {
        double next = kNever;
        for (const Transfer& t : pending_) next = std::min(next, t.begin);
        for (const Transfer& t : active_) next = std::min(next, now_ + t.remaining / t.rate);
        if (next == kNever) return false;
        next = std::max(next, now_);
        for (Transfer& t : active_) t.remaining -= t.rate * (next - now_);
        now_ = next;
        for (size_t i = 0; i < active_.size();) {
            const Transfer t = active_[i];
            // Less than a thousandth of a byte is rounding.
            if (t.remaining > 1e-3) {
                ++i;
                continue;
            }
            cores_[t.core].pipes[t.pipe].in_transfer = false;
            finish_instruction(t.core, t.pipe, t.event, t.begin, std::max(now_, t.earliest_end));
            dirty_.push_back(t.core);
            active_[i] = active_.back();
            active_.pop_back();
        }
        for (size_t i = 0; i < pending_.size();) {
            if (pending_[i].begin > now_) {
                ++i;
                continue;
            }
            active_.push_back(pending_[i]);
            pending_[i] = pending_.back();
            pending_.pop_back();
        }
        share_bandwidth();
        return true;
    }

    LaunchTrace& trace_;
    const Costs& costs_;
    const double ns_;   // per cycle
    const double ghz_;  // cycles per ns
    std::vector<CoreState> cores_;
    std::deque<int> dirty_;
    std::vector<int> cross_waiting_;
    std::vector<Transfer> pending_, active_;
    double now_ = 0;
};

}  // namespace

Timing compute_timing(LaunchTrace& trace, const Costs& costs, double frequency_ghz) {
    return Replay(trace, costs, frequency_ghz).run();
}

}  // namespace emulator
