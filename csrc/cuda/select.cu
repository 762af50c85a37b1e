// select: the key of a unit's rank-th largest value among those above its bound, exactly (radix.cuh).
//
// Reads a value four times (float32), three (float16) or twice (bfloat16): 16, 6 or 4 bytes a value and pair of ranks,
// from the cache where a unit's values fit it; writes 4 bytes a rank. Bound by these reads.
//
//   many units           one launch: a block a unit and pair of ranks, all digits in it
//   few, of many values  `shares` blocks a unit, which count one digit into global memory, and a block a unit that
//                        chooses it: two launches a digit
#include "radix.cuh"

// The block's unit and ranks, out of ranks [units, columns]: blockIdx.x is the unit and share, blockIdx.y the pair.
struct Pair {
  int64_t unit, share, first;  // `first`: in ranks and chosen
  unsigned count;

  __device__ Pair(int64_t columns, int64_t shares) {
    unit = blockIdx.x / shares, share = blockIdx.x % shares;
    first = unit * columns + 2 * int64_t(blockIdx.y);
    count = 2 * int64_t(blockIdx.y) + 1 < columns ? 2u : 1u;
  }
};

template <typename Kind>
__device__ void select_block(const Parts<Kind>& parts, const uint32_t* bounds, const int64_t* ranks, int64_t columns,
                             uint32_t* chosen, unsigned char* shared) {
  const Pair pair(columns, 1);
  const Selecting s(shared, int(pair.count), parts.total(pair.unit));
  const uint32_t bound = bounds[pair.unit];
  if (threadIdx.x < pair.count) s.wanted[threadIdx.x] = Wanted{ranks[pair.first + threadIdx.x], 0, 1};
  __syncthreads();
  select_ranks(parts, pair.unit, bound, s);
  if (threadIdx.x < pair.count) chosen[pair.first + threadIdx.x] = answer<Kind>(s.wanted[threadIdx.x], bound);
}

// One digit of a share of the values, added to totals [units x columns, 256]; `wanted` is [units, columns].
template <typename Kind>
__device__ void count_share(const Parts<Kind>& parts, const uint32_t* bounds, const Wanted* wanted, int64_t columns,
                            int64_t shares, int64_t shift, int64_t* totals, unsigned char* shared) {
  const Pair pair(columns, shares);
  const Selecting s(shared, int(pair.count), parts.total(pair.unit) / shares);
  if (threadIdx.x < pair.count) s.wanted[threadIdx.x] = wanted[pair.first + threadIdx.x];
  __syncthreads();
  count_digit(parts, pair.unit, pair.share, shares, bounds[pair.unit], int(shift), s);
  for (unsigned i = threadIdx.x; i < pair.count * kDigits; i += blockDim.x)
    if (s.totals[i]) add_to(totals + pair.first * kDigits + i, s.totals[i]);
}

// A block a unit and pair: the digit, with totals cleared for the next one. The last digit gives the answer.
template <typename Kind>
__device__ void choose_block(const uint32_t* bounds, Wanted* wanted, int64_t columns, int64_t shift, int64_t* totals,
                             uint32_t* chosen, unsigned char* shared) {
  const Pair pair(columns, 1);
  const Selecting s(shared, int(pair.count), 0);
  for (unsigned i = threadIdx.x; i < pair.count * kDigits; i += blockDim.x) {
    s.totals[i] = totals[pair.first * kDigits + i];
    totals[pair.first * kDigits + i] = 0;
  }
  if (threadIdx.x < pair.count) s.wanted[threadIdx.x] = wanted[pair.first + threadIdx.x];
  __syncthreads();
  choose_digits(s, int(shift));
  if (threadIdx.x < pair.count) {
    wanted[pair.first + threadIdx.x] = s.wanted[threadIdx.x];
    if (shift == SettledBits<Kind>::kCount)
      chosen[pair.first + threadIdx.x] = answer<Kind>(s.wanted[threadIdx.x], bounds[pair.unit]);
  }
}

FD_KERNEL fd_select_begin(const int64_t* ranks, int64_t count, Wanted* wanted) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) wanted[i] = Wanted{ranks[i], 0, 1};
}

#define FD_SELECT(NAME, KIND)                                                                                          \
  FD_KERNEL __launch_bounds__(1024) fd_select_block_##NAME(FD_PARTS_PARAMETERS, const uint32_t* bounds,                \
                                                           const int64_t* ranks, int64_t columns, uint32_t* chosen) {  \
    FD_SHARED(unsigned char, shared);                                                                                  \
    select_block(FD_PARTS(KIND), bounds, ranks, columns, chosen, shared);                                              \
  }                                                                                                                    \
  FD_KERNEL fd_select_count_##NAME(FD_PARTS_PARAMETERS, const uint32_t* bounds, const Wanted* wanted, int64_t columns, \
                                   int64_t shares, int64_t shift, int64_t* totals) {                                   \
    FD_SHARED(unsigned char, shared);                                                                                  \
    count_share(FD_PARTS(KIND), bounds, wanted, columns, shares, shift, totals, shared);                               \
  }                                                                                                                    \
  FD_KERNEL fd_select_choose_##NAME(const uint32_t* bounds, Wanted* wanted, int64_t columns, int64_t shift,            \
                                    int64_t* totals, uint32_t* chosen) {                                               \
    FD_SHARED(unsigned char, shared);                                                                                  \
    choose_block<KIND>(bounds, wanted, columns, shift, totals, chosen, shared);                                        \
  }
FD_EACH_KIND(FD_SELECT)
