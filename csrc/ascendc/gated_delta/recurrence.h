// The cube's last part: from chunk to chunk, with the state on the core.
//
// What a vector core has left of a chunk, all in T: Q = scale G q, K = -G k, L = e k in two parts
// L + L', V = v, P, the chunk's decay G + G', and X beta = Y + Y'. The state S + S' (K, V) lies in
// L1, in two parts as well: together they have more digits than T, and products read S alone where
// that is enough. A name in capitals is in T; sums are in float, each product added rounds once.
//
//     E  = V + K S                      what the tokens want to write, less what the state holds
//     E' = E - T(E)
//     D  = Y E + Y' E                   what they write
//     s  = G S + G' S + G S' + L^T D    S = T(s): the next chunk's reads wait for nothing else
//     D' = D - T(D) + Y E'
//     o  = Q S + P D + P D'             with the state that the chunk finds
//     s  = s + L'^T D + L^T D'          the state behind the chunk
//     S' = s - T(s)
#pragma once

#include "row_sums.h"

namespace neumann_tril {

template <typename In, typename T>
class Recurrence : private RowSums<T> {
  public:
    // L1 from `l1` to `l1_end`, in bytes, is free; behind it is the state.
    __aicore__ inline Recurrence(const RuleTask& task, GM_ADDR o, GM_ADDR final_state,
                                 GM_ADDR chunk_states, GM_ADDR workspace,
                                 const RuleWorkspace& places, uint32_t l1, uint32_t l1_end)
        : RowSums<T>(task),
          places_(places),
          parts_{task.key_size, task.value_tile},
          l1_(l1),
          slot_((parts_.Words() + 2 * kSquare) * sizeof(T)),
          depth_(l1 + kConstantBytes + 2 * (slot_ + kRuleChunk * task.value_tile * sizeof(T)) <=
                         l1_end
                     ? 2
                     : 1),
          state_(l1_end),
          workspace_(workspace) {
        o_.SetGlobalBuffer((__gm__ In*)o);
        final_.SetGlobalBuffer((__gm__ float*)final_state);
        states_.SetGlobalBuffer((__gm__ float*)chunk_states);
        constants_.SetGlobalBuffer((__gm__ T*)(workspace + BatchWorkspace::kSigns));
        writers_.SetGlobalBuffer((__gm__ T*)(workspace + BatchWorkspace::kFactors));
    }

    __aicore__ inline static constexpr uint32_t StateBytes() { return 64 * 1024; }

    __aicore__ inline void Run(const RuleBatch& batch, int32_t number) {
        Open();
        for (int32_t i = 0; i < depth_ - 1 && i < batch.count; ++i) {
            Fetch(i, number);
        }
        for (int32_t i = 0; i < batch.count; ++i) {
            const int32_t ahead = i + depth_ - 1;
            if (ahead < batch.count) {
                Fetch(ahead, number);
            }
            Advance(batch.of[i], i, number);
        }
        Close();
    }

  private:
    using Base = RowSums<T>;
    using Base::Acquire, Base::Loaded, Base::Await, Base::Release, Base::BeginSum, Base::BeginStore,
        Base::EndStore;
    using Base::kErrorImage, Base::kErrorRest, Base::kWrittenImage, Base::kWrittenRest,
        Base::kStateImage, Base::kStateRest;
    using Base::keys_, Base::values_, Base::task_;
    using Base::kRows, Base::kError, Base::kOutput, Base::kStateSum;
    using Base::kWriter, Base::kAttention, Base::kDecay, Base::kState, Base::kValues,
        Base::kWritten;
    using Base::L1, Base::Writer, Base::Attention, Base::Decay, Base::Identity, Base::MinusIdentity,
        Base::Right, Base::Row, Base::SumOf;
    using Base::LoadReader, Base::LoadOuter, Base::Take, Base::Keep;
    using Base::ReadState, Base::AddOuter, Base::AddScaled, Base::AddLower;
    using typename Base::Left;

    static constexpr uint32_t kConstantBytes = 512 * sizeof(T);

    // Inputs that do not arrive in turns.
    static constexpr int32_t kConstants = 2, kFirstState = 3;

    // --- memory

