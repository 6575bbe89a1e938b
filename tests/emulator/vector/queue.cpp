// TPipe, TQue, TBuf, TBufPool: the usual pipeline, double buffered, with the flags they raise.
#include "harness.h"

using namespace AscendC;
using namespace harness;

// z = (x + y) * 2 in tiles, in the style of the public documentation.
class Kernel {
  public:
    Kernel(GlobalTensor<half> x, GlobalTensor<half> y, GlobalTensor<half> z) : x_(x), y_(y), z_(z) {
        pipe_.InitBuffer(in_x_, 2, kTile * sizeof(half));
        pipe_.InitBuffer(in_y_, 2, kTile * sizeof(half));
        pipe_.InitBuffer(out_, 2, kTile * sizeof(half));
        pipe_.InitBuffer(scratch_, kTile * sizeof(half));
    }
    void process(int tiles) {
        for (int i = 0; i < tiles; ++i) {
            copy_in(i);
            compute();
            copy_out(i);
        }
    }
    static constexpr uint32_t kTile = 256;

  private:
    void copy_in(int i) {
        LocalTensor<half> x = in_x_.AllocTensor<half>(), y = in_y_.AllocTensor<half>();
        DataCopy(x, x_[i * kTile], kTile);
        DataCopy(y, y_[i * kTile], kTile);
        in_x_.EnQue(x);
        in_y_.EnQue(y);
    }
    void compute() {
        LocalTensor<half> x = in_x_.DeQue<half>(), y = in_y_.DeQue<half>();
        LocalTensor<half> z = out_.AllocTensor<half>(), sum = scratch_.Get<half>();
        Add(sum, x, y, kTile);
        PipeBarrier<PIPE_V>();
        Muls(z, sum, half(2), kTile);
        out_.EnQue(z);
        in_x_.FreeTensor(x);
        in_y_.FreeTensor(y);
        // The next tile overwrites scratch.
        PipeBarrier<PIPE_V>();
    }
    void copy_out(int i) {
        LocalTensor<half> z = out_.DeQue<half>();
        DataCopy(z_[i * kTile], z, kTile);
        out_.FreeTensor(z);
    }

    TPipe pipe_;
    TQue<TPosition::VECIN, 2> in_x_, in_y_;
    TQue<TPosition::VECOUT, 2> out_;
    TBuf<TPosition::VECCALC> scratch_;
    GlobalTensor<half> x_, y_, z_;
};

static void pipeline() {
    const auto a = random_values<half>(8 * 256, -5, 5, 1),
               b = random_values<half>(8 * 256, -5, 5, 2);
    Global<half> x(a), y(b), z(filled<half>(8 * 256, 0), false);
    // Without the compiler's automatic synchronisation: queues and the barriers above suffice.
    const std::string error = run(
        [&] {
            Kernel kernel(x.tensor(), y.tensor(), z.tensor());
            kernel.process(8);
        },
        false);
    std::printf("%s", error.c_str());
    CHECK(error.empty());
    CHECK_ALL(a.size(), same_bits(z.values()[i], half(2 * float(half(float(a[i]) + float(b[i]))))));
}

static void bind_and_pools() {
    Global<float> x(random_values<float>(64, -5, 5, 1)), z(filled<float>(64, 0), false);
    const std::string error = run(
        [&] {
            TPipe pipe;
            TQueBind<TPosition::VECIN, TPosition::VECOUT, 1> through;
            TBufPool<TPosition::VECCALC, 4> pool, shared;
            TQue<TPosition::VECIN, 1> in;
            pipe.InitBufPool(pool, 1024);
            pipe.InitBufPool(shared, 1024, pool);
            pool.InitBuffer(in, 1, 256);
            pipe.InitBuffer(through, 1, 256);
            LocalTensor<float> t = through.AllocTensor<float>();
            DataCopy(t, x.tensor(), 64);
            through.EnQue(t);
            t = through.DeQue<float>();
            DataCopy(z.tensor(), t, 64);
            through.FreeTensor(t);
            CHECK(GetTPipePtr() == &pipe);
            const TEventID id = pipe.AllocEventID<HardEvent::V_MTE2>();
            CHECK(pipe.FetchEventID<HardEvent::V_MTE2>() != id);
            pipe.ReleaseEventID<HardEvent::V_MTE2>(id);
            LocalTensor<float> rest;
            PopStackBuffer<float, TPosition::LCM>(rest);
            CHECK(rest.GetSize() > 1000);
        },
        false);
    std::printf("%s", error.c_str());
    CHECK(error.empty());
    CHECK(z.values() == x.values());
}

