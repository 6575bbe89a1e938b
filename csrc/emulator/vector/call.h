// One vector instruction: its operands and mask are checked, its accesses declared, its cost
// charged.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "ascendc/tensor.h"
#include "core/instruction.h"
#include "vector/cost.h"
#include "vector/operand.h"

namespace emulator {

template <typename T>
constexpr const char* type_name() {
    if constexpr (std::is_same_v<T, half>) return "half";
    if constexpr (std::is_same_v<T, bfloat16_t>) return "bfloat16_t";
    if constexpr (std::is_same_v<T, float>) return "float";
    if constexpr (std::is_same_v<T, double>) return "double";
    if constexpr (std::is_same_v<T, bool>) return "bool";
    if constexpr (std::is_same_v<T, AscendC::int4b_t>) return "int4b_t";
    if constexpr (std::is_same_v<T, int8_t>) return "int8_t";
    if constexpr (std::is_same_v<T, uint8_t>) return "uint8_t";
    if constexpr (std::is_same_v<T, int16_t>) return "int16_t";
    if constexpr (std::is_same_v<T, uint16_t>) return "uint16_t";
    if constexpr (std::is_same_v<T, int32_t>) return "int32_t";
    if constexpr (std::is_same_v<T, uint32_t>) return "uint32_t";
    if constexpr (std::is_same_v<T, int64_t>) return "int64_t";
    if constexpr (std::is_same_v<T, uint64_t>) return "uint64_t";
    return "another type";
}

inline uint32_t require_range(const char* name, const char* field, int64_t value, int64_t low,
                              int64_t high, Site site) {
    if (value < low || value > high) {
        fail(site, "%s: %s is %lld, accepted is %lld to %lld", name, field,
             static_cast<long long>(value), static_cast<long long>(low),
             static_cast<long long>(high));
    }
    return static_cast<uint32_t>(value);
}

// CTRL[48] of the core.
inline Overflow overflow_rule(const Core& core) {
    return core.saturate ? Overflow::kSaturate : Overflow::kInfinity;
}

inline VectorState& vector_state() { return current_core().state<VectorState>(); }

// How an API call names the elements it works on: the first `count`, or `repeats` iterations under
// mask bits, under a number of leading elements, or under the mask registers (isSetMask = false).
struct Form {
    enum Kind { kCount, kMaskBits, kMaskCount, kMaskRegisters } kind;
    bool set_mask;
    int64_t number;  // elements, or repeats
    const uint64_t* bits;
    uint64_t leading;

    static Form first(int64_t count, bool set_mask = true) {
        return {kCount, set_mask, count, nullptr, 0};
    }
    template <typename Mask>
    static Form masked(bool set_mask, Mask mask, int64_t repeats) {
        if constexpr (std::is_pointer_v<Mask>) {
            return {set_mask ? kMaskBits : kMaskRegisters, set_mask, repeats, mask, 0};
        } else {
            return {set_mask ? kMaskCount : kMaskRegisters, set_mask, repeats, nullptr,
                    static_cast<uint64_t>(mask)};
        }
    }
};

class VectorCall {
  public:
    VectorCall(const char* name, Site site)
        : instruction_(PIPE_V, name, site), state_(vector_state()), name_(name), site_(site) {
        if (instruction_.core().is_cube) {
            fail(site, "%s is a vector instruction; this code runs on a cube core", name);
        }
    }

    VectorState& state() { return state_; }
    Overflow overflow() { return overflow_rule(instruction_.core()); }
    const char* name() const { return name_; }
    Site site() const { return site_; }

    // The elements that take part; `size` is that of the widest operand. Sets the mask registers as
    // the function itself would: the count form leaves the full mask in normal mode behind.
    Lanes lanes(const Form& form, uint32_t size, uint32_t width = 0) {
        if (width == 0) width = kIterationBytes / size;
        if (form.kind == Form::kCount) return counted_lanes(form, width);
        const uint32_t repeats =
            require_range(name_, "repeatTime", form.number, 0, kMaxRepeats, site_);
        if (form.kind == Form::kMaskCount && state_.counter_mode) {
            state_.mask = {form.leading, 0};
        } else if (form.kind == Form::kMaskCount) {
            if (form.leading > width) {
                fail(site_, "%s: mask is %llu, an iteration has %u elements", name_,
                     static_cast<unsigned long long>(form.leading), width);
            }
            state_.mask = Lanes::first(form.leading);
        } else if (form.kind == Form::kMaskBits) {
            if (width < 64 && form.bits[0] >> width != 0) {
                fail(site_, "%s: mask[0] selects more than the %u elements of an iteration", name_,
                     width);
            }
            state_.mask = {form.bits[0], width > 64 ? form.bits[1] : 0};
        }
        if (form.set_mask) ++mask_writes_;
        if (state_.counter_mode) return Lanes::counted(state_.mask[0], width);
        return Lanes::bits(state_.mask, width, repeats);
    }

