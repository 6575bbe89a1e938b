// The vector cores' first part: what the cube needs of each chunk, from K K^T, Q K^T, the tokens
// and their gates.
//
//     A = beta_i L_ij <k_i, k_j>                     rounded, and -A', what is left of it
//     P = scale L_ij <q_i, k_j>,  j <= i
//     scale G_i q_i,   -G_i k_i,   e_i k_i           the last one in two parts
//     v_i,   G on two diagonals
//
// With normalised tokens q and k stand for q / |q| and k / |k|, whose squares are on the diagonals
// of Q Q^T and K K^T: all of it is factors of rows and columns.
//
// A round trip of a chunk: products and gates arrive; A and P leave; then tokens go through in
// slices of 64 columns.
#pragma once

#include "chunk_matrices.h"

namespace neumann_tril {

template <typename In, typename T>
class Parts : private ChunkMatrices<T> {
  public:
    __aicore__ inline Parts(const RuleTask& task, GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR g,
                            GM_ADDR beta, GM_ADDR initial_state, GM_ADDR chunk_states,
                            GM_ADDR workspace, const RuleWorkspace& places)
        : ChunkMatrices<T>(task, g, beta, workspace),
          places_(places),
          parts_{task.key_size, task.value_tile} {
        q_.SetGlobalBuffer((__gm__ In*)q);
        k_.SetGlobalBuffer((__gm__ In*)k);
        v_.SetGlobalBuffer((__gm__ In*)v);
        initial_.SetGlobalBuffer((__gm__ float*)initial_state);
        states_.SetGlobalBuffer((__gm__ float*)chunk_states);
    }

