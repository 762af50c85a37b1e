// join: parts of values as one, by unit and in the parts' order, keeping what is above the (risen) bounds.
//
//   unit k's values, the parts side by side   | part 0 ............ | 1 | 2 ..... |
//   slices, one a warp                        |       |       |       |       |
//
// A slice keeps its order: 32 values at a time, each kept one writes behind those of the lanes below it (a ballot).
// Three steps: count a slice's, scan (scan.cu), write. Reads 8 (4) bytes a value, writes 4 (2) a kept one and 12 a
// slice of about 1024 values. Bound by these reads and writes.
#include "parts.cuh"

// step(value) with 32 values of a slice at a time, in order; lanes without one have NaN. The warp's slice is
// `slice` of `slices` of the unit's values, which may span parts.
template <typename Kind, typename Step>
__device__ void each_of_slice(const Parts<Kind>& parts, int64_t unit, int64_t slice, int64_t slices, Step step) {
  using Type = typename Kind::Type;
  const int64_t total = parts.total(unit);
  int64_t from = total * slice / slices, to = total * (slice + 1) / slices;
  parts.each_run(unit, [&](const Type* values, int64_t length) {
    const int64_t last = to < length ? to : length;
    for (int64_t first = from > 0 ? from : 0; first < last; first += Parts<Kind>::kPiece) {
      Type ahead[Parts<Kind>::kAhead];
      parts.load(values + first, last - first, ahead);
#pragma unroll
      for (int i = 0; i < Parts<Kind>::kAhead; ++i) step(ahead[i]);
    }
    from -= length, to -= length;
  });
}

template <typename Kind>
__device__ bool is_above(typename Kind::Type value, uint32_t bound) {
  const float x = Kind::widen(value);
  return !is_nan(x) && key_of(x) > bound;
}

// lengths [units, slices]
template <typename Kind>
__device__ void count_slice(const Parts<Kind>& parts, const uint32_t* bounds, int64_t units, int64_t slices,
                            uint32_t* lengths) {
  const int64_t number = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (number >= units * slices) return;
  const int64_t unit = number / slices;
  const uint32_t bound = bounds[unit];
  uint32_t kept = 0;
  each_of_slice(parts, unit, number % slices, slices,
                [&](typename Kind::Type value) { kept += is_above<Kind>(value, bound); });
  for (int half = 16; half; half /= 2) kept += __shfl_xor_sync(kFullWarp, kept, half);
  if ((threadIdx.x & 31) == 0) lengths[number] = kept;
}

// starts [units x slices + 1] of the slices' kept values; unit_start [units + 1] of the units'.
template <typename Kind>
__device__ void write_slice(const Parts<Kind>& parts, const uint32_t* bounds, int64_t units, int64_t slices,
                            const int64_t* starts, int64_t* unit_start, typename Kind::Type* joined) {
  const int64_t number = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x & 31;
  if (number >= units * slices) return;
  const int64_t unit = number / slices, slice = number % slices, end = starts[number + 1];
  int64_t at = starts[number];
  if (lane == 0 && slice == 0) unit_start[unit] = at;
  if (lane == 0 && number == units * slices - 1) unit_start[units] = end;
  if (at == end) return;
  const uint32_t bound = bounds[unit];
  each_of_slice(parts, unit, slice, slices, [&](typename Kind::Type value) {
    const bool kept = is_above<Kind>(value, bound);
    const unsigned lanes = __ballot_sync(kFullWarp, kept);
    if (kept) joined[at + __popc(lanes & ((1u << lane) - 1))] = value;
    at += __popc(lanes);
  });
}

#define FD_JOIN(NAME, KIND)                                                                                   \
  FD_KERNEL fd_join_count_##NAME(FD_PARTS_PARAMETERS, const uint32_t* bounds, int64_t units, int64_t slices,  \
                                 uint32_t* lengths) {                                                         \
    count_slice(FD_PARTS(KIND), bounds, units, slices, lengths);                                              \
  }                                                                                                           \
  FD_KERNEL fd_join_write_##NAME(FD_PARTS_PARAMETERS, const uint32_t* bounds, int64_t units, int64_t slices,  \
                                 const int64_t* starts, int64_t* unit_start, void* joined) {                  \
    write_slice(FD_PARTS(KIND), bounds, units, slices, starts, unit_start, static_cast<KIND::Type*>(joined)); \
  }
FD_EACH_KIND(FD_JOIN)
