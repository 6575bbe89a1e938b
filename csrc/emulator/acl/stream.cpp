#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "runtime.h"

namespace acl_stand_in {

namespace {

std::atomic<int64_t> host_waits{0};

void delay(std::mt19937_64& random) {
    const uint64_t most = configuration().delay_us;
    if (most == 0) return;
    std::uniform_int_distribution<uint64_t> microseconds(0, most);
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds(random)));
}

class Stream {
  public:
    Stream(int device, int number)
        : device_(device), number_(number), random_(configuration().seed * 1009 + number) {}

    ~Stream() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    int device() const { return device_; }
    int number() const { return number_; }

    void push(Task task, bool order) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
        tasks_.push_back({std::move(task), order});
        changed_.notify_all();
    }

    bool idle() {
        std::lock_guard<std::mutex> lock(mutex_);
        return tasks_.empty();
    }

    // Waits until everything is done; milliseconds < 0: for ever.
    aclError synchronize(int milliseconds) {
        std::unique_lock<std::mutex> lock(mutex_);
        const auto done = [this] { return tasks_.empty(); };
        if (milliseconds < 0) {
            changed_.wait(lock, done);
        } else if (!changed_.wait_for(lock, std::chrono::milliseconds(milliseconds), done)) {
            return fail(kTimeout, "stream %d was not done after %d ms", number_, milliseconds);
        }
        return failed_.code == 0 ? 0 : fail(failed_.code, "%s", failed_.text.c_str());
    }

  private:
    struct Entry {
        Task task;
        bool order;
    };

    void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            Entry& entry = tasks_.front();  // stays until it is done: then the stream is idle
            const bool run = entry.order || failed_.code == 0;
            lock.unlock();
            delay(random_);
            Outcome outcome = run ? entry.task() : Outcome{};
            entry.task = nullptr;
            lock.lock();
            if (failed_.code == 0 && outcome.code != 0) failed_ = std::move(outcome);
            tasks_.pop_front();
            changed_.notify_all();
        }
    }

    const int device_, number_;
    std::mt19937_64 random_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Entry> tasks_;  // grows at its ends only, so that a reference to the first stays
    Outcome failed_;
    bool ending_ = false;
    std::thread thread_;
};

// Not destroyed at the end of the process: threads may still run then.
std::mutex streams_mutex;
int streams_made = 0;
std::map<void*, std::shared_ptr<Stream>>& streams() {
    static auto* const table = new std::map<void*, std::shared_ptr<Stream>>;
    return *table;
}
std::map<int, std::shared_ptr<Stream>>& default_streams() {
    static auto* const table = new std::map<int, std::shared_ptr<Stream>>;
    return *table;
}

std::shared_ptr<Stream> stream_of(aclrtStream handle) {
    std::lock_guard<std::mutex> lock(streams_mutex);
    if (handle == nullptr) {
        const int device = current_device();
        if (device < 0) stop("the default stream was used by a thread that has set no device");
        std::shared_ptr<Stream>& stream = default_streams()[device];
        if (!stream) stream = std::make_shared<Stream>(device, streams_made++);
        return stream;
    }
    const auto found = streams().find(handle);
    if (found == streams().end()) stop("%p is no stream, or was destroyed", handle);
    return found->second;
}

std::vector<std::shared_ptr<Stream>> streams_of(int device) {
    std::lock_guard<std::mutex> lock(streams_mutex);
    std::vector<std::shared_ptr<Stream>> all;
    for (const auto& [handle, stream] : streams()) {
        if (stream->device() == device) all.push_back(stream);
    }
    const auto found = default_streams().find(device);
    if (found != default_streams().end() && found->second) all.push_back(found->second);
    return all;
}

aclError synchronize_device(int milliseconds) {
    count_host_wait();
    int device = 0;
    if (const aclError error = need_device(device)) return error;
    aclError first = 0;
    for (const auto& stream : streams_of(device)) {
        const aclError error = stream->synchronize(milliseconds);
        if (first == 0) first = error;
    }
    return first;
}

}  // namespace

