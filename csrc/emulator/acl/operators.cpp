// libopapi.so: those of torch_npu's operators that this project's host code calls, computed on the
// host by the stream's thread. An operator has two functions: the first takes its arguments and
// gives an executor, the second puts the executor on a stream.
//
// Values travel as double: float32 and integers below 2^53 keep theirs.
#include "operators.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace acl_stand_in {

namespace {

int run(void* argument, char* text, size_t size) {
    const std::unique_ptr<aclOpExecutor> executor(static_cast<aclOpExecutor*>(argument));
    (void)text, (void)size;
    executor->run();
    return 0;
}

// out[i] = f(x[i], y[i], ...) with the inputs broadcast to out's shape.
template <class F, class... Inputs>
void map(const aclTensor& out, F f, const Inputs&... inputs) {
    const std::vector<int64_t>& sizes = out.sizes;
    for_each_index(sizes, [&](const Index& i) { out.set(i, f(inputs.broadcast(i)...)); });
}

double floor_divide(double a, double b) { return std::floor(a / b); }

// out = a b over the last two dimensions, the ones before them broadcast. Sums are formed in
// double.
void multiply(const aclTensor& a, const aclTensor& b, const aclTensor& out) {
    const size_t n = out.sizes.size();
    const int64_t inner = a.sizes.back();
    for_each_index(out.sizes, [&](const Index& i) {
        Index row = i, column = i;
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k) {
            row[n - 1] = column[n - 2] = k;
            sum += a.broadcast(row) * b.broadcast(column);
        }
        out.set(i, sum);
    });
}

}  // namespace

}  // namespace acl_stand_in

using namespace acl_stand_in;

// name(arguments): `...` is a function object, made from copies of the arguments' contents.
#define NT_UNPACK(...) __VA_ARGS__
#define NT_OPERATOR(name, arguments, ...)                                             \
    NT_EXPORT aclError name##GetWorkspaceSize(NT_UNPACK arguments, uint64_t* bytes,   \
                                              aclOpExecutor** executor) {             \
        *bytes = 0;                                                                   \
        *executor = new aclOpExecutor{__VA_ARGS__};                                   \
        return 0;                                                                     \
    }                                                                                 \
    NT_EXPORT aclError name(void* workspace, uint64_t bytes, aclOpExecutor* executor, \
                            aclrtStream stream) {                                     \
        (void)workspace, (void)bytes;                                                 \
        nt_acl_enqueue(stream, run, executor);                                        \
        return 0;                                                                     \
    }

using Tensor = const aclTensor*;
using Scalar = const aclScalar*;

NT_OPERATOR(aclnnInplaceZero, (Tensor self), [out = *self] { map(out, [] { return 0.0; }); })

NT_OPERATOR(aclnnInplaceOne, (Tensor self), [out = *self] { map(out, [] { return 1.0; }); })

NT_OPERATOR(aclnnInplaceCopy, (Tensor self, Tensor source),
            [out = *self, x = *source] { map(out, [](double a) { return a; }, x); })

NT_OPERATOR(aclnnCast, (Tensor self, int type, Tensor result), [out = *result, x = *self, type] {
    (void)type;  // that of the result
    map(out, [](double a) { return a; }, x);
})

NT_OPERATOR(aclnnNeg, (Tensor self, Tensor result),
            [out = *result, x = *self] { map(out, [](double a) { return -a; }, x); })

NT_OPERATOR(aclnnAdd, (Tensor self, Tensor other, Scalar alpha, Tensor result),
            [out = *result, x = *self, y = *other, c = alpha->value] {
                map(out, [c](double a, double b) { return a + c * b; }, x, y);
            })

NT_OPERATOR(aclnnAdds, (Tensor self, Scalar other, Scalar alpha, Tensor result),
            [out = *result, x = *self, b = alpha->value * other->value] {
                map(out, [b](double a) { return a + b; }, x);
            })

NT_OPERATOR(aclnnSub, (Tensor self, Tensor other, Scalar alpha, Tensor result),
            [out = *result, x = *self, y = *other, c = alpha->value] {
                map(out, [c](double a, double b) { return a - c * b; }, x, y);
            })

NT_OPERATOR(aclnnSubs, (Tensor self, Scalar other, Scalar alpha, Tensor result),
            [out = *result, x = *self, b = alpha->value * other->value] {
                map(out, [b](double a) { return a - b; }, x);
            })

NT_OPERATOR(aclnnMul, (Tensor self, Tensor other, Tensor result),
            [out = *result, x = *self, y = *other] {
                map(out, [](double a, double b) { return a * b; }, x, y);
            })

