#include "core/memory.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

namespace emulator {

constexpr uint64_t kLine = 512;  // granularity at which first use of global memory is noticed

const char* buffer_name(Buffer buffer) {
    static const char* const names[kBuffers] = {"GM", "L1", "L0A", "L0B", "L0C", "BT", "FB", "UB"};
    return names[static_cast<int>(buffer)];
}

uint32_t RaceShadow::allocate() {
    if (free_ != 0) {
        const uint32_t node = free_;
        free_ = nodes_[node].next;
        return node;
    }
    nodes_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
}

void RaceShadow::clear() {
    std::fill(heads_.begin(), heads_.end(), 0);
    nodes_.resize(1);
    free_ = 0;
}

const Access* RaceShadow::touch_granule(uint32_t& head, uint32_t mask, const Access& now,
                                        const Order& order) {
    uint32_t* link = &head;
    while (*link != 0) {
        Node& node = nodes_[*link];
        const Access& earlier = node.access;
        const bool overlap = (node.mask & mask) != 0;
        const bool any_order = (!now.write && !earlier.write) ||
                               (now.atomic != Atomic::kNone && now.atomic == earlier.atomic);
        if (overlap && !any_order && !order.before(earlier, now)) return &earlier;
        // An access replaces those it supersedes: a write all of them, a read or an atomic addition
        // its like of its own pipe (whoever waits for the later one has waited for the earlier).
        const bool like = earlier.write == now.write && earlier.atomic == now.atomic &&
                          earlier.pipe == now.pipe && earlier.core == now.core;
        const bool superseded = overlap && ((now.write && now.atomic == Atomic::kNone) || like);
        if (superseded) node.mask &= ~mask;
        if (node.mask == 0) {
            const uint32_t dead = *link;
            *link = node.next;
            node.next = free_;
            free_ = dead;
        } else {
            link = &node.next;
        }
    }
    const uint32_t fresh = allocate();
    nodes_[fresh] = {now, mask, 0};
    // `head` is not an element of nodes_, so pushing at the front survives reallocation.
    nodes_[fresh].next = head;
    head = fresh;
    return nullptr;
}

const Access* RaceShadow::touch(uint64_t offset, uint64_t count, const Access& now,
                                const Order& order) {
    const uint64_t end = offset + count;
    while (offset < end) {
        const uint64_t granule = offset / kGranule;
        const uint32_t first = static_cast<uint32_t>(offset % kGranule);
        const uint32_t last =
            static_cast<uint32_t>(std::min<uint64_t>(kGranule, end - granule * kGranule));
        const uint32_t mask = (last == 32 ? ~0u : (1u << last) - 1) & ~((1u << first) - 1);
        const Access* other = touch_granule(heads_[granule], mask, now, order);
        if (other != nullptr) return other;
        offset = (granule + 1) * kGranule;
    }
    return nullptr;
}

Memory::Memory(Buffer kind, uint64_t bytes)
    : kind_(kind),
      size_(bytes),
      storage_(bytes, kPoison),
      written_storage_(bytes, 0),
      data_(storage_.data()),
      written_(written_storage_.data()),
      shadow_(bytes) {}

Memory::Memory(Buffer kind, uint8_t* data, uint64_t bytes, uint8_t* written)
    : kind_(kind), size_(bytes), data_(data), written_(written), shadow_(bytes) {}

void Memory::poison() {
    std::fill(storage_.begin(), storage_.end(), kPoison);
    std::fill(written_storage_.begin(), written_storage_.end(), 0);
    shadow_.clear();
}

uint64_t Memory::first_unwritten(uint64_t offset, uint64_t count) const {
    if (written_ == nullptr) return count;
    const void* hole = std::memchr(written_ + offset, 0, count);
    return hole == nullptr ? count : static_cast<const uint8_t*>(hole) - (written_ + offset);
}

void Memory::mark_written(uint64_t offset, uint64_t count) {
    if (written_ != nullptr) std::memset(written_ + offset, 1, count);
}

GlobalMemory::GlobalMemory(std::shared_ptr<GlobalBuffer> buffer)
    : Memory(Buffer::GM, buffer->base, buffer->bytes,
             buffer->written.empty() ? nullptr : buffer->written.data()),
      buffer_(std::move(buffer)),
      lines_((buffer_->bytes + kLine - 1) / kLine, false) {}

uint64_t GlobalMemory::touch_lines(uint64_t offset, uint64_t count) {
    if (count == 0) return 0;
    uint64_t fresh = 0;
    for (uint64_t line = offset / kLine; line <= (offset + count - 1) / kLine; ++line) {
        if (!lines_[line]) {
            lines_[line] = true;
            ++fresh;
        }
    }
    return fresh;
}

namespace {
std::mutex registry_mutex;
std::map<uint8_t*, std::shared_ptr<GlobalBuffer>>& registry() {
    static std::map<uint8_t*, std::shared_ptr<GlobalBuffer>> table;
    return table;
}
}  // namespace

void register_global(void* base, uint64_t bytes, bool initialised, bool read_only) {
    auto buffer = std::make_shared<GlobalBuffer>();
    buffer->base = static_cast<uint8_t*>(base);
    buffer->bytes = bytes;
    buffer->read_only = read_only;
    if (!initialised) buffer->written.assign(bytes, 0);
    std::lock_guard<std::mutex> lock(registry_mutex);
    registry()[buffer->base] = std::move(buffer);
}

void unregister_global(void* base) {
    std::lock_guard<std::mutex> lock(registry_mutex);
    registry().erase(static_cast<uint8_t*>(base));
}

std::vector<std::shared_ptr<GlobalBuffer>> registered_globals() {
    std::lock_guard<std::mutex> lock(registry_mutex);
    std::vector<std::shared_ptr<GlobalBuffer>> all;
    for (const auto& entry : registry()) all.push_back(entry.second);
    return all;
}

}  // namespace emulator
