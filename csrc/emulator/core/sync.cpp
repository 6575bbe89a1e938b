// Flags and barriers: SetFlag/WaitFlag, PipeBarrier, CrossCoreSetFlag/WaitFlag, SyncAll.
#include <algorithm>

#include "core/machine.h"

namespace emulator {

namespace {
constexpr int kMaxCount = 15;  // range of a cross-core counter
constexpr int kAllPipes[] = {PIPE_S, PIPE_V, PIPE_M, PIPE_MTE1, PIPE_MTE2, PIPE_MTE3, PIPE_FIX};
}  // namespace

static void check_event_id(int id, const char* name, Site site) {
    if (id < 0 || id > 7) fail(site, "%s: event id %d, accepted: 0..7", name, id);
}

void Core::set_flag(pipe_t from, pipe_t to, int id, Site site) {
    if (!machine.sync_enabled("SetFlag", site)) return;
    check_event_id(id, "SetFlag", site);
    maybe_yield();
    issue_order(from);
    Flag& flag = flags_[from][to][id];
    if (machine.options().checks) {
        if (flag.set) {
            fail(site,
                 "SetFlag<%s_%s>(%d) sets a flag that is already set, by %s:%u, not waited "
                 "for since",
                 pipe_name(from), pipe_name(to), id, flag.site.file, flag.site.line);
        }
        // The flag is one bit: setting it before the last wait took it loses a signal.
        if (machine.options().strict && flag.waited_at > known_[from].own[to]) {
            fail(site,
                 "SetFlag<%s_%s>(%d) may be executed before the WaitFlag of its last use: "
                 "nothing orders pipe %s after that wait (last set by %s:%u)",
                 pipe_name(from), pipe_name(to), id, pipe_name(from), flag.site.file,
                 flag.site.line);
        }
    }
    flag.set = true;
    flag.clock = complete(from);
    flag.site = site;
    Event& event = record(EventKind::SetFlag, from, "SetFlag", site);
    event.other = to;
    flag.event = last_event();
}

void Core::wait_flag(pipe_t from, pipe_t to, int id, Site site) {
    if (!machine.sync_enabled("WaitFlag", site)) return;
    check_event_id(id, "WaitFlag", site);
    maybe_yield();
    issue_order(to);
    Flag& flag = flags_[from][to][id];
    if (!flag.set) {
        fail(site, "deadlock: WaitFlag<%s_%s>(%d) waits for a flag that no SetFlag has set",
             pipe_name(from), pipe_name(to), id);
    }
    flag.set = false;
    known_[to].join(flag.clock);
    flag.waited_at = ++issued_[to];
    // A wait touches no memory, so it never has to be waited for within its own pipe.
    if (known_[to].own[to] + 1 == flag.waited_at) known_[to].own[to] = flag.waited_at;
    Event& event = record(EventKind::WaitFlag, from, "WaitFlag", site);
    event.other = to;
    event.token = flag.event;
}

void Core::release_units(uint64_t first, uint64_t last, pipe_t pipe, int32_t filled_by) {
    const auto since = std::make_shared<const Clock>(complete(pipe));
    for (uint64_t unit = first; unit <= last; ++unit) units.at(unit) = {filled_by, since};
}

void Core::await_units(uint64_t first, uint64_t last, pipe_t pipe) {
    const Clock* joined = nullptr;
    for (uint64_t unit = first; unit <= last; ++unit) {
        const Clock* const since = units.at(unit).since.get();
        if (since == joined) continue;
        if (since != nullptr) known_[pipe].join(*since);
        joined = since;
    }
}

void Core::barrier(pipe_t pipe, Site site) {
    if (!machine.sync_enabled("PipeBarrier", site)) return;
    maybe_yield();
    if (pipe == PIPE_S) fail(site, "PipeBarrier<PIPE_S> is not supported");
    if (pipe != PIPE_ALL) {
        issue_order(pipe);
        known_[pipe].own[pipe] = issued_[pipe];
        record(EventKind::Barrier, pipe, "PipeBarrier", site);
    } else {
        barrier_all(site);
    }
}

void Core::barrier_all(Site site) {
    Clock all;
    for (int p : kAllPipes) all.join(complete(static_cast<pipe_t>(p)));
    for (int p : kAllPipes) known_[p] = all;
    record(EventKind::Barrier, PIPE_ALL, "PipeBarrier", site);
}

// "kind@file:line" or "file:line", the file by its end.
static bool names(const std::string& entry, const char* kind, Site site) {
    const size_t at = entry.find('@');
    if (at != std::string::npos && entry.compare(0, at, kind) != 0) return false;
    const std::string wanted = at == std::string::npos ? entry : entry.substr(at + 1);
    const std::string text = site.text();
    return !wanted.empty() && text.size() >= wanted.size() &&
           text.compare(text.size() - wanted.size(), wanted.size(), wanted) == 0;
}

bool Machine::sync_enabled(const char* kind, Site site) {
    const auto [entry, fresh] = sync_index_.emplace(intern(kind, site), report_.sync_sites.size());
    if (fresh) {
        bool disabled = false;
        const std::string& list = options_.disable_sync;
        for (size_t begin = 0; begin < list.size();) {
            const size_t end = std::min(list.find(',', begin), list.size());
            disabled |= names(list.substr(begin, end - begin), kind, site);
            begin = end + 1;
        }
        report_.sync_sites.push_back({kind, site, 0, disabled});
    }
    SyncSite& place = report_.sync_sites[entry->second];
    ++place.count;
    return !place.disabled;
}

// ---------------------------------------------------------------------------------------------

static void check_cross(const Core& core, int mode, int id, const char* name, Site site) {
    const Mix& mix = core.machine.mix();
    const int arch = core.machine.soc().arch;
    if (!mix.cross_core) {
        fail(site, "%s in a kernel that is not __mix__: the cross-core scheduler is off", name);
    }
    if (mode != 0 && mode != 1 && mode != 2 && !(mode == 4 && arch == 3510)) {
        fail(site, "%s: mode %d does not exist on architecture %d", name, mode, arch);
    }
    if (mode == 1 && (core.is_cube || mix.aic == 0)) {
        fail(site, "%s: mode 1 joins the vector cores of a __mix__(1,1) or __mix__(1,2) block",
             name);
    }
    if (mode == 2 && (mix.aic == 0 || mix.aiv == 0)) {
        fail(site, "%s: mode 2 needs a __mix__(1,1) or __mix__(1,2) kernel", name);
    }
    if (mode == 4 && mix.aiv != 2) fail(site, "%s: mode 4 needs a __mix__(1,2) kernel", name);
    const bool in_range = mode != 4
                              ? id >= 0 && id <= 15
                              : (id >= 0 && id <= 10) || (core.is_cube && id >= 16 && id <= 26);
    if (!in_range) fail(site, "%s: flag id %d is out of range in mode %d", name, id, mode);
}

// The core's own knowledge, as others see it.
static std::shared_ptr<const ForeignTimes> published(const Core& core, const Clock& clock,
                                                     size_t cores) {
    auto times = clock.foreign ? std::make_shared<ForeignTimes>(*clock.foreign)
                               : std::make_shared<ForeignTimes>(cores, PipeTimes{});
    for (int p = 0; p < kPipes; ++p) {
        auto& mine = (*times)[core.index][p];
        mine = std::max(mine, clock.own[p]);
    }
    return times;
}

void Machine::deliver(Core& target, int id, std::vector<Core::Arrival> ticket, Site site) {
    auto& tickets = target.counters_[id].tickets;
    if (options_.checks && static_cast<int>(tickets.size()) >= kMaxCount) {
        fail(site, "cross-core flag %d of %s counts beyond %d: too few CrossCoreWaitFlag", id,
             target.text().c_str(), kMaxCount);
    }
    tickets.push_back(std::move(ticket));
}

void Core::cross_set(int mode, pipe_t pipe, int id, Site site) {
    if (!machine.sync_enabled("CrossCoreSetFlag", site)) return;
    maybe_yield();
    if (pipe == PIPE_ALL || (pipe == PIPE_S && mode != 4)) {
        fail(site, "CrossCoreSetFlag: PIPE_%s is not accepted", pipe_name(pipe));
    }
    check_cross(*this, mode, id, "CrossCoreSetFlag", site);
    issue_order(pipe);
    record(EventKind::CrossSet, pipe, "CrossCoreSetFlag", site);
    Arrival arrival;
    arrival.clock.foreign = published(*this, complete(pipe), machine.trace_.cores.size());
    arrival.token = {index, last_event()};

    // Who must arrive for one increment, and whose counters it increments.
    const Mix& mix = machine.mix();
    std::vector<int> participants, targets;  // core indices
    const int per_block = machine.cores_per_block();
    const int first = block * per_block;
    int target_id = id;
    if (mode == 0) {
        for (int b = 0; b < machine.blocks(); ++b) {
            const int begin = b * per_block + (is_cube ? 0 : mix.aic);
            const int count = is_cube ? mix.aic : mix.aiv;
            for (int c = 0; c < count; ++c) participants.push_back(begin + c);
        }
        targets = participants;
    } else if (mode == 1) {
        for (int v = 0; v < mix.aiv; ++v) participants.push_back(first + mix.aic + v);
        targets = participants;
    } else if (mode == 2) {
        for (int v = 0; v < mix.aiv; ++v)
            (is_cube ? targets : participants).push_back(first + 1 + v);
        (is_cube ? participants : targets).push_back(first);
    } else {
        participants.push_back(index);
        if (is_cube) {
            targets.push_back(first + 1 + (id >= 16));
            target_id = id >= 16 ? id - 16 : id;
        } else {
            targets.push_back(first);
            target_id = id + 16 * sub;
        }
    }
    auto& queues =
        machine.arrivals_[{mode * 2 + is_cube, mode == 0 ? -1 : (mode == 4 ? index : block), id}];
    queues[index].push_back(arrival);
    while (true) {
        std::vector<Arrival> ticket;
        for (int participant : participants) {
            auto found = queues.find(participant);
            if (found == queues.end() || found->second.empty()) return;
        }
        for (int participant : participants) {
            ticket.push_back(queues[participant].front());
            queues[participant].pop_front();
        }
        for (int target : targets) {
            Core* receiver = nullptr;
            for (auto& core : machine.live_) {
                if (core->index == target) receiver = core.get();
            }
            if (receiver == nullptr) {
                fail(site, "CrossCoreSetFlag(%d): a core that should wait for it has ended", id);
            }
            machine.deliver(*receiver, target_id, ticket, site);
        }
    }
}

void Core::learn(const std::vector<Arrival>& arrivals, pipe_t pipe) {
    for (const Arrival& arrival : arrivals) {
        known_[pipe].join_foreign(arrival.clock.foreign);
        const PipeTimes& mine = (*arrival.clock.foreign)[index];
        for (int p = 0; p < kPipes; ++p) {
            known_[pipe].own[p] = std::max(known_[pipe].own[p], mine[p]);
        }
    }
}

void Core::publish_word(const void* address) {
    Arrival& word = machine.words_[address];
    word.clock.foreign = published(*this, complete(PIPE_S), machine.trace_.cores.size());
}

void Core::observe_word(const void* address) {
    fiber_->pause();
    maybe_yield();
    const auto found = machine.words_.find(address);
    if (found != machine.words_.end()) learn({found->second}, PIPE_S);
}

void Core::cross_wait(int mode, pipe_t pipe, int id, Site site) {
    if (!machine.sync_enabled("CrossCoreWaitFlag", site)) return;
    maybe_yield();
    if (pipe == PIPE_ALL) pipe = PIPE_S;
    // On dav-2201 the template arguments are for compatibility only: the wait blocks the core.
    if (machine.soc().arch == 2201) pipe = PIPE_S;
    if (!machine.mix().cross_core) check_cross(*this, mode, id, "CrossCoreWaitFlag", site);
    const int limit = machine.soc().arch == 3510 && is_cube ? 31 : 15;
    if (id < 0 || id > limit) {
        fail(site, "CrossCoreWaitFlag: flag id %d, accepted: 0..%d", id, limit);
    }
    Counter& counter = counters_[id];
    suspend_until([&counter] { return !counter.tickets.empty(); },
                  format_text("CrossCoreWaitFlag(%d) at %s:%u", id, site.file, site.line));
    const std::vector<Arrival> ticket = std::move(counter.tickets.front());
    counter.tickets.pop_front();
    issue_order(pipe);
    learn(ticket, pipe);
    std::vector<CrossToken> tokens;
    for (const Arrival& arrival : ticket) tokens.push_back(arrival.token);
    machine.trace_.joins.push_back(std::move(tokens));
    machine.trace_.join_is_sync_all.push_back(false);
    record(EventKind::CrossWait, pipe, "CrossCoreWaitFlag", site).token =
        static_cast<int>(machine.trace_.joins.size()) - 1;
}

// All cores (or all vector cores) meet; each has completed everything before, on all pipes.
void Core::sync_all(bool vector_only, Site site) {
    if (!machine.sync_enabled("SyncAll", site)) return;
    maybe_yield();
    const Mix& mix = machine.mix();
    // The documents want __mix__(0, 1) for vector kernels; public examples use __vector__.
    const bool plain_vector = mix.aic == 0 && vector_only && !machine.options().strict;
    if (!mix.cross_core && !plain_vector) fail(site, "SyncAll in a kernel that is not __mix__");
    if (vector_only && is_cube) return;
    if (!vector_only && mix.aiv == 0) {
        fail(site, "SyncAll<false> needs cube and vector cores");
    }
    barrier_all(site);
    record(EventKind::CrossSet, PIPE_S, "SyncAll", site);
    Arrival arrival;
    arrival.clock.foreign = published(*this, known_[PIPE_S], machine.trace_.cores.size());
    arrival.token = {index, last_event()};
    auto& meeting = machine.sync_all_[vector_only];
    const size_t expected =
        static_cast<size_t>(machine.blocks()) * (vector_only ? mix.aiv : machine.cores_per_block());
    meeting[index] = arrival;
    Counter& counter = counters_[31];  // above every id that kernels can name in SyncAll's mode
    if (meeting.size() == expected) {
        std::vector<Arrival> ticket;
        for (auto& entry : meeting) ticket.push_back(entry.second);
        meeting.clear();
        for (auto& core : machine.live_) {
            if (!vector_only || !core->is_cube) core->counters_[31].tickets.push_back(ticket);
        }
    }
    suspend_until([&counter] { return !counter.tickets.empty(); },
                  format_text("SyncAll at %s:%u", site.file, site.line));
    const std::vector<Arrival> ticket = std::move(counter.tickets.front());
    counter.tickets.pop_front();
    for (int pipe : kAllPipes) learn(ticket, static_cast<pipe_t>(pipe));
    std::vector<CrossToken> tokens;
    for (const Arrival& a : ticket) tokens.push_back(a.token);
    machine.trace_.joins.push_back(std::move(tokens));
    machine.trace_.join_is_sync_all.push_back(true);
    record(EventKind::CrossWait, PIPE_S, "SyncAll", site).token =
        static_cast<int>(machine.trace_.joins.size()) - 1;
}

void Core::check_exit() {
    if (!machine.options().checks || machine.cancelled_) return;
    for (const auto& check : exit_checks_) check();
    for (int from : kAllPipes) {
        for (int to : kAllPipes) {
            for (int id = 0; id < 8; ++id) {
                const Flag& flag = flags_[from][to][id];
                if (flag.set) {
                    fail(flag.site, "SetFlag<%s_%s>(%d) is left set when the kernel ends",
                         pipe_name(from), pipe_name(to), id);
                }
            }
        }
    }
}

void Machine::check_counters(const Core& core) const {
    for (int id = 0; id < 31; ++id) {
        if (!core.counters_[id].tickets.empty()) {
            throw Violation(
                format_text("cross-core flag %d of %s is left set at the end (%zu times)", id,
                            core.text().c_str(), core.counters_[id].tickets.size()));
        }
    }
}

void Machine::check_arrivals() const {
    for (const auto& queue : arrivals_) {
        for (const auto& entry : queue.second) {
            if (!entry.second.empty()) {
                throw Violation(
                    format_text("CrossCoreSetFlag mode %d, flag id %d: core %d set it, others that "
                                "must did not",
                                queue.first[0] / 2, queue.first[2], entry.first));
            }
        }
    }
}

}  // namespace emulator
