// filter: the values above their units' bounds, by unit, in order image, cell. Infinities are ordinary, NaNs reported.
//
//   count   every value is read once; a bit each says whether it is above; a list's bits make its length
//   scan    lengths -> starts (scan.cu)
//   write   the bits lead to the values; only those are read again, and written in order
//
//   a list's bits, 32 positions a word   .......#........................ ................................ ..#....
//                                               `- the list's first value                                    `- second
//
// Reads 4 (2) bytes a value; writes and reads 1/8 byte of bits and about 12 bytes a list (of 32 to 1024 positions);
// then a sector of 32 bytes is read and 4 (2) bytes written for a value that is above. Bound by the first read where
// few are above, as mostly; where all are (no bound yet) the second step costs more than the first.
// See positions.cuh for the lists and the two layouts.
#include "positions.cuh"

template <typename Kind>
__device__ bool is_above(float x, uint32_t bound) {
  return !is_nan(x) && key_of(x) > bound;
}

// The list of this warp or thread.
struct List {
  int64_t unit, chunk, first, left;  // `left`: positions; none where there are fewer lists

  __device__ List(int64_t number, int64_t units, int64_t chunks, int64_t span, int64_t positions) {
    chunk = divided(number, units), unit = number - chunk * units;
    first = chunk * span;
    left = chunk >= chunks ? 0 : positions - first < span ? positions - first : span;
  }
};

// A warp a list; bits [chunks, units, 32]: a lane keeps the word that it stands for.
template <typename Kind>
__device__ void count_cells(const View<Kind>& view, const uint32_t* bounds, int64_t positions, int64_t cells,
                            int64_t chunks, uint32_t* bits, uint32_t* lengths, int64_t* outcome) {
  const int64_t number = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x & 31;
  const List list(number, view.units, chunks, 1024, positions);
  if (list.left == 0) return;
  const uint32_t bound = bounds[list.unit];
  const int left = int(list.left);
  Walk<Kind> walk(view, list.unit, list.first + (lane < left ? lane : 0), 32);
  Nans nans;
  uint32_t word = 0;
  for (int row = 0; row < 32 && 32 * row < left; row += kAhead) {
    typename Kind::Type ahead[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i, walk.advance()) ahead[i] = 32 * (row + i) + lane < left ? *walk.at : Kind::nan();
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const float x = Kind::widen(ahead[i]);
      const int place = 32 * (row + i) + lane;
      if (is_nan(x) && place < left) nans.met(list.first + place);
      const uint32_t above = __ballot_sync(kFullWarp, is_above<Kind>(x, bound));
      if (lane == row + i) word = above;
    }
  }
  nans.tell(list.unit, view.units, cells, outcome);
  bits[number * 32 + lane] = word;
  int length = __popc(word);
  for (int half = 16; half; half /= 2) length += __shfl_xor_sync(kFullWarp, length, half);
  if (lane == 0) lengths[list.unit * chunks + list.chunk] = length;
}

// A thread a list; bits [chunks, span / 32, units].
template <typename Kind>
__device__ void count_units(const View<Kind>& view, const uint32_t* bounds, int64_t positions, int64_t cells,
                            int64_t chunks, int64_t span, uint32_t* bits, uint32_t* lengths, int64_t* outcome) {
  const List list(int64_t(blockIdx.x) * blockDim.x + threadIdx.x, view.units, chunks, span, positions);
  if (list.left == 0) return;
  const uint32_t bound = bounds[list.unit];
  const int left = int(list.left);
  Walk<Kind> walk(view, list.unit, list.first, 1);
  Nans nans;
  uint32_t length = 0;
  uint32_t* own = bits + list.chunk * (span / 32) * view.units + list.unit;
  for (int row = 0; row < left; row += 32, own += view.units) {
    uint32_t word = 0;
    for (int begin = row; begin < row + 32 && begin < left; begin += kAhead) {
      typename Kind::Type ahead[kAhead];
#pragma unroll
      for (int i = 0; i < kAhead; ++i, walk.advance()) ahead[i] = begin + i < left ? *walk.at : Kind::nan();
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const float x = Kind::widen(ahead[i]);
        if (is_nan(x) && begin + i < left) nans.met(list.first + begin + i);
        word |= uint32_t(is_above<Kind>(x, bound)) << ((begin + i) & 31);
      }
    }
    *own = word;
    length += __popc(word);
  }
  nans.tell(list.unit, view.units, cells, outcome);
  lengths[list.unit * chunks + list.chunk] = length;
}

