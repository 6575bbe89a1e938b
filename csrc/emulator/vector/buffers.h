// Memory that a kernel hands out by position: what a core keeps of it, and TBuf, a piece without
// flags.
#pragma once

#include <array>
#include <deque>

#include "ascendc/tensor.h"
#include "vector/events.h"

namespace AscendC {
class TPipe;
}

namespace emulator {

struct QueueBuffer {
    uint32_t address = 0;
    uint32_t bytes = 0;
    enum State { kFree, kAllocated, kQueued, kDequeued } state = kFree;
    // Flags raised by EnQue and by FreeTensor and not yet waited for (-1: none), and the ids that
    // the buffer had last.
    int filled_event = -1, emptied_event = -1;
    int filled_last = -1, emptied_last = -1;
    AscendC::EventPipes pipes{};
};

// A piece of memory of each buffer from which InitBuffer takes, front to back.
struct Arena {
    std::array<uint32_t, kBuffers> head{};
    std::array<uint32_t, kBuffers> end{};

    uint32_t take(Buffer buffer, uint32_t bytes, Site site) {
        const int index = static_cast<int>(buffer);
        const uint32_t start = head[index];
        if (uint64_t{start} + bytes > end[index]) {
            fail(site, "InitBuffer: %u bytes do not fit into %s, %u of %u bytes are in use", bytes,
                 buffer_name(buffer), start, end[index]);
        }
        head[index] = start + bytes;
        return start;
    }
};

inline uint32_t whole_blocks(uint32_t bytes) { return (bytes + 31) / 32 * 32; }

constexpr size_t kMaxQueueBuffers = 64;  // documented limit of a kernel

// What a core keeps of its TPipe.
struct PipeState {
    AscendC::TPipe* pipe = nullptr;
    EventPool events;
    std::deque<QueueBuffer> buffers;  // stable addresses
};

inline PipeState& pipe_state() { return current_core().state<PipeState>(); }

// Raises a flag for a buffer whose flag had the id `last`; the new id, -1 where none is needed.
inline int raise_event(pipe_t from, pipe_t to, int& last, Site site) {
    if (from == to) return -1;
    last = pipe_state().events.take_for_buffer(from, to, last, site);
    current_core().set_flag(from, to, last, site);
    return last;
}
// Waits for a flag raised so, if there is one.
inline void wait_event(pipe_t from, pipe_t to, int& id, Site site) {
    if (id < 0) return;
    current_core().wait_flag(from, to, id, site);
    pipe_state().events.give_back(from, to, id);
    id = -1;
}

}  // namespace emulator

namespace AscendC {

// Memory at a position without any flags.
template <TPosition position = TPosition::LCM>
class TBuf {
  public:
    template <typename T>
    LocalTensor<T> Get() {
        return Get<T>(static_cast<uint32_t>(emulator::elements_of<T>(bytes_)));
    }
    template <typename T>
    LocalTensor<T> Get(uint32_t count, emulator::Site site = emulator::Site::here()) {
        return GetWithOffset<T>(count, 0, site);
    }
    template <typename T>
    LocalTensor<T> GetWithOffset(uint32_t count, uint32_t byte_offset,
                                 emulator::Site site = emulator::Site::here()) {
        if (byte_offset + emulator::bytes_of<T>(count) > bytes_) {
            emulator::fail(site, "TBuf: %u elements from byte %u exceed its %u bytes", count,
                           byte_offset, bytes_);
        }
        return LocalTensor<T>(position, address_ + byte_offset, count);
    }
    template <typename T>
    void EnQue(const LocalTensor<T>&) {}
    template <typename T>
    LocalTensor<T> AllocTensor() {
        return Get<T>();
    }
    template <typename T>
    void FreeTensor(const LocalTensor<T>&) {}
    uint32_t GetBufLen() const { return bytes_; }

    static constexpr TPosition kPosition = position;
    void assign(uint32_t address, uint32_t bytes) {
        address_ = address;
        bytes_ = bytes;
    }

  private:
    uint32_t address_ = 0;
    uint32_t bytes_ = 0;
};

}  // namespace AscendC