    // Of the chunks that are this vector core's: `owned` has a bit for each.
    __aicore__ inline void Form(const RuleBatch& batch, int32_t number, uint32_t owned) {
        Base::Prepare(number);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kSlice + s);
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(kSlice + s);
        }
        for (int32_t i = 0; i < batch.count; ++i) {
            if ((owned >> i & 1) != 0) {
                FormChunk(batch.of[i], i, number);
            }
        }
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kSlice + s);
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(kSlice + s);
        }
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kGiven);
    }

  private:
    using Base = ChunkMatrices<T>;
    using Base::kGiven;
    using typename Base::Buffers;
    // Events: slices; tiles of a state.
    static constexpr int32_t kSlice = 1, kState = 3;
    using Base::kBetaSpread, Base::kQuery, Base::kKey, Base::kLast;
    using Base::kC, Base::kKeyNorm, Base::kQueryNorm, Base::kFactor, Base::kScratch, Base::kOne,
        Base::kSixteen;
    using Base::RowOf, Base::SpreadFor, Base::ProductOf, Base::Between, Base::Numbers, Base::Words;
    using Base::task_, Base::decays_, Base::workspace_;
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Out(int32_t which) {
        return Base::template Out<U>(which);
    }

    __aicore__ inline void FormChunk(const RuleChunk& chunk, int32_t i, int32_t number) {
        Base::Arrive(chunk, i, Products());
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(kGiven);
        Base::ReadGates(chunk, i);
        if (task_.normalize != 0) {
            Base::NormalizeKeys();
            NormalizeQueries();
        }
        FormFactors();
        // The last chunk's matrices have left: so has most of its tokens, behind them.
        Base::FormA();
        FormAttention();
        FormDecay();
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        Leave(i, number);
        FormTokens(chunk, i, number);
        if (chunk.first && task_.initial_state + task_.chunk_states > 0) {
            FormState(chunk, i, number);
        }
    }

    __aicore__ inline int32_t Products() const { return task_.normalize != 0 ? 3 : 2; }

    // Q K^T becomes that of normalised tokens.
    __aicore__ inline void NormalizeQueries() const {
        Base::InverseNorms(RowOf(kQueryNorm), ProductOf(2));
        Spread(SpreadFor(kQuery), RowOf(kQueryNorm));
        ScaleRows(ProductOf(1), SpreadFor(kQuery));
        ScaleColumns(ProductOf(1), ProductOf(1), RowOf(kKeyNorm));
    }

    // The factors of the rows of q and k.
    __aicore__ inline void FormFactors() const {
        const bool normal = task_.normalize != 0;
        Decays::FromStart(RowOf(kFactor), RowOf(kC));
        AscendC::Muls(RowOf(kScratch), RowOf(kFactor), task_.scale, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        SpreadFactor(kQuery, RowOf(kScratch), normal ? kQueryNorm : kOne);
        AscendC::Muls(RowOf(kScratch), RowOf(kFactor), -1.0f, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        SpreadFactor(kKey, RowOf(kScratch), normal ? kKeyNorm : kOne);
        decays_.ToEnd(RowOf(kScratch), RowOf(kC));
        SpreadFactor(kLast, RowOf(kScratch), normal ? kKeyNorm : kOne);
    }
    __aicore__ inline static void SpreadFactor(int32_t which, const Floats& row, int32_t norm) {
        AscendC::Mul(row, row, RowOf(norm), kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        Spread(SpreadFor(which), row);
    }

    __aicore__ inline void FormAttention() const {
        const Floats p = ProductOf(1);
        AscendC::Mul(p, p, Between(), kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Muls(p, p, task_.scale, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(Out<T>(2), p, AscendC::RoundMode::CAST_RINT, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        const auto attention = Out<uint16_t>(2);
        AscendC::And(attention, attention, Words(Buffers::kLower, kSquare), kSquare);
    }

    // G, rounded, and what is left of it, on the diagonals of two fractals.
    __aicore__ inline void FormDecay() const {
        const Floats decay = RowOf(kSixteen), scratch = RowOf(kScratch);
        const auto rounded = Ub<T>(Buffers::kRows + (kSixteen + 1) * 256, 16);
        const auto rest = Ub<T>(Buffers::kRows + (kSixteen + 2) * 256, 16);
        decays_.OfChunk(decay);
        AscendC::Cast(rounded, decay, AscendC::RoundMode::CAST_RINT, 16);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(scratch, rounded, AscendC::RoundMode::CAST_NONE, 16);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Sub(decay, decay, scratch, 16);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(rest, decay, AscendC::RoundMode::CAST_RINT, 16);
        AscendC::PipeBarrier<PIPE_V>();
        SetDiagonal(0, rounded.template ReinterpretCast<uint16_t>());
        SetDiagonal(1, rest.template ReinterpretCast<uint16_t>());
    }
    __aicore__ inline static void SetDiagonal(int32_t which,
                                              const AscendC::LocalTensor<uint16_t>& number) {
        AscendC::And(Out<uint16_t>(3)[which * 256], Words(Buffers::kDiagonal, 256), number, 128, 2,
                     AscendC::BinaryRepeatParams{1, 1, 0, 8, 8, 0});
    }

    __aicore__ inline AscendC::GlobalTensor<T> PartsOf(int32_t i, int32_t number) const {
        AscendC::GlobalTensor<T> parts;
        parts.SetGlobalBuffer((__gm__ T*)(workspace_ + places_.Parts(number)));
        return parts[i * static_cast<int64_t>(parts_.Words())];
    }

    __aicore__ inline void Leave(int32_t i, int32_t number) const {
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(kGiven);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(kGiven);
        const auto parts = PartsOf(i, number);
        Base::LeaveA(i);
        AscendC::DataCopy(parts[parts_.Attention()], Out<T>(2), kSquare);
        AscendC::DataCopy(parts[parts_.Decay()], Out<T>(3), 512);
    }

    // --- tokens

    __aicore__ inline void FormTokens(const RuleChunk& chunk, int32_t i, int32_t number) {
        const auto parts = PartsOf(i, number);
        const int32_t head = KeyHead(task_, chunk);
        const int64_t q = TokenAt(task_.q, chunk, head), k = TokenAt(task_.k, chunk, head);
        const int64_t v = TokenAt(task_.v, chunk, chunk.value_head) + chunk.tile * task_.value_tile;
        for (int32_t column = 0; column < task_.key_size; column += kRuleChunk) {
            const int32_t columns = Clamp(task_.key_size - column, kRuleChunk);
            TakeSlice(q_, q + column, task_.q.time, chunk.valid, columns);
            GiveSlice(parts[parts_.Key(kPartQ) + column], kQuery, columns, task_.key_size);
            TakeSlice(k_, k + column, task_.k.time, chunk.valid, columns);
            GiveSlice(parts[parts_.Key(kPartK) + column], kKey, columns, task_.key_size);
            GiveSlice(parts[parts_.Key(kPartLast) + column], kLast, columns, task_.key_size);
            GiveRest(parts[parts_.Key(kPartLastRest) + column], kRuleChunk, columns,
                     task_.key_size);
        }
        for (int32_t column = 0; column < task_.value_tile; column += kRuleChunk) {
            const int32_t columns = Clamp(task_.value_tile - column, kRuleChunk);
            TakeSlice(v_, v + column, task_.v.time, chunk.valid, columns);
            Give(parts[parts_.Value() + column], Numbers(), kRuleChunk, columns, task_.value_tile);
        }
    }

    // Times its factors, where L was.
    __aicore__ inline static Floats Scaled() { return Between(); }

    // 64 rows of some columns as floats, with zeros behind the last token.
    __aicore__ inline void TakeSlice(const AscendC::GlobalTensor<In>& tokens, int64_t first,
                                     int64_t stride, int32_t valid, int32_t columns) {
        const int32_t s = taken_++ % 2;
        const auto slice = Ub<In>(Buffers::kTokens + s * kSquare * 2, kSquare);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kSlice + s);
        CopyRowsIn(slice, tokens, first, stride, valid, columns, (kRuleChunk - columns) / 16);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(kSlice + s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(kSlice + s);
        AscendC::Cast(Numbers(), slice, AscendC::RoundMode::CAST_NONE, columns, valid,
                      AscendC::UnaryRepeatParams{1, 1, 8, 4});
        if (valid < kRuleChunk) {
            AscendC::Duplicate<float>(Numbers()[valid * kRuleChunk], 0.0f,
                                      (kRuleChunk - valid) * kRuleChunk);
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kSlice + s);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // The slice times a factor of each row, rounded, to rows `pitch` apart.
    __aicore__ inline void GiveSlice(const AscendC::GlobalTensor<T>& to, int32_t factor,
                                     int32_t columns, int32_t pitch) {
        AscendC::Mul(Scaled(), Numbers(), SpreadFor(factor), columns, kRuleChunk,
                     AscendC::BinaryRepeatParams{1, 1, 0, 8, 8, 1});
        AscendC::PipeBarrier<PIPE_V>();
        Give(to, Scaled(), kRuleChunk, columns, pitch);
    }
    // What rounding left of what was given last.
    __aicore__ inline void GiveRest(const AscendC::GlobalTensor<T>& to, int32_t rows,
                                    int32_t columns, int32_t pitch) {
        const int32_t s = (given_ - 1) % 2;
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(Numbers(), Slice(s), AscendC::RoundMode::CAST_NONE, columns, rows,
                      AscendC::UnaryRepeatParams{1, 1, 8, 4});
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Sub(Scaled(), Scaled(), Numbers(), columns, rows,
                     AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 8});
        AscendC::PipeBarrier<PIPE_V>();
        Give(to, Scaled(), rows, columns, pitch);
    }
    __aicore__ inline static AscendC::LocalTensor<T> Slice(int32_t s) {
        return Ub<T>(Buffers::kSlices + s * kSquare * 2, kSquare);
    }
    // Some numbers, rounded, to rows `pitch` apart.
    __aicore__ inline void Give(const AscendC::GlobalTensor<T>& to, const Floats& numbers,
                                int32_t rows, int32_t columns, int32_t pitch) {
        const int32_t s = given_++ % 2;
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(kSlice + s);
        AscendC::Cast(Slice(s), numbers, AscendC::RoundMode::CAST_RINT, columns, rows,
                      AscendC::UnaryRepeatParams{1, 1, 4, 8});
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(kSlice + s);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(kSlice + s);
        CopyRowsOut(to, 0, pitch, Slice(s), rows, columns, (kRuleChunk - columns) / 16);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(kSlice + s);
    }

    // --- the state before the first chunk, in two parts; and as it is, where states are wanted

    __aicore__ inline void FormState(const RuleChunk& chunk, int32_t i, int32_t number) {
        const int32_t rows = task_.key_size, columns = task_.value_tile;
        const int64_t pitch = task_.value_size;
        const int64_t from = StateAt(task_, chunk.sequence, chunk);
        const int64_t to = StateAt(task_, chunk.number, chunk);
        AscendC::GlobalTensor<T> state;
        state.SetGlobalBuffer(
            (__gm__ T*)(workspace_ + places_.States(number) + i * places_.StateBytes()));
        for (int32_t row = 0; row < rows; row += kRuleChunk) {
            const int32_t count = Clamp(rows - row, kRuleChunk);
            for (int32_t column = 0; column < columns; column += kRuleChunk) {
                const int32_t width = Clamp(columns - column, kRuleChunk);
                const int64_t at = row * static_cast<int64_t>(columns) + column;
                TakeState(from + row * pitch + column, count, width);
                if (task_.chunk_states != 0) {
                    CopyRowsOut(states_, to + row * pitch + column, pitch, Scaled(), count, width,
                                (kRuleChunk - width) / 8);
                    AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(kState);
                    AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(kState);
                }
                if (task_.initial_state != 0) {
                    Give(state[at], Scaled(), count, width, columns);
                    GiveRest(state[static_cast<int64_t>(rows) * columns + at], count, width,
                             columns);
                }
            }
        }
    }
    // A tile of it, or zeros, in float.
    __aicore__ inline void TakeState(int64_t from, int32_t rows, int32_t columns) const {
        if (task_.initial_state == 0) {
            AscendC::Duplicate<float>(Scaled(), 0.0f, kSquare);
        } else {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kState);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kState);
            CopyRowsIn(Scaled(), initial_, from, task_.value_size, rows, columns,
                       (kRuleChunk - columns) / 8);
            AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(kState);
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(kState);
        }
        if (task_.chunk_states != 0) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(kState);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(kState);
        }
    }

    const RuleWorkspace places_;
    const RuleParts parts_;
    AscendC::GlobalTensor<In> q_, k_, v_;
    AscendC::GlobalTensor<float> initial_, states_;
    int32_t taken_ = 0, given_ = 0;  // slices
};

}  // namespace neumann_tril
