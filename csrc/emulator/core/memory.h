// Modelled memories: bytes, which of them were ever written, and who touched them last.
//
// Race shadow: memory is cut into granules of 32 bytes; each granule keeps a short list of the
// accesses that a later access may still race with (byte mask, core, pipe, instruction number).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/site.h"

namespace emulator {

enum class Buffer : uint8_t { GM, L1, L0A, L0B, L0C, BT, FB, UB };
constexpr int kBuffers = 8;
const char* buffer_name(Buffer buffer);

constexpr uint32_t kGranule = 32;
constexpr uint8_t kPoison = 0xFF;  // NaN in half, bfloat16 and float, -1 in integers

// A strided set of bytes: `outer` x `rows` runs of `run` bytes.
struct Region {
    uint64_t offset = 0;
    uint64_t run = 0;
    uint64_t rows = 1;
    int64_t row_stride = 0;
    uint64_t outer = 1;
    int64_t outer_stride = 0;
};

// A store that combines with what is there instead of replacing it, or (kWord) an access to a whole
// word past the cache.
enum class Atomic : uint8_t { kNone, kAdd, kMax, kMin, kWord };

struct Access {
    uint32_t time = 0;  // number of the instruction within its pipe, from 1
    uint16_t core = 0;
    uint8_t pipe = 0;
    bool write = false;
    // The hardware keeps order with later instructions of the same pipe (large Mmad).
    bool self_ordered = false;
    // What is done in memory itself: equal ones may come in any order.
    Atomic atomic = Atomic::kNone;
    bool unit_flag = false;  // ordered between M and FIX by the unit flag
    uint32_t site = 0;       // index into the machine's site table
};

// Decides whether an earlier access is ordered before the present one.
class Order {
  public:
    virtual bool before(const Access& earlier, const Access& now) const = 0;

  protected:
    ~Order() = default;
};

class RaceShadow {
  public:
    explicit RaceShadow(uint64_t bytes) : heads_((bytes + kGranule - 1) / kGranule, 0) {
        nodes_.emplace_back();
    }
    // Records an access of bytes [offset, offset + count); returns the earlier access that
    // races with it, or nullptr.
    const Access* touch(uint64_t offset, uint64_t count, const Access& now, const Order& order);
    void clear();

  private:
    struct Node {
        Access access;
        uint32_t mask = 0;
        uint32_t next = 0;
    };
    const Access* touch_granule(uint32_t& head, uint32_t mask, const Access& now,
                                const Order& order);
    uint32_t allocate();

    std::vector<uint32_t> heads_;
    std::vector<Node> nodes_;  // node 0 is the end of every list
    uint32_t free_ = 0;
};

// Bytes with their "was written" map (one byte per byte, 1 = written).
class Memory {
  public:
    Memory(Buffer kind, uint64_t bytes);

    Buffer kind() const { return kind_; }
    uint64_t size() const { return size_; }
    uint8_t* data() { return data_; }
    uint8_t* written() { return written_; }
    RaceShadow& shadow() { return shadow_; }
    void poison();  // as after power-up: unknown content, nothing written

    // First byte of the range that was never written, or `count` if there is none.
    uint64_t first_unwritten(uint64_t offset, uint64_t count) const;
    void mark_written(uint64_t offset, uint64_t count);

  protected:
    Memory(Buffer kind, uint8_t* data, uint64_t bytes, uint8_t* written);

    Buffer kind_;
    uint64_t size_;
    std::vector<uint8_t> storage_;
    std::vector<uint8_t> written_storage_;
    uint8_t* data_;
    uint8_t* written_;  // nullptr: all written (host memory declared as input)
    RaceShadow shadow_;
};

// A host buffer that kernels see as global memory. Registered by address; see registry below.
struct GlobalBuffer {
    uint8_t* base = nullptr;
    uint64_t bytes = 0;
    bool read_only = false;
    std::vector<uint8_t> written;  // empty: everything was written by the host
};

class GlobalMemory : public Memory {
  public:
    explicit GlobalMemory(std::shared_ptr<GlobalBuffer> buffer);
    const GlobalBuffer& buffer() const { return *buffer_; }
    // Marks the range as seen; returns how many of its 512-byte lines were new (came from HBM).
    uint64_t touch_lines(uint64_t offset, uint64_t count);

  private:
    std::shared_ptr<GlobalBuffer> buffer_;
    std::vector<bool> lines_;
};

// Process-wide table of host buffers. Thread safe. Registering an address again replaces it.
void register_global(void* base, uint64_t bytes, bool initialised, bool read_only);
void unregister_global(void* base);
std::vector<std::shared_ptr<GlobalBuffer>> registered_globals();

}  // namespace emulator
