// Tests of the native CPU kernels: threads, callers and forks.
#include <sys/wait.h>

#include <cfenv>
#include <thread>

#include "runner.h"
#include "support.h"

namespace {

struct Batch {
    int n = 32;
    int64_t count = 501;
    std::vector<float> a, x;
    Batch() : a(count * n * n), x(a.size()) {
        for (float& v : a) v = static_cast<float>(uniform(-0.4, 0.4));
    }
    std::vector<float> run(int threads) const {
        std::vector<float> result(a.size(), -1.0f);
        const nt_plan plan = exact_plan(n);
        invert(plan, contiguous(count, n), a.data(), NT_FLOAT32, result.data(), NT_FLOAT32,
               threads);
        return result;
    }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void threads_do_not_change_results() {
    const Batch batch;
    const std::vector<float> expected = batch.run(1);
    for (int threads : {0, 2, 3, 7, 1000})
        CHECK(same_bits(batch.run(threads), expected), "%d threads", threads);
    // The caller's rounding mode holds on every thread.
    std::fesetround(FE_UPWARD);
    const std::vector<float> upward = batch.run(1);
    for (int i = 0; i < 20; ++i)
        CHECK(same_bits(batch.run(4), upward), "rounding upward, run %d", i);
    std::fesetround(FE_TONEAREST);
    CHECK(!same_bits(upward, expected), "rounding upward changed nothing");
}

void callers_may_come_at_once_and_after_fork() {
    const Batch batch;
    const std::vector<float> expected = batch.run(1);
    std::vector<std::thread> callers;
    std::vector<int> wrong(6);
    const auto call = [&](int t) {
        for (int i = 0; i < 20; ++i) wrong[t] += !same_bits(batch.run(1 + t % 4), expected);
    };
    for (int t = 0; t < 6; ++t) callers.emplace_back(call, t);
    // A child born while the pool is busy has a pool of its own.
    for (int i = 0; i < 5; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(same_bits(batch.run(3), expected) ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
    }
    for (std::thread& t : callers) t.join();
    for (int t = 0; t < 6; ++t) CHECK(wrong[t] == 0, "caller %d: %d wrong", t, wrong[t]);
}

}  // namespace

int main(int argc, char** argv) {
    return run_tests(
        {TEST(threads_do_not_change_results), TEST(callers_may_come_at_once_and_after_fork)}, argc,
        argv);
}
