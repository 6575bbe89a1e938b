#include "core/instruction.h"

#include <algorithm>
#include <cstring>

namespace emulator {

static View view_in(const Core& core, Buffer buffer, uint64_t offset, uint64_t bytes,
                    uint64_t alignment, const char* what, Site site) {
    if (alignment != 0 && offset % alignment != 0) {
        fail(site, "%s: address %llu in %s is not aligned to %llu bytes", what,
             static_cast<unsigned long long>(offset), buffer_name(buffer),
             static_cast<unsigned long long>(alignment));
    }
    return {&core.memory(buffer), offset, bytes, what};
}

View local_view(Buffer buffer, uint64_t offset, uint64_t bytes, uint64_t alignment,
                const char* what, Site site) {
    const Core& core = current_core();
    if (!core.has(buffer)) {
        fail(site, "%s lies in %s, which this core does not have", what, buffer_name(buffer));
    }
    return view_in(core, buffer, offset, bytes, alignment, what, site);
}

View block_view(Buffer buffer, int sub, uint64_t offset, uint64_t bytes, uint64_t alignment,
                const char* what, Site site) {
    const Core& core = current_core();
    const Core* const other = core.machine.core(core.block, sub);
    if (other == nullptr || !other->has(buffer)) {
        fail(site, "%s lies in %s of another core, which the block does not have", what,
             buffer_name(buffer));
    }
    return view_in(*other, buffer, offset, bytes, alignment, what, site);
}

View global_view(const void* address, const char* what, Site site) {
    GlobalMemory& memory = current_core().machine.global(address, site);
    const uint64_t offset = static_cast<const uint8_t*>(address) - memory.buffer().base;
    return {&memory, offset, memory.size() - offset, what};
}

Instruction::Instruction(pipe_t pipe, const char* name, Site site)
    : core_(current_core()), pipe_(pipe), name_(name), site_(site) {
    access_.time = core_.next_time(pipe);
    access_.core = static_cast<uint16_t>(core_.index);
    access_.pipe = pipe;
    access_.site = core_.machine.intern(name, site);
}

void Instruction::check_bounds(const View& view, const Region& region, bool write) const {
    int64_t low = static_cast<int64_t>(region.offset),
            high = low + static_cast<int64_t>(region.run);
    const int64_t rows = static_cast<int64_t>(region.rows - 1) * region.row_stride;
    const int64_t outer = static_cast<int64_t>(region.outer - 1) * region.outer_stride;
    low += std::min<int64_t>(rows, 0) + std::min<int64_t>(outer, 0);
    high += std::max<int64_t>(rows, 0) + std::max<int64_t>(outer, 0);
    const int64_t first = static_cast<int64_t>(view.offset) + low;
    const int64_t last = static_cast<int64_t>(view.offset) + high;
    if (first < 0 || last > static_cast<int64_t>(view.memory->size())) {
        fail(site_, "%s %s %s bytes [%lld, %lld) of %s, which has %llu: out of bounds", name_,
             write ? "writes" : "reads", view.what, static_cast<long long>(first),
             static_cast<long long>(last), buffer_name(view.buffer()),
             static_cast<unsigned long long>(view.memory->size()));
    }
    if (core_.machine.options().strict && view.buffer() != Buffer::GM &&
        (low < 0 || high > static_cast<int64_t>(view.bytes))) {
        fail(site_, "%s %s bytes [%lld, %lld) of tensor %s, which has %llu: out of bounds", name_,
             write ? "writes" : "reads", static_cast<long long>(low), static_cast<long long>(high),
             view.what, static_cast<unsigned long long>(view.bytes));
    }
}

void Instruction::touch(const View& view, const Region& region, bool write, bool use) {
    if (region.run == 0 || region.rows == 0 || region.outer == 0) return;
    check_bounds(view, region, write);
    access_.write = write;
    const Buffer buffer = view.buffer();
    const uint64_t total = region.run * region.rows * region.outer;
    if (write) {
        to_ = buffer;
        has_to_ = true;
        bytes_out_ += total;
    } else if (!has_from_) {
        from_ = buffer;
        has_from_ = true;
    }
    if (!write) bytes_in_ += total;
    if (buffer == Buffer::GM) {
        const auto& memory = static_cast<GlobalMemory&>(*view.memory);
        if (write && memory.buffer().read_only) {
            fail(site_, "%s writes to %s: this global buffer is an input", name_, view.what);
        }
        gm_write_ = write;
        gm_bytes_ += total;
    }
    // Rows that follow each other without a gap are one run.
    Region r = region;
    if (r.rows > 1 && r.row_stride == static_cast<int64_t>(r.run)) {
        r.run *= r.rows;
        r.rows = 1;
    }
    if (r.rows == 1 && r.outer > 1 && r.outer_stride == static_cast<int64_t>(r.run)) {
        r.run *= r.outer;
        r.outer = 1;
    }
    for (uint64_t o = 0; o < r.outer; ++o) {
        for (uint64_t row = 0; row < r.rows; ++row) {
            const int64_t at = static_cast<int64_t>(view.offset + r.offset) +
                               static_cast<int64_t>(row) * r.row_stride +
                               static_cast<int64_t>(o) * r.outer_stride;
            touch_run(view, static_cast<uint64_t>(at), r.run, write, use);
        }
    }
}

void Instruction::touch_run(const View& view, uint64_t offset, uint64_t count, bool write,
                            bool use) {
    Memory& memory = *view.memory;
    if (memory.kind() == Buffer::GM) {
        ++gm_runs_;
        const uint64_t cold = static_cast<GlobalMemory&>(memory).touch_lines(offset, count);
        gm_cold_lines_ += cold;
        gm_lines_ += (offset + count - 1) / 512 - offset / 512 + 1;
    }
    if (core_.machine.options().checks) {
        if ((!write && use) || access_.atomic != Atomic::kNone) {
            const uint64_t hole = memory.first_unwritten(offset, count);
            if (hole != count) {
                fail(site_, "%s reads byte %llu of %s (%s), which nothing has written", name_,
                     static_cast<unsigned long long>(offset + hole), buffer_name(memory.kind()),
                     view.what);
            }
        }
        const Access* other = memory.shadow().touch(offset, count, access_, core_);
        if (other != nullptr) {
            const SiteEntry& entry = core_.machine.site(other->site);
            const bool same_core = other->core == access_.core;
            const std::string whose = same_core ? "" : format_text(" of core %d", other->core);
            fail(site_,
                 "race: %s (pipe %s) %s %s bytes [%llu, %llu) that %s (pipe %s%s) at %s:%u %s; "
                 "nothing orders the two",
                 name_, pipe_name(pipe_), write ? "writes" : "reads", buffer_name(memory.kind()),
                 static_cast<unsigned long long>(offset),
                 static_cast<unsigned long long>(offset + count), entry.name,
                 pipe_name(other->pipe), whose.c_str(), entry.site.file, entry.site.line,
                 other->write ? "writes" : "reads");
        }
    }
    if (write && !use) memory.mark_written(offset, count);
}

void Instruction::combines(Atomic operation, const View& view, const Region& region) {
    access_.atomic = operation;
    touch(view, region, true, false);
    access_.atomic = Atomic::kNone;
}

void Instruction::copy_raw(const View& dst, uint64_t to, const View& src, uint64_t from,
                           uint64_t count) {
    std::memmove(dst.data(to), src.data(from), count);
    if (dst.written() == nullptr) return;
    if (src.written() == nullptr) {
        std::memset(dst.written(to), 1, count);
    } else {
        std::memmove(dst.written(to), src.written(from), count);
    }
}

int Instruction::issue(const Work& work) {
    Report& report = core_.machine.report();
    ++report.instructions[pipe_];
    if (has_from_ && has_to_ && from_ != to_ && pipe_ != PIPE_M) {
        report.bytes[static_cast<int>(from_)][static_cast<int>(to_)] +=
            from_ == Buffer::GM ? bytes_in_ : bytes_out_;
    }
    Event& event = core_.record(EventKind::Instruction, pipe_, name_, site_);
    event.work = work;
    event.unit_token = unit_token_;
    if (gm_bytes_ > 0) {
        // Every run costs whole 32-byte sectors.
        event.gm_bytes = static_cast<uint32_t>(std::max<uint64_t>(gm_bytes_, gm_runs_ * 32));
        event.gm_runs = static_cast<uint32_t>(gm_runs_);
        event.gm_write = gm_write_;
        event.cold = gm_cold_lines_ * 2 >= gm_lines_;
        if (event.cold) (gm_write_ ? report.hbm_write : report.hbm_read) += gm_bytes_;
    }
    return core_.last_event();
}

}  // namespace emulator
