// maps: a record's retained cells as a dense map, and the pixels that its cells above a bound can reach.
//
// The map is filled once a unit with what absent cells read as; a record writes its cells into it and takes them out
// again, so that a sparse record costs its own cells and not the map's.
#pragma once
#include "upsample.cuh"

template <typename Kind>
struct Records {  // SparseActivations
  const int64_t* unit_start;
  const uint32_t* images;
  const int64_t* cell_start;
  const void* cells;  // uint16, wide: uint32
  const typename Kind::Type* values;
  bool wide;

  __device__ uint32_t cell(int64_t j) const {
    return wide ? static_cast<const uint32_t*>(cells)[j] : static_cast<const uint16_t*>(cells)[j];
  }
  __device__ float value(int64_t j) const { return Kind::widen(values[j]); }
};

struct Extent {  // of the cells above, inclusive; none: top > bottom
  int32_t top, bottom, left, right;
};

// Where a piece of working memory lies: `place` bytes into the block's shared memory, or, below 0, -1 - place bytes
// into its stretch of the scratch buffer (see tables.py). kSmall: all pieces lie in shared memory, which the compiler
// then knows, and addresses with 32 bits.
template <typename T, bool kSmall>
__device__ T* piece(int64_t place, unsigned char* shared, unsigned char* scratch, int64_t scratch_bytes) {
  if (kSmall || place >= 0) return reinterpret_cast<T*>(shared + place);
  const int64_t block = blockIdx.x + int64_t(gridDim.x) * (blockIdx.y + int64_t(gridDim.y) * blockIdx.z);
  return reinterpret_cast<T*>(scratch + block * scratch_bytes + (-1 - place));
}

// All threads of the block: every cell reads as `fill`, the ring as 0.
__device__ inline void blank(const Upsampling& u, float* map, float fill) {
  for (int32_t y = 0; y < u.rows.cells; ++y) {
    const bool edge = y == 0 || y == u.rows.cells - 1;
    for (int32_t x = threadIdx.x; x < u.columns.cells; x += blockDim.x)
      map[int64_t(y) * u.columns.cells + x] = u.border && (edge || x == 0 || x == u.columns.cells - 1) ? 0.0f : fill;
  }
}

__device__ inline Extent nothing() { return Extent{0x7FFFFFFF, -1, 0x7FFFFFFF, -1}; }
__device__ inline Extent everything(const Upsampling& u) { return Extent{0, u.rows.cells - 1, 0, u.columns.cells - 1}; }

// All threads of the block, between two barriers: record r's cells into the map; those above `low` widen the extent.
template <typename Kind>
__device__ void scatter(const Upsampling& u, const Records<Kind>& records, int64_t r, float low, float* map,
                        Extent* extent) {
  for (int64_t j = records.cell_start[r] + threadIdx.x; j < records.cell_start[r + 1]; j += blockDim.x) {
    const uint32_t cell = records.cell(j), width = uint32_t(u.width);
    const int32_t y = int32_t(cell / width) + u.border, x = int32_t(cell % width) + u.border;
    const float value = records.value(j);
    map[int64_t(y) * u.columns.cells + x] = value;
    if (value > low) {
      atomicMin(&extent->top, y);
      atomicMax(&extent->bottom, y);
      atomicMin(&extent->left, x);
      atomicMax(&extent->right, x);
    }
  }
}

template <typename Kind>
__device__ void take_out(const Upsampling& u, const Records<Kind>& records, int64_t r, float fill, float* map) {
  for (int64_t j = records.cell_start[r] + threadIdx.x; j < records.cell_start[r + 1]; j += blockDim.x) {
    const uint32_t cell = records.cell(j), width = uint32_t(u.width);
    map[int64_t(cell / width + uint32_t(u.border)) * u.columns.cells + cell % width + u.border] = fill;
  }
}

// The pixels that have a tap among the extent's cells: those that start at its first cell, taps - 1 before it, or
// between, up to its last. Empty for an empty extent, and where a shrinking table steps over the cells.
__device__ inline Window reach(const Upsampling& u, const Extent& e) {
  if (e.top > e.bottom) return Window{0, 0, 0, 0};
  const int32_t y = e.top - u.rows.taps + 1, x = e.left - u.columns.taps + 1;
  return Window{u.rows.first[y > 0 ? y : 0], u.rows.first[e.bottom + 1], u.columns.first[x > 0 ? x : 0],
                u.columns.first[e.right + 1]};
}

// The sum over a warp, in lane 0; every lane comes here.
__device__ inline uint32_t warp_sum(uint32_t value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(kFullWarp, value, step);
  return value;
}
