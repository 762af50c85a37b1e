// CUDA kernels on the CPU, for the tests: one fibre a CUDA thread, one block at a time.
//
// A fibre runs until it waits at a barrier; then the next one runs. `stride` says which is next: 1, -1 and others
// are all legal schedules, so results that depend on it show a missing barrier. What CUDA leaves undefined stops the
// launch with a message: a warp function whose mask names a lane that has ended, barriers that can never be met.
// Dynamic shared memory is exactly as large as the launch says, so that AddressSanitizer sees every step outside it,
// and is filled with 0xCD at each block's start: nobody may count on zeros.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include <math.h>

#include "order.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

namespace shim {

struct Index {
  unsigned x, y, z;
};

struct Meeting {  // of the lanes of one mask; keyed by its lowest lane
  unsigned mask = 0, arrived = 0, generation = 0;
  char met[2] = {};  // even and odd generations
};

struct Warp {
  uint64_t slot[32] = {};
  unsigned ended = 0;  // lanes
  Meeting meetings[32];
};

struct Thread {
  void *stack_pointer = nullptr, *fiber = nullptr;
  Index index{};
  unsigned lane = 0, warp = 0;
  bool done = false;
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Index index{}, dimensions{}, grid{};
  unsigned live = 0, arrived = 0, generation = 0, ors = 0, counts = 0, met_or = 0, met_count = 0;
  unsigned current = 0, stride = 1;
  uint64_t progress = 0;  // barriers met and threads ended
  void (*entry)() = nullptr;
  void *home = nullptr, *home_fiber = nullptr;
  char met[2] = {};
  char* shared = nullptr;
  char failure[256] = {};
};

inline Block block;  // the one that runs; launches are not nested and hold the interpreter's lock
constexpr size_t kStack = (kWatched ? 16 : 64) * 1024;

inline void* shared_memory() { return block.shared; }
inline Thread& self() {
  Quiet quiet;
  return block.threads[block.current];
}

extern "C" void fd_shim_switch(void** save, void* to);

[[noreturn]] inline void fail(const char* what) {
  std::snprintf(block.failure, sizeof block.failure, "%s (block %u,%u thread %u)", what, block.index.x, block.index.y,
                self().index.x);
  void* nowhere;
  enter_fiber(block.home_fiber);
  fd_shim_switch(&nowhere, block.home);
  std::abort();
}

inline unsigned next_live() {
  const unsigned count = unsigned(block.threads.size());
  unsigned next = block.current;
  do next = (next + block.stride) % count;
  while (block.threads[next].done);
  return next;
}

inline void yield() {
  Thread& me = self();
  const unsigned next = next_live();
  if (next == block.current) return;
  block.current = next;
  void **save = &me.stack_pointer, *to = block.threads[next].stack_pointer;
  enter_fiber(block.threads[next].fiber);
  fd_shim_switch(save, to);
}

// Wait until `met()`; every other thread has its turn several times before this counts as a deadlock.
template <class Met>
inline void wait_until(Met met) {
  uint64_t progress = block.progress;
  unsigned idle = 0;
  while (!met()) {
    yield();
    if (block.progress != progress) {
      progress = block.progress;
      idle = 0;
    } else if (++idle > 4) {
      fail("deadlock: threads wait at barriers that the others never reach");
    }
  }
}

inline void end_of_barrier() {
  block.arrived = 0;
  block.met_or = block.ors;
  block.met_count = block.counts;
  block.ors = block.counts = 0;
  ++block.generation;
  ++block.progress;
}

inline void block_barrier(bool predicate) {
  Quiet quiet;
  const unsigned own = block.generation;
  before_barrier(&block.met[own & 1]);
  block.ors |= predicate;
  block.counts += predicate;
  if (++block.arrived == block.live) end_of_barrier();
  wait_until([own] { return block.generation != own; });
  after_barrier(&block.met[own & 1]);
}

// `memory`: it orders memory, as __syncwarp does; shuffles and ballots only move their values.
inline void warp_barrier(unsigned mask, bool memory = false) {
  Quiet quiet;
  Thread& me = self();
  Warp& warp = block.warps[me.warp];
  const unsigned present = block.threads.size() - me.warp * 32 >= 32 ? 0xFFFFFFFFu
                                                                     : (1u << (block.threads.size() - me.warp * 32)) - 1;
  if (!(mask >> me.lane & 1)) fail("a warp function's mask leaves out the lane that calls it");
  if (mask & ~present) fail("a warp function's mask names lanes that the block does not have");
  if (mask & warp.ended) fail("a warp function's mask names lanes that have ended");
  Meeting& meeting = warp.meetings[__builtin_ctz(mask)];
  if (meeting.arrived && meeting.mask != mask) fail("lanes of one warp meet with different masks");
  meeting.mask = mask;
  meeting.arrived |= 1u << me.lane;
  const unsigned own = meeting.generation;
  if (memory) before_barrier(&meeting.met[own & 1]);
  if (meeting.arrived == mask) {
    meeting.arrived = 0;
    ++meeting.generation;
    ++block.progress;
  }
  wait_until([&] {
    if (meeting.generation == own && (mask & warp.ended)) fail("a lane ended that a warp function waits for");
    return meeting.generation != own;
  });
  if (memory) after_barrier(&meeting.met[own & 1]);
}

template <class V>
inline V exchange(unsigned mask, V value, unsigned from) {
  static_assert(sizeof(V) <= 8 && std::is_trivially_copyable<V>::value, "shuffles move 8 bytes at most");
  Quiet quiet;
  Warp& warp = block.warps[self().warp];
  std::memcpy(&warp.slot[self().lane], &value, sizeof value);
  warp_barrier(mask);
  if (!(mask >> from & 1)) fail("a shuffle reads from a lane that its mask leaves out");
  V read;
  std::memcpy(&read, &warp.slot[from], sizeof read);
  warp_barrier(mask);
  return read;
}

inline unsigned ballot(unsigned mask, bool predicate) {
  Quiet quiet;
  Warp& warp = block.warps[self().warp];
  warp.slot[self().lane] = predicate;
  warp_barrier(mask);
  unsigned bits = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) bits |= unsigned(warp.slot[i] & 1) << i;
  warp_barrier(mask);
  return bits;
}

