// Atomic operations in global memory: out of UB and L0C, in every type, and what still is a race.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 64;

template <typename T>
void store(Global<T>& target, const LocalTensor<T>& source) {
    DataCopy(target.tensor(), source, N);
}

// target += addend by one vector core; DataCopyPad stores all but the last element.
template <typename T>
void adds_vector(double low, double high) {
    const auto before = random_values<T>(N, low, high, 1),
               addend = random_values<T>(N, low, high, 2);
    Global<T> copied(before), padded(before), replaced(before), source(addend);
    const std::string error = run([&] {
        const auto x = at<T>(TPosition::VECCALC, 0, N);
        DataCopy(x, source.tensor(), N);
        sync<HardEvent::MTE2_MTE3>();
        SetAtomicAdd<T>();
        store(copied, x);
        DataCopyPad(padded.tensor(), x, DataCopyExtParams{1, (N - 1) * sizeof(T), 0, 0, 0});
        DisableDmaAtomic();
        store(replaced, x);
    });
    CHECK(error.empty());
    const auto sum = [&](size_t i) {
        return static_cast<T>(static_cast<float>(before[i]) + static_cast<float>(addend[i]));
    };
    CHECK_ALL(N, same_bits(copied.values()[i], sum(i)));
    CHECK_ALL(N, same_bits(padded.values()[i], i < N - 1 ? sum(i) : before[i]));
    CHECK_ALL(N, same_bits(replaced.values()[i], addend[i]));
}

// The larger and the smaller of what is there and what is stored.
template <typename T>
void extremes(double low, double high) {
    const auto before = random_values<T>(N, low, high, 1),
               stored = random_values<T>(N, low, high, 2);
    Global<T> largest(before), smallest(before), source(stored);
    CHECK(run([&] {
              const auto x = at<T>(TPosition::VECCALC, 0, N);
              DataCopy(x, source.tensor(), N);
              sync<HardEvent::MTE2_MTE3>();
              SetAtomicMax<T>();
              store(largest, x);
              SetAtomicMin<T>();
              store(smallest, x);
              DisableDmaAtomic();
          }).empty());
    const auto at = [](T value) { return static_cast<float>(value); };
    CHECK_ALL(N, at(largest.values()[i]) == std::max(at(before[i]), at(stored[i])));
    CHECK_ALL(N, at(smallest.values()[i]) == std::min(at(before[i]), at(stored[i])));
}

// Runs of a copy with gaps on both sides: what lies between them stays.
void strided() {
    Global<float> target(filled<float>(4 * 8, 1)), source(filled<float>(4 * 8, 2));
    CHECK(run([&] {
              const auto x = at<float>(TPosition::VECCALC, 0, 4 * 8);
              DataCopy(x, source.tensor(), 4 * 8);
              sync<HardEvent::MTE2_MTE3>();
              SetAtomicAdd<float>();
              DataCopy(target.tensor(), x, DataCopyParams{2, 1, 0, 1});
              SetAtomicNone();
          }).empty());
    CHECK_ALL(4 * 8, target.values()[i] == (i / 8 % 2 == 0 ? 3.0f : 1.0f));
}

// The product is added twice, as float and converted to half.
void adds_l0c() {
    const auto a = random_values<half>(N * N, -1, 1, 1), b = random_values<half>(N * N, -1, 1, 2);
    Global<half> ag(a), bg(b), halves(filled<half>(N * N, 3));
    Global<float> floats(filled<float>(N * N, 5));
    EXPECT("", run_kernel([&] {
               load_operands(ag.tensor(), bg.tensor(), N, N, N);
               const auto co = at<float>(TPosition::CO1, 0, N * N);
               Mmad(co, at<half>(TPosition::A2, 0, N * N), at<half>(TPosition::B2, 0, N * N),
                    mmad_params<half>(N, N, N));
               sync<HardEvent::M_FIX>();
               FixpipeParamsV220 params(N, N, N, N, false);
               SetAtomicAdd<float>();
               Fixpipe(floats.tensor(), co, params);
               PipeBarrier<PIPE_FIX>();
               Fixpipe(floats.tensor(), co, params);
               SetAtomicAdd<half>();
               params.quantPre = QuantMode_t::F322F16;
               Fixpipe(halves.tensor(), co, params);
               DisableDmaAtomic();
           }));
    CHECK_ALL(N * N, floats.values()[i] ==
                         5.0f + exact<float>(a, b, N, N, i) + exact<float>(a, b, N, N, i));
    CHECK_ALL(N * N,
              same_bits(halves.values()[i], half(3.0f + float(half(exact<float>(a, b, N, N, i))))));
}

