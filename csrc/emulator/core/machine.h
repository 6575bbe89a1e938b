// One launch: cores, their memories, pipes and flags; runs the kernel body on every core.
//
// Each core executes its instructions in program order, at once, on a coroutine of its own; only
// cross-core waits suspend it. What the hardware would run concurrently is judged by clocks: see
// Instruction (instruction.h) and Access (memory.h).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/fiber.h"
#include "core/memory.h"
#include "core/site.h"
#include "core/soc.h"
#include "core/trace.h"

namespace emulator {

// Cores of one block: {1,0} cube only, {0,1} vector only, {1,1} and {1,2} both.
struct Mix {
    int aic = 1;
    int aiv = 0;
    bool cross_core = false;  // __mix__: the scheduler for cross-core flags is on
};

struct Options {
    std::string soc;             // empty: the architecture's default
    uint64_t schedule_seed = 0;  // 0: fixed order; else cores interleave at random, by seed
    uint64_t perturb_seed = 0;   // 0: exact sums; else float32 sums in random order, by seed
    bool checks = true;          // races, uninitialised reads, flags
    bool auto_sync = false;      // as the compiler option: V and S pipes of AIV keep order
    // On-chip memory starts with what an earlier kernel left: poison, but readable. For kernels
    // that compute on lanes whose results they never store.
    bool stale = false;
    bool timing = true;
    // Stricter than the documents: refuse accesses beyond the count of a LocalTensor, a Mmad that
    // reads what nothing wrote (else its result is as if unwritten, and leaving L0C with it is
    // refused), a Copy of what nothing wrote, loads that overwrite each other in L0 without a
    // barrier, vector instructions of dav-3510 that need each other's result without one, and a
    // SetFlag that may run before the wait of the flag's last use. Public kernels do all of these.
    bool strict = false;
    // CTRL[48] at start. The runtime's overflow mode sets it: inf and NaN are kept (the default of
    // torch_npu on these chips), or replaced by the largest number and zero.
    bool saturate = false;
    // Two documents disagree: CTRL[48] = 1 keeps inf and NaN in Fixpipe (the basic API's pages), or
    // F322F16 (dav-2201) and F322BF16 do not support that (the C API's pages).
    bool fixpipe_saturates = false;
    std::string trace_path;         // Chrome trace is written here
    std::vector<CostChange> costs;  // what differs from the chip's table
    bool record = false;            // keep what the launch did in its report, for other costs
    // Synchronisation calls that do nothing, for mutation tests: "file:line" or "kind@file:line",
    // separated by commas; the file is compared by its end.
    std::string disable_sync;
};

// One place in the sources that synchronises.
struct SyncSite {
    const char* kind;
    Site site;
    uint64_t count;
    bool disabled;
};

class Machine;

class Core final : public Order {
  public:
    Core(Machine& machine, int index, int block, int sub, bool is_cube, int slot);

    Machine& machine;
    const int index, block, sub;
    const bool is_cube;
    const int slot;

    Memory& memory(Buffer buffer) const { return *memories_[static_cast<int>(buffer)]; }
    bool has(Buffer buffer) const { return memories_[static_cast<int>(buffer)] != nullptr; }

    // --- synchronisation within the core
    void set_flag(pipe_t from, pipe_t to, int id, Site site);
    void wait_flag(pipe_t from, pipe_t to, int id, Site site);
    void barrier(pipe_t pipe, Site site);
    // --- synchronisation between cores
    void cross_set(int mode, pipe_t pipe, int id, Site site);
    void cross_wait(int mode, pipe_t pipe, int id, Site site);
    void sync_all(bool vector_only, Site site);

    // Words in global memory past the cache: who reads one that another core wrote knows what that
    // core had done by then. A read lets the other cores run, so that polling ends.
    void publish_word(const void* address);
    void observe_word(const void* address);

    // --- used by Instruction
    uint32_t next_time(pipe_t pipe);
    bool before(const Access& earlier, const Access& now) const override;
    Event& record(EventKind kind, pipe_t pipe, const char* name, Site site);
    int last_event() const;
    std::string text() const;

    // Per-core registers that APIs keep between calls (masks, padding, fixpipe settings ...).
    template <class State>
    State& state() {
        // By type, not by an address: a kernel may lie in another shared library than the emulator.
        auto& slot_of = states_[typeid(State)];
        if (!slot_of) slot_of = std::make_shared<State>();
        return *static_cast<State*>(slot_of.get());
    }
    // A check of state when the kernel ends; it fails if it finds something.
    void at_exit(std::function<void()> check) { exit_checks_.push_back(std::move(check)); }
    // Unit flags of L0C by KiB: the Mmad event that filled it, or -1 when drained, and what was
    // complete when it became so.
    struct Unit {
        int32_t filled_by = -1;
        std::shared_ptr<const Clock> since;
    };
    std::array<Unit, 256> units;
    // `pipe`, which is M or FIX, is done with units first .. last; what it did so far precedes what
    // the other one does after await_units.
    void release_units(uint64_t first, uint64_t last, pipe_t pipe, int32_t filled_by);
    void await_units(uint64_t first, uint64_t last, pipe_t pipe);
    bool soc_state_initialised = false;
    bool saturate = false;  // CTRL[48] = 0: floating-point results saturate, NaN becomes 0

