// histogram: counts of the keys' leading bits, or of their low 16 bits where the top 16 are the unit's prefix.
//
// Reads 4 (2) bytes a value, then adds to bins in global memory. Equal atomics wait for each other, and ReLU's zeros
// are all equal: a thread counts the bin of zero in a register, and runs of one bin as one addition.
//
//   values  0 0 3 0 0 0 5 5 5 0 2     zeros 6;  bin of 3: 1;  bin of 5: 3;  bin of 2: 1
//
// Bound by the read where most values are zero or outside the prefix; else by an atomic a value.
// See positions.cuh for the two layouts.
#include "positions.cuh"

struct Bins {
  int64_t* bins;                // the unit's
  int64_t shift, prefix, zero;  // prefix -1: none
  int64_t bin = -1;
  int64_t run = 0, zeros = 0;

  __device__ Bins(int64_t* bins, int64_t shift, const uint32_t* prefixes, int64_t unit)
      : bins(bins),
        shift(shift),
        prefix(prefixes ? int64_t(prefixes[unit]) : -1),
        zero(prefixes ? 0 : int64_t(kZeroKey) >> shift) {}

  __device__ void add(float x) {
    const int64_t key = key_of(x);
    if (prefix >= 0 && key >> 16 != prefix) return;
    const int64_t own = prefix >= 0 ? key & 0xFFFF : key >> shift;
    if (own == zero) {
      ++zeros;
    } else if (own == bin) {
      ++run;
    } else {
      flush();
      bin = own, run = 1;
    }
  }
  __device__ void flush() {
    if (run) add_to(bins + bin, run);
    run = 0;
  }
};

// A list's values from `first` on, `stride` positions apart; `own` of them belong to this thread.
template <typename Kind>
__device__ void read_list(const View<Kind>& view, int64_t unit, int64_t first, int64_t stride, int64_t own,
                          int64_t cells, Bins& bins, int64_t* outcome) {
  if (own <= 0) return;
  Walk<Kind> walk(view, unit, first, stride);
  Nans nans;
  for (int64_t begin = 0; begin < own; begin += kAhead) {
    typename Kind::Type ahead[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i, walk.advance())
      if (begin + i < own) ahead[i] = *walk.at;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (begin + i >= own) break;
      const float x = Kind::widen(ahead[i]);
      if (is_nan(x)) {
        nans.met(first + (begin + i) * stride);
      } else {
        bins.add(x);
      }
    }
  }
  bins.flush();
  nans.tell(unit, view.units, cells, outcome);
}

// `lanes`: threads of a list: 32 where cells lie side by side, 1 where units do. prefixes null: none.
template <typename Kind>
__device__ void add_list(const View<Kind>& view, int64_t lanes, int64_t shift, const uint32_t* prefixes,
                         int64_t positions, int64_t cells, int64_t chunks, int64_t span, int64_t* bins, int64_t row,
                         int64_t* outcome) {
  const int64_t thread = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t number = lanes == 1 ? thread : thread / 32, lane = lanes == 1 ? 0 : thread & 31;
  const int64_t chunk = divided(number, view.units), unit = number - chunk * view.units;
  if (chunk >= chunks) return;
  const int64_t first = chunk * span + lane, end = (chunk + 1) * span < positions ? (chunk + 1) * span : positions;
  Bins own(bins + unit * row, shift, prefixes, unit);
  read_list(view, unit, first, lanes, (end - first + lanes - 1) / lanes, cells, own, outcome);
  if (lanes > 1)
    for (int half = 16; half; half /= 2) own.zeros += __shfl_xor_sync(kFullWarp, own.zeros, half);
  if (lane == 0 && own.zeros) add_to(own.bins + own.zero, own.zeros);
}

#define FD_HISTOGRAM(NAME, KIND)                                                                          \
  FD_KERNEL fd_histogram_##NAME(FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS, int64_t lanes, int64_t shift,    \
                                const uint32_t* prefixes, int64_t* bins, int64_t row, int64_t* outcome) { \
    add_list(FD_VIEW(KIND), lanes, shift, prefixes, positions, cells, chunks, span, bins, row, outcome);  \
  }
FD_EACH_KIND(FD_HISTOGRAM)
