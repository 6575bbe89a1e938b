// TPipe, TQue, TBuf, TBufPool: buffers handed out by position, with the flags between the pipes
// that fill and empty them.
//
// A buffer of a queue goes round: AllocTensor waits until its last reader is done, EnQue raises the
// flag writer -> reader, DeQue waits for it, FreeTensor raises the flag reader -> writer.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "ascendc/sync.h"
#include "ascendc/tensor.h"

namespace AscendC {

using TEventID = int8_t;

class TPipe;
template <TPosition source, TPosition destination, int32_t depth, auto mask>
class TQueBind;

}  // namespace AscendC

namespace emulator {

// The pipe that fills and the pipe that empties a buffer between two positions.
constexpr AscendC::EventPipes queue_pipes(AscendC::TPosition source,
                                          AscendC::TPosition destination) {
    using P = AscendC::TPosition;
    const auto fills = [](P position) {
        switch (position) {
            case P::VECIN:
            case P::A1:
            case P::B1:
            case P::C1:
            case P::TSCM:
                return PIPE_MTE2;
            case P::A2:
            case P::B2:
            case P::C2:
                return PIPE_MTE1;
            case P::CO1:
                return PIPE_M;
            case P::C2PIPE2GM:
                return PIPE_FIX;
            default:
                return PIPE_V;
        }
    };
    const auto empties = [](P position) {
        switch (position) {
            case P::A1:
            case P::B1:
            case P::C1:
            case P::TSCM:
                return PIPE_MTE1;
            case P::A2:
            case P::B2:
            case P::C2:
                return PIPE_M;
            case P::CO1:
            case P::CO2:
            case P::C2PIPE2GM:
                return PIPE_FIX;
            case P::VECOUT:
                return PIPE_MTE3;
            default:
                return PIPE_V;
        }
    };
    if (source == P::GM) return {fills(destination), empties(destination)};
    if (destination == P::GM || source == P::CO1) return {fills(source), empties(source)};
    if (source == P::VECIN && destination == P::VECOUT) return {PIPE_MTE2, PIPE_MTE3};
    return {fills(destination), empties(destination)};
}

// Event ids of one core, lowest free id first, for every pair of pipes.
struct EventPool {
    std::array<std::array<uint8_t, kPipes>, kPipes> used{};
    std::array<std::array<uint8_t, kPipes>, kPipes> next{};

    int find(pipe_t from, pipe_t to, Site site) const {
        for (int id = 0; id < 8; ++id) {
            if ((used[from][to] >> id & 1) == 0) return id;
        }
        fail(site, "no event id is left between the pipes %s and %s: all 8 are in use",
             pipe_name(from), pipe_name(to));
    }
    int take(pipe_t from, pipe_t to, Site site) {
        const int id = find(from, to, site);
        used[from][to] = static_cast<uint8_t>(used[from][to] | 1u << id);
        return id;
    }
    // For a buffer of a queue: the id it had last, so that the flag's last wait is certain to be
    // over when it is raised again; the first time an id of its own, as long as there are enough.
    int take_for_buffer(pipe_t from, pipe_t to, int last, Site site) {
        int id = last;
        if (id < 0) id = next[from][to]++ % 8;
        if ((used[from][to] >> id & 1) != 0) id = find(from, to, site);
        used[from][to] = static_cast<uint8_t>(used[from][to] | 1u << id);
        return id;
    }
    void give_back(pipe_t from, pipe_t to, int id) {
        used[from][to] = static_cast<uint8_t>(used[from][to] & ~(1u << id));
    }
};

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

}  // namespace emulator