// The values of a word's bits, in order, from `values` on.
template <typename Kind>
__device__ typename Kind::Type* write_word(const View<Kind>& view, int64_t unit, int64_t position, uint32_t word,
                                           typename Kind::Type* values) {
  for (; word; word &= word - 1) *values++ = view.data[offset_of(view, unit, position + __ffs(int(word)) - 1)];
  return values;
}

template <typename Kind>
__device__ void write_cells(const View<Kind>& view, int64_t positions, int64_t chunks, const uint32_t* bits,
                            const int64_t* starts, typename Kind::Type* values) {
  const int64_t number = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x & 31;
  const List list(number, view.units, chunks, 1024, positions);
  if (list.left == 0) return;
  const uint32_t word = bits[number * 32 + lane];
  int before = __popc(word);
  for (int step = 1; step < 32; step *= 2) {
    const int below = __shfl_up_sync(kFullWarp, before, step);
    if (lane >= step) before += below;
  }
  values += starts[list.unit * chunks + list.chunk] + before - __popc(word);
  write_word(view, list.unit, list.first + 32 * lane, word, values);
}

template <typename Kind>
__device__ void write_units(const View<Kind>& view, int64_t positions, int64_t chunks, int64_t span,
                            const uint32_t* bits, const int64_t* starts, typename Kind::Type* values) {
  const List list(int64_t(blockIdx.x) * blockDim.x + threadIdx.x, view.units, chunks, span, positions);
  if (list.left == 0) return;
  const int64_t at = starts[list.unit * chunks + list.chunk];
  if (starts[list.unit * chunks + list.chunk + 1] == at) return;
  values += at;
  const uint32_t* own = bits + list.chunk * (span / 32) * view.units + list.unit;
  for (int64_t row = 0; row < list.left; row += 32, own += view.units)
    values = write_word(view, list.unit, list.first + row, *own, values);
}

// The units' starts out of the lists', and the total into outcome, for one copy to the host.
FD_KERNEL fd_filter_units(const int64_t* starts, int64_t units, int64_t chunks, int64_t* unit_start, int64_t* outcome) {
  const int64_t unit = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit > units) return;
  unit_start[unit] = starts[unit * chunks];
  if (unit == units) outcome[units + 1] = starts[unit * chunks];
}

#define FD_FILTER(NAME, KIND)                                                                             \
  FD_KERNEL fd_filter_count_cells_##NAME(FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS, const uint32_t* bounds, \
                                         uint32_t* bits, uint32_t* lengths, int64_t* outcome) {           \
    count_cells(FD_VIEW(KIND), bounds, positions, cells, chunks, bits, lengths, outcome);                 \
  }                                                                                                       \
  FD_KERNEL fd_filter_count_units_##NAME(FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS, const uint32_t* bounds, \
                                         uint32_t* bits, uint32_t* lengths, int64_t* outcome) {           \
    count_units(FD_VIEW(KIND), bounds, positions, cells, chunks, span, bits, lengths, outcome);           \
  }                                                                                                       \
  FD_KERNEL fd_filter_write_cells_##NAME(FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS, const uint32_t* bits,   \
                                         const int64_t* starts, void* values) {                           \
    write_cells(FD_VIEW(KIND), positions, chunks, bits, starts, static_cast<KIND::Type*>(values));        \
  }                                                                                                       \
  FD_KERNEL fd_filter_write_units_##NAME(FD_VIEW_PARAMETERS, FD_LISTS_PARAMETERS, const uint32_t* bits,   \
                                         const int64_t* starts, void* values) {                           \
    write_units(FD_VIEW(KIND), positions, chunks, span, bits, starts, static_cast<KIND::Type*>(values));  \
  }
FD_EACH_KIND(FD_FILTER)
