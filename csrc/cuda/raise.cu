// raise: bounds that rise towards the rank-th largest value, in one read of the values (protocol.py, raise_bounds).
//
// One block a unit. Of the n values s = 128 (32 if n < 4096) are sorted; two of them are the candidates:
//
//   samples, largest first   x x x x x A x x x x x x B x x x x x x ...
//                                      |             `- number s rank // n + s // 7
//                                      `- number s rank // n + s // 20
//
// One read counts the values above A and above B. Mostly A has `rank` above it; where B has not either (ties), the
// rank-th largest is selected, as in select.cu. Reads 4 (2) bytes a value, writes 4 bytes a unit: bound by the reads.
#include "radix.cuh"

constexpr int kMostSamples = 128;

// Sample `i` of `samples`: the key of value i * n // samples, the parts side by side; 0 for NaN.
template <typename Kind>
__device__ uint32_t sample_key(const Parts<Kind>& parts, int64_t unit, int64_t at) {
  uint32_t key = 0;
  parts.each_run(unit, [&](const typename Kind::Type* values, int64_t length) {
    if (at >= 0 && at < length) {
      const float x = Kind::widen(__ldg(values + at));
      if (!is_nan(x)) key = key_of(x);
    }
    at -= length;
  });
  return key;
}

// Sum over the block, to all threads; `sums` is shared and may be used again after the next barrier.
__device__ inline int64_t block_sum(uint64_t own, int64_t* sum) {
  for (int half = 16; half; half /= 2) own += __shfl_xor_sync(kFullWarp, own, half);
  if (threadIdx.x == 0) *sum = 0;
  __syncthreads();
  if ((threadIdx.x & 31) == 0) add_to(sum, int64_t(own));
  __syncthreads();
  return *sum;
}

// Shared memory: samples [128], the two candidates, their counts; then what selecting takes.
template <typename Kind>
__device__ void raise_block(const Parts<Kind>& parts, const uint32_t* bounds, int64_t rank, uint32_t* risen,
                            unsigned char* shared) {
  const int64_t unit = blockIdx.x, n = parts.total(unit);
  const uint32_t bound = bounds[unit];
  const Selecting s(shared, 1, n);
  int64_t* sums = reinterpret_cast<int64_t*>(s.counts + kDigits * 16);  // [2]
  uint32_t* samples = reinterpret_cast<uint32_t*>(sums + 2);            // [128]
  uint32_t* candidates = samples + kMostSamples;                        // [2]
  if (threadIdx.x == 0) risen[unit] = bound;
  if (n < rank || n == 0) return;

  const int taken = n >= 4096 ? 128 : 32, i = threadIdx.x;
  const int64_t place = rank * taken / n, first = place + taken / 20, second = place + taken / 7;
  if (i < taken) samples[i] = sample_key(parts, unit, i * n / taken);
  if (i < 2) candidates[i] = 0;  // no such sample: never above a bound
  __syncthreads();
  if (i < taken) {  // its place from the largest down; equal keys in the samples' order
    int64_t larger = 0;
    for (int j = 0; j < taken; ++j) larger += samples[j] > samples[i] || (samples[j] == samples[i] && j < i);
    if (larger == first) candidates[0] = samples[i];
    if (larger == second) candidates[1] = samples[i];
  }
  __syncthreads();
  const uint32_t high = candidates[0], low = candidates[1];
  if (high <= bound) return;
  uint64_t above_high = 0, above_low = 0;
  parts.each_value(unit, threadIdx.x / 32, blockDim.x / 32, [&](float x) {
    const uint32_t key = is_nan(x) ? 0 : key_of(x);
    above_high += key > high;
    above_low += key > low;
  });
  const bool enough = block_sum(above_high, sums) >= rank, enough_below = block_sum(above_low, sums + 1) >= rank;
  if (enough || low <= bound || enough_below) {
    if (threadIdx.x == 0 && (enough || low > bound)) risen[unit] = enough ? high : low;
    return;
  }
  if (threadIdx.x == 0) s.wanted[0] = Wanted{rank, 0, 1};
  __syncthreads();
  select_ranks(parts, unit, bound, s);
  if (threadIdx.x == 0) risen[unit] = answer<Kind>(s.wanted[0], bound);
}

#define FD_RAISE(NAME, KIND)                                                                        \
  FD_KERNEL __launch_bounds__(1024)                                                                 \
      fd_raise_##NAME(FD_PARTS_PARAMETERS, const uint32_t* bounds, int64_t rank, uint32_t* risen) { \
    FD_SHARED(unsigned char, shared);                                                               \
    raise_block(FD_PARTS(KIND), bounds, rank, risen, shared);                                       \
  }
FD_EACH_KIND(FD_RAISE)
