// How the threads that share a map read its cells: addresses without a division, 16 loads under way, and the sum in 16
// lanes, position p going to lane p mod 16 (sift.cu draws who has which lanes).
#pragma once
#include "dilate.cuh"
#include "view.cuh"

constexpr int kGroup = 16;  // loads under way

// Where positions s, s + kShare, s + 2 kShare, ... of a map lie: side by side, evenly spaced, or row by row.
template <typename T, int kShare>
struct Packed {
  const T* at;
  __device__ const T* next() { return (at += kShare) - kShare; }
};
template <typename T>
struct Even {
  const T* at;
  int64_t step;
  __device__ const T* next() { return (at += step) - step; }
};
template <typename T>
struct Rows {  // kShare positions on are some rows down and `right` columns to the right, or a row more
  const T* at;
  int64_t step, wrap;
  int width, x, right;
  __device__ const T* next() {
    const T* now = at;
    const bool over_the_end = (x += right) >= width;
    if (over_the_end) x -= width;
    at += over_the_end ? step + wrap : step;
    return now;
  }
};
template <typename Kind>
__device__ inline Rows<typename Kind::Type> rows_of(const View<Kind>& view, const typename Kind::Type* map, int share,
                                                    int kShare) {
  const int width = int(view.width), y = share / width, x = share % width, right = kShare % width;
  return {map + y * view.row_step + x * view.column_step, kShare / width * view.row_step + right * view.column_step,
          view.row_step - view.width * view.column_step, width, x, right};
}

__device__ inline float lowest() { return __uint_as_float(0xFF800000u); }  // -inf

// A bound as a float: a usable x is above it when x > threshold. Bounds without a float: everything is above.
__device__ inline float threshold_of(uint32_t bound) { return bound < kLowestKey ? lowest() : from_key(bound); }

__device__ inline void raise_to(uint64_t* most, uint64_t value) {
  atomicMax(reinterpret_cast<unsigned long long*>(most), static_cast<unsigned long long>(value));
}

// Lanes i + (i + 8), i + (i + 4), i + (i + 2), i + (i + 1): first those of one thread, then the threads that share.
template <int kHalf>
__device__ inline float add_own(float* sums) {
  if constexpr (kHalf > 0) {
#pragma unroll
    for (int i = 0; i < kHalf; ++i) sums[i] = plus(sums[i], sums[i + kHalf]);
    add_own<kHalf / 2>(sums);
  }
  return sums[0];
}

// Reads this thread's share of a map; returns the sum of its lanes. found(p): a usable cell above the bound.
template <typename Kind, int kShare, typename Walk, typename Found>
__device__ inline float read_map(Walk walk, int share, int cells, const uint32_t* bound, Found found, float* top) {
  constexpr int kLanes = 16 / kShare;
  float sums[kLanes] = {}, x[kGroup];
  for (int first = share; first < cells; first += kShare * kGroup) {
    typename Kind::Type raw[kGroup] = {};
    const uint32_t limit = *bound;  // here, so that it is waited for together with the cells
    float most = lowest();
    unsigned in = ~0u;  // bit u: x[u] is a cell
    if (first - share + kShare * kGroup <= cells) {
#pragma unroll
      for (int u = 0; u < kGroup; ++u) raw[u] = *walk.next();
#pragma unroll
      for (int u = 0; u < kGroup; ++u) {
        x[u] = Kind::widen(raw[u]);
        sums[u % kLanes] = plus(sums[u % kLanes], x[u]);
        most = fmaxf(most, x[u]);
      }
    } else {
      in = low_bits((cells - first + kShare - 1) / kShare);
#pragma unroll
      for (int u = 0; u < kGroup; ++u) {
        const auto* at = walk.next();
        if (in >> u & 1) raw[u] = *at;
      }
#pragma unroll
      for (int u = 0; u < kGroup; ++u) {
        x[u] = Kind::widen(raw[u]);
        if (in >> u & 1) {
          sums[u % kLanes] = plus(sums[u % kLanes], x[u]);
          most = fmaxf(most, x[u]);
        }
      }
    }
    *top = fmaxf(*top, most);
    const float threshold = threshold_of(limit);
    if (!(most > threshold)) continue;
    unsigned above = 0;
#pragma unroll
    for (int u = 0; u < kGroup; ++u) above |= unsigned(x[u] > threshold && is_usable(x[u])) << u;
    for (above &= in; above; above &= above - 1) found(first + kShare * (__ffs(int(above)) - 1));
  }
  return add_own<8 / kShare>(sums);
}

template <int kShare>
__device__ inline float add_shared(float sum) {
#pragma unroll
  for (int step = kShare / 2; step; step /= 2) sum = plus(sum, __shfl_xor_sync(kFullWarp, sum, step));
  return sum;
}
template <int kShare>
__device__ inline float highest(float top) {
#pragma unroll
  for (int step = kShare / 2; step; step /= 2) top = fmaxf(top, __shfl_xor_sync(kFullWarp, top, step));
  return top;
}

// With a maximum <= 1e30 and a sum within +-1e35, no cell of a map of up to 2**26 cells is NaN, infinite or 2**127 or
// beyond: positive cells add up to at most 7e37, so a cell of -2**127 or below would pull the sum below -4e37.
__device__ inline bool is_plain(int cells, float sum, float top) {
  return cells <= 1 << 26 && top <= 1e30f && fabsf(sum) <= 1e35f;
}

// Maps that lie one after another, into shared memory: 16 bytes a load where the address allows.
struct __align__(16) Quad {
  uint32_t words[4];
};
template <typename T, int kThreads>
__device__ inline void stage(const T* from, T* to, int count) {
  constexpr int kAhead = 8, kEach = sizeof(Quad) / sizeof(T);
  const int quads = reinterpret_cast<uint64_t>(from) % sizeof(Quad) ? 0 : count / kEach;
  for (int first = int(threadIdx.x); first < quads; first += kAhead * kThreads) {
    Quad quad[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (first + u * kThreads < quads) quad[u] = reinterpret_cast<const Quad*>(from)[first + u * kThreads];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (first + u * kThreads < quads) reinterpret_cast<Quad*>(to)[first + u * kThreads] = quad[u];
  }
#pragma unroll 1
  for (int i = quads * kEach + int(threadIdx.x); i < count; i += kThreads) to[i] = from[i];
}
