#include "core/machine.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace emulator {

namespace {
thread_local Core* running_core = nullptr;
constexpr size_t kMaxEvents = 20'000'000;  // of one core; a kernel of the largest tests has 1/20

std::string format_list(const char* format, va_list arguments) {
    char text[2048];
    std::vsnprintf(text, sizeof text, format, arguments);
    return text;
}
}  // namespace

std::string Site::text() const { return format_text("%s:%u", file, line); }

std::string format_text(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = format_list(format, arguments);
    va_end(arguments);
    return text;
}

void fail(Site site, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = format_list(format, arguments);
    va_end(arguments);
    text = site.text() + ": " + text;
    if (running_core != nullptr) text += " [" + running_core->text() + "]";
    throw Violation(text);
}

Core* current_core_or_null() { return running_core; }

Core& current_core() {
    if (running_core == nullptr) {
        throw Violation("an Ascend C function was called outside of an emulated kernel");
    }
    return *running_core;
}

Core::Core(Machine& machine_, int index_, int block_, int sub_, bool is_cube_, int slot_)
    : machine(machine_),
      index(index_),
      block(block_),
      sub(sub_),
      is_cube(is_cube_),
      slot(slot_),
      saturate(machine_.options().saturate) {
    cross_mode_.fill(-1);
}

std::string Core::text() const {
    if (is_cube) return format_text("AIC of block %d", block);
    return format_text("AIV %d of block %d", sub, block);
}

uint32_t Core::next_time(pipe_t pipe) {
    maybe_yield();
    issue_order(pipe);
    return ++issued_[pipe];
}

// Whatever made the scalar unit wait also delays all that it issues afterwards.
void Core::issue_order(pipe_t pipe) {
    if (pipe == PIPE_S) return;
    const uint32_t scalar_known = known_[pipe].own[PIPE_S];
    known_[pipe].join(known_[PIPE_S]);
    known_[pipe].own[PIPE_S] = scalar_known;
}

Clock Core::complete(pipe_t pipe) const {
    Clock clock = known_[pipe];
    clock.own[pipe] = issued_[pipe];
    return clock;
}

bool Core::before(const Access& earlier, const Access& now) const {
    if (earlier.core != now.core) {
        const auto& foreign = known_[now.pipe].foreign;
        return foreign && (*foreign)[earlier.core][earlier.pipe] >= earlier.time;
    }
    if (known_[now.pipe].own[earlier.pipe] >= earlier.time) return true;
    const bool relaxed = machine.options().auto_sync && !is_cube;
    if (earlier.pipe == now.pipe) {
        // A pipe starts its instructions in order, so a later write cannot overtake a read. Loads
        // of L0 that overwrite each other without a barrier occur in public examples.
        const bool strict = machine.options().strict, overwrites = now.pipe == PIPE_MTE1 && !strict;
        // The hardware keeps the order of vector instructions on dav-3510 (documented).
        const bool ordered = machine.soc().arch == 3510 && !strict;
        const bool vector = now.pipe == PIPE_V && (relaxed || ordered);
        return earlier.time == now.time || now.pipe == PIPE_S || !earlier.write ||
               earlier.self_ordered || overwrites || vector;
    }
    if (earlier.unit_flag && now.unit_flag) return true;
    return relaxed && (earlier.pipe == PIPE_S || now.pipe == PIPE_S);
}

Event& Core::record(EventKind kind, pipe_t pipe, const char* name, Site site) {
    auto& events = machine.trace_.cores[index].events;
    if (events.size() == kMaxEvents) {
        fail(site,
             "%zu instructions on one core without an end: cores run in turns here, so that a "
             "loop that polls memory for another core's write does not end",
             kMaxEvents);
    }
    events.emplace_back();
    events.back().kind = kind;
    events.back().pipe = pipe;
    events.back().site = machine.intern(name, site);
    return events.back();
}

int Core::last_event() const {
    return static_cast<int>(machine.trace_.cores[index].events.size()) - 1;
}