void enqueue(aclrtStream stream, Task task, bool order) {
    // torch_npu has a thread of its own for this; only where that is slow is it seen who overtakes
    // it.
    thread_local std::mt19937_64 random(configuration().seed);
    delay(random);
    const std::shared_ptr<Stream> target = stream_of(stream);
    if (target->device() != current_device()) {
        stop("a stream of device %d was used by a thread that works on device %d", target->device(),
             current_device());
    }
    target->push(std::move(task), order);
}

bool is_idle(aclrtStream stream) { return stream_of(stream)->idle(); }

void count_host_wait() { ++host_waits; }

void drain_device(int device) {
    for (const auto& stream : streams_of(device)) stream->synchronize(-1);
}

void stop_all_streams() {
    std::map<void*, std::shared_ptr<Stream>> ended;
    std::map<int, std::shared_ptr<Stream>> ended_defaults;
    {
        std::lock_guard<std::mutex> lock(streams_mutex);
        ended.swap(streams());
        ended_defaults.swap(default_streams());
    }
}

}  // namespace acl_stand_in

using namespace acl_stand_in;

NT_EXPORT int64_t nt_acl_host_waits(void) { return host_waits; }

NT_EXPORT void nt_acl_enqueue(void* stream, int (*run)(void*, char*, size_t), void* argument) {
    enqueue(stream, [=] {
        char text[4096] = "";
        const int code = run(argument, text, sizeof text);
        return Outcome{code == 0 ? 0 : kKernelError, text};
    });
}

NT_EXPORT aclError aclrtCreateStream(aclrtStream* stream) {
    int device = 0;
    if (const aclError error = need_device(device)) return error;
    std::lock_guard<std::mutex> lock(streams_mutex);
    auto made = std::make_shared<Stream>(device, streams_made++);
    *stream = made.get();
    streams()[made.get()] = std::move(made);
    return 0;
}

NT_EXPORT aclError aclrtCreateStreamWithConfig(aclrtStream* stream, uint32_t priority,
                                               uint32_t flag) {
    (void)priority, (void)flag;
    return aclrtCreateStream(stream);
}

NT_EXPORT aclError aclrtDestroyStream(aclrtStream stream) {
    std::shared_ptr<Stream> last = stream_of(stream);
    last->synchronize(-1);
    std::lock_guard<std::mutex> lock(streams_mutex);
    streams().erase(stream);
    return 0;
}

NT_EXPORT aclError aclrtDestroyStreamForce(aclrtStream stream) {
    return aclrtDestroyStream(stream);
}

NT_EXPORT aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout) {
    count_host_wait();
    return stream_of(stream)->synchronize(timeout);
}

NT_EXPORT aclError aclrtSynchronizeStream(aclrtStream stream) {
    return aclrtSynchronizeStreamWithTimeout(stream, -1);
}

NT_EXPORT aclError aclrtSynchronizeDevice(void) { return synchronize_device(-1); }

NT_EXPORT aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
    return synchronize_device(timeout);
}

NT_EXPORT aclError aclrtStreamQuery(aclrtStream stream, int* status) {
    *status = is_idle(stream) ? 0 : 1;
    return 0;
}

NT_EXPORT aclError aclrtStreamGetId(aclrtStream stream, int32_t* number) {
    *number = stream_of(stream)->number();
    return 0;
}

NT_EXPORT aclError aclrtSetStreamFailureMode(aclrtStream stream, uint64_t mode) {
    // Either way a failed stream stays failed here, and runs nothing more.
    (void)mode;
    stream_of(stream);
    return 0;
}

NT_EXPORT aclError aclrtLaunchHostFunc(aclrtStream stream, void (*function)(void*),
                                       void* argument) {
    enqueue(
        stream,
        [=] {
            function(argument);
            return Outcome{};
        },
        true);
    return 0;
}
