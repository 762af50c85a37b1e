// upsample: from a dense map of cells to pixels, by the tables of fastdissect/upsampling.py.
//
//     v = t + (b - t) * fy       vertical first, between the row above (t) and the row below (b)
//     p = l + (r - l) * fx       then horizontal; every operation rounded (plus, minus, times), nothing fused
//
// A warp takes a row of pixels: it makes the row's *line*, one v a column of cells (all columns side by side), and
// from it 32 pixels at a time, so a pixel costs one interpolation and not three. Lines lie in shared memory.
//
// What may be left out, where both axes are lerp: a pixel above `low` has a corner cell above `low`, because
// rn(rn(b - t) * f) never exceeds the real b - t for f <= 1 - 2**-22 (the tables' limit), and rounding is monotone:
// v <= max(t, b), likewise p <= max(l, r). So rows whose line has nothing above `low`, and pixels outside the reach of
// the cells above it, hold none. A NaN is not above; what it touches is NaN, hence not above either. Tables of more
// taps have no such property: there a line is never left out, and the window is the caller's business.
#pragma once
#include "numbers.cuh"

struct Axis {
  const int32_t* start;  // [pixels], the first cell
  const float* weights;  // lerp: [pixels], the second cell's; else [pixels, taps]
  const int32_t* first;  // [cells + 1], the first pixel that starts at this cell or a later one
  int32_t pixels, cells, taps;
  bool lerp;
};

struct Upsampling {
  Axis rows, columns;
  int32_t border, width;  // border 1: a ring of zero cells; width: of the map without it
  bool lerp;              // both axes
};

// As kernels/cuda/tables.py writes it: 7 words an axis, border, width.
__device__ inline Axis axis_of(const int64_t* words) {
  return Axis{reinterpret_cast<const int32_t*>(words[0]),
              reinterpret_cast<const float*>(words[1]),
              reinterpret_cast<const int32_t*>(words[2]),
              int32_t(words[3]),
              int32_t(words[4]),
              int32_t(words[5]),
              words[6] != 0};
}
__device__ inline Upsampling upsampling_of(const int64_t* words) {
  const Axis rows = axis_of(words), columns = axis_of(words + 7);
  return Upsampling{rows, columns, int32_t(words[14]), int32_t(words[15]), rows.lerp && columns.lerp};
}

__device__ inline int32_t clipped(const Axis& axis, int32_t cell) { return cell < axis.cells ? cell : axis.cells - 1; }

// One pixel of one axis from cells that lie `step` apart.
__device__ inline float mix(const Axis& axis, int32_t pixel, const float* cells, int64_t step) {
  const int32_t start = axis.start[pixel];
  const float first = cells[start * step];
  if (axis.lerp) {
    const float second = cells[clipped(axis, start + 1) * step];
    return plus(first, times(minus(second, first), axis.weights[pixel]));
  }
  const float* weights = axis.weights + int64_t(pixel) * axis.taps;
  float sum = times(first, weights[0]);
  for (int32_t k = 1; k < axis.taps; ++k) sum = plus(sum, times(cells[clipped(axis, start + k) * step], weights[k]));
  return sum;
}

// Pixels [top, bottom) x [left, right).
struct Window {
  int32_t top, bottom, left, right;
  __device__ bool empty() const { return top >= bottom || left >= right; }
};

// use(begin, inside, y, x, value), by all lanes of a warp, for every 32 pixels begin ... begin + 31 of the row-major
// mask (begin is a multiple of 32) that touch row y of the window: lane i has pixel begin + i, `inside` says whether
// it is one of the window's row. Rows are dealt to the block's warps; `line` is the warp's own, columns.cells floats.
// Every lane of the block comes here with the same window and map. Masks have less than 2**32 pixels.
template <typename Use>
__device__ void each_pixel(const Upsampling& u, const float* map, float* line, const Window& window, float low,
                           Use use) {
  const int32_t lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  const int64_t pitch = u.columns.cells;
  const int32_t from = u.columns.start[window.left];
  const int32_t to = clipped(u.columns, u.columns.start[window.right - 1] + u.columns.taps - 1) + 1;
  for (int32_t y = window.top + warp; y < window.bottom; y += warps) {
    bool above = !u.lerp;
    for (int32_t c = from + lane; c < to; c += 32) {
      const float v = mix(u.rows, y, map + c, pitch);
      line[c] = v;
      above |= v > low;
    }
    if (!__any_sync(kFullWarp, above)) continue;
    __syncwarp();
    const uint32_t row = uint32_t(y) * uint32_t(u.columns.pixels);
    const uint32_t first = row + uint32_t(window.left), last = row + uint32_t(window.right) - 1;
    for (uint32_t begin = first & ~31u;; begin += 32) {
      const uint32_t pixel = begin + uint32_t(lane);
      const bool inside = pixel >= first && pixel <= last;
      const int32_t x = inside ? int32_t(pixel - row) : window.left;
      use(begin, inside, y, x, mix(u.columns, x, line, 1));
      if (begin >= (last & ~31u)) break;
    }
    __syncwarp();  // the line is read until here
  }
}