void Core::maybe_yield() {
    if (machine.cancelled_) throw Cancelled();
    if (machine.options().schedule_seed != 0 && machine.schedule_() % 16 == 0) fiber_->pause();
    if (machine.cancelled_) throw Cancelled();
}

void Core::suspend_until(std::function<bool()> ready, std::string what) {
    if (ready()) return;
    ready_ = std::move(ready);
    waiting_for_ = std::move(what);
    fiber_->pause();
    if (machine.cancelled_) throw Cancelled();
    ready_ = nullptr;
    waiting_for_.clear();
}

Machine::Machine(const Soc& soc, const Options& options, Mix mix, int blocks)
    : soc_(soc),
      options_(options),
      mix_(mix),
      blocks_(blocks),
      schedule_(options.schedule_seed),
      perturbation_(options.perturb_seed) {
    for (auto& buffer : registered_globals()) {
        globals_.push_back(std::make_unique<GlobalMemory>(buffer));
    }
    const int per_block = cores_per_block();
    trace_.cores.resize(static_cast<size_t>(blocks) * per_block);
    const int available = mix.aic > 0 ? soc.cube_cores : soc.cube_cores * 2;
    slots_.resize(std::min(blocks, available));
    report_.soc = soc.name;
    report_.blocks = blocks;
}

Machine::~Machine() = default;

uint32_t Machine::intern(const char* name, Site site) {
    const uint64_t key = (reinterpret_cast<uintptr_t>(name) * 0x9E3779B97F4A7C15ull) ^
                         (reinterpret_cast<uintptr_t>(site.file) * 0xC2B2AE3D27D4EB4Full) ^
                         (static_cast<uint64_t>(site.line) << 17) * 0x165667B19E3779F9ull;
    auto [entry, fresh] = site_index_.emplace(key, trace_.sites.size());
    if (fresh) trace_.sites.push_back({name, site});
    return entry->second;
}

GlobalMemory& Machine::global(const void* address, Site site) {
    const auto* byte = static_cast<const uint8_t*>(address);
    auto after = std::upper_bound(
        globals_.begin(), globals_.end(), byte,
        [](const uint8_t* a, const auto& memory) { return a < memory->buffer().base; });
    if (after != globals_.begin()) {
        GlobalMemory& memory = **std::prev(after);
        if (byte <= memory.buffer().base + memory.size()) return memory;
    }
    fail(site, "global memory address %p lies in no registered buffer", address);
}

Core* Machine::core(int block, int sub) {
    for (auto& core : live_) {
        if (core->block == block && (sub < 0 ? core->is_cube : !core->is_cube && core->sub == sub))
            return core.get();
    }
    return nullptr;
}

void Machine::start_block(int block, int slot_number) {
    Slot& slot = slots_[slot_number];
    slot.block = block;
    const bool first = slot.memories.empty();
    const auto memory = [&](Buffer buffer) {
        slot.memories.push_back(
            std::make_unique<Memory>(buffer, soc_.capacity[static_cast<int>(buffer)]));
    };
    if (first) {
        if (mix_.aic > 0) {
            for (Buffer b :
                 {Buffer::L1, Buffer::L0A, Buffer::L0B, Buffer::L0C, Buffer::BT, Buffer::FB})
                memory(b);
        }
        for (int v = 0; v < mix_.aiv; ++v) memory(Buffer::UB);
    } else {
        for (auto& m : slot.memories) m->poison();
    }
    if (options_.stale) {
        for (auto& m : slot.memories) m->mark_written(0, m->size());
    }
    const int first_ub = mix_.aic > 0 ? 6 : 0;
    for (int c = 0; c < cores_per_block(); ++c) {
        const bool is_cube = c < mix_.aic;
        const int sub = is_cube ? 0 : c - mix_.aic;
        const int index = block * cores_per_block() + c;
        auto core = std::make_unique<Core>(*this, index, block, sub, is_cube, slot_number);
        if (is_cube) {
            for (int m = 0; m < 6; ++m) {
                Memory* memory_of = slot.memories[m].get();
                core->memories_[static_cast<int>(memory_of->kind())] = memory_of;
            }
        } else {
            core->memories_[static_cast<int>(Buffer::UB)] = slot.memories[first_ub + sub].get();
        }
        CoreTrace& trace = trace_.cores[index];
        trace.is_cube = is_cube;
        trace.block = block;
        trace.sub = sub;
        trace.slot = slot_number;
        trace.follows = slot.last_core[c];
        slot.last_core[c] = index;
        Core* self = core.get();
        core->fiber_ = std::make_unique<Fiber>([this, self] {
            try {
                if (!cancelled_) body_();
                self->check_exit();
            } catch (const Violation& violation) {
                if (error_.empty()) error_ = violation.what();
            } catch (const Cancelled&) {
            }
            self->finished_ = true;
        });
        live_.push_back(std::move(core));
    }
}

