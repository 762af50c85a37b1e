// Values in parts, by unit: part i holds values[i][starts[i][k] : starts[i][k + 1]] of unit k.
//
//   unit k    part 0  #########################      the runs of a unit, one a part: a long one (what the last
//             part 1  ##                             prune left) and short ones (a batch each), or none
//             part 2
//             part 3  ###
//
// A warp looks up 32 parts at a time, one a lane, so that three dependent loads (address, start, value) are waited
// for once in 32 parts; then it takes the runs in turn, in the parts' order.
#pragma once
#include "numbers.cuh"

template <typename Kind>
struct Parts {
  using Type = typename Kind::Type;
  static constexpr int kAhead = 8;            // loads of a lane that are under way together
  static constexpr int kPiece = 32 * kAhead;  // values that a warp reads together
  const uint64_t* table;                      // addresses: the parts' starts, then the parts' values
  int64_t count;

  __device__ int64_t length(int64_t part, int64_t unit) const {
    const int64_t* starts = reinterpret_cast<const int64_t*>(table[part]);
    return __ldg(starts + unit + 1) - __ldg(starts + unit);
  }

  // The unit's values in all parts, for every lane. Here and below all 32 lanes of the warp take part.
  __device__ int64_t total(int64_t unit) const {
    int64_t sum = 0;
    for (int64_t part = threadIdx.x & 31; part < count; part += 32) sum += length(part, unit);
    for (int half = 16; half; half /= 2) sum += __shfl_xor_sync(kFullWarp, sum, half);
    return sum;
  }

  // each(values, length) for every run, in order; the same one in all lanes.
  template <typename Each>
  __device__ void each_run(int64_t unit, Each each) const {
    for (int64_t first = 0; first < count; first += 32) {
      const int64_t part = first + (threadIdx.x & 31);
      uint64_t address = 0;
      int64_t own = 0;
      if (part < count) {
        own = length(part, unit);
        address = table[count + part] + sizeof(Type) * __ldg(reinterpret_cast<const int64_t*>(table[part]) + unit);
      }
      const int here = count - first < 32 ? int(count - first) : 32;
      for (int i = 0; i < here; ++i) {
        const int64_t length = __shfl_sync(kFullWarp, own, i);
        const uint64_t values = __shfl_sync(kFullWarp, address, i);
        if (length) each(reinterpret_cast<const Type*>(values), length);
      }
    }
  }

  // This lane's kAhead values of the piece that begins at `piece`; NaN where fewer than the piece's are `left`.
  // The addresses came as numbers: __ldg says that they are of global memory.
  __device__ static void load(const Type* piece, int64_t left, Type (&ahead)[kAhead]) {
    const int lane = threadIdx.x & 31, own = left < kPiece ? int(left) - lane : kPiece;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) ahead[i] = 32 * i < own ? __ldg(piece + lane + 32 * i) : Kind::nan();
  }

  // each(value) for every value, shared out among `warps` warps by the piece; in no order.
  template <typename Each>
  __device__ void each_value(int64_t unit, int64_t warp, int64_t warps, Each each) const {
    int64_t next = warp;  // the piece whose turn it is, counted from the run's first
    each_run(unit, [&](const Type* values, int64_t length) {
      const int64_t pieces = (length + kPiece - 1) / kPiece;
      for (; next < pieces; next += warps) {
        Type ahead[kAhead];
        load(values + next * kPiece, length - next * kPiece, ahead);
#pragma unroll
        for (int i = 0; i < kAhead; ++i) each(Kind::widen(ahead[i]));
      }
      next -= pieces;
    });
  }
};

#define FD_PARTS_PARAMETERS const uint64_t *parts_table, int64_t parts_count
#define FD_PARTS(KIND) \
  Parts<KIND> { parts_table, parts_count }
