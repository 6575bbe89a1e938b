// GlobalTensor, LocalTensor, LocalMemAllocator.
#pragma once

#include "ascendc/types.h"
#include "core/instruction.h"
#include "cube/operands.h"

namespace AscendC {

// A piece of a local buffer, in bytes.
struct TBuffAddr {
    uint32_t dataLen = 0;
    uint32_t bufferAddr = 0;
    void* bufferHandle = nullptr;
    uint8_t logicPos = static_cast<uint8_t>(TPosition::MAX);
};

template <typename T>
class LocalTensor {
  public:
    using PrimType = T;

    LocalTensor() = default;
    LocalTensor(TPosition position, uint32_t byte_address, uint32_t count)
        : position_(position), address_(byte_address), count_(count) {}

    LocalTensor operator[](uint32_t offset) const {
        LocalTensor view = *this;
        view.address_ += offset * sizeof(T);
        view.count_ = offset < count_ ? count_ - offset : 0;
        return view;
    }
    template <typename U>
    LocalTensor<U> ReinterpretCast() const {
        LocalTensor<U> view(position_, static_cast<uint32_t>(address_),
                            static_cast<uint32_t>(uint64_t{count_} * sizeof(T) / sizeof(U)));
        return view;
    }
    T GetValue(uint32_t index, emulator::Site site = emulator::Site::here()) const {
        emulator::Instruction get(PIPE_S, "GetValue", site);
        const emulator::View view = emulator::view_of(operand(), 0, "tensor", site);
        get.reads(view, {uint64_t{index} * sizeof(T), sizeof(T)});
        get.issue({&emulator::Costs::scalar_memory});
        T value;
        __builtin_memcpy(&value, view.data(uint64_t{index} * sizeof(T)), sizeof(T));
        return value;
    }
    template <typename U>
    void SetValue(uint32_t index, U value, emulator::Site site = emulator::Site::here()) const {
        emulator::Instruction set(PIPE_S, "SetValue", site);
        const emulator::View view = emulator::view_of(operand(), 0, "tensor", site);
        set.writes(view, {uint64_t{index} * sizeof(T), sizeof(T)});
        set.issue({&emulator::Costs::scalar_memory});
        const T converted = static_cast<T>(value);
        __builtin_memcpy(view.data(uint64_t{index} * sizeof(T)), &converted, sizeof(T));
    }
    // Element as an lvalue; reads and writes go through GetValue and SetValue.
    class Element {
      public:
        Element(const LocalTensor& tensor, uint32_t index, emulator::Site site)
            : tensor_(tensor), index_(index), site_(site) {}
        operator T() const { return tensor_.GetValue(index_, site_); }
        const Element& operator=(T value) const {
            tensor_.SetValue(index_, value, site_);
            return *this;
        }

      private:
        const LocalTensor& tensor_;
        uint32_t index_;
        emulator::Site site_;
    };
    Element operator()(uint32_t index, emulator::Site site = emulator::Site::here()) const {
        return Element(*this, index, site);
    }

    uint64_t GetPhyAddr() const { return address_; }
    uint64_t GetPhyAddr(uint32_t offset) const { return address_ + offset * sizeof(T); }
    int32_t GetPosition() const { return static_cast<int32_t>(position_); }
    uint32_t GetSize() const { return count_; }
    uint32_t GetLength() const { return static_cast<uint32_t>(count_ * sizeof(T)); }
    void SetAddr(const TBuffAddr& piece) {
        position_ = static_cast<TPosition>(piece.logicPos);
        address_ = piece.bufferAddr;
        count_ = static_cast<uint32_t>(piece.dataLen / sizeof(T));
    }
    void SetSize(uint32_t count) { count_ = count; }
    void SetBufferLen(uint32_t count) { count_ = count; }
    void SetUserTag(int32_t tag) { tag_ = tag; }
    int32_t GetUserTag() const { return tag_; }

    emulator::LocalOperand operand() const {
        return {position_, address_, uint64_t{count_} * sizeof(T), emulator::dtype_of<T>()};
    }

    // Handle of the TQue buffer that the tensor belongs to, -1 for none.
    int32_t queue_slot = -1;

  private:
    template <typename U>
    friend class LocalTensor;
    TPosition position_ = TPosition::MAX;
    uint64_t address_ = 0;
    uint32_t count_ = 0;
    int32_t tag_ = 0;
};

template <typename T>
class GlobalTensor {
  public:
    using PrimType = T;

