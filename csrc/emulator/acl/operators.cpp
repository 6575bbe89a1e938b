// libopapi.so: those of torch_npu's operators that this project's host code calls, computed on the
// host by the stream's thread. An operator has two functions: the first takes its arguments and
// gives an executor, the second puts the executor on a stream.
//
// Values travel as double: float32 and integers below 2^53 keep theirs.
#include "operators.h"

#include <algorithm>
#include <cmath>
#include <map>
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

// out = a b over the last two dimensions, the ones before them broadcast, and what is to be added.
// Sums are formed in double.
void multiply(const aclTensor& a, const aclTensor& b, const aclTensor& out,
              const aclTensor* added = nullptr) {
    const size_t n = out.sizes.size();
    const int64_t inner = a.sizes.back();
    for_each_index(out.sizes, [&](const Index& i) {
        Index row = i, column = i;
        double sum = added == nullptr ? 0 : added->broadcast(i);
        for (int64_t k = 0; k < inner; ++k) {
            row[n - 1] = column[n - 2] = k;
            sum += a.broadcast(row) * b.broadcast(column);
        }
        out.set(i, sum);
    });
}

// Whether dimension d of a tensor is one of `dims`; without any, every one is.
std::vector<bool> chosen(const aclTensor& x, const std::vector<int64_t>& dims) {
    std::vector<bool> is(x.sizes.size(), dims.empty());
    for (int64_t d : dims) is[x.dim(d)] = true;
    return is;
}

// out = f(the sum of term(x) over `dims`).
template <class Term, class F>
void reduce(const aclTensor& x, const std::vector<int64_t>& dims, const aclTensor& out, Term term,
            F f) {
    const std::vector<bool> summed = chosen(x, dims);
    const bool kept = out.sizes.size() == x.sizes.size();
    std::map<Index, double> sums;
    for_each_index(out.sizes, [&](const Index& i) { sums[i] = 0; });
    for_each_index(x.sizes, [&](const Index& i) {
        Index to;
        for (size_t d = 0; d < i.size(); ++d) {
            if (!summed[d] || kept) to.push_back(summed[d] ? 0 : i[d]);
        }
        sums[to] += term(x.get(i));
    });
    for (const auto& [i, sum] : sums) out.set(i, f(sum));
}

