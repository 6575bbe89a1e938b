#include "core/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#endif

#ifdef EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

static void start_switch(void** save, const void* stack, size_t bytes) {
#ifdef EMULATOR_ASAN
    __sanitizer_start_switch_fiber(save, stack, bytes);
#else
    (void)save, (void)stack, (void)bytes;
#endif
}

static void finish_switch(void* saved, const void** old_stack, size_t* old_bytes) {
#ifdef EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(saved, old_stack, old_bytes);
#else
    (void)saved, (void)old_stack, (void)old_bytes;
#endif
}

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), stack_bytes_(1 << 20) {
    stack_ = mmap(nullptr, stack_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack_ == MAP_FAILED) throw std::bad_alloc();
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_;
    inside_.uc_stack.ss_size = stack_bytes_;
    inside_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(&Fiber::entry), 2,
                static_cast<unsigned>(self),
                static_cast<unsigned>(static_cast<uint64_t>(self) >> 32));
}

Fiber::~Fiber() { munmap(stack_, stack_bytes_); }

void Fiber::entry(unsigned low, unsigned high) {
    reinterpret_cast<Fiber*>(static_cast<uintptr_t>(low) | (static_cast<uint64_t>(high) << 32))
        ->run();
}

void Fiber::run() {
    finish_switch(nullptr, &outside_stack_, &outside_bytes_);
    body_();
    finished_ = true;
    start_switch(nullptr, outside_stack_, outside_bytes_);
    swapcontext(&inside_, &outside_);
}

void Fiber::resume() {
    void* saved = nullptr;
    start_switch(&saved, stack_, stack_bytes_);
    swapcontext(&outside_, &inside_);
    finish_switch(saved, nullptr, nullptr);
}

void Fiber::pause() {
    start_switch(&fake_stack_, outside_stack_, outside_bytes_);
    swapcontext(&inside_, &outside_);
    finish_switch(fake_stack_, &outside_stack_, &outside_bytes_);
}

}  // namespace emulator
