// A of one inversion: its leaves as numbers, for the seed, and codes of -A, or of -M = -(I + A)
// where a residual is formed.
#pragma once

#include "coder.h"
#include "grids.h"
#include "scratch.h"

namespace neumann_tril::NT_ISA {

// No NaN, and within the limit of A.
inline F sanitised(F a) {
    return minimum(maximum(zero_if_nan(a), broadcast(-kLimitOfA)), broadcast(kLimitOfA));
}

// Keeps the first d numbers of a row of kBlock.
inline void keep_lower(float* row, int d) {
    const float* keep = reinterpret_cast<const float*>(kDiagonal<float>.keep) + kBlock - d;
    for (int c = 0; c < kBlock; c += F::lanes)
        store(row + c, mask(load(row + c), load(keep + c), broadcast(0.0f)));
}

// Reads A to `scratch.v`, where its leaves stand, and to `scratch.a`.
template <int Bits, class Grids>
class Operand {
  public:
    Operand(const QuantizedJob& job, const Chunk& chunk, const Division& division,
            const Grids& grids, const Scratch<Bits>& scratch, Coder<Bits>& coder)
        : job_(job),
          chunk_(chunk),
          division_(division),
          grids_(grids),
          scratch_(scratch),
          coder_(coder) {}

    OperandGrid read() {
        const OperandGrid grid = read_codes();
        for (int i = 0; division_.forms_m && i < division_.n; ++i)
            scratch_.a.put_number(i, i, -static_cast<int>(grid.one));
        return grid;
    }

  private:
    // Codes of -A; they saturate at -kHighest, too.
    static I negative_codes(F number, F scale, I& beyond) {
        const F most = broadcast(kMost<Bits>), least = broadcast(-kMost<Bits>);
        return codes_of(multiply(number, scale), least, most, beyond);
    }

    OperandGrid read_codes() {
        const Left<Bits> to = scratch_.a;
        const Numbers v = scratch_.v;
        F scale;
        const auto code = [&](int r, int c, I& beyond) {
            const Two<F> a = v.get(r, c);
            to.put(r, c,
                   {negative_codes(a.even, scale, beyond), negative_codes(a.odd, scale, beyond)});
        };
        if constexpr (Grids::kDynamic) {
            read_rows([=](int r, int c, F a) { store(v.at(r, c), sanitised(a)); });
            const auto largest_operand = [&] {
                F found = broadcast(0.0f);
                division_.for_operands([&](Blocks blocks) { found = largest(blocks, v, found); });
                return largest_lane(found);
            };
            const OperandGrid grid = grids_.a(largest_operand, division_.forms_m);
            scale = broadcast(-grid.inverse);
            division_.for_operands([&](Blocks blocks) { coder_.for_codes(blocks, code); });
            return grid;
        } else {
            const OperandGrid grid = grids_.a();
            scale = broadcast(-grid.inverse);
            // Numbers whose codes are within the grid and the limit of A need not be sanitised.
            const float limit = std::min(kMost<Bits>, kLimitOfA * grid.inverse);
            const F most = broadcast(limit), least = broadcast(-limit);
            I beyond = broadcast(int32_t(0));
            read_rows([&](int r, int c, F a) {
                to.put_row(r, c, codes_of(multiply(a, scale), least, most, beyond));
            });
            if (total(beyond) > 0) {
                read_rows([&](int r, int c, F a) {
                    to.put_row(r, c, negative_codes(sanitised(a), scale, coder_.beyond()));
                });
            }
            if (division_.forms_m) coder_.for_codes(division_.leaves(), code);
            return grid;
        }
    }

    // The leaves go to v, sanitised; `below(r, c, number)` takes what lies below them. Rows after
    // the valid ones are zero.
    template <class Below>
    void read_rows(Below below) {
        const Numbers v = scratch_.v;
        const Division division = division_;
        for (int first = 0; first < division.n; first += kBlock) {
            if (chunk_.next_a && job_.a_column_stride == 1)
                prefetch_rows(job_.a_row_stride, job_.a_item, chunk_.next_a, first, kBlock);
            const int count = std::min(std::max(chunk_.rows - first, 0), kBlock);
            const int leaf = first / division.leaf * division.leaf;
            load_strip(first, count);
            for (int r = 0; r < kBlock; ++r) {
                const float* from = scratch_.strip + r * kMaxChunk;
                for (int c = leaf; c < first + kBlock; c += F::lanes)
                    store(v.at(first + r, c), sanitised(load(from + c)));
                // The seed does not look above the diagonal.
                if (division.forms_m || Grids::kDynamic) keep_lower(v.at(first + r, first), r);
                if (job_.a_in_place && r < count)
                    from = static_cast<const float*>(chunk_.a) + (first + r) * job_.a_row_stride;
                for (int c = 0; c < leaf; c += F::lanes) below(first + r, c, load(from + c));
            }
        }
    }

    // Rows [first, first + kBlock) to the strip, without what can be read where it is.
    void load_strip(int first, int count) {
        float* strip = scratch_.strip;
        const ptrdiff_t rows = job_.a_row_stride, columns = job_.a_column_stride;
        const int skipped = job_.a_in_place ? first / division_.leaf * division_.leaf : 0;
        const char* from =
            static_cast<const char*>(chunk_.a) + skipped * (rows + columns) * job_.a_item;
        job_.load(from, rows, columns, first - skipped, count, strip + skipped);
        if (job_.codes_in_a) {
            const F scale = broadcast(grids_.a_scale());
            for (int at = 0; at < count * kMaxChunk; at += F::lanes)
                store(strip + at, multiply(load(strip + at), scale));
        }
        std::fill(strip + count * kMaxChunk, strip + kBlock * kMaxChunk, 0.0f);
    }

    const QuantizedJob& job_;
    const Chunk& chunk_;
    const Division& division_;
    const Grids& grids_;
    const Scratch<Bits>& scratch_;
    Coder<Bits>& coder_;
};

}  // namespace neumann_tril::NT_ISA