namespace AscendC {

// Memory at a position without any flags.
template <TPosition position = TPosition::LCM>
class TBuf {
  public:
    template <typename T>
    LocalTensor<T> Get() {
        return Get<T>(bytes_ / sizeof(T));
    }
    template <typename T>
    LocalTensor<T> Get(uint32_t count, emulator::Site site = emulator::Site::here()) {
        return GetWithOffset<T>(count, 0, site);
    }
    template <typename T>
    LocalTensor<T> GetWithOffset(uint32_t count, uint32_t byte_offset,
                                 emulator::Site site = emulator::Site::here()) {
        if (byte_offset + uint64_t{count} * sizeof(T) > bytes_) {
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

template <TPosition source, TPosition destination, int32_t depth, auto mask = 0>
class TQueBind {
  public:
    static constexpr TPosition kPosition =
        source == TPosition::GM ? destination
        : source == TPosition::CO1 || destination == TPosition::GM || source == TPosition::VECIN
            ? source
            : destination;

    template <typename T>
    LocalTensor<T> AllocTensor(emulator::Site site = emulator::Site::here()) {
        if (buffers_.empty()) emulator::fail(site, "AllocTensor: call InitBuffer first");
        for (size_t tried = 0; tried < buffers_.size(); ++tried) {
            emulator::QueueBuffer& buffer = *buffers_[next_];
            next_ = (next_ + 1) % buffers_.size();
            if (buffer.state != emulator::QueueBuffer::kFree) continue;
            wait(buffer.pipes.to, buffer.pipes.from, buffer.emptied_event, site);
            buffer.state = emulator::QueueBuffer::kAllocated;
            return tensor<T>(buffer);
        }
        emulator::fail(site, "AllocTensor: all %d buffers of the queue are in use",
                       static_cast<int>(buffers_.size()));
    }
    template <typename T>
    void AllocTensor(LocalTensor<T>& result, emulator::Site site = emulator::Site::here()) {
        result = AllocTensor<T>(site);
    }
    template <typename T>
    bool EnQue(const LocalTensor<T>& tensor, emulator::Site site = emulator::Site::here()) {
        return enqueue(tensor, emulator::queue_pipes(source, destination), site);
    }
    // For a queue that takes part in two transfers: the positions of this one.
    template <TPosition from, TPosition to, typename T>
    bool EnQue(const LocalTensor<T>& tensor, emulator::Site site = emulator::Site::here()) {
        return enqueue(tensor, emulator::queue_pipes(from, to), site);
    }
    template <typename T>
    LocalTensor<T> DeQue(emulator::Site site = emulator::Site::here()) {
        if (queued_.empty()) emulator::fail(site, "DeQue: the queue is empty");
        emulator::QueueBuffer& buffer = *queued_.front();
        queued_.pop_front();
        wait(buffer.pipes.from, buffer.pipes.to, buffer.filled_event, site);
        buffer.state = emulator::QueueBuffer::kDequeued;
        return tensor<T>(buffer);
    }
    template <typename T>
    void DeQue(LocalTensor<T>& result, emulator::Site site = emulator::Site::here()) {
        result = DeQue<T>(site);
    }
    template <TPosition from, TPosition to, typename T>
    LocalTensor<T> DeQue(emulator::Site site = emulator::Site::here()) {
        return DeQue<T>(site);
    }
    template <typename T>
    void FreeTensor(const LocalTensor<T>& tensor, emulator::Site site = emulator::Site::here()) {
        emulator::QueueBuffer& buffer = find(tensor, "FreeTensor", site);
        if (buffer.state == emulator::QueueBuffer::kFree) {
            emulator::fail(site, "FreeTensor: the tensor is free already");
        }
        // The pipes of the transfer that comes next use the buffer; all that read it end first.
        buffer.emptied_event = raise(buffer.pipes.to, buffer.pipes.from, buffer.emptied_last, site);
        buffer.state = emulator::QueueBuffer::kFree;
    }
    void FreeAllEvent(emulator::Site site = emulator::Site::here()) {
        for (emulator::QueueBuffer* buffer : buffers_) {
            wait(buffer->pipes.to, buffer->pipes.from, buffer->emptied_event, site);
        }
    }
    bool VacantInQue() const { return queued_.size() < limit(); }
    bool HasTensorInQue() const { return !queued_.empty(); }
    int32_t GetTensorCountInQue() const { return static_cast<int32_t>(queued_.size()); }
    bool HasIdleBuffer() const {
        for (const emulator::QueueBuffer* buffer : buffers_) {
            if (buffer->state == emulator::QueueBuffer::kFree) return true;
        }
        return false;
    }

    void add(uint32_t address, uint32_t bytes, emulator::Site site) {
        emulator::PipeState& state = emulator::pipe_state();
        if (state.buffers.size() >= emulator::kMaxQueueBuffers) {
            emulator::fail(site, "InitBuffer: a kernel has at most %d buffers",
                           static_cast<int>(emulator::kMaxQueueBuffers));
        }
        state.buffers.emplace_back();
        state.buffers.back().address = address;
        state.buffers.back().bytes = bytes;
        state.buffers.back().pipes = emulator::queue_pipes(source, destination);
        buffers_.push_back(&state.buffers.back());
    }
    void clear() {
        buffers_.clear();
        queued_.clear();
        next_ = 0;
    }

  private:
    size_t limit() const { return depth == 0 ? 1 : static_cast<size_t>(depth); }
    template <typename T>
    LocalTensor<T> tensor(const emulator::QueueBuffer& buffer) const {
        return LocalTensor<T>(kPosition, buffer.address, buffer.bytes / sizeof(T));
    }
    template <typename T>
    emulator::QueueBuffer& find(const LocalTensor<T>& tensor, const char* name,
                                emulator::Site site) {
        for (emulator::QueueBuffer* buffer : buffers_) {
            if (tensor.GetPhyAddr() >= buffer->address &&
                tensor.GetPhyAddr() < uint64_t{buffer->address} + buffer->bytes) {
                return *buffer;
            }
        }
        emulator::fail(site, "%s: the tensor does not belong to this queue", name);
    }
    template <typename T>
    bool enqueue(const LocalTensor<T>& tensor, EventPipes pipes, emulator::Site site) {
        emulator::QueueBuffer& buffer = find(tensor, "EnQue", site);
        if (queued_.size() >= std::max(limit(), buffers_.size())) {
            emulator::fail(site, "EnQue: the queue holds %d tensors, its depth",
                           static_cast<int>(queued_.size()));
        }
        if (buffer.state == emulator::QueueBuffer::kFree ||
            buffer.state == emulator::QueueBuffer::kQueued) {
            emulator::fail(site, "EnQue: the tensor is not allocated, or in the queue already");
        }
        buffer.pipes = pipes;
        buffer.filled_event = raise(pipes.from, pipes.to, buffer.filled_last, site);
        buffer.state = emulator::QueueBuffer::kQueued;
        queued_.push_back(&buffer);
        return true;
    }
    static int raise(pipe_t from, pipe_t to, int& last, emulator::Site site) {
        if (from == to) return -1;
        last = emulator::pipe_state().events.take_for_buffer(from, to, last, site);
        emulator::current_core().set_flag(from, to, last, site);
        return last;
    }
    static void wait(pipe_t from, pipe_t to, int& id, emulator::Site site) {
        if (id < 0) return;
        emulator::current_core().wait_flag(from, to, id, site);
        emulator::pipe_state().events.give_back(from, to, id);
        id = -1;
    }

    std::vector<emulator::QueueBuffer*> buffers_;
    std::deque<emulator::QueueBuffer*> queued_;
    size_t next_ = 0;
};

template <TPosition position, int32_t depth, auto mask = 0>
class TQue
    : public TQueBind<position == TPosition::VECOUT || position == TPosition::CO1 ||
                              position == TPosition::CO2
                          ? position
                          : TPosition::GM,
                      position == TPosition::VECOUT || position == TPosition::CO2 ? TPosition::GM
                      : position == TPosition::CO1                                ? TPosition::CO2
                                                                                  : position,
                      depth, mask> {};

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
            arena_.end[i] = buffer != emulator::Buffer::GM && core.has(buffer)
                                ? static_cast<uint32_t>(core.memory(buffer).size())
                                : 0;
        }
    }
    // Waits for the flags that FreeTensor raised and nobody has waited for.
    void finish_events(emulator::Site site) {
        emulator::PipeState& state = emulator::pipe_state();
        for (emulator::QueueBuffer& buffer : state.buffers) {
            if (buffer.emptied_event < 0) continue;
            emulator::current_core().wait_flag(buffer.pipes.to, buffer.pipes.from,
                                               buffer.emptied_event, site);
            state.events.give_back(buffer.pipes.to, buffer.pipes.from, buffer.emptied_event);
            buffer.emptied_event = -1;
        }
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
