// One instruction: declare what it reads and writes, do the work on host memory, issue it.
//
//     Instruction add(PIPE_V, "Add", site);
//     add.reads(view(src0, site), {0, bytes});    // bounds, alignment, uninitialised, races
//     add.reads(view(src1, site), {0, bytes});
//     add.writes(view(dst, site), {0, bytes});    // after all reads
//     ... compute on view.data(offset) ...
//     add.issue(work);                            // cost, for the timing model
#pragma once

#include "core/machine.h"

namespace emulator {

// A tensor as instructions see it: `bytes` bytes of a memory from `offset`.
struct View {
    Memory* memory = nullptr;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    const char* what = "";  // "dst", "src" ...: for messages

    Buffer buffer() const { return memory->kind(); }
    uint8_t* data(uint64_t at = 0) const { return memory->data() + offset + at; }
    uint8_t* written(uint64_t at = 0) const {
        return memory->written() == nullptr ? nullptr : memory->written() + offset + at;
    }
};

// Views are checked for alignment when made (0: none demanded).
View local_view(Buffer buffer, uint64_t offset, uint64_t bytes, uint64_t alignment,
                const char* what, Site site);
// The same in a buffer of another core of the block: the cube core (sub -1), or vector core `sub`.
View block_view(Buffer buffer, int sub, uint64_t offset, uint64_t bytes, uint64_t alignment,
                const char* what, Site site);
View global_view(const void* address, const char* what, Site site);

class Instruction {
  public:
    Instruction(pipe_t pipe, const char* name, Site site);

    void reads(const View& view, const Region& region) { touch(view, region, false, true); }
    // A copy that carries the "never written" state along instead of using the values.
    void reads_raw(const View& view, const Region& region) { touch(view, region, false, false); }
    void writes(const View& view, const Region& region) { touch(view, region, true, false); }
    // As writes, but the caller copies the written-map itself (copies of reads_raw data).
    void writes_raw(const View& view, const Region& region) { touch(view, region, true, true); }
    // An atomic operation on what is there: written before, and in any order with its like.
    void combines(Atomic operation, const View& view, const Region& region);
    // reads or reads_raw.
    void reads_if(bool use, const View& view, const Region& region) {
        touch(view, region, false, use);
    }
    // Copies bytes and their written-map between two views.
    static void copy_raw(const View& dst, uint64_t to, const View& src, uint64_t from,
                         uint64_t count);

    void self_ordered() { access_.self_ordered = true; }
    void word() { access_.atomic = Atomic::kWord; }
    void unit_flag() { access_.unit_flag = true; }
    void follows(int event) { unit_token_ = event; }

    // Returns the event's index within the core's trace.
    int issue(const Work& work);
    // The pipe is busy for `cycles`, whatever the table of costs says, and the result is visible
    // `latency` cycles later.
    int issue(double cycles, double latency) {
        return issue(Work{nullptr, 0, nullptr, nullptr, cycles, latency});
    }

    Core& core() { return core_; }
    Site site() const { return site_; }
    const char* name() const { return name_; }

  private:
    void touch(const View& view, const Region& region, bool write, bool use);
    void touch_run(const View& view, uint64_t offset, uint64_t count, bool write, bool use);
    void check_bounds(const View& view, const Region& region, bool write) const;

    Core& core_;
    const pipe_t pipe_;
    const char* const name_;
    const Site site_;
    Access access_;
    Buffer from_ = Buffer::GM, to_ = Buffer::GM;
    bool has_from_ = false, has_to_ = false;
    uint64_t bytes_in_ = 0, bytes_out_ = 0;
    uint64_t gm_bytes_ = 0, gm_runs_ = 0, gm_cold_lines_ = 0, gm_lines_ = 0;
    bool gm_write_ = false;
    int unit_token_ = -1;
};

}  // namespace emulator