  private:
    friend class Machine;
    struct Flag {
        bool set = false;
        Clock clock;
        int event = -1;
        Site site;
        uint32_t waited_at = 0;  // number of the wait within the waiting pipe
    };
    struct Arrival {
        Clock clock;
        CrossToken token;
    };
    struct Counter {
        std::deque<std::vector<Arrival>> tickets;  // one per increment: who contributed
    };
    void issue_order(pipe_t pipe);
    void barrier_all(Site site);
    Clock complete(pipe_t pipe) const;
    void suspend_until(std::function<bool()> ready, std::string what);
    void maybe_yield();
    void learn(const std::vector<Arrival>& arrivals, pipe_t pipe);
    void check_exit();

    std::array<Memory*, kBuffers> memories_{};
    PipeTimes issued_{};               // instructions issued so far, by pipe
    std::array<Clock, kPipes> known_;  // what each pipe's next instruction is ordered after
    std::array<std::array<std::array<Flag, 8>, kPipes>, kPipes> flags_;
    std::array<Counter, 32> counters_;
    std::array<int, 32> cross_mode_;  // mode a flag id is in use with, -1 none
    std::map<std::type_index, std::shared_ptr<void>> states_;
    std::vector<std::function<void()>> exit_checks_;
    std::unique_ptr<Fiber> fiber_;
    std::function<bool()> ready_;
    std::string waiting_for_;
    bool finished_ = false;
};

struct Report {
    std::string kernel;
    std::string error;  // empty: the launch ran to its end
    std::string soc;
    int blocks = 0;
    Timing timing;
    uint64_t bytes[kBuffers][kBuffers] = {};
    uint64_t instructions[kPipes] = {};
    uint64_t hbm_read = 0, hbm_write = 0;
    std::vector<SyncSite> sync_sites;    // in the order of first execution
    std::shared_ptr<LaunchTrace> trace;  // if it was to be recorded
    std::string json() const;
    std::string sync_json() const;
};

class Machine {
  public:
    Machine(const Soc& soc, const Options& options, Mix mix, int blocks);
    ~Machine();

    Report run(const std::string& name, const std::function<void()>& body);

    const Soc& soc() const { return soc_; }
    const Options& options() const { return options_; }
    const Mix& mix() const { return mix_; }
    int blocks() const { return blocks_; }
    int cores_per_block() const { return mix_.aic + mix_.aiv; }
    // Core of a block: sub -1 is the AIC, 0 and 1 its AIVs. nullptr when not alive.
    Core* core(int block, int sub);
    GlobalMemory& global(const void* address, Site site);
    uint32_t intern(const char* name, Site site);
    // Notes that a synchronisation call is executed; false when the options disable it.
    bool sync_enabled(const char* kind, Site site);
    const SiteEntry& site(uint32_t index) const { return trace_.sites[index]; }
    std::mt19937_64& perturbation() { return perturbation_; }
    Report& report() { return report_; }

  private:
    friend class Core;
    void start_block(int block, int slot);
    void retire_blocks();
    void cancel_all();
    std::string deadlock_text() const;
    void check_counters(const Core& core) const;
    void check_arrivals() const;
    void deliver(Core& target, int id, std::vector<Core::Arrival> ticket, Site site);

    const Soc& soc_;
    const Options options_;
    const Mix mix_;
    const int blocks_;
    std::function<void()> body_;
    std::vector<std::unique_ptr<GlobalMemory>> globals_;  // sorted by address
    struct Slot {
        std::vector<std::unique_ptr<Memory>> memories;
        int block = -1;
        std::array<int, 3> last_core{-1, -1, -1};
    };
    std::vector<Slot> slots_;
    std::vector<std::unique_ptr<Core>> live_;
    // Arrivals not yet matched, keyed by (mode, group, flag id); one queue per participant.
    std::map<std::array<int, 3>, std::map<int, std::deque<Core::Arrival>>> arrivals_;
    std::map<const void*, Core::Arrival> words_;  // the last writer of each published word
    std::map<int, std::map<int, Core::Arrival>> sync_all_;  // by kind, by core
    std::unordered_map<uint64_t, uint32_t> site_index_;
    std::unordered_map<uint32_t, size_t> sync_index_;  // by interned site
    LaunchTrace trace_;
    std::mt19937_64 schedule_, perturbation_;
    Report report_;
    std::string error_;
    bool cancelled_ = false;
};

// The core whose kernel code is running on this thread; fails outside of a launch.
Core& current_core();
Core* current_core_or_null();

struct Cancelled {};  // unwinds the stacks of the other cores after a violation

}  // namespace emulator
