// Positions: a unit's cells of all images in one row, and walks along it. A view travels with its axes merged where
// their strides allow it (kernels/cuda/positions.py), so that images, height and width here need not be the batch's.
//
//   position  0 1 2 3 4 5 6 7 8 9 ...     of width 3, height 2:  (image, y, x) = (0, 0, 0) (0, 0, 1) ... (1, 1, 0)
//
// Two ways of sharing out the positions, a *list* being one unit's of one chunk of consecutive positions:
//
//   cells side by side in memory   a warp a list of 1024 positions: its lanes read 32 side by side
//   units side by side             a thread a list of `span` positions: a warp's lanes read 32 units side by side
//
// Lists are numbered chunk * units + unit where threads are dealt out (neighbours read neighbours), and
// unit * chunks + chunk where their lengths are (the output's order).
#pragma once
#include "view.cuh"

// How lists travel: positions of all images, cells of one map, chunks of `span` positions.
#define FD_LISTS_PARAMETERS int64_t positions, int64_t cells, int64_t chunks, int64_t span

constexpr int kAhead = 8;  // loads of a thread that are under way together

__device__ inline int64_t divided(int64_t a, int64_t b) {  // neither negative; 32 bits wide where that will do
  return (uint64_t(a) | uint64_t(b)) >> 32 ? a / b : int64_t(uint32_t(a) / uint32_t(b));
}

template <typename Kind>
__device__ int64_t offset_of(const View<Kind>& view, int64_t unit, int64_t position) {
  int64_t offset = unit * view.unit_step;
  if (view.images * view.height == 1) return offset + position * view.column_step;
  const int64_t row = divided(position, view.width), image = divided(row, view.height);
  return offset + image * view.image_step + (row - image * view.height) * view.row_step +
         (position - row * view.width) * view.column_step;
}

// A walk from a position in steps of `stride` positions: no division but the first.
template <typename Kind>
struct Walk {
  const typename Kind::Type* at;
  int64_t x, y, width, height;
  int64_t dx, dy, step, row_turn, image_turn;

  __device__ Walk(const View<Kind>& view, int64_t unit, int64_t position, int64_t stride)
      : at(view.data + offset_of(view, unit, position)), width(view.width), height(view.height) {
    const int64_t row = divided(position, width), rows = divided(stride, width), images = divided(rows, height);
    x = position - row * width;
    y = row - divided(row, height) * height;
    dx = stride - rows * width;
    dy = rows - images * height;
    step = images * view.image_step + dy * view.row_step + dx * view.column_step;
    row_turn = view.row_step - width * view.column_step;
    image_turn = view.image_step - height * view.row_step;
  }
  __device__ void advance() {
    at += step, x += dx, y += dy;
    if (x >= width) x -= width, ++y, at += row_turn;
    if (y >= height) y -= height, at += image_turn;
  }
};

// What a reader says of the NaNs: outcome [units + 2] holds them by unit, then the first one's number in order image,
// unit, cell as its complement (0: none).
struct Nans {
  int64_t count = 0, first = 0;

  __device__ void met(int64_t position) {
    if (!count++) first = position;
  }
  __device__ void tell(int64_t unit, int64_t units, int64_t cells, int64_t* outcome) const {
    if (!count) return;
    add_to(outcome + unit, count);
    const int64_t image = divided(first, cells);
    const int64_t number = (image * units + unit) * cells + (first - image * cells);
    atomicMax(reinterpret_cast<unsigned long long*>(outcome + units), ~static_cast<unsigned long long>(number));
  }
};
