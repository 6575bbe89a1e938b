// Coroutines on the host: each emulated core runs on a stack of its own.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>

namespace emulator {

class Fiber {
  public:
    explicit Fiber(std::function<void()> body);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    void resume();  // runs the body until it calls pause() or returns
    void pause();   // called from inside the body
    bool finished() const { return finished_; }

  private:
    static void entry(unsigned low, unsigned high);
    void run();

    std::function<void()> body_;
    void* stack_ = nullptr;
    size_t stack_bytes_ = 0;
    ucontext_t inside_{};
    ucontext_t outside_{};
    void* fake_stack_ = nullptr;           // AddressSanitizer's bookkeeping
    const void* outside_stack_ = nullptr;  // likewise
    size_t outside_bytes_ = 0;
    bool finished_ = false;
};

}  // namespace emulator
