// Radix selection: the key of a rank, eight bits at a time from the top, by counting digits.
//
//   key   10111111 10000110 ........ ........     the bits found so far are the prefix; one read of the values counts
//         prefix-> digit                          the next digit of the keys that begin with it; from the largest
//                                                 digit down, the one in which the rank falls joins the prefix
//
// Few digits occur in the first read (sign and exponent), and equal atomics wait for each other: the counts are kept
// `copies` times, lane i adding to copy i mod copies, side by side so that the copies lie in different banks.
// A count is below 2**32 while a unit has fewer than 2**36 values, its lanes sharing them evenly over 16 copies.
#pragma once
#include "parts.cuh"

constexpr int kDigits = 256;

// Low bits that the others settle: a widened negative number's key ends in ones, a positive one's in zeros.
template <typename Kind>
struct SettledBits {
  static constexpr int kCount = 0;
};
template <>
struct SettledBits<Float16> {  // 8 exponent bits and 10 of the mantissa: 13 are settled, eight of them a whole digit
  static constexpr int kCount = 8;
};
template <>
struct SettledBits<Bfloat16> {
  static constexpr int kCount = 16;
};

struct Wanted {
  int64_t rank;      // among the keys that begin with `prefix`, 1 the largest
  uint32_t prefix;   // low bits 0
  uint32_t present;  // 0: there are fewer keys than the rank
};

// Shared memory of a block that looks for `ranks` of them (1 or 2): see shared_bytes in kernels/cuda/select.py.
struct Selecting {
  Wanted* wanted;    // [2]
  int64_t* totals;   // [2, 256]
  uint32_t* counts;  // [2, 256, copies]
  int ranks, copies;

  __device__ Selecting(unsigned char* shared, int ranks, int64_t values) : ranks(ranks) {
    wanted = reinterpret_cast<Wanted*>(shared);
    totals = reinterpret_cast<int64_t*>(shared + 2 * sizeof(Wanted));
    counts = reinterpret_cast<uint32_t*>(totals + ranks * kDigits);
    copies = values < 8192 ? 4 : 16;  // clearing and adding 16 copies costs more than few values do
  }
};

// The digit at `shift` of the keys above `bound` that begin with a prefix, into totals. Two ranks with one prefix
// share totals[0]. This is share `share` of `shares` of the unit's values. All threads; ends with a barrier.
template <typename Kind>
__device__ void count_digit(const Parts<Kind>& parts, int64_t unit, int64_t share, int64_t shares, uint32_t bound,
                            int shift, const Selecting& s) {
  for (int i = threadIdx.x; i < s.ranks * kDigits * s.copies; i += blockDim.x) s.counts[i] = 0;
  __syncthreads();
  const uint32_t first = s.wanted[0].prefix, second = s.wanted[s.ranks - 1].prefix;
  const int warps = blockDim.x / 32;
  uint32_t* own = s.counts + (threadIdx.x & (s.copies - 1));
  parts.each_value(unit, share * warps + threadIdx.x / 32, shares * warps, [&](float x) {
    const uint32_t key = key_of(x);
    if (is_nan(x) || key <= bound) return;
    const bool other = (key ^ first) >> shift >> 8;
    if (other && (key ^ second) >> shift >> 8) return;
    atomicAdd(own + (other * kDigits + (key >> shift & 255)) * s.copies, 1u);
  });
  __syncthreads();
  for (int i = threadIdx.x; i < s.ranks * kDigits; i += blockDim.x) {
    int64_t total = 0;
    for (int c = 0; c < s.copies; ++c) total += s.counts[i * s.copies + ((c + i) & (s.copies - 1))];
    s.totals[i] = total;
  }
  __syncthreads();
}

// One warp: the digit in which the rank falls, from totals [256]; the prefix grows by it.
__device__ inline void choose_digit(const int64_t* totals, int shift, Wanted* wanted) {
  const int lane = threadIdx.x & 31;
  int64_t own = 0;
  for (int i = 0; i < 8; ++i) own += totals[255 - 8 * lane - i];
  int64_t reached = own;
  for (int step = 1; step < 32; step *= 2) {
    const int64_t above = __shfl_up_sync(kFullWarp, reached, step);
    if (lane >= step) reached += above;
  }
  const int64_t rank = wanted->rank;
  __syncwarp();  // all have read the rank
  int64_t before = reached - own;
  if (before < rank && rank <= reached) {
    int digit = 255 - 8 * lane;
    for (; before + totals[digit] < rank; --digit) before += totals[digit];
    wanted->prefix |= uint32_t(digit) << shift;
    wanted->rank = rank - before;
  }
  if (lane == 31 && reached < rank) wanted->present = 0;
}

// The ranks' digits from totals: warp r takes rank r. All threads; ends with a barrier.
__device__ inline void choose_digits(const Selecting& s, int shift) {
  const bool apart = s.wanted[0].prefix != s.wanted[s.ranks - 1].prefix;
  __syncthreads();  // all have compared
  const int rank = threadIdx.x / 32;
  if (rank < s.ranks) choose_digit(s.totals + (apart ? rank * kDigits : 0), shift, s.wanted + rank);
  __syncthreads();
}

template <typename Kind>
__device__ uint32_t answer(const Wanted& wanted, uint32_t bound) {
  constexpr uint32_t kSettled = (1u << SettledBits<Kind>::kCount) - 1;
  if (!wanted.present) return bound;
  return wanted.prefix | (wanted.prefix < kZeroKey ? kSettled : 0);
}

// The whole selection by one block; `wanted` is filled and all threads know it.
template <typename Kind>
__device__ void select_ranks(const Parts<Kind>& parts, int64_t unit, uint32_t bound, const Selecting& s) {
  for (int shift = 24; shift >= SettledBits<Kind>::kCount; shift -= 8) {
    count_digit(parts, unit, 0, 1, bound, shift, s);
    choose_digits(s, shift);
    if (!s.wanted[0].present && !s.wanted[s.ranks - 1].present) return;
  }
}
