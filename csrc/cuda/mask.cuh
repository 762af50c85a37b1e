// mask: a map's pixels above the threshold, as bits. Bit i of 32-bit word w is pixel 32 w + i of the row-major mask, so
// that two words are one of the planes' (little-endian).
//
//     pixel   0 1 2 3 4 5 6 7 ...          a warp's 32 pixels, compared:  . # # . ...
//     bit     0 1 1 0 ...                  their ballot:                  0b...0110 = one word
#pragma once
#include "maps.cuh"

// The definition where tables have more taps: a pixel none of whose taps' cells is above T is not above.
__device__ inline bool touches(const Upsampling& u, const float* map, int32_t y, int32_t x, float threshold) {
  for (int32_t j = 0; j < u.rows.taps; ++j) {
    const float* row = map + int64_t(clipped(u.rows, u.rows.start[y] + j)) * u.columns.cells;
    for (int32_t k = 0; k < u.columns.taps; ++k)
      if (row[clipped(u.columns, u.columns.start[x] + k)] > threshold) return true;
  }
  return false;
}

// The mask's bits inside the window, ORed into words that are clear, and their number added to *area.
__device__ inline void paint(const Upsampling& u, const float* map, float* line, const Window& window, float threshold,
                             uint32_t* mask, uint32_t* area) {
  uint32_t own = 0;  // of the warp, in all lanes
  each_pixel(u, map, line, window, threshold, [&](uint32_t begin, bool inside, int32_t y, int32_t x, float value) {
    const bool above = inside && value > threshold && (u.lerp || touches(u, map, y, x, threshold));
    const uint32_t bits = __ballot_sync(kFullWarp, above);
    own += __popc(bits);
    // two rows may share a word
    if (bits && (threadIdx.x & 31) == 0) atomicOr(mask + (begin >> 5), bits);
  });
  if ((threadIdx.x & 31) == 0 && own) atomicAdd(area, own);
}