// The lane that a shuffle of `width` lanes reads from; out of the segment: the own one.
inline unsigned segment(unsigned width) { return self().lane & ~(width - 1); }

inline float float_of_half(uint16_t bits) {
  // sign | 5 exponent bits | 10 mantissa bits; subnormals are scaled exactly by a multiplication
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16, body = bits & 0x7FFFu;
  const float small = float(body) * 5.9604644775390625e-8f;  // 2**-24
  uint32_t word;
  std::memcpy(&word, &small, 4);
  if (body >= 0x7C00u) word = 0x7F800000u | (body & 0x3FFu) << 13;
  else if (body >= 0x0400u) word = (body << 13) + 0x38000000u;
  word |= sign;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

}  // namespace shim

#define threadIdx (shim::self().index)
#define blockIdx (shim::block.index)
#define blockDim (shim::block.dimensions)
#define gridDim (shim::block.grid)

inline void __syncthreads() { shim::block_barrier(false); }
inline int __syncthreads_or(int p) { return shim::block_barrier(p != 0), int(shim::block.met_or); }
inline int __syncthreads_count(int p) { return shim::block_barrier(p != 0), int(shim::block.met_count); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { shim::warp_barrier(mask, true); }
template <class V>
inline V __shfl_sync(unsigned mask, V v, int lane, int width = 32) {
  return shim::exchange(mask, v, shim::segment(width) + (unsigned(lane) & (width - 1)));
}
template <class V>
inline V __shfl_xor_sync(unsigned mask, V v, int bits, int width = 32) {
  const unsigned lane = shim::self().lane, from = lane ^ unsigned(bits);
  return shim::exchange(mask, v, from < shim::segment(width) + width ? from : lane);
}
template <class V>
inline V __shfl_up_sync(unsigned mask, V v, unsigned step, int width = 32) {
  const unsigned lane = shim::self().lane;
  return shim::exchange(mask, v, lane - shim::segment(width) >= step ? lane - step : lane);
}
template <class V>
inline V __shfl_down_sync(unsigned mask, V v, unsigned step, int width = 32) {
  const unsigned lane = shim::self().lane;
  return shim::exchange(mask, v, lane + step < shim::segment(width) + width ? lane + step : lane);
}
inline unsigned __ballot_sync(unsigned mask, int p) { return shim::ballot(mask, p != 0); }
inline int __any_sync(unsigned mask, int p) { return shim::ballot(mask, p != 0) != 0; }
inline int __all_sync(unsigned mask, int p) { return shim::ballot(mask, p != 0) == mask; }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned(((uint64_t(high) << 32) | low) >> (shift & 31));
}
inline unsigned __float_as_uint(float x) {
  unsigned u;
  std::memcpy(&u, &x, 4);
  return u;
}
inline float __uint_as_float(unsigned u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
template <class V>
inline V __ldg(const V* p) { return *p; }
template <class V>
inline V min(V a, V b) { return b < a ? b : a; }
template <class V>
inline V max(V a, V b) { return a < b ? b : a; }

// Relaxed, as CUDA's are. (One block runs at a time and fibres switch at barriers alone: the first try succeeds.)
#define FD_SHIM_ATOMIC(NAME, RESULT)            \
  template <class V>                            \
  inline V NAME(V* p, V v) {                    \
    V old = __atomic_load_n(p, __ATOMIC_RELAXED); \
    while (!__atomic_compare_exchange_n(p, &old, RESULT, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) { \
    }                                           \
    return old;                                 \
  }
FD_SHIM_ATOMIC(atomicAdd, V(old + v))
FD_SHIM_ATOMIC(atomicMin, V(v < old ? v : old))
FD_SHIM_ATOMIC(atomicMax, V(old < v ? v : old))
FD_SHIM_ATOMIC(atomicOr, V(old | v))
FD_SHIM_ATOMIC(atomicAnd, V(old & v))
FD_SHIM_ATOMIC(atomicExch, V(v))
#undef FD_SHIM_ATOMIC
template <class V>
inline V atomicCAS(V* p, V expected, V v) {
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
