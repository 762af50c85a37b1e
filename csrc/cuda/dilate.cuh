// dilate: cells within `reach` steps (diagonals too) of one above, on bits. Every row begins a new word:
//
//     width 7     row 0 -> word 0, bits 0-6     row 1 -> word 1, bits 0-6 ...
//     width 40    row 0 -> words 0 and 1        row 1 -> words 2 and 3    ...
#pragma once
#include "port.cuh"

struct BitMap {
  const uint32_t* above;
  int height, width, reach;
  bool border;  // the ring around the map counts as above: cells within reach of it are kept

  __device__ int row_words() const { return (width + 31) >> 5; }
};

__device__ inline uint32_t low_bits(int count) {
  return count <= 0 ? 0u : count >= 32 ? ~0u : (1u << count) - 1;
}

// Word i of row y after dilation. Rows are joined first; then a bit spreads inside its word, and what comes from words
// to the left is all bits up to the reach of their last one (from the right, likewise): any reach in one formula.
__device__ inline uint32_t dilated(const BitMap& map, int y, int i) {
  const int words = map.row_words(), reach = map.reach;
  const int low = y < reach ? 0 : y - reach, high = map.height - 1 - y < reach ? map.height - 1 : y + reach;
  const auto joined = [&](int word) {
    uint32_t bits = 0;
#pragma unroll 2
    for (int row = low; row <= high; ++row) bits |= map.above[row * words + word];
    return bits;
  };
  uint32_t bits = joined(i);
#pragma unroll 1
  for (int done = 0, most = reach < 31 ? reach : 31; done < most;) {
    const int step = done + 1 < most - done ? done + 1 : most - done;  // what is covered has no gaps
    bits |= bits << step | bits >> step;
    done += step;
  }
#pragma unroll 1
  for (int away = 1; away * 32 - 31 <= reach; ++away) {
    const uint32_t left = i >= away ? joined(i - away) : 0, right = i + away < words ? joined(i + away) : 0;
    if (left) bits |= low_bits(32 - __clz(int(left)) + reach - 32 * away);
    if (right) bits |= ~low_bits(__ffs(int(right)) - 1 - reach + 32 * away);
  }
  if (map.border) {
    if (y < reach || y >= map.height - reach) bits = ~0u;
    bits |= low_bits(reach - 32 * i) | ~low_bits(map.width - reach - 32 * i);
  }
  return bits & low_bits(map.width - 32 * i);
}