    void SetGlobalBuffer(__gm__ T* buffer, uint64_t count) {
        address_ = buffer;
        count_ = count;
    }
    void SetGlobalBuffer(__gm__ T* buffer) { SetGlobalBuffer(buffer, 0); }
    GlobalTensor operator[](uint64_t offset) const {
        GlobalTensor view = *this;
        view.address_ += offset;
        return view;
    }
    T GetValue(uint64_t index, emulator::Site site = emulator::Site::here()) const {
        emulator::Instruction get(PIPE_S, "GetValue", site);
        const emulator::View view = emulator::view_of(operand(), "tensor", site);
        get.reads(view, {index * sizeof(T), sizeof(T)});
        get.issue({&emulator::Costs::scalar_memory});
        T value;
        __builtin_memcpy(&value, view.data(index * sizeof(T)), sizeof(T));
        return value;
    }
    void SetValue(uint64_t index, T value, emulator::Site site = emulator::Site::here()) const {
        emulator::Instruction set(PIPE_S, "SetValue", site);
        const emulator::View view = emulator::view_of(operand(), "tensor", site);
        set.writes(view, {index * sizeof(T), sizeof(T)});
        set.issue({&emulator::Costs::scalar_memory});
        __builtin_memcpy(view.data(index * sizeof(T)), &value, sizeof(T));
    }
    const __gm__ T* GetPhyAddr() const { return address_; }
    __gm__ T* GetPhyAddr(uint64_t offset) const { return address_ + offset; }
    uint64_t GetSize() const { return count_; }
    template <CacheRwMode mode = CacheRwMode::RW>
    void SetL2CacheHint(CacheMode) {}
    template <typename U>
    GlobalTensor<U> ReinterpretCast() const {
        GlobalTensor<U> view;
        view.SetGlobalBuffer(reinterpret_cast<U*>(address_), count_ * sizeof(T) / sizeof(U));
        return view;
    }

    emulator::GlobalOperand operand() const { return {address_, emulator::dtype_of<T>()}; }

  private:
    T* address_ = nullptr;
    uint64_t count_ = 0;
};

namespace emulator_detail {
constexpr emulator::Buffer buffer_of(Hardware hardware) {
    switch (hardware) {
        case Hardware::UB:
            return emulator::Buffer::UB;
        case Hardware::L1:
            return emulator::Buffer::L1;
        case Hardware::L0A:
            return emulator::Buffer::L0A;
        case Hardware::L0B:
            return emulator::Buffer::L0B;
        case Hardware::L0C:
            return emulator::Buffer::L0C;
        case Hardware::BIAS:
            return emulator::Buffer::BT;
        case Hardware::FIXBUF:
            return emulator::Buffer::FB;
        default:
            return emulator::Buffer::GM;
    }
}
constexpr TPosition position_of(Hardware hardware) {
    switch (hardware) {
        case Hardware::UB:
            return TPosition::VECCALC;
        case Hardware::L1:
            return TPosition::A1;
        case Hardware::L0A:
            return TPosition::A2;
        case Hardware::L0B:
            return TPosition::B2;
        case Hardware::L0C:
            return TPosition::CO1;
        case Hardware::BIAS:
            return TPosition::C2;
        default:
            return TPosition::C2PIPE2GM;
    }
}
}  // namespace emulator_detail

// Hands out a buffer from its start; never takes anything back. One per buffer and kernel.
template <Hardware hardware = Hardware::UB>
class LocalMemAllocator {
  public:
    uint32_t GetCurAddr() const { return head_; }
    template <TPosition position, class T>
    LocalTensor<T> Alloc(uint32_t count, emulator::Site site = emulator::Site::here()) {
        constexpr emulator::Buffer buffer = emulator_detail::buffer_of(hardware);
        if (emulator::buffer_of(position, site) != buffer) {
            emulator::fail(site, "LocalMemAllocator of %s: the position lies in another buffer",
                           emulator::buffer_name(buffer));
        }
        const emulator::Core& core = emulator::current_core();
        if (!core.has(buffer)) {
            emulator::fail(site, "LocalMemAllocator of %s: this core does not have that buffer",
                           emulator::buffer_name(buffer));
        }
        const uint64_t end = head_ + uint64_t{count} * sizeof(T);
        const uint64_t capacity = core.memory(buffer).size();
        if (end > capacity) {
            emulator::fail(site, "LocalMemAllocator of %s: %llu bytes wanted, capacity %llu",
                           emulator::buffer_name(buffer), static_cast<unsigned long long>(end),
                           static_cast<unsigned long long>(capacity));
        }
        LocalTensor<T> tensor(position, head_, count);
        head_ = static_cast<uint32_t>(end);
        return tensor;
    }
    template <TPosition position, class T, uint32_t count>
    LocalTensor<T> Alloc(emulator::Site site = emulator::Site::here()) {
        return Alloc<position, T>(count, site);
    }
    template <class T>
    LocalTensor<T> Alloc(uint32_t count, emulator::Site site = emulator::Site::here()) {
        return Alloc<emulator_detail::position_of(hardware), T>(count, site);
    }
    template <class T, uint32_t count>
    LocalTensor<T> Alloc(emulator::Site site = emulator::Site::here()) {
        return Alloc<emulator_detail::position_of(hardware), T>(count, site);
    }

  private:
    uint32_t head_ = 0;
};

}  // namespace AscendC