// A 16 x 16 product through the queues of the cube core: A1, B1, A2, B2, CO1.
static void matrix_queues() {
    const auto x = random_values<half>(256, -2, 2, 1), y = random_values<half>(256, -2, 2, 2);
    Global<half> a(x), b(y);
    Global<float> c(filled<float>(256, 0), false);
    const std::string error = run(
        [&] {
            TPipe pipe;
            TQue<TPosition::A1, 1> a1;
            TQue<TPosition::B1, 1> b1;
            TQue<TPosition::A2, 1> a2;
            TQue<TPosition::B2, 1> b2;
            TQue<TPosition::CO1, 1> co1;
            pipe.InitBuffer(a1, 1, 512);
            pipe.InitBuffer(b1, 1, 512);
            pipe.InitBuffer(a2, 1, 512);
            pipe.InitBuffer(b2, 1, 512);
            pipe.InitBuffer(co1, 1, 1024);
            for (int round = 0; round < 2; ++round) {
                LocalTensor<half> left = a1.AllocTensor<half>(), right = b1.AllocTensor<half>();
                DataCopy(left, a.tensor(), Nd2NzParams{1, 16, 16, 0, 16, 16, 1, 0});
                DataCopy(right, b.tensor(), Nd2NzParams{1, 16, 16, 0, 16, 16, 1, 0});
                a1.EnQue(left);
                b1.EnQue(right);
                left = a1.DeQue<half>();
                right = b1.DeQue<half>();
                LocalTensor<half> left0 = a2.AllocTensor<half>(), right0 = b2.AllocTensor<half>();
#if __NPU_ARCH__ == 2201
                LoadData(left0, left, LoadData2DParams{0, 1, 0, 0, 0, false, 0});
                LoadData(right0, right, LoadData2DParams{0, 1, 0, 0, 0, true, 0});
#else
                LoadData(left0, left, LoadData2DParamsV2{0, 0, 1, 1, 1, 1, false, 0});
                LoadData(right0, right, LoadData2DParamsV2{0, 0, 1, 1, 1, 1, true, 0});
#endif
                a2.EnQue(left0);
                b2.EnQue(right0);
                a1.FreeTensor(left);
                b1.FreeTensor(right);
                left0 = a2.DeQue<half>();
                right0 = b2.DeQue<half>();
                LocalTensor<float> product = co1.AllocTensor<float>();
                MmadParams mmad;
                mmad.m = mmad.n = mmad.k = 16;
                Mmad(product, left0, right0, mmad);
                co1.EnQue(product);
                a2.FreeTensor(left0);
                b2.FreeTensor(right0);
                product = co1.DeQue<float>();
                FixpipeParamsV220 out;
                out.nSize = out.mSize = out.srcStride = out.dstStride = 16;
                // The second round overwrites the first one's result.
                PipeBarrier<PIPE_FIX>();
                Fixpipe(c.tensor(), product, out);
                co1.FreeTensor(product);
            }
        },
        false, {1, 0});
    std::printf("%s", error.c_str());
    CHECK(error.empty());
    for (size_t i = 0; i < 256; ++i) {
        double sum = 0;
        for (size_t k = 0; k < 16; ++k)
            sum += double{float(x[i / 16 * 16 + k])} * float(y[k * 16 + i % 16]);
        CHECK(c.values()[i] == static_cast<float>(sum));
    }
}

static  // A source for both core types may divide a buffer of the other one, and not use it.
    void buffers_of_the_other_core() {
    const auto kernel = [](bool uses) {
        TPipe pipe;
        TBuf<TPosition::A1> of_cube;
        pipe.InitBuffer(of_cube, 100 * 1024);
        if (uses) of_cube.Get<half>().SetValue(0, half(1));
    };
    CHECK(run([&] { kernel(false); }).empty());
    EXPECT_ERROR("which this core does not have", kernel(true));
}

void mistakes() {
    EXPECT_ERROR("the queue is empty", {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> in;
        pipe.InitBuffer(in, 1, 64);
        in.DeQue<half>();
    });
    EXPECT_ERROR("all 1 buffers of the queue are in use", {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> in;
        pipe.InitBuffer(in, 1, 64);
        in.AllocTensor<half>();
        in.AllocTensor<half>();
    });
    EXPECT_ERROR("do not fit into UB", {
        TPipe pipe;
        TBuf<TPosition::VECCALC> buffer;
        pipe.InitBuffer(buffer, 300 * 1024);
    });
    EXPECT_ERROR("does not belong to this queue", {
        TPipe pipe;
        TQue<TPosition::VECIN, 1> in, other;
        pipe.InitBuffer(in, 1, 64);
        pipe.InitBuffer(other, 1, 64);
        in.EnQue(other.AllocTensor<half>());
    });
}

int main() {
    pipeline();
    bind_and_pools();
    matrix_queues();
    buffers_of_the_other_core();
    mistakes();
    return finish("queue");
}
