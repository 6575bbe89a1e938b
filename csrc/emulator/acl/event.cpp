#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "runtime.h"

namespace acl_stand_in {

namespace {

using Time = std::chrono::steady_clock::time_point;

// A record is known by its number; the event is complete when the last one has been passed.
class Event {
  public:
    int64_t record() {
        std::lock_guard<std::mutex> lock(mutex_);
        return ++recorded_;
    }

    int64_t recorded() {
        std::lock_guard<std::mutex> lock(mutex_);
        return recorded_;
    }

    void pass(int64_t number) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (number > passed_) passed_ = number;
        time_ = std::chrono::steady_clock::now();
        changed_.notify_all();
    }

    void wait(int64_t number) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [=] { return passed_ >= number; });
    }

    bool complete(Time* time = nullptr) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (time != nullptr) *time = time_;
        return recorded_ > 0 && passed_ >= recorded_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int64_t recorded_ = 0, passed_ = 0;
    Time time_;
};

std::mutex events_mutex;
std::map<void*, std::shared_ptr<Event>>& events() {
    static auto* const table = new std::map<void*, std::shared_ptr<Event>>;
    return *table;
}

std::shared_ptr<Event> event_of(aclrtEvent handle) {
    std::lock_guard<std::mutex> lock(events_mutex);
    const auto found = events().find(handle);
    if (found == events().end()) stop("%p is no event, or was destroyed", handle);
    return found->second;
}

}  // namespace

}  // namespace acl_stand_in

using namespace acl_stand_in;

NT_EXPORT aclError aclrtCreateEvent(aclrtEvent* event) {
    auto made = std::make_shared<Event>();
    std::lock_guard<std::mutex> lock(events_mutex);
    *event = made.get();
    events()[made.get()] = std::move(made);
    return 0;
}

NT_EXPORT aclError aclrtCreateEventWithFlag(aclrtEvent* event, uint32_t flag) {
    (void)flag;
    return aclrtCreateEvent(event);
}

NT_EXPORT aclError aclrtCreateEventExWithFlag(aclrtEvent* event, uint32_t flag) {
    return aclrtCreateEventWithFlag(event, flag);
}

NT_EXPORT aclError aclrtDestroyEvent(aclrtEvent event) {
    event_of(event);
    std::lock_guard<std::mutex> lock(events_mutex);
    events().erase(event);
    return 0;
}

NT_EXPORT aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream) {
    auto recorded = event_of(event);
    const int64_t number = recorded->record();
    enqueue(
        stream,
        [recorded, number] {
            recorded->pass(number);
            return Outcome{};
        },
        true);
    return 0;
}

NT_EXPORT aclError aclrtResetEvent(aclrtEvent event, aclrtStream stream) {
    // Waits name the record they wait for, so nothing has to be set back.
    (void)stream;
    event_of(event);
    return 0;
}

NT_EXPORT aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event) {
    auto awaited = event_of(event);
    const int64_t number = awaited->recorded();
    if (number == 0) stop("waiting for an event before it is recorded is not modelled");
    enqueue(
        stream,
        [awaited, number] {
            awaited->wait(number);
            return Outcome{};
        },
        true);
    return 0;
}

NT_EXPORT aclError aclrtSynchronizeEvent(aclrtEvent event) {
    count_host_wait();
    auto awaited = event_of(event);
    awaited->wait(awaited->recorded());
    return 0;
}

NT_EXPORT aclError aclrtQueryEventStatus(aclrtEvent event, int* status) {
    *status = event_of(event)->complete() ? 1 : 0;
    return 0;
}

NT_EXPORT aclError aclrtEventElapsedTime(float* ms, aclrtEvent startEvent, aclrtEvent endEvent) {
    Time start, end;
    if (!event_of(startEvent)->complete(&start) || !event_of(endEvent)->complete(&end)) {
        return fail(kInvalidParameter, "an event of a time span is not complete");
    }
    *ms = std::chrono::duration<float, std::milli>(end - start).count();
    return 0;
}
