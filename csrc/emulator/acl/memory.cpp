#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "runtime.h"

namespace acl_stand_in {

namespace {

constexpr int kHost = -1;
constexpr size_t kAlignment = 512;
constexpr int kPoison = 0xFF;  // NaN in half, bfloat16 and float, -1 in integers

struct Block {
    size_t bytes;
    int device;  // kHost: pinned host memory
};

std::mutex mutex;
std::map<const char*, Block>& blocks() {
    static auto* const table = new std::map<const char*, Block>;
    return *table;
}

size_t in_use(int device) {
    size_t total = 0;
    for (const auto& [base, block] : blocks()) total += block.device == device ? block.bytes : 0;
    return total;
}

aclError allocate(void** pointer, size_t bytes, int device) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    std::lock_guard<std::mutex> lock(mutex);
    if (device != kHost && in_use(device) + rounded > configuration().memory) {
        return fail(kOutOfMemory, "%zu bytes asked of device %d, %zu of %zu are in use", bytes,
                    device, in_use(device), configuration().memory);
    }
    void* const memory = std::aligned_alloc(kAlignment, rounded);
    if (memory == nullptr) return fail(kOutOfMemory, "the machine has no %zu bytes left", bytes);
    std::memset(memory, kPoison, rounded);
    blocks()[static_cast<char*>(memory)] = {rounded, device};
    *pointer = memory;
    return 0;
}

aclError release(void* pointer, bool host) {
    std::lock_guard<std::mutex> lock(mutex);
    const auto found = blocks().find(static_cast<char*>(pointer));
    if (found == blocks().end() || (found->second.device == kHost) != host) {
        return fail(kInvalidParameter, "%p was not allocated by %s", pointer,
                    host ? "aclrtMallocHost" : "aclrtMalloc");
    }
    std::memset(pointer, kPoison, found->second.bytes);
    blocks().erase(found);
    std::free(pointer);
    return 0;
}

// The block that holds an address; nullptr: memory of the host that the runtime does not know.
const Block* find(const void* pointer, size_t& left) {
    const auto* const address = static_cast<const char*>(pointer);
    auto after = blocks().upper_bound(address);
    if (after == blocks().begin()) return nullptr;
    const auto& [base, block] = *std::prev(after);
    if (address >= base + block.bytes) return nullptr;
    left = base + block.bytes - address;
    return &block;
}

aclError check_end(const char* role, const void* pointer, size_t count, bool any, bool device) {
    size_t left = 0;
    const Block* const block = find(pointer, left);
    const bool found = block != nullptr && block->device != kHost;
    if (!any && found != device) {
        return fail(kInvalidParameter, "the %s of a copy, %p, is %s memory, which its kind denies",
                    role, pointer, found ? "device" : "host");
    }
    if (block != nullptr && count > left) {
        return fail(kInvalidParameter, "a copy of %zu bytes exceeds its %s, which has %zu", count,
                    role, left);
    }
    return 0;
}

aclError check_copy(const void* dst, size_t room, const void* src, size_t count, int kind) {
    if (count > room) {
        return fail(kInvalidParameter, "a copy of %zu bytes into %zu", count, room);
    }
    const bool any = kind == ACL_MEMCPY_DEFAULT;
    const bool to_device = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    const bool from_device =
        kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_DEVICE_TO_DEVICE;
    if (kind < 0 || kind > ACL_MEMCPY_DEFAULT) stop("copies of kind %d are not modelled", kind);
    std::lock_guard<std::mutex> lock(mutex);
    if (const aclError error = check_end("target", dst, count, any, to_device)) return error;
    return check_end("source", src, count, any, from_device);
}

}  // namespace

size_t memory_in_use(int device) {
    std::lock_guard<std::mutex> lock(mutex);
    return in_use(device);
}

}  // namespace acl_stand_in

using namespace acl_stand_in;

NT_EXPORT void nt_acl_device_memory(void (*visit)(void*, void*, size_t), void* user) {
    std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [base, block] : blocks()) {
        if (block.device != kHost) visit(user, const_cast<char*>(base), block.bytes);
    }
}

NT_EXPORT aclError aclrtMalloc(void** devPtr, size_t size, aclrtMemMallocPolicy policy) {
    (void)policy;
    int device = 0;
    if (const aclError error = need_device(device)) return error;
    if (size == 0) return fail(kInvalidParameter, "0 bytes asked of device %d", device);
    return allocate(devPtr, size, device);
}

NT_EXPORT aclError aclrtMallocAlign32(void** devPtr, size_t size, aclrtMemMallocPolicy policy) {
    return aclrtMalloc(devPtr, size, policy);
}

NT_EXPORT aclError aclrtFree(void* devPtr) { return release(devPtr, false); }

NT_EXPORT aclError aclrtMallocHost(void** hostPtr, size_t size) {
    return allocate(hostPtr, size, kHost);
}

NT_EXPORT aclError aclrtFreeHost(void* hostPtr) { return release(hostPtr, true); }

NT_EXPORT aclError aclrtGetMemInfo(int attribute, size_t* free, size_t* total) {
    (void)attribute;
    int device = 0;
    if (const aclError error = need_device(device)) return error;
    *total = configuration().memory;
    *free = *total - memory_in_use(device);
    return 0;
}

NT_EXPORT aclError aclrtMemcpy(void* dst, size_t destMax, const void* src, size_t count,
                               aclrtMemcpyKind kind) {
    count_host_wait();
    if (const aclError error = check_copy(dst, destMax, src, count, kind)) return error;
    std::memmove(dst, src, count);
    return 0;
}

NT_EXPORT aclError aclrtMemcpyAsync(void* dst, size_t destMax, const void* src, size_t count,
                                    aclrtMemcpyKind kind, aclrtStream stream) {
    if (const aclError error = check_copy(dst, destMax, src, count, kind)) return error;
    enqueue(stream, [=] {
        std::memmove(dst, src, count);
        return Outcome{};
    });
    return 0;
}

NT_EXPORT aclError aclrtMemset(void* devPtr, size_t maxCount, int32_t value, size_t count) {
    count_host_wait();
    if (const aclError error =
            check_copy(devPtr, maxCount, devPtr, count, ACL_MEMCPY_DEVICE_TO_DEVICE))
        return error;
    std::memset(devPtr, value, count);
    return 0;
}

NT_EXPORT aclError aclrtMemsetAsync(void* devPtr, size_t maxCount, int32_t value, size_t count,
                                    aclrtStream stream) {
    if (const aclError error =
            check_copy(devPtr, maxCount, devPtr, count, ACL_MEMCPY_DEVICE_TO_DEVICE))
        return error;
    enqueue(stream, [=] {
        std::memset(devPtr, value, count);
        return Outcome{};
    });
    return 0;
}
