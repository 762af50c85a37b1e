// sift: one read of each activation. Mean and maximum of every map, and the bits of the cells to be kept.
//
// A map's sum has 16 lanes, position p going to lane p mod 16. `kShare` threads share a map: 16 with a lane each (large
// maps), 4 with four (what is done once a map is done by fewer threads), or 1 (tiny maps, if there are very many):
//
//     kShare 4    thread 0: lanes 0 4 8 12    thread 1: lanes 1 5 9 13    ...    so thread s reads s, s + 4, s + 8, ...
//
//     "cells": consecutive threads share a map       m0 m0 m0 m0 m1 m1 m1 m1 ...   cells lie side by side (NCHW)
//     "units": consecutive threads are other units   m0 m1 m2 ... m31 | m0 m1 ...  units do (NHWC, tokens)
//
// Tiny "cells" maps of a thread each are first copied to shared memory, 16 bytes a load (an odd number of cells: no two
// threads meet in a bank). 16 loads are under way at once. One comparison of 16 cells' maximum says whether any is
// above; few are, and those set bits in shared memory. Sum and maximum also tell that no cell of the map can be
// unusable (is_plain); the other maps are read once more with care.
//
// Bytes: each activation is read once (4 or 2); 8 are written a map, 4 more and a word a row of 32 cells where any of
// its cells is kept. Predicted, not measured: a card of 4.8 TB/s with 132 SMs at 1.7 GHz brings an SM 17 bytes a clock at
// 80 %, that is 4.3 float32 or 8.6 bfloat16 activations, and issues 128 thread instructions a clock; so memory is the
// limit below 30 (15) instructions an activation. Counted in sm_90 code for 16 cells: 56 (72) where they lie side by
// side, 88 (104) in even steps, and some 250 once a thread: 7x7 maps come to 27 (29) with 4 threads a map, to 15 (15)
// with one; 14x14 to 10 (12); larger maps to 4 (5): estimates, until a card has been asked.
#include "lanes.cuh"

// Sum, maximum and number of unusable cells of a map that is not plain, and the first of those.
struct Look {
  float sum, top;
  uint32_t bad, first;
};
template <typename Kind, int kShare>
__device__ Look look_again(const View<Kind>& view, int64_t image, int64_t unit, int share, int cells) {
  constexpr int kLanes = 16 / kShare;
  const int width = int(view.width);
  float sums[kLanes] = {};
  Look look{0, lowest(), 0, ~0u};
#pragma unroll 1
  for (int start = share; start < cells; start += 16)
#pragma unroll
    for (int lane = 0; lane < kLanes; ++lane) {
      const int p = start + lane * kShare;
      if (p >= cells) continue;
      const float x = Kind::widen(view.at(image, unit, p / width, p % width));
      if (is_usable(x)) {
        sums[lane] = plus(sums[lane], x);
        look.top = fmaxf(look.top, x);
      } else {
        if (!look.bad++) look.first = p;
      }
    }
  look.sum = add_shared<kShare>(add_own<8 / kShare>(sums));
  look.top = highest<kShare>(look.top);
#pragma unroll
  for (int step = kShare / 2; step; step /= 2) {
    look.bad += __shfl_xor_sync(kFullWarp, look.bad, step);
    look.first = min(look.first, __shfl_xor_sync(kFullWarp, look.first, step));
  }
  return look;
}

// `fault` is the complement of the first unusable cell's number (0: none), so that clearing memory prepares it.
// `spare`: [images * units][words], cleared, for the bits of large maps; else they lie in shared memory.
struct Outputs {
  uint32_t *kept, *lengths;  // [images * units][words]; [units][images]
  uint64_t* fault;
  int64_t* missing;  // [units]
  float *means, *maxima;  // [images][units]
};