std::vector<aclTensor> copies(const aclTensorList& list) {
    std::vector<aclTensor> tensors;
    for (const aclTensor* tensor : list.tensors) tensors.push_back(*tensor);
    return tensors;
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
using Integers = const aclIntArray*;

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

NT_OPERATOR(aclnnExp, (Tensor self, Tensor result),
            [out = *result, x = *self] { map(out, [](double a) { return std::exp(a); }, x); })

NT_OPERATOR(aclnnRsqrt, (Tensor self, Tensor result),
            [out = *result, x = *self] { map(out, [](double a) { return 1 / std::sqrt(a); }, x); })

NT_OPERATOR(aclnnPowTensorScalar, (Tensor self, Scalar exponent, Tensor result),
            [out = *result, x = *self, n = exponent->value] {
                map(out, [n](double a) { return std::pow(a, n); }, x);
            })

NT_OPERATOR(aclnnEqScalar, (Tensor self, Scalar other, Tensor result),
            [out = *result, x = *self, b = other->value] {
                map(out, [b](double a) { return a == b; }, x);
            })

NT_OPERATOR(aclnnAdd, (Tensor self, Tensor other, Scalar alpha, Tensor result),
            [out = *result, x = *self, y = *other, c = alpha->value] {
                map(out, [c](double a, double b) { return a + c * b; }, x, y);
            })

NT_OPERATOR(aclnnInplaceAdd, (Tensor self, Tensor other, Scalar alpha),
            [out = *self, y = *other, c = alpha->value] {
                map(out, [c](double a, double b) { return a + c * b; }, out, y);
            })

NT_OPERATOR(aclnnAdds, (Tensor self, Scalar other, Scalar alpha, Tensor result),
            [out = *result, x = *self, b = alpha->value * other->value] {
                map(out, [b](double a) { return a + b; }, x);
            })

NT_OPERATOR(aclnnInplaceAdds, (Tensor self, Scalar other, Scalar alpha),
            [out = *self, b = alpha->value * other->value] {
                map(out, [b](double a) { return a + b; }, out);
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

NT_OPERATOR(aclnnDiv, (Tensor self, Tensor other, Tensor result),
            [out = *result, x = *self, y = *other] {
                map(out, [](double a, double b) { return a / b; }, x, y);
            })

NT_OPERATOR(aclnnDivs, (Tensor self, Scalar other, Tensor result),
            [out = *result, x = *self, b = other->value] {
                map(out, [b](double a) { return a / b; }, x);
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

NT_OPERATOR(aclnnBaddbmm,
            (Tensor self, Tensor batch1, Tensor batch2, Scalar beta, Scalar alpha, Tensor result,
             int8_t precision),
            [out = *result, x = *self, a = *batch1, b = *batch2, of_x = beta->value,
             of_product = alpha->value, precision] {
                (void)precision;
                if (of_x != 1 || of_product != 1) stop("baddbmm with factors is not modelled");
                multiply(a, b, out, &x);
            })

NT_OPERATOR(aclnnReduceSum, (Tensor self, Integers dims, bool keep, int type, Tensor result),
            [out = *result, x = *self, over = dims->values, keep, type] {
                (void)keep, (void)type;  // those of the result
                reduce(x, over, out, [](double a) { return a; }, [](double sum) { return sum; });
            })

NT_OPERATOR(aclnnLinalgVectorNorm,
            (Tensor self, Scalar order, Integers dims, bool keep, int type, Tensor result),
            [out = *result, x = *self, p = order->value, over = dims->values, keep, type] {
                (void)keep, (void)type;  // those of the result
                if (p != 2) stop("norms other than the Euclidean are not modelled");
                reduce(
                    x, over, out, [](double a) { return a * a; },
                    [](double sum) { return std::sqrt(sum); });
            })

NT_OPERATOR(aclnnFlip, (Tensor self, Integers dims, Tensor result),
            [out = *result, x = *self, turned = chosen(*self, dims->values)] {
                for_each_index(out.sizes, [&](const Index& i) {
                    Index from = i;
                    for (size_t d = 0; d < i.size(); ++d) {
                        if (turned[d]) from[d] = x.sizes[d] - 1 - i[d];
                    }
                    out.set(i, x.get(from));
                });
            })

NT_OPERATOR(aclnnConstantPadNd, (Tensor self, Integers pad, Scalar value, Tensor result),
            [out = *result, x = *self, widths = pad->values, filling = value->value] {
                const size_t dims = x.sizes.size();
                for_each_index(out.sizes, [&](const Index& i) {
                    Index from = i;
                    bool inside = true;
                    for (size_t d = 0; d < dims; ++d) {
                        const size_t before =
                            2 * (dims - 1 - d);  // the last dimension's come first
                        from[d] -= before < widths.size() ? widths[before] : 0;
                        inside = inside && from[d] >= 0 && from[d] < x.sizes[d];
                    }
                    out.set(i, inside ? x.get(from) : filling);
                });
            })

NT_OPERATOR(aclnnCat, (const aclTensorList* tensors, int64_t dim, Tensor result),
            [out = *result, parts = copies(*tensors), dim] {
                int64_t start = 0;
                for (const aclTensor& x : parts) {
                    if (x.sizes.size() != out.sizes.size()) continue;  // an empty vector
                    for_each_index(x.sizes, [&](const Index& i) {
                        Index to = i;
                        to[out.dim(dim)] += start;
                        out.set(to, x.get(i));
                    });
                    start += x.sizes[out.dim(dim)];
                }
            })

NT_OPERATOR(aclnnStack, (const aclTensorList* tensors, int64_t dim, Tensor result),
            [out = *result, parts = copies(*tensors), dim] {
                for_each_index(out.sizes, [&](const Index& i) {
                    Index from = i;
                    from.erase(from.begin() + static_cast<int64_t>(out.dim(dim)));
                    out.set(i, parts[static_cast<size_t>(i[out.dim(dim)])].get(from));
                });
            })