void Machine::retire_blocks() {
    for (Slot& slot : slots_) {
        if (slot.block < 0) continue;
        bool finished = true;
        for (auto& core : live_) finished &= core->block != slot.block || core->finished_;
        if (!finished) continue;
        const int block = slot.block;
        if (options_.checks && error_.empty()) {
            try {
                for (auto& core : live_) {
                    if (core->block == block) check_counters(*core);
                }
            } catch (const Violation& violation) {
                error_ = violation.what();
            }
        }
        live_.erase(std::remove_if(live_.begin(), live_.end(),
                                   [block](const auto& core) { return core->block == block; }),
                    live_.end());
        slot.block = -1;
    }
}

void Machine::cancel_all() {
    cancelled_ = true;
    for (auto& core : live_) {
        if (core->finished_) continue;
        running_core = core.get();
        core->fiber_->resume();
    }
    running_core = nullptr;
    live_.clear();
}

std::string Machine::deadlock_text() const {
    std::string text = "deadlock: every core waits";
    for (const auto& core : live_) {
        if (!core->finished_) text += "; " + core->text() + " for " + core->waiting_for_;
    }
    return text;
}

Report Machine::run(const std::string& name, const std::function<void()>& body) {
    report_.kernel = name;
    body_ = body;
    int next_block = 0;
    size_t turn = 0;
    while (error_.empty()) {
        for (size_t s = 0; s < slots_.size() && next_block < blocks_; ++s) {
            if (slots_[s].block < 0) start_block(next_block++, static_cast<int>(s));
        }
        if (live_.empty()) break;
        std::vector<Core*> ready;
        for (auto& core : live_) {
            if (!core->finished_ && (!core->ready_ || core->ready_())) ready.push_back(core.get());
        }
        if (ready.empty()) {
            error_ = deadlock_text();
            break;
        }
        const size_t pick = options_.schedule_seed != 0 ? schedule_() : turn++;
        running_core = ready[pick % ready.size()];
        running_core->fiber_->resume();
        const bool finished = running_core->finished_;
        running_core = nullptr;
        if (finished) retire_blocks();
    }
    if (!error_.empty()) cancel_all();
    if (options_.checks && error_.empty()) {
        try {
            check_arrivals();
        } catch (const Violation& violation) {
            error_ = violation.what();
        }
    }
    report_.error = error_;
    if (options_.timing && error_.empty()) {
        report_.timing =
            compute_timing(trace_, changed(soc_.costs, options_.costs), soc_.frequency_ghz);
        if (!options_.trace_path.empty()) {
            if (std::FILE* file = std::fopen(options_.trace_path.c_str(), "w")) {
                const std::string text = chrome_trace(trace_);
                std::fwrite(text.data(), 1, text.size(), file);
                std::fclose(file);
            } else {
                report_.error = "cannot write the trace to " + options_.trace_path;
            }
        }
    }
    if (options_.record) report_.trace = std::make_shared<LaunchTrace>(std::move(trace_));
    return report_;
}

}  // namespace emulator
