// Flags, barriers, block indices and core state.
#pragma once

#include "ascendc/tensor.h"

namespace emulator {
void init_soc_state(Site site);
int64_t block_index();
int64_t block_count();
int64_t sub_block_index();
int64_t sub_block_count();
int64_t task_ratio();
struct SyncAllPipes {
    pipe_t triggerPipe;
    pipe_t waitPipe;
};
}  // namespace emulator

// The compiler's form of PipeBarrier.
inline void pipe_barrier(pipe_t pipe, emulator::Site site = emulator::Site::here()) {
    emulator::current_core().barrier(pipe, site);
}

namespace AscendC {

inline void InitSocState(emulator::Site site = emulator::Site::here()) {
    emulator::init_soc_state(site);
}

template <HardEvent event>
inline void SetFlag(int32_t event_id, emulator::Site site = emulator::Site::here()) {
    constexpr EventPipes pipes = event_pipes(event);
    emulator::current_core().set_flag(pipes.from, pipes.to, event_id, site);
}

template <HardEvent event>
inline void WaitFlag(int32_t event_id, emulator::Site site = emulator::Site::here()) {
    constexpr EventPipes pipes = event_pipes(event);
    emulator::current_core().wait_flag(pipes.from, pipes.to, event_id, site);
}

template <pipe_t pipe>
inline void PipeBarrier(emulator::Site site = emulator::Site::here()) {
    emulator::current_core().barrier(pipe, site);
}

// Where the flags between cores lie in memory; the emulator's have no address.
inline void SetSyncBaseAddr(uint64_t) {}

// The user's part of the workspace. A launch passes nothing else: there is no system part to skip.
inline __gm__ uint8_t* GetUserWorkspace(__gm__ uint8_t* workspace,
                                        emulator::Site site = emulator::Site::here()) {
    if (workspace == nullptr) emulator::fail(site, "GetUserWorkspace: workspace is nullptr");
    return workspace;
}

template <pipe_t from, pipe_t to>
class TQueSync {
  public:
    void SetFlag(int8_t id, emulator::Site site = emulator::Site::here()) {
        emulator::current_core().set_flag(from, to, id, site);
    }
    void WaitFlag(int8_t id, emulator::Site site = emulator::Site::here()) {
        emulator::current_core().wait_flag(from, to, id, site);
    }
};

template <uint8_t mode, pipe_t pipe>
inline void CrossCoreSetFlag(uint16_t flag_id, emulator::Site site = emulator::Site::here()) {
    emulator::current_core().cross_set(mode, pipe, flag_id, site);
}

template <uint8_t mode = 0, pipe_t pipe = PIPE_S>
inline void CrossCoreWaitFlag(uint16_t flag_id, emulator::Site site = emulator::Site::here()) {
    emulator::current_core().cross_wait(mode, pipe, flag_id, site);
}

template <bool isAIVOnly = true>
inline void SyncAll(emulator::Site site = emulator::Site::here()) {
    emulator::current_core().sync_all(isAIVOnly, site);
}
using SyncAllConfig EMULATOR_ONLY_ON_3510("SyncAllConfig") = emulator::SyncAllPipes;
EMULATOR_ONLY_ON_3510("DEFAULT_SYNC_ALL_CONFIG")
inline constexpr emulator::SyncAllPipes DEFAULT_SYNC_ALL_CONFIG = {PIPE_ALL, PIPE_ALL};
template <bool isAIVOnly, const emulator::SyncAllPipes& config>
EMULATOR_ONLY_ON_3510("SyncAll with SyncAllConfig")
inline void SyncAll(emulator::Site site = emulator::Site::here()) {
    SyncAll<isAIVOnly>(site);
}

// Orders memory, not pipes; the emulator's memory is always in order.
template <MemDsbT kind>
inline void DataSyncBarrier() {}

inline int64_t GetBlockIdx() { return emulator::block_index(); }
inline int64_t GetBlockNum() { return emulator::block_count(); }
inline int64_t GetSubBlockIdx() { return emulator::sub_block_index(); }
inline int64_t GetSubBlockNum() { return emulator::sub_block_count(); }
inline int64_t GetTaskRatio() { return emulator::task_ratio(); }
inline int64_t GetTaskRation() { return emulator::task_ratio(); }

}  // namespace AscendC