// Two vector cores, nothing between them: what each does after loading ones.
using Part = std::function<void(LocalTensor<float>)>;
std::string two_cores(const Part& first, const Part& second) {
    Global<float> ones(filled<float>(N, 1));
    const auto kernel = [&] {
        const auto x = at<float>(TPosition::VECCALC, 0, N);
        DataCopy(x, ones.tensor(), N);
        PipeBarrier<PIPE_ALL>();
        (GetBlockIdx() == 0 ? first : second)(x);
        PipeBarrier<PIPE_ALL>();
    };
    return run_kernel(kernel, {0, 1}, 2).error;
}

void races() {
    Global<float> target(filled<float>(N, 0));
    const auto adds = [&](LocalTensor<float> x) {
        SetAtomicAdd<float>();
        store(target, x);
        DisableDmaAtomic();
    };
    const auto writes = [&](LocalTensor<float> x) { store(target, x); };
    const auto reads = [&](LocalTensor<float> x) { DataCopy(x, target.tensor(), N); };
    const auto then_adds = [&](const auto& what) {
        return [&, what](LocalTensor<float> x) {
            what(x);
            PipeBarrier<PIPE_ALL>();
            adds(x);
        };
    };
    const auto race = [](const std::string& error) {
        return error.find("race") != std::string::npos;
    };
    // Additions come in any order, by two cores or by one.
    CHECK(two_cores(then_adds(adds), adds).empty());
    CHECK_ALL(N, target.values()[i] == 3.0f);
    CHECK(run([&] {
              const auto x = at<float>(TPosition::VECCALC, 0, N);
              Duplicate(x, 1.0f, N);
              sync<HardEvent::V_MTE3>();
              SetAtomicAdd<float>();
              store(target, x);
              store(target, x);
          }).empty());
    CHECK_ALL(N, target.values()[i] == 5.0f);
    // So do maxima, but not maxima and sums.
    const auto grows = [&](LocalTensor<float> x) {
        SetAtomicMax<float>();
        store(target, x);
        DisableDmaAtomic();
    };
    CHECK(two_cores(grows, grows).empty());
    CHECK(race(two_cores(grows, adds)));
    // Not so with other accesses, also where an ordered addition stands between.
    CHECK(race(two_cores(adds, writes)));
    CHECK(race(two_cores(writes, adds)));
    CHECK(race(two_cores(adds, reads)));
    CHECK(race(two_cores(reads, adds)));
    CHECK(race(two_cores(then_adds(writes), adds)));
    CHECK(race(two_cores(then_adds(reads), adds)));
}

void errors() {
    Global<float> target(filled<float>(N, 0)), fresh(filled<float>(N, 0), false);
    EXPECT_ERROR("does not take uint8_t", { SetAtomicAdd<uint8_t>(); });
    EXPECT_ERROR("does not take int64_t", { SetAtomicAdd<int64_t>(); });
    EXPECT_ERROR("SetAtomicMax does not take uint16_t", { SetAtomicMax<uint16_t>(); });
    EXPECT_ERROR("SetAtomicType does not take int64_t", { SetAtomicType<int64_t>(); });
    const auto ones = [] {
        const auto x = at<float>(TPosition::VECCALC, 0, N);
        Duplicate(x, 1.0f, N);
        sync<HardEvent::V_MTE3>();
        return x;
    };
    EXPECT_ERROR("SetAtomicAdd is for half", {
        SetAtomicAdd<half>();
        store(target, ones());
    });
    // A type alone starts nothing; with an operation it replaces the operation's.
    CHECK(run([&] { SetAtomicType<half>(); }).empty());
    EXPECT_ERROR("SetAtomicMin is for half", {
        SetAtomicMin<float>();
        SetAtomicType<half>();
        store(target, ones());
    });
    EXPECT_ERROR("nothing has written", {
        SetAtomicAdd<float>();
        store(fresh, ones());
    });
    EXPECT_ERROR("nothing has written", {
        SetAtomicAdd<float>();
        store(target, at<float>(TPosition::VECCALC, 0, N));
    });
}

}  // namespace

int main() {
    adds_vector<float>(-1, 1);
    adds_vector<half>(-1, 1);
    adds_vector<bfloat16_t>(-1, 1);
    adds_vector<int8_t>(-60, 60);
    adds_vector<int16_t>(-9000, 9000);
    adds_vector<int32_t>(-9000, 9000);
    extremes<float>(-1, 1);
    extremes<half>(-1, 1);
    extremes<bfloat16_t>(-1, 1);
    extremes<int8_t>(-100, 100);
    extremes<int16_t>(-9000, 9000);
    extremes<int32_t>(-9000, 9000);
    strided();
    adds_l0c();
    races();
    errors();
    return finish("atomic");
}
