// LoadData 3D with its image and padding value in registers: as with them in the parameters.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 32;
constexpr IsResetLoad3dConfig kFromRegisters = {false, false};

LoadData3DParamsV2<half> params(uint16_t height) {
    LoadData3DParamsV2<half> p;
    p.l1H = height;
    p.l1W = 1;
    p.channelSize = N;
    p.kExtension = N;
    p.mExtension = N;
    p.padList[2] = 16;  // the first 16 rows are padding
    p.padValue = 2;
    return p;
}

// B = [16 rows of the padding value; the first 16 rows of b], by `load(b2, b1)`; returns A B.
template <typename Load>
std::vector<float> product(Load load) {
    Global<half> a(random_values<half>(N * N, -1, 1, 1)), b(random_values<half>(N * N, -1, 1, 2));
    Global<float> c(filled<float>(N * N, 0), false);
    EXPECT("", run_kernel([&] {
               load_operands(a.tensor(), b.tensor(), N, N, N);
               sync<HardEvent::M_MTE1>();
               const auto b2 = at<half>(TPosition::B2, 0, N * N);
               PipeBarrier<PIPE_MTE1>();
               load(b2, at<half>(TPosition::B1, 128 * 1024, N * N));
               sync<HardEvent::MTE1_M>();
               Mmad(at<float>(TPosition::CO1, 0, N * N), at<half>(TPosition::A2, 0, N * N), b2,
                    mmad_params<half>(N, N, N));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), N, N);
           }));
    std::vector<half> padded(N * N, half(2));
    std::copy_n(b.values().begin(), N * N / 2, padded.begin() + N * N / 2);
    CHECK_ALL(N * N, same_bits(c.values()[i], exact<float>(a.values(), padded, N, N, i)));
    return c.values();
}

}  // namespace

int main() {
    const uint8_t pads[4] = {0, 0, 16, 0};
    const uint8_t none[4] = {0, 0, 0, 0};
    product([](auto b2, auto b1) { LoadData(b2, b1, params(N)); });
    product([&](auto b2, auto b1) {
        SetFmatrix(N, 1, pads, FmatrixMode::FMATRIX_LEFT);
        SetLoadDataPaddingValue<half>(2);
        auto unused = params(1);
        unused.padValue = 3;
        unused.padList[2] = 0;
        LoadData<half, kFromRegisters>(b2, b1, unused);
    });
    product([&](auto b2, auto b1) {
        SetFmatrix(N, 1, none, FmatrixMode::FMATRIX_LEFT);
        SetFmatrix(N, 1, pads, FmatrixMode::FMATRIX_RIGHT);
        SetLoadDataPaddingValue<half>(2);
        auto right = params(1);
        right.fMatrixCtrl = true;
        LoadData<half, kFromRegisters>(b2, b1, right);
    });
    // The fields in two words; the image and the padding value are always those of the registers.
    const auto packed = [](auto b2, auto b1) {
        LoadData3DParamsV2Pro p;
        p.channelSize = N;
        p.extConfig = uint64_t{N} << 16 | N;
        LoadData(b2, b1, p);
    };
    product([&](auto b2, auto b1) {
        Load3DSetFMatrixCal(N, 1, pads);
        SetLoadDataPaddingValue<half>(2);
        packed(b2, b1);
    });
    EXPECT_CUBE("SetFmatrix of FMATRIX_LEFT comes first",
                packed(at<half>(TPosition::B2, 0, N * N), at<half>(TPosition::A1, 0, N * N)));
#if __NPU_ARCH__ == 2201
    const auto bytes = at<int8_t>(TPosition::B2, 0, 512);
    EXPECT_CUBE(
        "LoadDataWithSparse is not modelled",
        LoadDataWithSparse(bytes, bytes, at<uint8_t>(TPosition::B1, 0, 128), LoadData2dParams()));
#endif
    EXPECT_CUBE("SetFmatrix of FMATRIX_LEFT comes first", {
        LoadData<half, kFromRegisters>(at<half>(TPosition::B2, 0, N * N),
                                       at<half>(TPosition::A1, 0, N * N), params(N));
    });
    EXPECT_CUBE("l1H is 32768", SetFmatrix(32768, 1, pads, FmatrixMode::FMATRIX_LEFT));
    return finish("fmatrix");
}
