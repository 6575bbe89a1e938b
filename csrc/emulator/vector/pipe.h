// TPipe and TBufPool: the memory of a core and its parts, divided into queues and buffers.
#pragma once

#include <exception>

#include "vector/buffers.h"

namespace AscendC {

using TEventID = int8_t;

namespace emulator_detail {

// InitBuffer and InitBufPool, the same for TPipe and TBufPool.
class BufferSource {
  public:
    template <class Queue>
    bool InitBuffer(Queue& queue, uint8_t count, uint32_t bytes,
                    emulator::Site site = emulator::Site::here()) {
        const emulator::Buffer buffer = emulator::buffer_of(Queue::kPosition, site);
        const uint32_t size = emulator::whole_blocks(bytes);
        for (uint8_t i = 0; i < count; ++i) {
            queue.add(arena_.take(buffer, size, site), size, site);
        }
        return true;
    }
    template <TPosition position>
    bool InitBuffer(TBuf<position>& target, uint32_t bytes,
                    emulator::Site site = emulator::Site::here()) {
        const uint32_t size = emulator::whole_blocks(bytes);
        target.assign(arena_.take(emulator::buffer_of(position, site), size, site), size);
        return true;
    }
    template <class Pool>
    bool InitBufPool(Pool& pool, uint32_t bytes, emulator::Site site = emulator::Site::here()) {
        const emulator::Buffer buffer = emulator::buffer_of(Pool::kPosition, site);
        const uint32_t size = emulator::whole_blocks(bytes);
        pool.assign(buffer, arena_.take(buffer, size, site), size);
        return true;
    }
    // The new pool lies where `shared` lies.
    template <class Pool, class Shared>
    bool InitBufPool(Pool& pool, uint32_t bytes, Shared& shared,
                     emulator::Site site = emulator::Site::here()) {
        if (emulator::whole_blocks(bytes) > shared.bytes()) {
            emulator::fail(site, "InitBufPool: %u bytes exceed the %u of the shared pool", bytes,
                           shared.bytes());
        }
        pool.assign(emulator::buffer_of(Pool::kPosition, site), shared.start(),
                    emulator::whole_blocks(bytes));
        return true;
    }

  protected:
    emulator::Arena arena_;
};

}  // namespace emulator_detail

// A part of a TPipe's memory that can be reset and divided anew.
template <TPosition position, uint32_t max_buffers = 4>
class TBufPool : public emulator_detail::BufferSource {
  public:
    static constexpr TPosition kPosition = position;
    void Reset(emulator::Site site = emulator::Site::here()) {
        emulator::current_core().barrier(PIPE_ALL, site);
        assign(buffer_, start_, bytes_);
    }
    void assign(emulator::Buffer buffer, uint32_t start, uint32_t bytes) {
        buffer_ = buffer;
        start_ = start;
        bytes_ = bytes;
        arena_.head[static_cast<int>(buffer)] = start;
        arena_.end[static_cast<int>(buffer)] = start + bytes;
    }
    uint32_t start() const { return start_; }
    uint32_t bytes() const { return bytes_; }

  private:
    emulator::Buffer buffer_ = emulator::Buffer::UB;
    uint32_t start_ = 0;
    uint32_t bytes_ = 0;
};

// The memory and the event ids of a core; one per kernel.
class TPipe : public emulator_detail::BufferSource {
  public:
    TPipe() { Init(); }
    ~TPipe() noexcept(false) {
        if (active_) finish(site_);
    }
    TPipe(const TPipe&) = delete;
    TPipe& operator=(const TPipe&) = delete;

    void Init(emulator::Site site = emulator::Site::here()) {
        emulator::PipeState& state = emulator::pipe_state();
        if (state.pipe != nullptr && state.pipe != this) {
            emulator::fail(site, "TPipe: a kernel has one TPipe at a time");
        }
        state = {};
        state.pipe = this;
        site_ = site;
        active_ = true;
        emulator::init_soc_state(site);
        reset_arena();
    }
    void Reset(emulator::Site site = emulator::Site::here()) {
        finish_events(site);
        emulator::pipe_state().buffers.clear();
        reset_arena();
    }
    void Destroy(emulator::Site site = emulator::Site::here()) { finish(site); }

    template <HardEvent event>
    TEventID AllocEventID(emulator::Site site = emulator::Site::here()) {
        constexpr EventPipes pipes = event_pipes(event);
        return static_cast<TEventID>(
            emulator::pipe_state().events.take(pipes.from, pipes.to, site));
    }
    template <HardEvent event>
    void ReleaseEventID(TEventID id) {
        constexpr EventPipes pipes = event_pipes(event);
        emulator::pipe_state().events.give_back(pipes.from, pipes.to, id);
    }
    // An id that is free now; it stays free.
    template <HardEvent event>
    TEventID FetchEventID(emulator::Site site = emulator::Site::here()) {
        return FetchEventID(event, site);
    }
    TEventID FetchEventID(HardEvent event, emulator::Site site = emulator::Site::here()) {
        const EventPipes pipes = event_pipes(event);
        return static_cast<TEventID>(
            emulator::pipe_state().events.find(pipes.from, pipes.to, site));
    }
    // What InitBuffer has left of a buffer, without reserving it.
    template <TPosition position, typename T>
    LocalTensor<T> rest(emulator::Site site) {
        const int buffer = static_cast<int>(emulator::buffer_of(position, site));
        return LocalTensor<T>(
            position, arena_.head[buffer],
            static_cast<uint32_t>((arena_.end[buffer] - arena_.head[buffer]) / sizeof(T)));
    }

  private:
    void reset_arena() {
        const emulator::Core& core = emulator::current_core();
        for (int i = 0; i < emulator::kBuffers; ++i) {
            const auto buffer = static_cast<emulator::Buffer>(i);
            arena_.head[i] = 0;
            // Sources for both core types divide buffers that the other one has, and do not use
            // them here: an access fails, not the division.
            arena_.end[i] = buffer == emulator::Buffer::GM ? 0
                            : core.has(buffer) ? static_cast<uint32_t>(core.memory(buffer).size())
                                               : UINT32_MAX;
        }
    }
    // Waits for the flags that FreeTensor raised and nobody has waited for.
    void finish_events(emulator::Site site) {
        for (emulator::QueueBuffer& buffer : emulator::pipe_state().buffers)
            emulator::wait_event(buffer.pipes.to, buffer.pipes.from, buffer.emptied_event, site);
        emulator::current_core().barrier(PIPE_ALL, site);
    }
    void finish(emulator::Site site) {
        active_ = false;
        emulator::PipeState& state = emulator::pipe_state();
        if (std::uncaught_exceptions() == 0) finish_events(site);
        state.pipe = nullptr;
    }

    emulator::Site site_;
    bool active_ = false;
};

}  // namespace AscendC

inline AscendC::TPipe* GetTPipePtr() { return emulator::pipe_state().pipe; }

namespace AscendC {

using ::GetTPipePtr;

// The memory that no InitBuffer has taken.
template <typename T, TPosition position>
bool PopStackBuffer(LocalTensor<T>& tensor, emulator::Site site = emulator::Site::here()) {
    TPipe* pipe = GetTPipePtr();
    if (pipe == nullptr) emulator::fail(site, "PopStackBuffer: there is no TPipe");
    tensor = pipe->rest<position, T>(site);
    return true;
}

}  // namespace AscendC