    __aicore__ inline AscendC::LocalTensor<T> Slot(int32_t i) const {
        return L1(l1_ + kConstantBytes + i % depth_ * slot_, slot_ / sizeof(T));
    }
    __aicore__ inline AscendC::LocalTensor<T> Tile(int32_t which) const {
        const uint32_t count = kRuleChunk * task_.value_tile;
        return L1(l1_ + kConstantBytes + depth_ * slot_ + which * count * sizeof(T), count);
    }
    // E and later D; what is left of them.
    __aicore__ inline AscendC::LocalTensor<T> Rounded() const { return Tile(0); }
    __aicore__ inline AscendC::LocalTensor<T> Rest() const { return Tile(1); }
    __aicore__ inline AscendC::LocalTensor<T> State(int32_t part) const {
        const uint32_t count = task_.key_size * task_.value_tile;
        return L1(state_, 2 * count)[part * count];
    }

    // --- events

    __aicore__ inline void Open() const {
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(s);
        }
        Base::OpenSums();
        AscendC::DataCopy(L1(l1_, 512), constants_, 512);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(kConstants);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(kConstants);
        LoadLeft(Identity(), L1(l1_, 512), 2, 2, 1);
    }
    __aicore__ inline void Close() {
        if (state_loaded_) {
            Release(kState);
            state_loaded_ = false;
        }
        if (rest_stored_) {
            AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(kStateRest);
            rest_stored_ = false;
        }
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(s);
        }
        Base::CloseSums();
    }

    // --- inputs

    __aicore__ inline void Fetch(int32_t i, int32_t number) const {
        const auto slot = Slot(i);
        AscendC::GlobalTensor<T> parts;
        parts.SetGlobalBuffer((__gm__ T*)(workspace_ + places_.Parts(number)));
        const auto from = parts[i * static_cast<int64_t>(parts_.Words())];
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(i % depth_);
        FetchSquares(slot, from, kKeyParts, task_.key_size);
        FetchSquares(slot[parts_.Value()], from[parts_.Value()], 1, task_.value_tile);
        FetchSquares(slot[parts_.Attention()], from[parts_.Attention()], 1, kRuleChunk);
        AscendC::DataCopy(slot[parts_.Decay()], from[parts_.Decay()], 512);
        FetchSquares(slot[parts_.Words()], writers_[i * 2 * kSquare], 2, kRuleChunk);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(i % depth_);
    }
    // `count` matrices of 64 rows, one after another.
    __aicore__ inline static void FetchSquares(const AscendC::LocalTensor<T>& image,
                                               const AscendC::GlobalTensor<T>& rows, int32_t count,
                                               int32_t columns) {
        FetchTiles(image, rows, count, kRuleChunk, columns, static_cast<uint16_t>(columns),
                   kRuleChunk * columns, kRuleChunk, kRuleChunk * columns);
    }

    // The state before the first chunk, once nothing reads or writes that of the last sequence.
    __aicore__ inline void FetchState(int32_t i, int32_t number) const {
        AscendC::GlobalTensor<T> state;
        state.SetGlobalBuffer(
            (__gm__ T*)(workspace_ + places_.States(number) + i * places_.StateBytes()));
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE2>(0);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE2>(0);
        const int32_t count = task_.key_size * task_.value_tile;
        FetchTiles(State(0), state, 2, task_.key_size, task_.value_tile,
                   static_cast<uint16_t>(task_.value_tile), count, task_.key_size, count);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(kFirstState);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(kFirstState);
    }

    // --- a chunk
    //
    // Loads are issued as early as their operand is free, so that MTE1, which works in order, does
    // not hold them up behind one that waits for Fixpipe; and products that nothing waits for fill
    // the time in which E, D and S are on their way through L1.

    __aicore__ inline void Advance(const RuleChunk& chunk, int32_t i, int32_t number) {
        has_state_ = !chunk.first || task_.initial_state != 0;
        if (chunk.first && has_state_) {
            FetchState(i, number);
        }
        const auto slot = Slot(i);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(i % depth_);
        FormError(slot);
        LoadWriter(slot);
        Take(kValues, Rounded(), kRows, kErrorImage);
        KeepRestOfError();
        if (has_state_) {
            ReadState(kOutput, slot[parts_.Key(kPartQ)], query_, false);
            Release(kState);
            LoadRestOfState();
        }
        Write();
        const int32_t last = LoadOuter(slot[parts_.Key(kPartLast)], 0);
        if (has_state_) {
            DecayRest();
        }
        Take(kWritten, Rounded(), kRows, kWrittenImage);
        Update(slot, last, !chunk.last);
        Take(kValues, Rest(), kRows, kErrorRest);
        LoadAttention(slot);
        KeepRestOfWritten();
        AddAttention(kWritten, has_state_);
        CompleteState(slot, !chunk.last);
        Take(kValues, Rest(), kRows, kWrittenRest);
        FormOutput(chunk);
        CompleteStateWithRest(slot);
        AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(i % depth_);
        StoreStates(chunk);
        if (!chunk.last) {
            KeepRestOfState();
        }
    }

    // --- operands

    __aicore__ inline void LoadWriter(const AscendC::LocalTensor<T>& slot) const {
        Acquire(kWriter);
        for (int32_t part = 0; part < 2; ++part) {
            LoadLeftRows(Writer(part), slot[parts_.Words() + part * kSquare], kRows, kRows, kRows);
        }
        Loaded(kWriter);
    }
    __aicore__ inline void LoadAttention(const AscendC::LocalTensor<T>& slot) const {
        Acquire(kAttention);
        LoadLeftRows(Attention(), slot[parts_.Attention()], kRows, kRows, kRows);
        Loaded(kAttention);
    }
    __aicore__ inline void LoadRestOfState() {
        Acquire(kState);
        if (rest_stored_) {
            AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(kStateRest);
            rest_stored_ = false;
        }
        LoadRight(Right(kState), State(1), keys_, keys_, values_);
        Loaded(kState);
        state_loaded_ = false;
    }
    // --- steps

    // E = V + K S; and s = G S + G' S, while E is on its way
    __aicore__ inline void FormError(const AscendC::LocalTensor<T>& slot) {
        int32_t key = 0;
        Acquire(kValues);
        LoadRight(Right(kValues), slot[parts_.Value()], kRows, kRows, values_);
        Loaded(kValues);
        if (has_state_) {
            if (!state_loaded_) {
                Acquire(kState);
                LoadRight(Right(kState), State(0), keys_, keys_, values_);
                Loaded(kState);
                Await(kState);
            }
            key = LoadReader(slot[parts_.Key(kPartK)], 0);
            Acquire(kDecay);
            LoadLeft(Decay(0), slot[parts_.Decay()], 2, 2, 1);
            Loaded(kDecay);
        }
        BeginSum(kError);
        Await(kValues);
        AddScaled(kError, Identity(), kValues, kRows, false);
        Release(kValues);
        if (has_state_) {
            ReadState(kError, slot[parts_.Key(kPartK)], key, true);
        }
        Keep(kError, Rounded(), kRows, kErrorImage);
        if (has_state_) {
            query_ = LoadReader(slot[parts_.Key(kPartQ)], 0);
            BeginSum(kStateSum);
            Await(kDecay);
            AddScaled(kStateSum, Decay(0), kState, keys_, false);
            AscendC::PipeBarrier<PIPE_M>();
            AddScaled(kStateSum, Decay(1), kState, keys_, true);
        }
    }

    // E' = E - T(E)
    __aicore__ inline void KeepRestOfError() const {
        BeginSum(kError);
        Await(kValues);
        AddScaled(kError, MinusIdentity(), kValues, kRows, true);
        Keep(kError, Rest(), kRows, kErrorRest);
    }

    // D = Y E + Y' E
    __aicore__ inline void Write() const {
        BeginSum(kError);
        Await(kWriter);
        AddLower(kError, Writer(0), kValues, false);
        AscendC::PipeBarrier<PIPE_M>();
        AddLower(kError, Writer(1), kValues, true);
        Release(kValues);
        Keep(kError, Rounded(), kRows, kWrittenImage);
    }

    // s = s + G S'
    __aicore__ inline void DecayRest() const {
        Await(kState);
        AddScaled(kStateSum, Decay(0), kState, keys_, true);
        Release(kState);
        Release(kDecay);
    }

    // s = s + L^T D;  S = T(s)
    __aicore__ inline void Update(const AscendC::LocalTensor<T>& slot, int32_t operand, bool keep) {
        if (!has_state_) {
            BeginSum(kStateSum);
        }
        Await(kWritten);
        AscendC::PipeBarrier<PIPE_M>();
        AddOuter(slot[parts_.Key(kPartLast)], operand, kWritten, has_state_);
        if (keep) {
            Keep(kStateSum, State(0), keys_, kStateImage);
        }
    }

    // D' = D - T(D) + Y E'
    __aicore__ inline void KeepRestOfWritten() const {
        BeginSum(kError);
        AddScaled(kError, MinusIdentity(), kWritten, kRows, true);
        AscendC::PipeBarrier<PIPE_M>();
        Await(kValues);
        AddLower(kError, Writer(0), kValues, true);
        Release(kWriter);
        Release(kValues);
        Keep(kError, Rest(), kRows, kWrittenRest);
    }

    // o = o + P D
    __aicore__ inline void AddAttention(int32_t written, bool accumulate) const {
        if (!accumulate) {
            BeginSum(kOutput);
        }
        Await(kAttention);
        AddLower(kOutput, Attention(), written, accumulate);
    }

    // s = s + L'^T D
    __aicore__ inline void CompleteState(const AscendC::LocalTensor<T>& slot, bool kept) {
        const auto rest = slot[parts_.Key(kPartLastRest)];
        const int32_t operand = LoadOuter(rest, 0);
        if (kept) {
            BeginSum(kStateSum);
        }
        AddOuter(rest, operand, kWritten, true);
        Release(kWritten);
    }

    // o = o + P D'
    __aicore__ inline void FormOutput(const RuleChunk& chunk) const {
        Await(kValues);
        AscendC::PipeBarrier<PIPE_M>();
        AddLower(kOutput, Attention(), kValues, true);
        Release(kAttention);
        StoreOutput(chunk);
    }

    // s = s + L^T D'
    __aicore__ inline void CompleteStateWithRest(const AscendC::LocalTensor<T>& slot) {
        const auto last = slot[parts_.Key(kPartLast)];
        const int32_t operand = LoadOuter(last, 0);
        AddOuter(last, operand, kValues, true);
        Release(kValues);
    }

    // S' = s - S
    __aicore__ inline void KeepRestOfState() {
        Take(kState, State(0), keys_, kStateImage);
        state_loaded_ = true;
        Await(kState);
        AscendC::PipeBarrier<PIPE_M>();
        AddScaled(kStateSum, MinusIdentity(), kState, keys_, true);
        Keep(kStateSum, State(1), keys_, kStateRest);
        rest_stored_ = true;
    }

    // --- results

    __aicore__ inline void StoreOutput(const RuleChunk& chunk) const {
        const int64_t row = static_cast<int64_t>(task_.value_heads) * task_.value_size;
        const int64_t first =
            ResultAt(task_, chunk, task_.value_size) + chunk.tile * task_.value_tile;
        BeginStore(kOutput);
        for (int32_t r = 0; r * 16 < chunk.valid; ++r) {
            StoreRows(o_[first + r * 16 * row], SumOf(kOutput)[Row(r)], CubeCast<In>::value,
                      kNoScale, static_cast<uint16_t>(Clamp(chunk.valid - r * 16, 16)),
                      task_.value_tile, static_cast<uint32_t>(row), 16);
        }
        EndStore(kOutput);
    }

    // The state behind the chunk, where it is wanted; s is open afterwards, unless the chunk is the
    // last.
    __aicore__ inline void StoreStates(const RuleChunk& chunk) const {
        if (!chunk.last && task_.chunk_states == 0) {
            return;
        }
        BeginStore(kStateSum);
        if (!chunk.last) {
            StoreState(states_, StateAt(task_, chunk.number + 1, chunk));
        } else if (task_.final_state != 0) {
            StoreState(final_, StateAt(task_, chunk.sequence, chunk));
        }
        EndStore(kStateSum);
        if (!chunk.last) {
            BeginSum(kStateSum);
        }
    }
    __aicore__ inline void StoreState(const AscendC::GlobalTensor<float>& states,
                                      int64_t first) const {
        for (int32_t r = 0; r < keys_; ++r) {
            StoreRows(states[first + r * 16 * static_cast<int64_t>(task_.value_size)],
                      SumOf(kStateSum)[Row(r)], CubeCast<float>::value, kNoScale, 16,
                      task_.value_tile, task_.value_size, 16);
        }
    }

    const RuleWorkspace places_;
    const RuleParts parts_;
    const uint32_t l1_, slot_;
    const int32_t depth_;  // chunks in L1
    const uint32_t state_;
    GM_ADDR workspace_;
    AscendC::GlobalTensor<In> o_;
    AscendC::GlobalTensor<float> final_, states_;
    AscendC::GlobalTensor<T> constants_, writers_;
    int32_t query_ = 0;          // the operand that holds Q
    bool has_state_ = false;     // S is not zero
    bool state_loaded_ = false;  // S is in L0B
    bool rest_stored_ = false;   // and nobody has waited for it
};

}  // namespace neumann_tril