NT_OPERATOR(aclnnMuls, (Tensor self, Scalar other, Tensor result),
            [out = *result, x = *self, b = other->value] {
                map(out, [b](double a) { return a * b; }, x);
            })

NT_OPERATOR(aclnnFloorDivide, (Tensor self, Tensor other, Tensor result),
            [out = *result, x = *self, y = *other] { map(out, floor_divide, x, y); })

NT_OPERATOR(aclnnFloorDivides, (Tensor self, Scalar other, Tensor result),
            [out = *result, x = *self, b = other->value] {
                map(out, [b](double a) { return floor_divide(a, b); }, x);
            })

NT_OPERATOR(aclnnGeTensor, (Tensor self, Tensor other, Tensor result),
            [out = *result, x = *self, y = *other] {
                map(out, [](double a, double b) { return a >= b; }, x, y);
            })

NT_OPERATOR(aclnnClamp, (Tensor self, Scalar least, Scalar most, Tensor result),
            [out = *result, x = *self, low = least ? least->value : -INFINITY,
             high = most ? most->value : INFINITY] {
                map(out, [=](double a) { return std::min(std::max(a, low), high); }, x);
            })

NT_OPERATOR(aclnnClampMax, (Tensor self, Scalar most, Tensor result),
            [out = *result, x = *self, high = most->value] {
                map(out, [high](double a) { return std::min(a, high); }, x);
            })

NT_OPERATOR(aclnnInplaceMaskedFillScalar, (Tensor self, Tensor mask, Scalar value),
            [out = *self, m = *mask, b = value->value] {
                map(out, [b](double a, double masked) { return masked != 0 ? b : a; }, out, m);
            })

NT_OPERATOR(aclnnArange, (Scalar start, Scalar, Scalar step, Tensor result),
            [out = *result, first = start->value, by = step->value] {
                for_each_index(out.sizes,
                               [&](const Index& i) { out.set(i, first + by * i.back()); });
            })

NT_OPERATOR(aclnnCumsum, (Tensor self, int64_t dim, int type, Tensor result),
            [out = *result, x = *self, dim, type] {
                (void)type;
                for_each_index(out.sizes, [&](const Index& i) {
                    Index before = i;
                    before[x.dim(dim)] -= 1;
                    const bool first = before[x.dim(dim)] < 0;
                    out.set(i, x.get(i) + (first ? 0 : out.get(before)));
                });
            })

NT_OPERATOR(aclnnSearchSorted,
            (Tensor sorted, Tensor self, bool narrow, bool right, Tensor sorter, Tensor result),
            [out = *result, x = *self, table = *sorted, right, narrow, sorter] {
                (void)narrow;
                if (sorter != nullptr || table.sizes.size() != 1) {
                    stop("searchsorted in more than one sorted row is not modelled");
                }
                map(
                    out,
                    [&](double value) {
                        int64_t n = 0;
                        while (n < table.sizes[0] &&
                               (right ? table.get({n}) <= value : table.get({n}) < value))
                            ++n;
                        return static_cast<double>(n);
                    },
                    x);
            })

NT_OPERATOR(aclnnIndexSelect, (Tensor self, int64_t dim, Tensor index, Tensor result),
            [out = *result, x = *self, chosen = *index, dim] {
                for_each_index(out.sizes, [&](const Index& i) {
                    Index from = i;
                    from[x.dim(dim)] = chosen.at(i[x.dim(dim)], x.sizes[x.dim(dim)]);
                    out.set(i, x.get(from));
                });
            })

NT_OPERATOR(aclnnInplaceIndexCopy, (Tensor self, int64_t dim, Tensor index, Tensor source),
            [out = *self, x = *source, chosen = *index, dim] {
                for_each_index(x.sizes, [&](const Index& i) {
                    Index to = i;
                    to[x.dim(dim)] = chosen.at(i[x.dim(dim)], out.sizes[x.dim(dim)]);
                    out.set(to, x.get(i));
                });
            })

NT_OPERATOR(aclnnTril, (Tensor self, int64_t diagonal, Tensor result),
            [out = *result, x = *self, diagonal] {
                const size_t n = out.sizes.size();
                for_each_index(out.sizes, [&](const Index& i) {
                    out.set(i, i[n - 1] - i[n - 2] <= diagonal ? x.get(i) : 0.0);
                });
            })

NT_OPERATOR(aclnnMatmul, (Tensor self, Tensor other, Tensor result, int8_t precision),
            [out = *result, a = *self, b = *other, precision] {
                (void)precision;
                multiply(a, b, out);
            })

NT_OPERATOR(aclnnBatchMatMul, (Tensor self, Tensor other, Tensor result, int8_t precision),
            [out = *result, a = *self, b = *other, precision] {
                (void)precision;
                multiply(a, b, out);
            })
