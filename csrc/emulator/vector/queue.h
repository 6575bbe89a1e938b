// TQue and TQueBind: buffers that go round between two positions.
//
// AllocTensor waits until a buffer's last reader is done, EnQue raises the flag writer -> reader,
// DeQue waits for it, FreeTensor raises the flag reader -> writer.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "vector/buffers.h"

namespace AscendC {

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
            emulator::wait_event(buffer.pipes.to, buffer.pipes.from, buffer.emptied_event, site);
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
        emulator::wait_event(buffer.pipes.from, buffer.pipes.to, buffer.filled_event, site);
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
        buffer.emptied_event =
            emulator::raise_event(buffer.pipes.to, buffer.pipes.from, buffer.emptied_last, site);
        buffer.state = emulator::QueueBuffer::kFree;
    }
    void FreeAllEvent(emulator::Site site = emulator::Site::here()) {
        for (emulator::QueueBuffer* buffer : buffers_) {
            emulator::wait_event(buffer->pipes.to, buffer->pipes.from, buffer->emptied_event, site);
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
        return LocalTensor<T>(kPosition, buffer.address,
                              static_cast<uint32_t>(emulator::elements_of<T>(buffer.bytes)));
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
        buffer.filled_event = emulator::raise_event(pipes.from, pipes.to, buffer.filled_last, site);
        buffer.state = emulator::QueueBuffer::kQueued;
        queued_.push_back(&buffer);
        return true;
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

}  // namespace AscendC