    // An operand with strides in DataBlocks. Sources must be declared before destinations.
    template <typename Tensor>
    Operand operand(const Tensor& tensor, const char* what, uint32_t block_stride = 1,
                    uint32_t repeat_stride = kBlocks, uint32_t alignment = kBlockBytes) {
        views_.push_back(view_of(tensor.operand(), alignment, what, site_));
        const View& view = views_.back();
        if (view.buffer() != Buffer::UB) {
            fail(site_, "%s: %s lies in %s, a vector instruction works on the Unified Buffer",
                 name_, what, buffer_name(view.buffer()));
        }
        Operand operand;
        operand.base = view.offset;
        operand.bits = kBits<typename Tensor::PrimType>;
        operand.block_stride = block_stride * kBlockBytes;
        operand.repeat_stride = repeat_stride * kBlockBytes;
        operand.memory = view.data() - view.offset;
        operand.view = static_cast<uint32_t>(views_.size() - 1);
        return operand;
    }

    void reads(const Operand& operand, const Lanes& lanes) {
        for (const Region& region : regions_of(operand, lanes)) {
            reads_bytes(operand, region.offset, region);
        }
    }
    void reads_bytes(const Operand& operand, uint64_t offset, Region region) {
        const View& view = views_[operand.view];
        region.offset = offset - view.offset;
        instruction_.reads(view, region);
    }
    // As reads_bytes, for bytes that are moved and not yet used: `unwritten` receives a bit for
    // each that nothing has written.
    void moves_bytes(const Operand& operand, uint64_t offset, uint32_t count, uint32_t& unwritten) {
        const View& view = views_[operand.view];
        instruction_.reads_raw(view, {offset - view.offset, count});
        unwritten = 0;
        for (uint32_t i = 0; i < count; ++i) {
            if (view.written(offset - view.offset)[i] == 0) unwritten |= 1u << i;
        }
    }
    void writes(const Operand& operand, const Lanes& lanes) {
        if (lanes.iterations() > 0 && operand.block_stride == 0) {
            fail(site_, "%s: the block stride of dst must not be 0", name_);
        }
        for (const Region& region : regions_of(operand, lanes)) {
            writes_bytes(operand, region.offset, region);
        }
    }
    void writes_bytes(const Operand& operand, uint64_t offset, Region region) {
        const View& view = views_[operand.view];
        region.offset = offset - view.offset;
        instruction_.writes(view, region);
    }

    // The three for an instruction that moves elements without using them: bytes that nothing has
    // written may move as such, unless the launch is strict.
    void moves_from(const Operand& operand, const Lanes& lanes) {
        const bool strict = instruction_.core().machine.options().strict;
        const View& view = views_[operand.view];
        for (Region region : regions_of(operand, lanes)) {
            region.offset -= view.offset;
            instruction_.reads_if(strict, view, region);
        }
    }
    void moves_to(const Operand& operand, const Lanes& lanes) {
        const View& view = views_[operand.view];
        for (Region region : regions_of(operand, lanes)) {
            region.offset -= view.offset;
            instruction_.writes_raw(view, region);
        }
    }
    void move(const Operand& to, const Operand& from, uint32_t iteration, uint32_t lane,
              uint32_t count) {
        const View &target = views_[to.view], &source = views_[from.view];
        Instruction::copy_raw(target, to.offset(iteration, lane) - target.offset, source,
                              from.offset(iteration, lane) - source.offset,
                              uint64_t{count} * to.bits / 8);
    }

    void require_no_overlap(const Operand& destination, const Operand& source, const Lanes& lanes,
                            bool may_accumulate = false) {
        const int64_t bad = overlap_violation(destination, source, lanes, may_accumulate);
        if (bad < 0) return;
        fail(site_,
             "%s: in iteration %lld, %s overlaps %s in a way the hardware does not support "
             "(within an iteration they coincide or are disjoint; an iteration must not read what "
             "an earlier one wrote)",
             name_, static_cast<long long>(bad), views_[destination.view].what,
             views_[source.view].what);
    }

    uint64_t buffer_bytes() { return instruction_.core().memory(Buffer::UB).size(); }

    // Functions that keep scratch data at the start of the reserved 8 KB at the end of the buffer.
    void clobber_reserved(uint64_t bytes) {
        Memory& memory = instruction_.core().memory(Buffer::UB);
        const uint64_t start = memory.size() - 8 * 1024;
        const View view{&memory, start, bytes, "the reserved memory"};
        instruction_.writes(view, {0, bytes});
        std::memset(view.data(), kPoison, bytes);
    }

    void issue(const VectorCost& cost, const Lanes& lanes, double extra = 0) {
        instruction_.issue(cost.work(lanes, extra + mask_writes_ * kMaskWrite));
    }

  private:
    Lanes counted_lanes(const Form& form, uint32_t width) {
        if (!form.set_mask) {
            if (!state_.counter_mode) {
                fail(site_,
                     "%s with isSetMask = false takes its number of elements from the mask in "
                     "counter mode: call SetMaskCount and SetVectorMask first",
                     name_);
            }
            return Lanes::counted(state_.mask[0], width);
        }
        const uint32_t count = require_range(name_, "count", form.number, 0, INT32_MAX, site_);
        mask_writes_ += 4;
        state_.counter_mode = false;
        state_.mask = {~0ull, ~0ull};
        return Lanes::counted(count, width);
    }

    Instruction instruction_;
    VectorState& state_;
    const char* const name_;
    const Site site_;
    std::vector<View> views_;
    double mask_writes_ = 0;
};

}  // namespace emulator