// `even`: positions lie `step` elements apart throughout; else rows are walked.
template <typename Kind, int kShare, bool kUnits>
__device__ inline void sift(const View<Kind>& view, bool even, int64_t step, const uint32_t* bounds, int reach,
                            bool ring, bool omit, uint32_t* spare, const Outputs& out) {
  constexpr int kThreads = kUnits && kShare > 1 ? 32 * kShare : 128, kMaps = kThreads / kShare;  // a block
  constexpr bool kStaged = !kUnits && kShare == 1, kMeet = kUnits && kShare > 1;
  FD_SHARED(uint32_t, shared);
  const unsigned thread = threadIdx.x;
  const int height = int(view.height), width = int(view.width), row_words = (width + 31) >> 5;
  const int cells = height * width, words = height * row_words;
  const int64_t first = int64_t(blockIdx.x) * kMaps;
  const int here = int(view.units - first < kMaps ? view.units - first : kMaps);
  const int reader = kUnits ? thread % kMaps : thread / kShare;  // whose cells this thread reads
  const int share = kUnits ? thread / kMaps : thread % kShare;
  const int map = thread / kShare, place = thread % kShare;  // whose result it works on afterwards
  float* sums_met = reinterpret_cast<float*>(shared);        // [kShare][kMaps + 1], "units" on their way
  float* tops_met = sums_met + kShare * (kMaps + 1);
  uint32_t* bits = kMeet ? shared + 2 * kShare * (kMaps + 1) : shared;  // [kMaps][words], cleared here
  using T = typename Kind::Type;
  T* tile = reinterpret_cast<T*>(shared + kMaps * words);  // [kMaps][cells], "cells" staged

  for (int64_t image = blockIdx.y; image < view.images; image += gridDim.y) {
    uint32_t* above = spare ? spare + (image * view.units + first) * words : bits;
    if (!spare)
#pragma unroll 1
      for (int i = int(thread); i < here * words; i += kThreads) bits[i] = 0;
    if (kStaged) stage<T, kThreads>(&view.at(image, first, 0, 0), tile, here * cells);
    __syncthreads();

    float sum = 0, top = lowest();
    if (reader < here) {
      const uint32_t* bound = bounds + first + reader;
      const auto* data = &view.at(image, first + reader, 0, 0);
      uint32_t* own = above + int64_t(reader) * words;
      const auto found = [=](int p) {
        const int y = p / width, x = p - y * width;
        atomicOr(own + y * row_words + (x >> 5), 1u << (x & 31));
      };
      if constexpr (kStaged)
        sum = read_map<Kind, kShare>(Packed<T, kShare>{tile + reader * cells}, 0, cells, bound, found, &top);
      else if (!kUnits && even && step == 1)
        sum = read_map<Kind, kShare>(Packed<T, kShare>{data + share}, share, cells, bound, found, &top);
      else if (even)
        sum = read_map<Kind, kShare>(Even<T>{data + share * step, kShare * step}, share, cells, bound, found, &top);
      else
        sum = read_map<Kind, kShare>(rows_of(view, data, share, kShare), share, cells, bound, found, &top);
    }
    if (kMeet) {
      sums_met[share * (kMaps + 1) + reader] = sum;
      tops_met[share * (kMaps + 1) + reader] = top;
    }
    __syncthreads();
    if (kMeet) {
      sum = sums_met[place * (kMaps + 1) + map];
      top = tops_met[place * (kMaps + 1) + map];
    }

    const bool mine = map < here;
    const int64_t unit = mine ? first + map : first, number = image * view.units + unit;
    sum = add_shared<kShare>(sum);
    top = highest<kShare>(top);
    uint32_t bad = 0;
    if (__any_sync(kFullWarp, !is_plain(cells, sum, top))) {
      const Look look = look_again<Kind, kShare>(view, image, unit, place, cells);
      sum = look.sum;
      top = look.top;
      bad = look.bad;
      if (mine && bad && place == 0) {
        add_to(out.missing + unit, bad);
        if (!omit) raise_to(out.fault, ~uint64_t(number * cells + look.first));
      }
    }
    if (mine && place == 0) {
      const uint32_t usable = cells - bad;
      const float mean = over(sum, float(usable));
      // inf - inf: the NaN that x86 makes of it
      out.means[number] = is_nan(mean) ? __uint_as_float(usable ? 0xFFC00000u : 0x7FC00000u) : mean;
      out.maxima[number] = usable ? plus(top, 0.0f) : Float32::nan();
    }

    const uint32_t bound = bounds[unit];
    const bool border = ring && reach && bound < kZeroKey;
    const bool fires = mine && (border || top > threshold_of(bound));
    if (__any_sync(kFullWarp, fires)) {
      uint32_t length = 0;
      if (fires) {
        const BitMap bitmap{above + int64_t(map) * words, height, width, reach, border};
        for (int i = place; i < words; i += kShare) {
          const int y = row_words == 1 ? i : i / row_words;
          const uint32_t bits_kept = dilated(bitmap, y, i - y * row_words);
          out.kept[number * words + i] = bits_kept;
          length += __popc(bits_kept);
        }
      }
#pragma unroll
      for (int step_across = kShare / 2; step_across; step_across /= 2)
        length += __shfl_xor_sync(kFullWarp, length, step_across);
      if (fires && place == 0) out.lengths[unit * view.images + image] = length;
    }
    __syncthreads();  // the bits are cleared for the next image
  }
}

#define FD_SIFT(MAPPING, SHARE, DTYPE, KIND, UNITS, THREADS, BLOCKS)                                                 \
  FD_KERNEL __launch_bounds__(THREADS, BLOCKS)                                                                       \
  fd_sift_##MAPPING##SHARE##_##DTYPE(FD_VIEW_PARAMETERS, int64_t even, int64_t step, const uint32_t* bounds,         \
                                     int64_t reach, int64_t ring, int64_t omit, uint32_t* spare, uint32_t* kept,     \
                                     uint32_t* lengths, uint64_t* fault, int64_t* missing, float* means,             \
                                     float* maxima) {                                                                \
    const Outputs out{kept, lengths, fault, missing, means, maxima};                                                 \
    sift<KIND, SHARE, UNITS>(FD_VIEW(KIND), even, step, bounds, int(reach), ring, omit, spare, out);                 \
  }
#define FD_SIFT_KIND(DTYPE, KIND)                  \
  FD_SIFT(cells, 1, DTYPE, KIND, false, 128, 6)    \
  FD_SIFT(cells, 4, DTYPE, KIND, false, 128, 8)    \
  FD_SIFT(cells, 16, DTYPE, KIND, false, 128, 8)   \
  FD_SIFT(units, 1, DTYPE, KIND, true, 128, 6)     \
  FD_SIFT(units, 4, DTYPE, KIND, true, 128, 8)     \
  FD_SIFT(units, 16, DTYPE, KIND, true, 512, 2)
FD_EACH_KIND(FD_SIFT_KIND)
