// ranked: the key of a rank among keys that are not held but visited, three times, by one block.
//
// A radix select from the top, 11 + 11 + 10 bits:
//
//     key    dddddddddddeeeeeeeeeeeffffffffff     pass 1 counts d, pass 2 the e of the chosen d, pass 3 the f
//
// Bins are uint32 in shared memory; they are emptied into int64 totals before more keys than they can count have come.
// Neighbouring pixels fall into the same bin, so a warp adds its commonest bins as one.
#pragma once
#include "numbers.cuh"

constexpr int kBins = 2048;

struct Select {  // in shared memory
  int64_t totals[kBins];
  uint32_t bins[kBins];
  int64_t rank;  // among the keys that share the chosen bits
  uint32_t bin;
};

// All lanes of a warp come here. The two first lanes' bins are added for all lanes that share them.
__device__ inline void tally(uint32_t* bins, uint32_t bin, bool active) {
  const int lane = threadIdx.x & 31;
  unsigned left = __ballot_sync(kFullWarp, active);
  for (int round = 0; round < 2 && left; ++round) {
    const int leader = __ffs(int(left)) - 1;
    const uint32_t common = __shfl_sync(kFullWarp, bin, leader);
    const unsigned same = __ballot_sync(kFullWarp, active && bin == common);
    if (lane == leader) atomicAdd(bins + common, uint32_t(__popc(same)));
    active = active && bin != common;
    left &= ~same;
  }
  if (active) atomicAdd(bins + bin, 1u);
}

__device__ inline void empty_bins(Select* s) {
  __syncthreads();
  for (int b = threadIdx.x; b < kBins; b += blockDim.x) {
    s->totals[b] += s->bins[b];
    s->bins[b] = 0;
  }
  __syncthreads();
}

// The bin that holds the rank-th largest, and the rank inside it; rank 0 if there are fewer. Warp 0: a lane a stretch.
__device__ inline void pick(Select* s) {
  constexpr int kStretch = kBins / 32;
  if (threadIdx.x < 32) {
    const int top = kBins - 1 - int(threadIdx.x) * kStretch;
    int64_t own = 0;
    for (int i = 0; i < kStretch; ++i) own += s->totals[top - i];
    int64_t to = own;  // keys in this lane's bins and the larger ones
    for (int step = 1; step < 32; step *= 2) {
      const int64_t before = __shfl_up_sync(kFullWarp, to, step);
      if (int(threadIdx.x) >= step) to += before;
    }
    const int64_t rank = s->rank;
    __syncwarp();
    if (threadIdx.x == 31 && to < rank) s->rank = 0;
    if (to - own < rank && rank <= to) {
      int64_t left = rank - (to - own);
      int bin = top;
      while (s->totals[bin] < left) left -= s->totals[bin--];
      s->bin = uint32_t(bin);
      s->rank = left;
    }
  }
  __syncthreads();
}

// Key of the rank-th largest among the keys above `bound`; `bound` if there are fewer. each_key(room, use) calls
// use(key, inside) by whole warps, and room(n) by the whole block before at most n keys more; `most`: keys that the
// bins can take, at most 2**32 - 1.
template <typename EachKey>
__device__ uint32_t ranked(Select* s, int64_t rank, uint32_t bound, uint64_t most, EachKey each_key) {
  uint32_t chosen = 0;
  if (threadIdx.x == 0) s->rank = rank;
  for (int pass = 0, above = 32; pass < 3; ++pass) {
    const int width = pass < 2 ? 11 : 10, shift = above - width;
    for (int b = threadIdx.x; b < kBins; b += blockDim.x) s->totals[b] = s->bins[b] = 0;
    __syncthreads();
    uint64_t held = 0;
    each_key(
        [&](uint64_t n) {
          held += n;
          if (held <= most) return;
          empty_bins(s);
          held = n;
        },
        [&](uint32_t key, bool inside) {
          const bool active = inside && key > bound && (pass == 0 || key >> above == chosen);
          tally(s->bins, key >> shift & ((1u << width) - 1), active);
        });
    empty_bins(s);
    pick(s);
    if (s->rank == 0) return bound;
    chosen = chosen << width | s->bin;
    above = shift;
  }
  return chosen;
}
