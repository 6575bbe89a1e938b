#include "pool.h"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define NT_POSIX
#endif

namespace neumann_tril {
namespace {

constexpr int kMaxWorkers = 255;

struct Work {
    void (*call)(void*, int, int64_t, int64_t);
    void* context;
    int64_t count, grain;
    std::atomic<int64_t> next{0};
    std::fenv_t environment;
    int seats = 0;   // helpers that may still join; guarded by the pool's mutex
    int active = 0;  // helpers at work; guarded by the pool's mutex

    void run(int slot) {
        for (;;) {
            const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
            if (begin >= count) return;
            call(context, slot, begin, std::min(begin + grain, count));
        }
    }
};

// Signals are for the threads of the program, not for ours: block them while one is started.
class SignalsBlocked {
  public:
#if defined(NT_POSIX)
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;

  private:
    sigset_t before_;
#endif
};

class Pool {
  public:
    void run(Work& work) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            hire(work.seats);
            open_.push_back(&work);
        }
        offered_.notify_all();
        work.run(0);
        std::unique_lock<std::mutex> lock(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), &work));  // nobody joins from here on
        left_.wait(lock, [&] { return work.active == 0; });
    }

  private:
    void hire(int wanted) {
        const SignalsBlocked blocked;
        for (; workers_ < std::min(wanted, kMaxWorkers); ++workers_) {
            try {
                std::thread([this] { serve(); }).detach();
            } catch (const std::system_error&) {
                return;  // as many as the system grants
            }
        }
    }

    [[noreturn]] void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            const auto found = std::find_if(open_.begin(), open_.end(),
                                            [](const Work* work) { return work->seats > 0; });
            if (found == open_.end()) {
                offered_.wait(lock);
                continue;
            }
            Work& work = **found;
            const int slot = work.seats--;
            ++work.active;
            lock.unlock();
            std::fesetenv(&work.environment);
            work.run(slot);
            lock.lock();
            if (--work.active == 0) left_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable offered_, left_;
    std::vector<Work*> open_;
    int workers_ = 0;
};

// Never destroyed, for its threads end with the process. A forked child has none of them, and
// perhaps a locked mutex: it leaves the parent's pool alone and makes its own.
std::atomic<Pool*> pool{nullptr};

Pool& get_pool() {
    Pool* current = pool.load(std::memory_order_acquire);
    if (current) return *current;
    Pool* made = new Pool;
    if (pool.compare_exchange_strong(current, made)) return *made;
    delete made;
    return *current;
}

#if defined(NT_POSIX)
const int kForkHandler =
    pthread_atfork(nullptr, nullptr, [] { pool.store(nullptr, std::memory_order_release); });
#endif

}  // namespace

int available_cores() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(int64_t count, int64_t grain, int threads,
                  void (*call)(void*, int, int64_t, int64_t), void* context) {
    const int64_t ranges = (count + grain - 1) / grain;
    const int helpers = static_cast<int>(std::min<int64_t>(threads, ranges)) - 1;
    if (helpers <= 0) {
        call(context, 0, 0, count);
        return;
    }
    Work work;
    work.call = call;
    work.context = context;
    work.count = count;
    work.grain = grain;
    work.seats = helpers;
    std::fegetenv(&work.environment);
    get_pool().run(work);
}

}  // namespace neumann_tril
